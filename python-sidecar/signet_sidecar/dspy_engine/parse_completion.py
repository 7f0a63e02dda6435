"""Reads one reply by the stock adapters' own parse."""

from __future__ import annotations

import inspect
import json
import re
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from signet_sidecar.dspy_engine.bounded_repair import ReadingTooLong, within_bounds
from signet_sidecar.dspy_engine.programs import Program
from signet_sidecar.dspy_engine.prompt_plan import predictors_of
from signet_sidecar.errors import DefinitionError

# Without the callback wrappers, which nobody listens to here.
_PARSE = {
    "chat": (dspy.ChatAdapter(), inspect.unwrap(dspy.ChatAdapter.parse)),
    "json": (dspy.JSONAdapter(), inspect.unwrap(dspy.JSONAdapter.parse)),
}
_FIELD_FAULT = re.compile(r"Failed to parse field (\w+)(?: with value |: )")
_NO_OBJECT = "LM response cannot be serialized to a JSON object."


@dataclass(frozen=True)
class Parsed:
    """The outputs as JSON text in Python's dialect, with the places of values that JSON cannot tell from others."""

    outputs_json: str
    marks: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Unreadable:
    """Why a reply could not be read."""

    python_type: str
    kind: str
    fields: tuple[str, ...]
    message: str


def parse_completion(program: Program, predictor: str, prompt_adapter: str, reply: str) -> Parsed | Unreadable:
    """What DSPy makes of a reply; raises DefinitionError for an unknown predictor or adapter."""
    if prompt_adapter not in _PARSE:
        raise DefinitionError("MODULE_INVALID", f"`{prompt_adapter}` is not a prompt adapter: take `chat` or `json`")
    signature = _signature(program, predictor)
    adapter, parse = _PARSE[prompt_adapter]
    try:
        outputs = within_bounds(lambda: parse(adapter, signature, reply))
    except AdapterParseError as error:
        return _unreadable(signature, error)
    except ReadingTooLong as error:
        return Unreadable(type(error).__name__, "exception", (), "the reply takes too long to read")
    except Exception as error:
        return Unreadable(type(error).__name__, "exception", (), str(error))
    marks: list[tuple[str, str]] = []
    plain = {name: _plain(value, [name], marks) for name, value in outputs.items()}
    return Parsed(json.dumps(plain, ensure_ascii=True), tuple(marks))


def _signature(program: Program, wanted: str) -> Any:
    found = dict(predictors_of(program.module)).get(wanted)
    if found is None:
        raise DefinitionError("MODULE_INVALID", f"the program has no predictor `{wanted[:200]}`")
    return found.signature


def _unreadable(signature: Any, error: AdapterParseError) -> Unreadable:
    text = str(error)
    found = _FIELD_FAULT.match(text)
    if found:
        return Unreadable("AdapterParseError", "value", (found.group(1),), text)
    if text.startswith(_NO_OBJECT):
        return Unreadable("AdapterParseError", "no_object", (), text)
    parsed = error.parsed_result or {}
    return Unreadable("AdapterParseError", "missing", tuple(name for name in signature.output_fields if name not in parsed), text)


def _plain(value: Any, path: list[str | int], marks: list[tuple[str, str]]) -> Any:
    if value is None or isinstance(value, (bool, str)) or type(value) in (int, float):
        return value
    if isinstance(value, (list, tuple)):
        return [_plain(item, [*path, index], marks) for index, item in enumerate(value)]
    if isinstance(value, (set, frozenset)):
        marks.append((json.dumps(path), "set"))
        ordered = sorted(value, key=lambda item: (type(item).__name__, repr(item)))
        return [_plain(item, [*path, index], marks) for index, item in enumerate(ordered)]
    if isinstance(value, dict) and all(isinstance(key, str) for key in value):
        return {key: _plain(member, [*path, key], marks) for key, member in value.items()}
    marks.append((json.dumps(path), "repr"))
    return repr(value)
