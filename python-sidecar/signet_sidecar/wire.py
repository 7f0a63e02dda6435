"""Programs and types between the wire and plain data."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from signet_sidecar.dspy_engine.definition import Capabilities, FieldData, Kind, ProgramData, SignatureData, TypeData
from signet_sidecar.errors import DefinitionError, Fault
from signet_sidecar.gen import sidecar_pb2 as pb

_KINDS: dict[int, Kind] = {pb.TypeKind.Value(f"TYPE_KIND_{kind.name}"): kind for kind in Kind}
_KINDS_BACK: dict[Kind, int] = {kind: number for number, kind in _KINDS.items()}


def read_program(message: pb.ProgramDefinition) -> ProgramData:
    """A program's data with the digest of its content; raises DefinitionError with MODULE_INVALID or SIGNATURE_TYPE."""
    demos = tuple(_object(text, "a demo") for text in message.demos_json)
    return ProgramData(
        digest=hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest(),
        signature=SignatureData(message.signature.instructions, tuple(map(_read_field, message.signature.fields))),
        module=message.module,
        prompt_adapter=message.prompt_adapter,
        demos=demos,
        lm_options=_object(message.lm_options_json, "lm_options") if message.lm_options_json else {},
        lm=Capabilities(message.lm.model, message.lm.json_schema, message.lm.json_object, message.lm.tools),
        config=_object(message.module_config_json, "module_config") if message.module_config_json else {},
        state=_object(message.state_json, "the state") if message.state_json else {},
    )


def _read_field(message: pb.Field) -> FieldData:
    constraints = []
    for constraint in message.constraints:
        value = _json(constraint.value, f"constraint `{constraint.name}` of `{message.name}`")
        # `allow_inf_nan` is the one of DSPy's eight whose bound is a boolean.
        if not isinstance(value, (int, float)) or isinstance(value, bool) != (constraint.name == "allow_inf_nan"):
            raise DefinitionError("MODULE_INVALID", f"constraint `{constraint.name}` of `{message.name}` is not a number")
        constraints.append((constraint.name, value))
    return FieldData(
        name=message.name,
        output=message.output,
        type=read_type(message.type),
        description=message.description,
        constraints=tuple(constraints),
        has_default=bool(message.default_json),
        default=_json(message.default_json, f"default of `{message.name}`") if message.default_json else None,
    )


def read_type(message: pb.Type) -> TypeData:
    """A type's data; raises DefinitionError with SIGNATURE_TYPE for kinds and literal members that are not allowed."""
    kind = _KINDS.get(message.kind)
    if kind is None:
        raise DefinitionError("SIGNATURE_TYPE", "a type without a known kind")
    values = tuple(_json(text, "a literal's member") for text in message.values_json)
    if not all(value is None or isinstance(value, (str, int)) for value in values):
        raise DefinitionError("SIGNATURE_TYPE", "literal members must be text, integers, booleans or null")
    return TypeData(kind, tuple(map(read_type, message.args)), values)


def write_type(data: TypeData | None) -> pb.Type | None:
    """The message of a type; None stays None."""
    if data is None:
        return None
    return pb.Type(
        kind=_KINDS_BACK[data.kind],  # type: ignore[arg-type]
        args=[made for arg in data.args if (made := write_type(arg))],
        values_json=[json.dumps(value, ensure_ascii=False).encode() for value in data.values],
    )


def write_signature(data: SignatureData) -> pb.Signature:
    """The message of a signature."""
    return pb.Signature(
        instructions=data.instructions,
        fields=[
            pb.Field(
                name=field.name,
                output=field.output,
                type=write_type(field.type),
                description=field.description,
                constraints=[pb.Constraint(name=name, value=json.dumps(value)) for name, value in field.constraints],
                default_json=json.dumps(field.default, ensure_ascii=False).encode() if field.has_default else b"",
            )
            for field in data.fields
        ],
    )


def write_fault(fault: Fault) -> pb.ModuleFault:
    """The message of a fault."""
    return pb.ModuleFault(reason=fault.reason, message=fault.message, python_type=fault.python_type)


def _json(text: bytes | str, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DefinitionError("MODULE_INVALID", f"{what} is not JSON: {error}") from error


def _object(text: bytes, what: str) -> dict[str, Any]:
    value = _json(text, what)
    if not isinstance(value, dict):
        raise DefinitionError("MODULE_INVALID", f"{what} is not a JSON object")
    return value
