"""Programs ready to run, built once per content."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.adapters.utils import annotation_allows_none
from dspy.dsp.utils.settings import settings
from pydantic_core import PydanticUndefined

from signet_sidecar.dspy_engine.adapters import ADAPTERS, _Kept
from signet_sidecar.dspy_engine.definition import ProgramData
from signet_sidecar.dspy_engine.lm import PortLM, write_options
from signet_sidecar.dspy_engine.signatures import build_signature
from signet_sidecar.errors import DefinitionError

PROGRAMS_MAX = 512


class ServedPredict(dspy.Predict):  # type: ignore[misc]
    """`dspy.Predict` whose plain calls go straight to the adapter; calls with DSPy's own keywords take the stock way."""

    _PRIVILEGED = frozenset({"signature", "new_signature", "demos", "config", "lm", "prediction", "_trace"})

    async def aforward(self, **kwargs: Any) -> Any:
        """One prediction."""
        lm = self.lm or settings.lm
        adapter = settings.adapter
        # DSPy 3.4.1 asks each output for decision types, checks and warns on each call: 0.1 ms that a served run need not pay.
        if self._PRIVILEGED.isdisjoint(kwargs) and isinstance(lm, PortLM) and isinstance(adapter, _Kept) and not self._many(lm):
            for name, default in self._defaults().items():
                kwargs.setdefault(name, default)
            completions = await adapter.acall(lm, dict(self.config), self.signature, self.demos, kwargs)
            return self._forward_postprocess(completions, self.signature, **kwargs)
        return await super().aforward(**kwargs)

    def _many(self, lm: PortLM) -> bool:
        return any(key in options for options in (self.config, lm.kwargs) for key in ("n", "num_generations"))

    def _defaults(self) -> Mapping[str, Any]:
        kept = self.__dict__.get("_kept_defaults")
        if kept is None or kept[0] is not self.signature:
            fields = self.signature.input_fields.items()
            kept = (self.signature, {name: info.default for name, info in fields if info.default is not PydanticUndefined})
            self._kept_defaults = kept
        defaults: Mapping[str, Any] = kept[1]
        return defaults


@dataclass(frozen=True)
class Program:
    """A program that DSPy can run; shared by all its runs and never changed by them."""

    data: ProgramData
    module: Any
    adapter: _Kept
    inputs: frozenset[str]
    required: frozenset[str]
    outputs: tuple[str, ...]
    predictors: Mapping[int, str]
    lm_options_json: bytes


def build_program(data: ProgramData) -> Program:
    """Builds a program and renders its fixed text; raises DefinitionError for what DSPy cannot serve."""
    signature = build_signature(data.signature)
    if data.prompt_adapter not in ADAPTERS:
        raise DefinitionError("MODULE_INVALID", f"`{data.prompt_adapter}` is not a prompt adapter: take `chat` or `json`")
    adapter = ADAPTERS[data.prompt_adapter]()
    module, predictor = _module(data.module, signature)
    predictor.demos = [dict(demo) for demo in data.demos]
    try:
        plan = adapter.plan_of(predictor.signature)
        if plan is not None:
            plan.demo_messages = adapter.format_demos(predictor.signature, predictor.demos)  # type: ignore[attr-defined]
            plan.demos = predictor.demos
        lm_options_json = write_options(data.lm_options)
    # Whatever a demo, a schema or an option makes DSPy or pydantic raise is the definition's fault, found before any run.
    except Exception as error:
        raise DefinitionError("MODULE_INVALID", f"DSPy cannot render the program: {error}", type(error).__name__) from error
    fields = predictor.signature.input_fields
    return Program(
        data=data,
        module=module,
        adapter=adapter,
        inputs=frozenset(fields),
        required=frozenset(
            name for name, info in fields.items() if info.is_required() and not annotation_allows_none(info.annotation)
        ),
        outputs=tuple(predictor.signature.output_fields),
        predictors={id(predictor): "predict"},
        lm_options_json=lm_options_json,
    )


def _module(name: str, signature: Any) -> tuple[Any, ServedPredict]:
    if name == "predict":
        predictor = ServedPredict(signature)
        return predictor, predictor
    if name == "chain_of_thought":
        if "reasoning" in signature.input_fields:
            raise DefinitionError("MODULE_INVALID", "chain_of_thought adds an output `reasoning`, so no input may have that name")
        module = dspy.ChainOfThought(signature)
        module.predict = ServedPredict(module.predict.signature)
        return module, module.predict
    raise DefinitionError("MODULE_INVALID", f"`{name}` is not a module: take `predict` or `chain_of_thought`")


class Programs:
    """The programs of a worker by content, at most 512, the least recently used leaving first."""

    def __init__(self) -> None:
        self._built: OrderedDict[str, Program | DefinitionError] = OrderedDict()

    def get(self, data: ProgramData) -> Program:
        """The program, built if it is new; raises the DefinitionError that it was refused with."""
        built = self._built.get(data.digest)
        if built is None:
            try:
                built = build_program(data)
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
