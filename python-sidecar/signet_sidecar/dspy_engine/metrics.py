"""Metrics of DSPy and of a user: what they read, what they are told, and a score from 0 to 1 out of whatever they give."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import dspy
from dspy.evaluate import CompleteAndGrounded, SemanticF1, answer_exact_match, answer_passage_match

from signet_sidecar.dspy_engine.module_config import ModuleConfig
from signet_sidecar.dspy_engine.user_code import UserCode
from signet_sidecar.errors import DefinitionError, RunFailure, cut
from signet_sidecar.lane import DSPY_METRIC_PREFIX, PYTHON_METRIC_PREFIX

FEEDBACK_MAX = 10_000
# GEPA's form of a metric goes on like this.
_LATER = {2: "trace", 3: "pred_name", 4: "pred_trace"}
_POSITIONALS = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


@dataclass(frozen=True)
class Scored:
    """What a metric said of one answer: a score from 0 to 1, and words where it had some."""

    score: float
    feedback: str = ""


@dataclass(frozen=True)
class Metric:
    """A metric that is ready to be called; `module` is what it asks a language model through, None if it asks none."""

    name: str
    call: Callable[..., Any]
    reads: tuple[str, str] | None = None
    field: str = ""
    expected_field: str = ""
    module: Any = None

    def __call__(self, example: Any, pred: Any, trace: Any = None) -> Scored:
        """Scores one answer; whatever the metric raises passes, and RunFailure MODULE_FAILED says that it gave no score."""
        return to_scored(self.call(self._example(example), self._prediction(pred), trace), self.name)

    def _example(self, example: Any) -> Any:
        if self.reads is None:
            return example
        # One that compares unlike fields has its own name for what is expected.
        expected = self.expected_field or (self.field if self.reads[0] == self.reads[1] else "")
        if not expected or expected == self.reads[0]:
            return example
        return _renamed(dspy.Example(example), self.reads[0], example, expected)

    def _prediction(self, pred: Any) -> Any:
        if self.reads is None or not self.field or self.field == self.reads[1]:
            return pred
        return _renamed(dspy.Prediction(dict(pred)), self.reads[1], pred, self.field)


def build_metric(module: str, config: Mapping[str, Any], user_code: UserCode) -> Metric:
    """The metric behind `dspy_metric:NAME` or `python_metric:NAME`; raises DefinitionError with MODULE_INVALID.

    `config` takes `arguments` (keyword arguments of a user's metric; `frac`, `decompositional` or `threshold` of DSPy's), and for
    DSPy's `field` and `expected_field`, the fields that stand in place of those that it reads.
    """
    if module.startswith(DSPY_METRIC_PREFIX):
        return _of_dspy(module, config)
    settings = ModuleConfig(module, config, ("arguments", "field", "expected_field"))
    return _of_user(module.removeprefix(PYTHON_METRIC_PREFIX), dict(settings.mapping("arguments")), user_code)


def to_scored(given: Any, name: str) -> Scored:
    """Reads what a metric gave: a number, a boolean, or `score` and `feedback` in an object; raises RunFailure for all else."""
    feedback: Any = ""
    score = given
    if isinstance(given, Mapping) or hasattr(given, "score"):
        score = given.get("score") if isinstance(given, Mapping) else given.score
        feedback = given.get("feedback", "") if isinstance(given, Mapping) else getattr(given, "feedback", "")
    if inspect.iscoroutine(score):
        score.close()
        raise _no_score(name, "a coroutine, but metrics are plain functions")
    try:
        if score is None or isinstance(score, (str, bytes)):
            raise TypeError
        number = float(score)
    except (TypeError, ValueError, OverflowError) as error:
        raise _no_score(name, f"{type(score).__name__}, which is no number") from error
    if not math.isfinite(number) or not 0 <= number <= 1:
        raise _no_score(name, f"{number:g}, which is not from 0 to 1")
    return Scored(number, cut("" if feedback is None else str(feedback), FEEDBACK_MAX))


class MetricModule(dspy.Module):  # type: ignore[misc]
    """A metric in the form of a module: reads `inputs`, `expected` and `outputs`, gives `score` and `feedback`."""

    def __init__(self, metric: Metric) -> None:
        super().__init__()
        self.metric = metric.module
        self._call = metric

    def forward(self, inputs: dict[str, Any], expected: dict[str, Any], outputs: dict[str, Any]) -> Any:
        """Scores one answer."""
        example = dspy.Example({**inputs, **expected}).with_inputs(*inputs)
        scored = self._call(example, dspy.Prediction(dict(outputs)))
        return dspy.Prediction(score=scored.score, feedback=scored.feedback)


def _of_dspy(module: str, config: Mapping[str, Any]) -> Metric:
    name = module.removeprefix(DSPY_METRIC_PREFIX)
    known = _DSPY.get(name)
    if known is None:
        names = ", ".join(f"`{each}`" for each in _DSPY)
        raise DefinitionError("MODULE_INVALID", f"`{name[:200]}` is not a metric of DSPy: take {names}")
    settings = ModuleConfig(module, config, ("arguments", "field", "expected_field"))
    arguments = ModuleConfig(f"{name}'s arguments", settings.mapping("arguments"), known.takes)
    call, reads = known.make(arguments)
    asks = call if isinstance(call, dspy.Module) else None
    field, expected = settings.text("field", ""), settings.text("expected_field", "")
    return Metric(name, call, reads, field, expected, asks)


@dataclass(frozen=True)
class _Known:
    takes: tuple[str, ...]
    # Gives the metric and which field it reads of the example and of the prediction.
    make: Callable[[ModuleConfig], tuple[Callable[..., Any], tuple[str, str]]]


def _exact(settings: ModuleConfig) -> tuple[Callable[..., Any], tuple[str, str]]:
    frac = settings.number("frac", 1.0, 0, 1)
    return lambda example, pred, trace: answer_exact_match(example, pred, trace, frac=frac), ("answer", "answer")


def _passage(_: ModuleConfig) -> tuple[Callable[..., Any], tuple[str, str]]:
    return answer_passage_match, ("answer", "context")


def _semantic(settings: ModuleConfig) -> tuple[Callable[..., Any], tuple[str, str]]:
    threshold = settings.number("threshold", 0.66, 0, 1)
    return SemanticF1(threshold=threshold, decompositional=settings.flag("decompositional", False)), ("response", "response")


def _grounded(settings: ModuleConfig) -> tuple[Callable[..., Any], tuple[str, str]]:
    return CompleteAndGrounded(threshold=settings.number("threshold", 0.66, 0, 1)), ("response", "response")


_DSPY: dict[str, _Known] = {
    "answer_exact_match": _Known(("frac",), _exact),
    "answer_passage_match": _Known((), _passage),
    "SemanticF1": _Known(("threshold", "decompositional"), _semantic),
    "CompleteAndGrounded": _Known(("threshold",), _grounded),
}


def _of_user(name: str, arguments: dict[str, Any], user_code: UserCode) -> Metric:
    target = user_code.load(name)
    if isinstance(target, type):
        try:
            target, arguments = target(**arguments), {}
        # Constructors are a user's code.
        except BaseException as error:
            message = f"`{name}` cannot be made: {type(error).__name__}: {error}"
            raise DefinitionError("MODULE_INVALID", message, type(error).__name__) from error
    if not callable(target):
        raise DefinitionError("MODULE_INVALID", f"`{name}` is neither a function nor a class whose objects can be called")
    try:
        takes = inspect.signature(target)
        count = _positionals(takes)
        if count < 2:
            raise TypeError("it takes less than two")
        takes.bind(*[None] * count, **arguments)
    except (TypeError, ValueError) as error:
        message = f"`{name}` cannot be called with (example, pred, trace=None) and its arguments: {error}"
        raise DefinitionError("MODULE_INVALID", message, type(error).__name__) from error
    asks = target if isinstance(target, dspy.Module) else None

    def call(example: Any, pred: Any, trace: Any) -> Any:
        return target(*(example, pred, trace, None, None)[:count], **arguments)

    return Metric(name, call, module=asks)


def _positionals(takes: inspect.Signature) -> int:
    """How many of (example, pred, trace, pred_name, pred_trace) it takes."""
    count = 0
    for parameter in takes.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            return max(count, 3)
        is_next = count < 2 or parameter.name == _LATER.get(count)
        if parameter.kind not in _POSITIONALS or not is_next:
            break
        count += 1
    return count


def _renamed(made: Any, name: str, source: Any, field: str) -> Any:
    if field not in source:
        raise RunFailure("MODULE_FAILED", f"there is no `{field}` to be scored", "module")
    made[name] = source[field]
    return made


def _no_score(name: str, what: str) -> RunFailure:
    return RunFailure("MODULE_FAILED", f"`{name}` gave {what}", "module")
