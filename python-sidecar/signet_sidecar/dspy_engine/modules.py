"""The modules that a program may name, built from typed settings."""

from __future__ import annotations

import inspect
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import dspy

from signet_sidecar.dspy_engine.definition import ProgramData
from signet_sidecar.dspy_engine.metrics import MetricModule, build_metric
from signet_sidecar.dspy_engine.module_config import ModuleConfig
from signet_sidecar.dspy_engine.python_calls import build_call
from signet_sidecar.dspy_engine.served_predict import ServedPredict
from signet_sidecar.dspy_engine.tools import finish_in_words, make_tools
from signet_sidecar.dspy_engine.user_code import UserCode
from signet_sidecar.errors import DefinitionError
from signet_sidecar.lane import CALL_PREFIX, DSPY_METRIC_PREFIX, PYTHON_METRIC_PREFIX, PYTHON_PREFIX

ITERS_MAX = 50
ATTEMPTS_MAX = 16


@dataclass(frozen=True)
class Built:
    """A module; `shown` is the predictor that the program's demos belong to, `extra` what it tells beside the declared outputs."""

    module: Any
    shown: Any = None
    extra: tuple[str, ...] = ()


def build_module(data: ProgramData, signature: Any, user_code: UserCode) -> Built:
    """The module of a program; raises DefinitionError with MODULE_INVALID for unknown names and settings."""
    if data.module.startswith(PYTHON_PREFIX):
        return _user_module(data, signature, user_code)
    if data.module.startswith((DSPY_METRIC_PREFIX, PYTHON_METRIC_PREFIX)):
        return Built(MetricModule(build_metric(data.module, data.config, user_code)))
    if data.module.startswith(CALL_PREFIX):
        return Built(build_call(data.module, data.config, user_code))
    builder = _BUILDERS.get(data.module)
    if builder is None:
        names = ", ".join(f"`{name}`" for name in _BUILDERS)
        raise DefinitionError("MODULE_INVALID", f"`{data.module[:200]}` is not a module: take {names} or `{PYTHON_PREFIX}NAME`")
    return builder(data, signature, user_code)


def _predict(data: ProgramData, signature: Any, _: UserCode) -> Built:
    ModuleConfig(data.module, data.config, ())
    predictor = ServedPredict(signature)
    return Built(predictor, predictor)


def _chain_of_thought(data: ProgramData, signature: Any, _: UserCode) -> Built:
    ModuleConfig(data.module, data.config, ())
    module = _chain(data.module, signature)
    return Built(module, module.predict, ("reasoning",))


def _chain(name: str, signature: Any, **options: Any) -> Any:
    if "reasoning" in signature.input_fields:
        raise DefinitionError("MODULE_INVALID", f"{name} adds an output `reasoning`, so no input may have that name")
    module = dspy.ChainOfThought(signature)
    module.predict = ServedPredict(module.predict.signature, **options)
    return module


def _react(data: ProgramData, signature: Any, _: UserCode) -> Built:
    config = ModuleConfig(data.module, data.config, ("max_iters", "tools"))
    # Agents keep these names for themselves.
    for name in ("trajectory", "max_iters", "next_thought", "next_tool_name", "next_tool_args", "reasoning"):
        if name in signature.input_fields or (name == "trajectory" and name in signature.output_fields):
            raise DefinitionError("MODULE_INVALID", f"react uses the name `{name}` itself, so no field may have it")
    module = dspy.ReAct(signature, tools=make_tools(config.tools()), max_iters=config.whole("max_iters", 20, 1, ITERS_MAX))
    module.tools["finish"] = finish_in_words(module.tools["finish"])
    module.react = ServedPredict(module.react.signature)
    module.extract.predict = ServedPredict(module.extract.predict.signature)
    return Built(module, module.extract.predict, ("reasoning",))


