"""Types both ways: data to Python annotations for DSPy, and a user's annotations back to data."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal, Union

from signet_sidecar.dspy_engine.definition import Kind, TypeData
from signet_sidecar.errors import DefinitionError

DEPTH_MAX = 32

_PLAIN: dict[Kind, Any] = {
    Kind.STR: str,
    Kind.INT: int,
    Kind.FLOAT: float,
    Kind.BOOL: bool,
    Kind.ANY: Any,
    Kind.NONE: type(None),
}
_PLAIN_BACK: dict[Any, Kind] = {python: kind for kind, python in _PLAIN.items()} | {None: Kind.NONE}


def to_annotation(data: TypeData) -> Any:
    """The Python annotation of a type; raises DefinitionError with SIGNATURE_TYPE where there is none."""
    annotation = _build(data)
    if not _has_order(annotation, data):
        # Union[A, B] == Union[B, A], so typing's caches hand out whichever was made first, while pydantic minds the order.
        for clear in typing._cleanups:  # type: ignore[attr-defined]
            clear()
        annotation = _build(data)
    return annotation


def _has_order(annotation: Any, data: TypeData) -> bool:
    if data.kind in _PLAIN or data.kind in (Kind.LITERAL, Kind.BARE_DICT) or not data.args:
        return True
    args = [arg for arg in typing.get_args(annotation) if arg is not Ellipsis]
    # typing folds equal members of unions; what it folded has no order to keep.
    if len(args) != len(data.args):
        return True
    return all(_same(arg, wanted) and _has_order(arg, wanted) for arg, wanted in zip(args, data.args, strict=True))


def _same(annotation: Any, data: TypeData) -> bool:
    if data.kind in _PLAIN:
        return bool(annotation is _PLAIN[data.kind])
    if data.kind is Kind.LITERAL:
        found = typing.get_args(annotation)
        members = [(type(x), x) for x in data.values]
        return bool(typing.get_origin(annotation) is Literal and [(type(x), x) for x in found] == members)
    origin = typing.get_origin(annotation) or annotation
    kinds = {list: "list", dict: "dict", set: "set", tuple: "tuple", Union: "union"}
    return bool(data.kind.value.replace("bare_", "").startswith(kinds.get(origin, "?")))


def _build(data: TypeData, depth: int = 0) -> Any:
    if depth > DEPTH_MAX:
        raise _refuse(f"types nest deeper than {DEPTH_MAX}")
    if data.kind in _PLAIN:
        return _PLAIN[data.kind]
    if data.kind is Kind.LITERAL:
        if not data.values:
            raise _refuse("a literal needs at least one member")
        return Literal[data.values]
    args = tuple(_build(arg, depth + 1) for arg in data.args)
    return _container(data.kind, args)


def _container(kind: Kind, args: Any) -> Any:
    match kind, len(args):
        case Kind.LIST, 0:
            return list
        case Kind.LIST, 1:
            return types.GenericAlias(list, args)
        case Kind.BARE_DICT, 0:
            return dict
        # Bare `dict` makes DSPy's JSON schema demand an empty object, so it is never handed over bare.
        case Kind.DICT, 0:
            return dict[str, Any]
        case Kind.DICT, 2:
            return types.GenericAlias(dict, args)
        case Kind.SET, 0:
            return set
        case Kind.SET, 1:
            return types.GenericAlias(set, args)
        case Kind.TUPLE, 0:
            return tuple
        case Kind.TUPLE, _:
            return types.GenericAlias(tuple, args)
        case Kind.TUPLE_VARIADIC, 1:
            return types.GenericAlias(tuple, (args[0], ...))
        case Kind.UNION, count if count > 0:
            return Union[args]  # noqa: UP007
    raise _refuse(f"{kind.value} does not take {len(args)} arguments")


def to_type_data(annotation: Any, depth: int = 0) -> TypeData:
    """The data of an annotation; raises DefinitionError with SIGNATURE_TYPE for what has no place in a signature."""
    if depth > DEPTH_MAX:
        raise _refuse(f"types nest deeper than {DEPTH_MAX}")
    try:
        plain = _PLAIN_BACK.get(annotation)
    except TypeError:
        plain = None
    if plain is not None:
        return TypeData(plain)
    origin = typing.get_origin(annotation) or annotation
    args = typing.get_args(annotation)
    if origin is typing.Annotated:
        return to_type_data(args[0], depth + 1)
    if origin is Literal:
        if not all(value is None or isinstance(value, (str, int)) for value in args):
            raise _refuse("literal members must be text, integers, booleans or None")
        return TypeData(Kind.LITERAL, values=args)
    if origin is tuple and len(args) == 2 and args[1] is Ellipsis:
        return TypeData(Kind.TUPLE_VARIADIC, (to_type_data(args[0], depth + 1),))
    kinds = {list: Kind.LIST, dict: Kind.DICT, tuple: Kind.TUPLE, set: Kind.SET, Union: Kind.UNION, types.UnionType: Kind.UNION}
    kind = kinds.get(origin) if isinstance(origin, type) or origin is Union else None
    if kind is None:
        name = getattr(annotation, "__name__", None) or str(annotation)
        raise _refuse(f"type `{name}` has no form outside Python")
    return TypeData(kind, tuple(to_type_data(arg, depth + 1) for arg in args))


def _refuse(message: str) -> DefinitionError:
    return DefinitionError("SIGNATURE_TYPE", message)
