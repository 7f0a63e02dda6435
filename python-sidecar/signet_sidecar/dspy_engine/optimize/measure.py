"""The metric as DSPy's optimizers call it: every score is taken once and never raises but to stop."""

from __future__ import annotations

import hashlib
import logging
import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import dspy

from signet_sidecar.dspy_engine.optimize.examples import Examples, expected_of, write_values
from signet_sidecar.dspy_engine.optimize.port import MetricFailed, OptimizePort
from signet_sidecar.dspy_engine.outputs import _plain
from signet_sidecar.errors import cut

KEPT_MAX = 20_000

# (example, prediction, trace) -> (score, feedback)
LocalMetric = Callable[[Any, Any, Any], tuple[float, str]]
Score = tuple[float, str]

logger = logging.getLogger("dspy.signet")


class Measure:
    """Scores from 0 to 1 with feedback. A metric that fails scores 0 and says so in the log; the same output is scored once."""

    def __init__(
        self, port: OptimizePort, examples: Examples, outputs: tuple[str, ...], threshold: float, local: LocalMetric | None
    ) -> None:
        self._port = port
        self._examples = examples
        self._outputs = outputs
        self._threshold = threshold
        self._local = local
        self._kept: OrderedDict[bytes, Score] = OrderedDict()
        self._lock = threading.Lock()

    def plain(self, example: Any, prediction: Any, trace: Any = None) -> float | bool:
        """For optimizers that take a number; those that collect solved examples pass a trace and get a yes or no."""
        score = self.score(example, prediction, trace)[0]
        return score if trace is None else score >= self._threshold

    def with_feedback(self, example: Any, prediction: Any, trace: Any = None) -> Any:
        """For optimizers that take a number and show the model what else is known about it."""
        score, feedback = self.score(example, prediction, trace)
        return dspy.Prediction(score=score, feedback=feedback) if feedback else score

    def reflective(
        self, example: Any, prediction: Any, trace: Any = None, predictor: str | None = None, predictor_trace: Any = None
    ) -> Any:
        """For GEPA."""
        score, feedback = self.score(example, prediction, trace)
        return dspy.Prediction(score=score, feedback=feedback or f"This trajectory got a score of {score}.")

    def score(self, example: Any, prediction: Any, trace: Any = None) -> Score:
        """The score and its feedback; raises LmCallEnded and nothing else."""
        outputs = self._given(prediction)
        if outputs is None:
            return 0.0, ""
        try:
            inputs_json = write_values(dict(example.inputs().items()), _plain)
            expected_json = write_values(expected_of(example), _plain)
            outputs_json = write_values(outputs, _plain)
        except (ValueError, TypeError, RecursionError) as error:
            logger.warning("An output cannot be measured: %s", cut(str(error), 200))
            return 0.0, ""
        # A metric of the user may be stricter where it is shown a trace.
        asked = b"trace" if trace is not None and self._local is not None else b""
        key = hashlib.sha256(b"\0".join((asked, inputs_json, expected_json, outputs_json))).digest()
        with self._lock:
            kept = self._kept.get(key)
        if kept is not None:
            self._port.count_metric()
            return kept
        try:
            if self._local is not None:
                self._port.count_metric()
                score, feedback = self._local(example, prediction, trace)
            else:
                score, feedback = self._port.call_metric(self._examples.id_of(example), inputs_json, expected_json, outputs_json)
        except (MetricFailed, Exception) as error:
            logger.warning("The metric failed, which counts as 0: %s: %s", type(error).__name__, cut(str(error), 500))
            return 0.0, ""
        return self._keep(key, (_bounded(score), cut(str(feedback or ""), 20_000)))

    def _keep(self, key: bytes, score: Score) -> Score:
        with self._lock:
            self._kept[key] = score
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        return score

    def _given(self, prediction: Any) -> dict[str, Any] | None:
        if not isinstance(prediction, dspy.Prediction):
            return None
        values = {name: value for name, value in prediction.items() if not name.startswith("_")}
        return {**{name: values[name] for name in self._outputs if name in values}, **values}


def _bounded(score: Any) -> float:
    number = float(score)
    return min(1.0, max(0.0, number)) if math.isfinite(number) else 0.0
