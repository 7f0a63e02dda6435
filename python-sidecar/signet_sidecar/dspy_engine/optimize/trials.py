"""Candidates as they are measured, told at once: the best of them outlives whatever ends the optimizer."""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dspy.utils.callback import BaseCallback

from signet_sidecar.dspy_engine.optimize.student import write_state
from signet_sidecar.errors import cut

logger = logging.getLogger("dspy.signet")


@dataclass(frozen=True)
class Trial:
    """A candidate: `score` from 0 to 1, or -1 if it was not measured; `full` if on all examples that count."""

    number: int
    score: float
    examples: int
    full: bool
    state_json: bytes
    note: str


class Trials:
    """Numbers candidates in the order in which they are told; may be called from any thread."""

    def __init__(self, on_trial: Callable[[Trial], None], full_count: int) -> None:
        self._on_trial = on_trial
        self._full_count = full_count
        self._lock = threading.Lock()
        self.count = 0
        self._ranks: dict[bytes, tuple[int, float]] = {}

    def tell(self, module: Any, score: float, examples: int, note: str) -> None:
        """Tells of a candidate; one whose state cannot be written is left out, with a warning."""
        try:
            state = write_state(module)
        except Exception as error:
            logger.warning("A candidate's state cannot be written: %s", cut(str(error), 300))
            return
        with self._lock:
            self.count += 1
            trial = Trial(self.count, score, examples, examples >= self._full_count, state, note)
            key = _key(state)
            if score >= 0:
                self._ranks[key] = max(self._ranks.get(key, (0, 0.0)), (examples, score))
        self._on_trial(trial)

    def score_of(self, state_json: bytes) -> float:
        """The score that a candidate of this state had on the most examples; -1 if it was never measured."""
        with self._lock:
            rank = self._ranks.get(_key(state_json))
        return rank[1] if rank is not None else -1.0


def _key(state_json: bytes) -> bytes:
    return hashlib.sha256(state_json).digest()


class EvaluateTrials(BaseCallback):  # type: ignore[misc]
    """Makes a trial of each evaluation that an optimizer runs by DSPy's Evaluate."""

    def __init__(self, trials: Trials) -> None:
        self._trials = trials
        self._open: dict[str, tuple[Any, int]] = {}

    def on_evaluate_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Remembers what is measured: the end does not tell."""
        devset = inputs.get("devset")
        self._open[call_id] = (inputs["program"], len(devset if devset is not None else instance.devset))

    def on_evaluate_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """Tells the candidate with its score."""
        module, count = self._open.pop(call_id, (None, 0))
        if module is None or outputs is None or exception is not None:
            return
        scores = [float(score) for *_, score in outputs.results]
        self._trials.tell(module, sum(scores) / count if count else 0.0, count, "evaluated")


class GepaTrials:
    """GEPA's own events: candidates measured on the validation examples."""

    def __init__(self, trials: Trials, build: Callable[[dict[str, str]], Any]) -> None:
        self._trials = trials
        self._build = build

    def on_valset_evaluated(self, event: dict[str, Any]) -> None:
        """Tells the candidate with its score."""
        note = f"candidate {event['candidate_idx']}"
        self._trials.tell(self._build(event["candidate"]), float(event["average_score"]), event["num_examples_evaluated"], note)


@dataclass
class _Measured:
    module: Any
    expected: int = 0
    scores: list[float] = field(default_factory=list)


class SimbaTrials:
    """Counts what SIMBA runs: a candidate that ran over all examples it was wrapped for is a trial. SIMBA fires no events."""

    def __init__(self, trials: Trials) -> None:
        self._trials = trials
        self._lock = threading.Lock()
        self._measured: dict[int, _Measured] = {}

    def wrap(self, stock: Callable[[Any, Any], Callable[[Any], dict[str, Any]]]) -> Callable[[Any, Any], Any]:
        """Stands for DSPy's `wrap_program`."""

        def wrap_program(program: Any, metric: Any) -> Callable[[Any], dict[str, Any]]:
            run = stock(program, metric)
            if any(predictor.lm is not None for predictor in program.predictors()):
                # A sampled trajectory: one example with a model of its own.
                return run
            with self._lock:
                # The module is kept, so its id stays its own.
                measured = self._measured.setdefault(id(program), _Measured(program))
                measured.expected += 1

            def counted(example: Any) -> dict[str, Any]:
                outcome = run(example)
                self._count(measured, float(outcome["score"]))
                return outcome

            return counted

        return wrap_program

    def _count(self, measured: _Measured, score: float) -> None:
        with self._lock:
            measured.scores.append(score)
            if len(measured.scores) != measured.expected:
                return
            scores, measured.scores, measured.expected = measured.scores, [], 0
        self._trials.tell(measured.module, sum(scores) / len(scores), len(scores), "sampled candidate")
