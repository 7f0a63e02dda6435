"""Metrics of a user, for tests: good ones and all kinds of bad ones."""

from __future__ import annotations

import os
import time
from typing import Any

import dspy


def same_answer(example: Any, pred: Any, trace: Any = None) -> bool:
    """True if the answers are equal."""
    return bool(example.answer == pred.answer)


def graded(example: Any, pred: Any, *, weight: float = 1.0) -> dict[str, Any]:
    """A score with words; knows what is an input."""
    assert set(example.inputs().keys()) == {"question"}
    right = pred.answer.startswith(example.answer)
    return {"score": weight if right else 0, "feedback": f"`{pred.answer}` to `{example.question}`"}


def for_gepa(gold: Any, pred: Any, trace: Any, pred_name: Any, pred_trace: Any) -> Any:
    """GEPA's form with five arguments."""
    return dspy.Prediction(score=0.5, feedback=f"{trace} {pred_name} {pred_trace}")


class Judge(dspy.Module):  # type: ignore[misc]
    """Asks the model."""

    def __init__(self, strict: bool = False) -> None:
        super().__init__()
        self.ask = dspy.Predict("question, answer -> verdict: bool")
        self.strict = strict

    def forward(self, example: Any, pred: Any, trace: Any = None) -> float:
        return float(self.ask(question=example.question, answer=pred.answer).verdict)


def odd(example: Any, pred: Any, trace: Any = None) -> Any:
    """Does what the question says."""
    question = example.question
    if question == "raise":
        raise ValueError("no opinion")
    if question == "leave":
        raise SystemExit(3)
    if question == "hang":
        while True:
            time.sleep(0.05)
    if question == "die":
        os._exit(9)
    return {"seven": 7, "nan": float("nan"), "none": None, "text": "good", "list": [1], "empty": {}}[question]


async def later(example: Any, pred: Any, trace: Any = None) -> float:
    """Not a plain function."""
    return 1.0


def alone(example: Any) -> float:
    """Takes too little."""
    return 1.0


not_callable = 3
