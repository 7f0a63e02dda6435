"""The program that is optimized, in stock DSPy classes, and its states."""

from __future__ import annotations

import asyncio
import inspect
import json
from dataclasses import dataclass
from typing import Any

import dspy

from signet_sidecar.dspy_engine.definition import ProgramData
from signet_sidecar.dspy_engine.lm import name_predictor
from signet_sidecar.dspy_engine.modules import ChainsCompared
from signet_sidecar.dspy_engine.outputs import _plain, read_object
from signet_sidecar.dspy_engine.programs import build_program
from signet_sidecar.dspy_engine.served_predict import ServedPredict
from signet_sidecar.dspy_engine.state import load_state
from signet_sidecar.dspy_engine.user_code import UserCode
from signet_sidecar.errors import DefinitionError

STATE_BYTES_MAX = 8 * 1024 * 1024


@dataclass(frozen=True)
class Student:
    """A program to optimize; `inputs` and `outputs` name its declared fields."""

    module: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]


def build_student(data: ProgramData, initial_state_json: bytes, user_code: UserCode) -> Student:
    """Builds the program and loads a state into it; raises DefinitionError for what cannot be built or loaded."""
    program = build_program(data, user_code)
    module = _blocking(program.module)
    for path, predictor in module.named_predictors():
        if type(predictor) is ServedPredict:
            # Optimizers show the model a program's source: DSPy's own says more than ours, and both do the same.
            predictor.__class__ = dspy.Predict
        # A program that is one predictor calls itself `self` in DSPy and `predict` in plans, calls and traces.
        name_predictor(predictor, "predict" if predictor is module else path)
    if not module.named_predictors():
        raise DefinitionError("MODULE_INVALID", "the program has no predictor whose prompt could be optimized")
    if initial_state_json:
        try:
            state = read_object(initial_state_json)
        except ValueError as error:
            raise DefinitionError("MODULE_INVALID", f"the state cannot be read: {error}") from error
        load_state(module, state)
    fields = data.signature.fields
    inputs = tuple(field.name for field in fields if not field.output)
    return Student(module, inputs, tuple(field.name for field in fields if field.output))


def write_state(module: Any) -> bytes:
    """What `program.save` writes of a program, without its model and with demos cut to the fields that prompts show.

    Raises ValueError for values that JSON cannot carry and for a state of more than 8 MiB.
    """
    state: dict[str, Any] = {}
    for path, predictor in module.named_predictors():
        shown = {*predictor.signature.fields, "augmented"}
        kept = predictor.dump_state()
        demos = [{name: value for name, value in dict(demo).items() if name in shown} for demo in kept["demos"]]
        made = {**kept, "traces": [], "train": [], "lm": None, "demos": [demo for demo in demos if demo]}
        if predictor is module:
            state = made
        else:
            state[path] = made
    # Escaped: half a surrogate pair of a reply can stand in a demo.
    text = json.dumps(state, default=_plain, allow_nan=False).encode()
    if len(text) > STATE_BYTES_MAX:
        raise ValueError(f"the state is larger than {STATE_BYTES_MAX} bytes")
    return text


def _blocking(module: Any) -> Any:
    if isinstance(module, ChainsCompared):
        module.__class__ = _BlockingChains
    elif not callable(getattr(type(module), "forward", None)):
        cls = type(module)
        module.__class__ = type(cls.__name__, (_Awaiting, cls), {"__module__": cls.__module__})
    return module


class _BlockingChains(ChainsCompared):
    def forward(self, **inputs: Any) -> Any:
        """The chains one after the other, then the comparison."""
        attempts = [self.chain(**inputs) for _ in range(self._count)]
        return self.compare.predict(**self._written.forward(attempts, **inputs))


class _Awaiting:
    def forward(self, **inputs: Any) -> Any:
        """Optimizers call programs without awaiting."""
        made = self.aforward(**inputs)  # type: ignore[attr-defined]
        return asyncio.run(_awaited(made)) if inspect.isawaitable(made) else made


async def _awaited(made: Any) -> Any:
    return await made
