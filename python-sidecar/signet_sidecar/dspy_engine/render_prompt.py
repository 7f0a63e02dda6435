"""Shows one prompt by the adapters that serve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from signet_sidecar.dspy_engine.adapters import ADAPTERS
from signet_sidecar.dspy_engine.programs import Program
from signet_sidecar.dspy_engine.prompt_plan import predictors_of
from signet_sidecar.errors import DefinitionError


@dataclass(frozen=True)
class PlanFault:
    """What DSPy raised in place of messages."""

    python_type: str
    message: str


def render_prompt(
    program: Program, predictor: str, prompt_adapter: str, inputs: Mapping[str, Any]
) -> list[dict[str, Any]] | PlanFault:
    """The messages of a predictor's call; raises DefinitionError for an unknown predictor or adapter."""
    if prompt_adapter not in ADAPTERS:
        raise DefinitionError("MODULE_INVALID", f"`{prompt_adapter}` is not a prompt adapter: take `chat` or `json`")
    found = dict(predictors_of(program.module)).get(predictor)
    if found is None:
        raise DefinitionError("MODULE_INVALID", f"the program has no predictor `{predictor[:200]}`")
    adapter: Any = program.adapter if program.data.prompt_adapter == prompt_adapter else ADAPTERS[prompt_adapter]()
    try:
        messages: list[dict[str, Any]] = adapter.format(found.signature, found.demos, dict(inputs))
    # DSPy raises what it likes for values that it cannot show.
    except Exception as error:
        return PlanFault(type(error).__name__, str(error))
    return messages
