"""Programs ready to run, built once per content."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.adapters.utils import annotation_allows_none

from signet_sidecar.dspy_engine.adapters import ADAPTERS, _Kept
from signet_sidecar.dspy_engine.definition import ProgramData
from signet_sidecar.dspy_engine.lm import name_predictor, write_options
from signet_sidecar.dspy_engine.modules import Built, build_module
from signet_sidecar.dspy_engine.signatures import build_signature
from signet_sidecar.dspy_engine.state import load_state
from signet_sidecar.dspy_engine.user_code import NO_USER_CODE, UserCode
from signet_sidecar.errors import DefinitionError

PROGRAMS_MAX = 512


@dataclass(frozen=True)
class Program:
    """A program that DSPy can run; shared by all its runs and never changed by them."""

    data: ProgramData
    module: Any
    is_async: bool
    adapter: _Kept
    inputs: frozenset[str]
    required: frozenset[str]
    outputs: tuple[str, ...]
    predictors: Mapping[int, str]
    lm_options_json: bytes


def build_program(data: ProgramData, user_code: UserCode = NO_USER_CODE) -> Program:
    """Builds a program and renders its fixed text; raises DefinitionError for what DSPy cannot serve."""
    signature = build_signature(data.signature)
    if data.prompt_adapter not in ADAPTERS:
        raise DefinitionError("MODULE_INVALID", f"`{data.prompt_adapter}` is not a prompt adapter: take `chat` or `json`")
    adapter = ADAPTERS[data.prompt_adapter]()
    try:
        built = build_module(data, signature, user_code)
        if data.state:
            load_state(built.module, data.state)
            for _, predictor in built.module.named_predictors():
                _fix_demos(adapter, predictor)
        else:
            _show_demos(data, adapter, built)
        lm_options_json = write_options(data.lm_options)
    except DefinitionError:
        raise
    # Whatever a demo, a schema or an option makes DSPy or pydantic raise is the definition's fault, found before any run.
    except Exception as error:
        raise DefinitionError("MODULE_INVALID", f"DSPy cannot render the program: {error}", type(error).__name__) from error
    fields = signature.input_fields
    extra = tuple(name for name in built.extra if name not in signature.output_fields)
    return Program(
        data=data,
        module=built.module,
        is_async=callable(getattr(built.module, "aforward", None)),
        adapter=adapter,
        inputs=frozenset(fields),
        required=frozenset(
            name for name, info in fields.items() if info.is_required() and not annotation_allows_none(info.annotation)
        ),
        outputs=(*extra, *signature.output_fields),
        predictors=_name_predictors(built.module),
        lm_options_json=lm_options_json,
    )


def _show_demos(data: ProgramData, adapter: _Kept, built: Built) -> None:
    predictor = built.shown
    if predictor is None:
        if data.demos:
            raise DefinitionError("MODULE_INVALID", f"{data.module} keeps its own demos, so a program with it has none")
        return
    predictor.demos = [dict(demo) for demo in data.demos]
    _fix_demos(adapter, predictor)


def _fix_demos(adapter: _Kept, predictor: Any) -> None:
    plan = adapter.plan_of(predictor.signature)
    if plan is not None:
        plan.demo_messages = adapter.format_demos(predictor.signature, predictor.demos)  # type: ignore[attr-defined]
        plan.demos = predictor.demos


def _name_predictors(module: Any) -> dict[int, str]:
    if isinstance(module, dspy.Predict):
        name_predictor(module, "predict")
        return {id(module): "predict"}
    named = {}
    for path, predictor in module.named_predictors():
        name_predictor(predictor, path)
        named[id(predictor)] = path
    return named


class Programs:
    """The programs of a worker by content, at most 512, the least recently used leaving first."""

    def __init__(self, user_code: UserCode = NO_USER_CODE) -> None:
        self._user_code = user_code
        self._built: OrderedDict[str, Program | DefinitionError] = OrderedDict()

    def get(self, data: ProgramData) -> Program:
        """The program, built if it is new; raises the DefinitionError that it was refused with."""
        built = self._built.get(data.digest)
        if built is None:
            try:
                built = build_program(data, self._user_code)
            except DefinitionError as error:
                built = error
            self._built[data.digest] = built
            if len(self._built) > PROGRAMS_MAX:
                self._built.popitem(last=False)
        else:
            self._built.move_to_end(data.digest)
        if isinstance(built, DefinitionError):
            raise built
        return built
