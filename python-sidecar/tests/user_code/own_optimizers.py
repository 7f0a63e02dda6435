"""Optimizers and metrics of a user, good and bad ones."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import dspy


class Carefully:
    """Has the instruction ask for care, if that scores better."""

    def __init__(self, metric: Any, word: str = "care", num_threads: int = 1) -> None:
        self.metric = metric
        self.word = word
        self.num_threads = num_threads

    def compile(self, student: Any, *, trainset: Any, valset: Any) -> Any:
        candidate = student.deepcopy()
        for predictor in candidate.predictors():
            predictor.signature = predictor.signature.with_instructions(f"Answer with {self.word}.")
        evaluate = dspy.Evaluate(devset=valset, metric=self.metric, num_threads=self.num_threads)
        return max((student, candidate), key=lambda module: evaluate(module).score)


def first_examples(student: Any, trainset: Any, count: int = 2) -> Any:
    """Puts the first examples into the prompt."""
    made = student.deepcopy()
    for predictor in made.predictors():
        predictor.demos = trainset[:count]
    return made


def nothing(student: Any) -> None:
    """Gives no program."""


def tells(student: Any) -> Any:
    """Prints what it finds in its environment, and a key."""
    print("token:", os.environ.get("SIGNET_INTERNAL_TOKEN", "none"), "sk-abcdefghijklmnop")
    print("to stderr", file=sys.stderr)
    return student


def raises(student: Any) -> Any:
    """Gives up."""
    raise SystemExit("no more")


def hangs(student: Any) -> Any:
    """Never looks up."""
    while True:
        time.sleep(0.001)


def holds_on(student: Any) -> Any:
    """Swallows every end."""
    while True:
        try:
            student(question="Is 1 odd?")
        except BaseException:
            pass


def eats(student: Any) -> Any:
    """Takes memory until somebody stops it."""
    eaten = []
    while True:
        eaten.append(bytearray(16 * 1024 * 1024))
        time.sleep(0.02)


def dies(student: Any) -> Any:
    """Takes the process with it."""
    os._exit(3)


def half(example: Any, pred: Any, trace: Any = None) -> dict[str, Any]:
    """Right is 1, else a half with advice."""
    right = example.answer == pred.answer
    return {"score": 1.0 if right else 0.5, "feedback": "" if right else "think again"}


def broken(example: Any, pred: Any, trace: Any = None) -> float:
    """Never scores."""
    raise ValueError("no score today")


class Awaits(dspy.Module):
    """A module that only awaits."""

    def __init__(self, signature: Any) -> None:
        super().__init__()
        self.step = dspy.Predict(signature)

    async def aforward(self, **inputs: Any) -> Any:
        return await self.step.acall(**inputs)
