"""What DSPy saves of a program's predictors, put back into one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from signet_sidecar.errors import DefinitionError


def load_state(module: Any, state: Mapping[str, Any]) -> None:
    """Gives every predictor its instructions, descriptions and demos; raises DefinitionError for the state of another program."""
    named = module.named_predictors()
    # `program.save` of a single predictor writes its state without a name.
    alone = len(named) == 1 and named[0][1] is module
    if not alone:
        unknown = state.keys() - {path for path, _ in named} - {"metadata"}
        if unknown:
            raise DefinitionError("MODULE_INVALID", f"the state has `{min(unknown)}`, which is no predictor of the program")
    for path, predictor in named:
        given = state if alone else state.get(path)
        if not isinstance(given, Mapping):
            raise DefinitionError("MODULE_INVALID", f"the state has no predictor `{path}`")
        _load(predictor, path, given)


def _load(predictor: Any, path: str, given: Mapping[str, Any]) -> None:
    demos, signature = given.get("demos", []), given.get("signature")
    if not isinstance(demos, list) or not all(isinstance(demo, dict) for demo in demos):
        raise DefinitionError("MODULE_INVALID", f"the demos of `{path}` are no list of objects")
    if not isinstance(signature, Mapping) or not isinstance(signature.get("instructions"), str):
        raise DefinitionError("MODULE_INVALID", f"the state of `{path}` has no instructions")
    fields = signature.get("fields")
    count = len(predictor.signature.fields)
    # DSPy goes by position alone: with another number of fields it would give descriptions to the wrong ones.
    if not isinstance(fields, list) or len(fields) != count:
        raise DefinitionError("MODULE_INVALID", f"the state of `{path}` must describe its {count} fields")
    if not all(isinstance(field, Mapping) and {"prefix", "description"} <= field.keys() for field in fields):
        raise DefinitionError("MODULE_INVALID", f"a field in the state of `{path}` has no prefix or description")
    predictor.signature = predictor.signature.load_state(dict(signature))
    predictor.demos = demos
