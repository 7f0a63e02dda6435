"""Reads the signature behind a name of the allow-list."""

from __future__ import annotations

import importlib
import inspect
from typing import Any

import dspy
from dspy.signatures.field import PYDANTIC_CONSTRAINT_MAP
from pydantic_core import PydanticUndefined

from signet_sidecar.dspy_engine.annotations import to_type_data
from signet_sidecar.dspy_engine.definition import FieldData, SignatureData
from signet_sidecar.dspy_engine.signatures import CONSTRAINTS, FIELDS_MAX
from signet_sidecar.errors import DefinitionError

_BY_TEXT = {text: name for name, text in PYDANTIC_CONSTRAINT_MAP.items() if name in CONSTRAINTS}


def describe(target: str) -> SignatureData:
    """The signature of `package.module:Class`; raises DefinitionError.

    The name may also be an object whose `signature()`, called without arguments, returns one.
    """
    try:
        found = _find(target)
        if not _is_signature(found):
            found = _called(found, target)
    except DefinitionError:
        raise
    # A user's module can raise anything while it is imported, SystemExit included.
    except BaseException as error:
        raise DefinitionError("MODULE_INVALID", f"{target} cannot be read: {error}", type(error).__name__) from error
    return _signature_data(found)


def kind_of(target: str) -> str:
    """What `package.module:Name` stands for: `signature`, `module`, `function`, or an empty text for anything else."""
    try:
        found = _find(target)
        if _is_signature(found) or callable(getattr(found, "signature", None)):
            return "signature"
        if isinstance(found, type) and issubclass(found, dspy.Module):
            return "module"
        return "function" if callable(found) else ""
    # As above: what a user's module raises is its own affair.
    except BaseException:
        return ""


def _find(target: str) -> Any:
    module_name, _, attribute = target.partition(":")
    return getattr(importlib.import_module(module_name), attribute)


def _called(found: Any, target: str) -> Any:
    maker = getattr(found, "signature", None)
    if callable(maker) and not inspect.signature(maker).parameters:
        made = maker()
        if _is_signature(made):
            return made
    raise DefinitionError("MODULE_INVALID", f"{target} is not a DSPy signature")


def _is_signature(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, dspy.Signature) and found is not dspy.Signature


def _signature_data(signature: Any) -> SignatureData:
    fields = signature.fields
    if len(fields) > FIELDS_MAX:
        raise DefinitionError("MODULE_INVALID", f"a signature has at most {FIELDS_MAX} fields, not {len(fields)}")
    outputs = signature.output_fields
    return SignatureData(signature.instructions, tuple(_field_data(name, info, name in outputs) for name, info in fields.items()))


def _field_data(name: str, info: Any, output: bool) -> FieldData:
    extra = info.json_schema_extra or {}
    description = extra.get("desc", "")
    has_default = info.default is not PydanticUndefined
    if has_default and not _is_json(info.default):
        raise DefinitionError("SIGNATURE_TYPE", f"field `{name}`: its default has no form outside Python")
    try:
        type_data = to_type_data(info.annotation)
    except DefinitionError as error:
        raise DefinitionError("SIGNATURE_TYPE", f"field `{name}`: {error.fault.message}") from error
    return FieldData(
        name=name,
        output=output,
        type=type_data,
        description="" if description == f"${{{name}}}" else description,
        constraints=tuple(_constraints(info, extra.get("constraints", ""))),
        has_default=has_default,
        default=info.default if has_default else None,
    )


def _constraints(info: Any, text: str) -> list[tuple[str, int | float]]:
    # pydantic sorts its own list of bounds; DSPy's text keeps the order in which they were written.
    order = [name for part in text.split(", ") for prefix, name in _BY_TEXT.items() if part.startswith(prefix)]
    found = {name: value for bound in info.metadata for name in CONSTRAINTS if (value := getattr(bound, name, None)) is not None}
    return [(name, found[name]) for name in order if isinstance(found.get(name), (int, float))]


def _is_json(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    return value is None or isinstance(value, (str, int, float))
