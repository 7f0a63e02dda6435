"""Metrics that are Python: DSPy's own, and those of the allow-list."""

from __future__ import annotations

import concurrent.futures
import contextvars
import threading
from typing import Any

import dspy

from signet_sidecar.dspy_engine.metrics import build_metric
from signet_sidecar.dspy_engine.optimize.language_model import RoleLM
from signet_sidecar.dspy_engine.optimize.measure import LocalMetric
from signet_sidecar.dspy_engine.optimize.port import MetricFailed
from signet_sidecar.dspy_engine.optimize.settings import SettingsFault
from signet_sidecar.dspy_engine.outputs import read_object
from signet_sidecar.dspy_engine.user_code import UserCode
from signet_sidecar.lane import DSPY_METRIC_PREFIX, PYTHON_METRIC_PREFIX

DEADLINE_S = 60.0


def build_local_metric(
    name: str, config_json: bytes, user_code: UserCode, lm: RoleLM, deadline_s: float = DEADLINE_S
) -> LocalMetric:
    """The metric of a name, each call bounded in time; raises SettingsFault and DefinitionError for what cannot be used."""
    if not name.startswith((DSPY_METRIC_PREFIX, PYTHON_METRIC_PREFIX)):
        raise SettingsFault(f"`{name[:200]}` is no metric of the sidecar")
    try:
        config = read_object(config_json) if config_json else {}
    except ValueError as error:
        raise SettingsFault(f"the metric's settings cannot be read: {error}") from error
    metric = build_metric(name, config, user_code)

    def score(example: Any, prediction: Any, trace: Any) -> tuple[float, str]:
        # Its own calls of the model are neither the program's nor part of what the program did.
        with dspy.context(lm=lm, trace=[], callbacks=[]):
            scored = _within(deadline_s, lambda: metric(example, prediction, trace))
        return scored.score, scored.feedback

    return score


def _within(deadline_s: float, call: Any) -> Any:
    done: concurrent.futures.Future[Any] = concurrent.futures.Future()
    context = contextvars.copy_context()

    def run() -> None:
        try:
            done.set_result(context.run(call))
        # The end of the optimization among them, which is raised where the score is waited for.
        except BaseException as error:
            done.set_exception(error)

    # A thread cannot be stopped: one that hangs is left behind and ends with the process.
    threading.Thread(target=run, name="metric", daemon=True).start()
    try:
        return done.result(deadline_s)
    except concurrent.futures.TimeoutError as error:
        if done.done():
            raise
        raise MetricFailed(f"the metric did not answer within {deadline_s:g} s") from error
