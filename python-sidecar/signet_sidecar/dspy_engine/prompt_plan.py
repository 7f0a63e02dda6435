"""Prompt plans: all of a program's prompts that does not depend on the inputs, rendered by the stock adapters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import dspy
from dspy.adapters.utils import annotation_allows_none
from pydantic import BaseModel

from signet_sidecar.dspy_engine.annotations import to_type_data
from signet_sidecar.dspy_engine.definition import Kind, TypeData
from signet_sidecar.dspy_engine.lm import write_options
from signet_sidecar.dspy_engine.programs import Program
from signet_sidecar.errors import DefinitionError

FORMAT = 1
PLAN_BYTES_MAX = 8 * 1024 * 1024

# Modules whose flow the native engine knows.
_SETTINGS = {
    "predict": (),
    "chain_of_thought": (),
    "react": ("max_iters",),
    "multi_chain_comparison": ("M",),
}
_DEFAULTS = {"max_iters": 20, "M": 3}


class PlanError(Exception):
    """Why a program has no plan."""


class _Able:
    """Stands for an endpoint that takes every form of `response_format`, so that DSPy names the strictest one."""

    supported_params = frozenset({"response_format"})
    supports_response_schema = True


def make_plan(program: Program, dialect: Mapping[str, str]) -> bytes:
    """The plan as JSON in ASCII; raises PlanError with the reason where the native engine must not run the program."""
    module = program.data.module
    if module not in _SETTINGS:
        raise PlanError(f"the module `{module}` runs in Python alone")
    config = program.data.config
    plan = {
        "format": FORMAT,
        "module": module,
        "settings": {name: config.get(name, _DEFAULTS[name]) for name in _SETTINGS[module]},
        "outputs": list(program.outputs),
        "dialect": dict(dialect),
        "predictors": [_predictor(name, predictor) for name, predictor in predictors_of(program.module)],
    }
    try:
        text = json.dumps(plan, ensure_ascii=True, allow_nan=False, separators=(",", ":")).encode()
    except (ValueError, RecursionError) as error:
        raise PlanError(f"the plan cannot be written: {error}") from error
    if len(text) > PLAN_BYTES_MAX:
        raise PlanError(f"the plan is larger than {PLAN_BYTES_MAX} bytes")
    return text


def predictors_of(module: Any) -> list[tuple[str, Any]]:
    """A module's predictors by their path; one alone is `predict`."""
    if isinstance(module, dspy.Predict):
        return [("predict", module)]
    return list(module.named_predictors())


def _predictor(name: str, predictor: Any) -> dict[str, Any]:
    signature = predictor.signature
    chat, json_adapter = dspy.ChatAdapter(), dspy.JSONAdapter()
    return {
        "name": name,
        "options_json": write_options(predictor.config).decode() or "{}",
        "inputs": [_field(*item) for item in signature.input_fields.items()],
        "outputs": [_field(*item) for item in signature.output_fields.items()],
        "chat": _rendered(chat, signature, predictor.demos),
        "json": {
            **_rendered(json_adapter, signature, predictor.demos),
            "response_format_json": _response_format(json_adapter, signature),
        },
    }


def _field(name: str, info: Any) -> dict[str, Any]:
    try:
        data = to_type_data(info.annotation)
    except DefinitionError as error:
        raise PlanError(f"`{name}`: {error.fault.message}") from error
    made: dict[str, Any] = {"name": name, "type": _type(data), "nullable": annotation_allows_none(info.annotation)}
    if not info.is_required():
        try:
            made["default_json"] = json.dumps(info.get_default(call_default_factory=True), ensure_ascii=True)
        except (TypeError, ValueError) as error:
            raise PlanError(f"the default of `{name}` has no form outside Python") from error
    return made


def _type(data: TypeData) -> dict[str, Any]:
    made: dict[str, Any] = {"kind": data.kind.value}
    if data.args:
        made["args"] = [_type(arg) for arg in data.args]
    if data.kind is Kind.LITERAL:
        made["values_json"] = [json.dumps(value) for value in data.values]
    return made


def _rendered(adapter: Any, signature: Any, demos: list[Any]) -> dict[str, Any]:
    try:
        system = adapter.format_system_message(signature)
        shown = adapter.format_demos(signature, demos)
        slots, ending = _slots(adapter, signature)
    # DSPy raises what it likes for values that it cannot show; the other adapter may still be able to.
    except Exception as error:
        if isinstance(error, PlanError):
            raise
        return {"fault": {"type": type(error).__name__, "message": str(error)}}
    return {
        "system": system,
        "demos": [{"role": message["role"], "content": message["content"]} for message in shown],
        "slots": slots,
        "ending": ending,
        "class": type(adapter).__name__,
        "arguments": _arguments(adapter),
    }


def _arguments(adapter: Any) -> dict[str, Any]:
    names = ("use_native_function_calling", "parallel_tool_calls", "use_json_adapter_fallback")
    return {name: getattr(adapter, name) for name in names}


def _slots(adapter: Any, signature: Any) -> tuple[list[dict[str, str]], str]:
    """What stands before each input's text and after the last one, found by rendering marks in place of the inputs."""
    names = list(signature.input_fields)
    marks = [f"\x02{index}\x03" for index in range(len(names))]
    text = adapter.format_user_message_content(signature, dict(zip(names, marks, strict=True)), main_request=True)
    slots = []
    for name, mark in zip(names, marks, strict=True):
        before, found, text = text.partition(mark)
        if not found:
            raise PlanError(f"DSPy does not show the input `{name}` in the user message")
        slots.append({"field": name, "before": before})
    return slots, text


def _response_format(adapter: Any, signature: Any) -> str:
    chosen: dict[str, Any] = {}
    adapter._prepare_response_format(_Able(), chosen, signature)
    made = chosen["response_format"]
    if isinstance(made, type) and issubclass(made, BaseModel):
        body = json.loads(write_options(chosen))
        return json.dumps(body["response_format"], ensure_ascii=True)
    return json.dumps(made)
