"""One optimization: a program, how it is optimized, and by which measure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import dspy

from signet_sidecar.dspy_engine.definition import Capabilities, ProgramData
from signet_sidecar.dspy_engine.optimize.adapters import FRESH_ADAPTERS
from signet_sidecar.dspy_engine.optimize.examples import Examples
from signet_sidecar.dspy_engine.optimize.language_model import RoleLM
from signet_sidecar.dspy_engine.optimize.local_metric import build_local_metric
from signet_sidecar.dspy_engine.optimize.measure import LocalMetric, Measure
from signet_sidecar.dspy_engine.optimize.phase import Phase
from signet_sidecar.dspy_engine.optimize.port import OptimizePort
from signet_sidecar.dspy_engine.optimize.run_optimizer import run_optimizer
from signet_sidecar.dspy_engine.optimize.settings import SettingsFault, read_settings
from signet_sidecar.dspy_engine.optimize.student import build_student, write_state
from signet_sidecar.dspy_engine.optimize.trials import Trial, Trials
from signet_sidecar.dspy_engine.optimize.work import Work
from signet_sidecar.dspy_engine.outputs import read_object
from signet_sidecar.dspy_engine.tools import serve_blocking_tools
from signet_sidecar.dspy_engine.user_code import UserCode

THREADS_MAX = 64
ERRORS_MIN = 10


@dataclass(frozen=True)
class OtherLm:
    """A model beside the program's own, with the options of its calls as a JSON object; empty means none."""

    lm: Capabilities
    options_json: bytes


@dataclass(frozen=True)
class OptimizationData:
    """What to optimize, how and by which measure. Texts are JSON objects; empty ones mean none."""

    program: ProgramData
    initial_state_json: bytes
    optimizer: str
    config_json: bytes
    metric: str
    metric_config_json: bytes
    threshold: float
    seed: int
    threads: int
    prompt_lm: OtherLm | None
    teacher_lm: OtherLm | None
    metric_lm: OtherLm | None
    traceparent: str


class Optimization:
    """Built before any example is known; `run` does it, once, on the thread that calls it.

    Building raises DefinitionError or SettingsFault for what cannot be optimized.
    """

    def __init__(self, data: OptimizationData, user_code: UserCode, port: OptimizePort) -> None:
        self._data = data
        self._user_code = user_code
        self._port = port
        self._phase = Phase()
        self._settings = read_settings(data.optimizer, _object(data.config_json, "config"))
        self._student = build_student(data.program, data.initial_state_json, user_code)
        self.examples = Examples(self._student.inputs)
        # A threshold among an optimizer's settings wins.
        self._threshold = float(self._settings.pop("metric_threshold", None) or data.threshold or 1.0)
        self._task_lm = self._lm("task", OtherLm(data.program.lm, b""), data.program.lm_options)
        self._prompt_lm = self._lm("prompt", data.prompt_lm or OtherLm(data.program.lm, b""))
        self._teacher_lm = self._lm("teacher", data.teacher_lm) if data.teacher_lm is not None else None
        self._local: LocalMetric | None = None
        if data.metric:
            judge = self._lm("metric", data.metric_lm or OtherLm(data.program.lm, b""))
            self._local = build_local_metric(data.metric, data.metric_config_json, user_code, judge)
        self._trials: Trials | None = None
        serve_blocking_tools(port)

    @property
    def predictors(self) -> list[str]:
        """The paths of its predictors."""
        module = self._student.module
        return ["predict" if predictor is module else path for path, predictor in module.named_predictors()]

    @property
    def phase(self) -> str:
        """`bootstrap`, `propose`, `evaluate` or `search`."""
        return "propose" if self._port.last_role == "prompt" and self._phase.name == "search" else self._phase.name

    @property
    def last_error(self) -> Exception | None:
        """What the program, or a part of it, raised last."""
        return self._phase.last_error

    @property
    def trial_count(self) -> int:
        """Candidates told so far."""
        return self._trials.count if self._trials is not None else 0

    @property
    def expected_trials(self) -> int:
        """How many candidates there will be as far as can be told; 0 if unknown."""
        given = self._settings
        expected = 0
        match self._data.optimizer:
            case "random_search":
                expected = int(given.get("num_candidate_programs", 16)) + 3
            case "infer_rules":
                expected = int(given.get("num_candidates", 10))
            case "copro" if len(self.predictors) == 1:
                expected = int(given.get("depth", 3)) * int(given.get("breadth", 10))
            case "evaluate":
                expected = 1
        return max(expected, self.trial_count) if expected else 0

    def run(self, on_trial: Callable[[Trial], None]) -> tuple[bytes, float]:
        """The state of the optimized program and its score, -1 if it was not measured.

        Raises SettingsFault, DatasetFault, LmCallEnded where it was stopped, and whatever DSPy raises.
        """
        work = self._work(on_trial)
        self._trials = work.trials
        with dspy.context(
            lm=self._task_lm,
            adapter=FRESH_ADAPTERS[self._data.program.prompt_adapter](),
            trace=[],
            disable_history=True,
            callbacks=[self._phase],
            warn_on_type_mismatch=False,
            num_threads=work.threads,
            # DSPy gives up after ten examples that fail, however many there are.
            max_errors=max(ERRORS_MIN, (len(self.examples.train) + len(self.examples.val)) // 2),
        ):
            module = run_optimizer(self._data.optimizer, work)
        state = write_state(module)
        return state, work.trials.score_of(state)

    def _work(self, on_trial: Callable[[Trial], None]) -> Work:
        threads = int(self._settings.get("num_threads", 0)) or self._data.threads or 1
        return Work(
            student=self._student.module,
            examples=self.examples,
            measure=Measure(self._port, self.examples, self._student.outputs, self._threshold, self._local),
            trials=Trials(on_trial, len(self.examples.val) or len(self.examples.train)),
            settings={name: value for name, value in self._settings.items() if name != "num_threads"},
            seed=abs(self._data.seed) % 2**31,
            threads=min(threads, THREADS_MAX),
            task_lm=self._task_lm,
            prompt_lm=self._prompt_lm,
            teacher_lm=self._teacher_lm,
            user_code=self._user_code,
        )

    def _lm(self, role: str, other: OtherLm, options: Mapping[str, Any] | None = None) -> RoleLM:
        given = _object(other.options_json, f"{role}_lm_options") if options is None else options
        return RoleLM(self._port, role, other.lm, given, self._data.traceparent)


def _object(text: bytes, what: str) -> dict[str, Any]:
    try:
        return read_object(text) if text else {}
    except ValueError as error:
        raise SettingsFault(f"{what} cannot be read: {error}") from error
