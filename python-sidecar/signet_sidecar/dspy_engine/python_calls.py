"""Classes and functions of the allow-list that steps of pipelines call; what they ask of a model is asked as in any program."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from typing import Any

import dspy

from signet_sidecar.dspy_engine.module_config import ModuleConfig
from signet_sidecar.dspy_engine.user_code import UserCode
from signet_sidecar.errors import DefinitionError, RunFailure
from signet_sidecar.lane import CALL_PREFIX

COLBERT = "dspy.ColBERTv2"
COLBERT_K_MAX = 100


class PythonCall:
    """A call where a module is expected: reads the keywords under `arguments`, gives what came back under `result`."""

    def __init__(self, name: str, call: Callable[..., Any]) -> None:
        self._name = name
        self._call = call

    def named_predictors(self) -> list[tuple[str, Any]]:
        """Those of a module that is called, by their paths in it; other code has none that could be known."""
        if isinstance(self._call, dspy.Predict):
            return [("predict", self._call)]
        return list(self._call.named_predictors()) if isinstance(self._call, dspy.Module) else []

    def __call__(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Calls it once."""
        try:
            result = self._call(**arguments)
            if inspect.iscoroutine(result):
                result.close()
                raise RunFailure("MODULE_FAILED", f"`{self._name}` gives a coroutine, but steps call plain code", "module")
        except DefinitionError as error:
            # It was made well: what does not fit is what this call was given.
            raise RunFailure("INPUT_INVALID", error.fault.message, "input") from error
        return {"result": to_data(result)}


class AwaitedCall(PythonCall):
    """The call of a module that has an `aforward`."""

    async def aforward(self, arguments: dict[str, Any]) -> dict[str, Any]:
        """Calls it once."""
        return {"result": to_data(await self._call.acall(**arguments))}  # type: ignore[attr-defined]

    acall = aforward


def build_call(module: str, config: Mapping[str, Any], user_code: UserCode) -> PythonCall:
    """What stands behind `call:NAME`: a class made with `config`, or a function given it; raises DefinitionError MODULE_INVALID."""
    name = module.removeprefix(CALL_PREFIX)
    if name == COLBERT:
        return PythonCall(name, _colbert(module, config, user_code.colbert_url))
    target = user_code.load(name)
    keywords = dict(config)
    if not isinstance(target, type):
        if not callable(target):
            raise DefinitionError("MODULE_INVALID", f"`{name}` is neither a class nor a function")
        return PythonCall(name, lambda **arguments: target(**{**keywords, **arguments}))
    try:
        made = target(**keywords)
    # Constructors are a user's code.
    except BaseException as error:
        message = f"`{name}` cannot be made: {type(error).__name__}: {error}"
        raise DefinitionError("MODULE_INVALID", message, type(error).__name__) from error
    if not callable(made):
        raise DefinitionError("MODULE_INVALID", f"`{name}` cannot be called: it has no `__call__`")
    is_awaited = isinstance(made, dspy.Module) and callable(getattr(made, "aforward", None))
    return AwaitedCall(name, made) if is_awaited else PythonCall(name, made)


def to_data(value: Any) -> Any:
    """What a call gave as plain data: predictions as their fields, arrays as lists."""
    if isinstance(value, dspy.Prediction):
        return {name: to_data(each) for name, each in value.items()}
    if isinstance(value, Mapping):
        return {str(name): to_data(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_data(each) for each in value]
    to_list = getattr(value, "tolist", None)
    return to_list() if callable(to_list) else value


def _colbert(module: str, config: Mapping[str, Any], url: str) -> Callable[..., Any]:
    # Where it stands is the operator's to say: a spec that could would reach whatever this process can.
    settings = ModuleConfig(module, config, ("k", "post_requests", "simplify"))
    k = settings.whole("k", 10, 1, COLBERT_K_MAX)
    simplify = settings.flag("simplify", default=False)
    if not url:
        raise DefinitionError("MODULE_INVALID", f"{COLBERT} needs SIGNET_COLBERT_URL where this sidecar runs")
    client = dspy.ColBERTv2(url=url, post_requests=settings.flag("post_requests", default=False))

    def search(**arguments: Any) -> Any:
        given = ModuleConfig(COLBERT, arguments, ("query", "k", "simplify"))
        query = arguments.get("query")
        if query is None:
            raise RunFailure("INPUT_INVALID", f"{COLBERT} needs a `query`", "input")
        text = query if isinstance(query, str) else json.dumps(query, ensure_ascii=False)
        return client(text, k=given.whole("k", k, 1, COLBERT_K_MAX), simplify=given.flag("simplify", default=simplify))

    return search
