"""Builds DSPy signature classes out of typed fields, never out of text."""

from __future__ import annotations

import keyword
from typing import Any

import dspy

from signet_sidecar.dspy_engine.annotations import to_annotation
from signet_sidecar.dspy_engine.definition import FieldData, SignatureData
from signet_sidecar.errors import DefinitionError

FIELDS_MAX = 64
CONSTRAINTS = frozenset({"gt", "ge", "lt", "le", "min_length", "max_length", "multiple_of", "allow_inf_nan"})

# Properties of DSPy's metaclass that a field of that name would hide.
_HIDDEN = frozenset({"fields", "instructions", "input_fields", "output_fields", "signature", "model_config", "model_fields"})
# Keyword arguments that Predict takes for itself, so an input of that name would never reach the prompt.
_TAKEN = frozenset({"self", "signature", "new_signature", "demos", "config", "lm", "completions", "_trace"})


def build_signature(data: SignatureData) -> Any:
    """The DSPy class of a signature; raises DefinitionError for names, types and bounds that DSPy cannot take."""
    if not 0 < len(data.fields) <= FIELDS_MAX:
        raise DefinitionError("MODULE_INVALID", f"a signature has between 1 and {FIELDS_MAX} fields, not {len(data.fields)}")
    members: dict[str, tuple[Any, Any]] = {}
    for field in data.fields:
        _check_name(field, members)
        try:
            members[field.name] = (to_annotation(field.type), _field_info(field))
        except DefinitionError as error:
            raise DefinitionError(error.fault.reason, f"field `{field.name}`: {error.fault.message}") from error
    if not any(field.output for field in data.fields):
        raise DefinitionError("MODULE_INVALID", "a signature needs at least one output")
    try:
        return dspy.Signature(members, data.instructions or None)
    # pydantic refuses by many classes (SchemaError, PydanticUserError, NameError, TypeError …).
    except Exception as error:
        raise DefinitionError("SIGNATURE_TYPE", f"DSPy refuses the signature: {error}", type(error).__name__) from error


def _check_name(field: FieldData, seen: dict[str, Any]) -> None:
    name = field.name
    if not name.isidentifier() or keyword.iskeyword(name) or name.startswith("_"):
        raise DefinitionError("MODULE_INVALID", f"`{name}` cannot be a field's name")
    if name in _HIDDEN or (not field.output and name in _TAKEN):
        raise DefinitionError("MODULE_INVALID", f"the field name `{name}` is taken by DSPy")
    if name in seen:
        raise DefinitionError("MODULE_INVALID", f"the field `{name}` stands twice in the signature")


def _field_info(field: FieldData) -> Any:
    options: dict[str, Any] = {}
    if field.description:
        options["desc"] = field.description
    for name, value in field.constraints:
        if name not in CONSTRAINTS:
            raise DefinitionError("MODULE_INVALID", f"`{name}` is not a constraint")
        options[name] = value
    if field.has_default:
        options["default"] = field.default
    return dspy.OutputField(**options) if field.output else dspy.InputField(**options)
