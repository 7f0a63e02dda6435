"""Makes DSPy keep pydantic's TypeAdapter per annotation instead of building one for every value it renders or reads."""

from __future__ import annotations

from typing import Any

import dspy.adapters.utils
from pydantic import TypeAdapter

KEPT_MAX = 4_096

# Keyed by identity, the annotation kept alive beside its adapter: equal annotations can validate differently, since
# Union[int, str] == Union[str, int].
_kept: dict[int, tuple[Any, TypeAdapter[Any]]] = {}


def kept_type_adapter(annotation: Any) -> TypeAdapter[Any]:
    """The TypeAdapter of an annotation, made once; at most 4,096 are kept."""
    kept = _kept.get(id(annotation))
    if kept is None:
        if len(_kept) >= KEPT_MAX:
            _kept.clear()
        kept = (annotation, TypeAdapter(annotation))
        _kept[id(annotation)] = kept
    return kept[1]


def install() -> None:
    """Puts the kept adapters where DSPy 3.4.1 builds one per value (6 to 60 µs each); the parity test guards it."""
    dspy.adapters.utils.TypeAdapter = kept_type_adapter
