"""Values between JSON text and Python, numbers exact in both directions."""

from __future__ import annotations

import json
from enum import Enum
from typing import Any

from pydantic import BaseModel

from signet_sidecar.errors import RunFailure


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


_decoder = json.JSONDecoder(parse_constant=_refuse_constant)


def read_object(text: bytes) -> dict[str, Any]:
    """A JSON object; integers of up to 4,300 digits stay exact. Raises ValueError for anything else."""
    try:
        value = _decoder.decode(text.decode())
    except RecursionError as error:
        raise ValueError("the JSON nests too deeply") from error
    if not isinstance(value, dict):
        raise ValueError("not a JSON object")
    return value


def _plain(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=lambda item: (type(item).__name__, repr(item)))
    if isinstance(value, BaseModel):
        return value.model_dump()
    if isinstance(value, Enum):
        return value.value
    return str(value)


_encoder = json.JSONEncoder(ensure_ascii=False, allow_nan=False, default=_plain, separators=(",", ":"))


def write_outputs(prediction: Any, names: tuple[str, ...]) -> bytes:
    """The outputs in order: integers keep their digits, floats their point.

    NaN, infinities and lone surrogates are LM_REPLY_UNREADABLE.
    """
    try:
        return _encoder.encode({name: prediction[name] for name in names}).encode()
    except (ValueError, RecursionError) as error:
        message = f"the reply holds a value that JSON cannot carry: {error}"
        raise RunFailure("LM_REPLY_UNREADABLE", message, "parse", python_type=type(error).__name__) from error
