"""A program as plain data, before any DSPy class is made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Kind(Enum):
    """The kinds of types that a field may have."""

    STR = "str"
    INT = "int"
    FLOAT = "float"
    BOOL = "bool"
    ANY = "any"
    NONE = "none"
    LIST = "list"
    DICT = "dict"
    TUPLE = "tuple"
    TUPLE_VARIADIC = "tuple_variadic"
    SET = "set"
    UNION = "union"
    LITERAL = "literal"
    # `dict` as Python writes it without arguments; a DICT without arguments becomes `dict[str, Any]`.
    BARE_DICT = "bare_dict"


@dataclass(frozen=True)
class TypeData:
    """A Python type as data: `args` of containers and unions, `values` of a literal."""

    kind: Kind
    args: tuple[TypeData, ...] = ()
    values: tuple[Any, ...] = ()


@dataclass(frozen=True)
class FieldData:
    """One field of a signature; `default` is present only if `has_default`."""

    name: str
    output: bool
    type: TypeData
    description: str = ""
    constraints: tuple[tuple[str, int | float], ...] = ()
    has_default: bool = False
    default: Any = None


@dataclass(frozen=True)
class SignatureData:
    """A signature: instructions (empty means DSPy's default sentence) and its fields, inputs first."""

    instructions: str
    fields: tuple[FieldData, ...]


@dataclass(frozen=True)
class Capabilities:
    """What the language model behind a program is able to do, as far as DSPy has to know."""

    model: str = ""
    json_schema: bool = False
    json_object: bool = False
    tools: bool = False


@dataclass(frozen=True)
class ProgramData:
    """A program; `digest` names its content and is the key under which it is kept once built."""

    digest: str
    signature: SignatureData
    module: str
    prompt_adapter: str
    demos: tuple[Mapping[str, Any], ...] = ()
    lm_options: Mapping[str, Any] = field(default_factory=dict)
    lm: Capabilities = Capabilities()
    config: Mapping[str, Any] = field(default_factory=dict)
    # What DSPy saved of each predictor by its name; empty means that `demos` and the instructions say everything.
    state: Mapping[str, Any] = field(default_factory=dict)