class ChainsCompared(dspy.Module):  # type: ignore[misc]
    """Asks a chain of thought several times and has DSPy's MultiChainComparison weigh the answers."""

    def __init__(self, signature: Any, count: int, temperature: float) -> None:
        super().__init__()
        self.chain = _chain("multi_chain_comparison", signature, temperature=temperature)
        comparison = dspy.MultiChainComparison(signature, M=count, temperature=temperature)
        self.compare = comparison
        self._written = dspy.MultiChainComparison(signature, M=count, temperature=temperature)
        # DSPy writes the attempts into inputs in a synchronous method alone: this one gives them back in place of asking.
        self._written.predict = dict
        self.compare.predict = ServedPredict(comparison.predict.signature, temperature=temperature)
        self._count = count

    async def aforward(self, **inputs: Any) -> Any:
        """The chains one after the other, then the comparison."""
        attempts = [await self.chain.acall(**inputs) for _ in range(self._count)]
        return await self.compare.predict.acall(**self._written.forward(attempts, **inputs))


def _multi_chain_comparison(data: ProgramData, signature: Any, _: UserCode) -> Built:
    config = ModuleConfig(data.module, data.config, ("M", "temperature"))
    module = ChainsCompared(signature, config.whole("M", 3, 2, 8), config.number("temperature", 0.7, 0, 2))
    return Built(module, module.chain.predict, ("rationale",))


def _best_of(made: Callable[..., Any]) -> Callable[[ProgramData, Any, UserCode], Built]:
    def build(data: ProgramData, signature: Any, user_code: UserCode) -> Built:
        config = ModuleConfig(data.module, data.config, ("N", "threshold", "reward_fn", "module", "fail_count"))
        reward = user_code.load(config.text("reward_fn", None))
        if not callable(reward) or isinstance(reward, type):
            raise DefinitionError("MODULE_INVALID", f"module_config.reward_fn of {data.module} must name a function")
        count = config.whole("N", 3, 1, ATTEMPTS_MAX)
        threshold = config.number("threshold", None, -1e9, 1e9)
        inner_name = config.text("module", "predict", ("predict", "chain_of_thought"))
        inner = ServedPredict(signature) if inner_name == "predict" else _chain(data.module, signature)
        allowed = config.whole("fail_count", 0, 0, ATTEMPTS_MAX) or None
        module = made(inner, N=count, reward_fn=reward, threshold=threshold, fail_count=allowed)
        return Built(module, inner if inner_name == "predict" else inner.predict)

    return build


def _program_of_thought(data: ProgramData, signature: Any, _: UserCode) -> Built:
    config = ModuleConfig(data.module, data.config, ("max_iters",))
    if shutil.which("deno") is None and find_spec("deno") is None:
        message = "program_of_thought runs what the model writes in Deno, and there is no `deno` where this sidecar runs"
        raise DefinitionError("MODULE_INVALID", message)
    with warnings.catch_warnings(action="ignore"):
        return Built(dspy.ProgramOfThought(signature, max_iters=config.whole("max_iters", 3, 1, 10)))


def _user_module(data: ProgramData, signature: Any, user_code: UserCode) -> Built:
    name = data.module.removeprefix(PYTHON_PREFIX)
    keywords = dict(ModuleConfig(data.module, data.config, ("kwargs",)).mapping("kwargs"))
    target = user_code.load(name)
    if not (isinstance(target, type) and issubclass(target, dspy.Module)):
        raise DefinitionError("MODULE_INVALID", f"`{name}` is not a class made from dspy.Module")
    try:
        takes = inspect.signature(target.__init__)  # type: ignore[misc]
        if "signature" in takes.parameters:
            keywords["signature"] = signature
        takes.bind(None, **keywords)
        module = target(**keywords)
    # Constructors are a user's code.
    except BaseException as error:
        message = f"`{name}` cannot be made: {type(error).__name__}: {error}"
        raise DefinitionError("MODULE_INVALID", message, type(error).__name__) from error
    is_async, is_sync = (callable(getattr(module, method, None)) for method in ("aforward", "forward"))
    if not is_async and (not is_sync or name in user_code.shared):
        wanted = "`aforward`, since it shares its worker" if name in user_code.shared else "`forward` or `aforward`"
        raise DefinitionError("MODULE_INVALID", f"`{name}` has no {wanted}")
    return Built(module)


_BUILDERS: dict[str, Callable[[ProgramData, Any, UserCode], Built]] = {
    "predict": _predict,
    "chain_of_thought": _chain_of_thought,
    "react": _react,
    "multi_chain_comparison": _multi_chain_comparison,
    "best_of_n": _best_of(dspy.BestOfN),
    "refine": _best_of(dspy.Refine),
    "program_of_thought": _program_of_thought,
}
