"""Classes and functions of the tests of calls."""

from __future__ import annotations

import time
from typing import Any

import dspy


class Counter:
    """Counts words longer than it was told."""

    def __init__(self, longer_than: int = 0) -> None:
        self._longer_than = longer_than

    def __call__(self, text: str) -> dict[str, Any]:
        """Counts once."""
        return {"words": sum(len(word) > self._longer_than for word in text.split())}


class NoCall:
    """Cannot be called."""


class Asking(dspy.Module):  # type: ignore[misc]
    """Asks the model in plain synchronous Python."""

    def __init__(self, words: str = "few") -> None:
        super().__init__()
        self.words = words
        self.ask = dspy.Predict("question, words -> answer")

    def forward(self, question: str) -> Any:
        """Asks once."""
        return self.ask(question=question, words=self.words)


class Awaiting(dspy.Module):  # type: ignore[misc]
    """Awaits the model."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = dspy.ChainOfThought("question -> answer")

    async def aforward(self, question: str) -> Any:
        """Asks once."""
        return await self.inner.acall(question=question)


class Shaped:
    """Like an array of numbers."""

    def tolist(self) -> list[list[int]]:
        """Its numbers."""
        return [[1, 2], [3, 4]]


def join(first: str, second: str = "!", **rest: Any) -> str:
    """Joins what it is given."""
    return first + second + "".join(sorted(rest))


def ask(question: str) -> str:
    """Asks the model by a predictor that nobody can know."""
    return str(dspy.Predict("question -> answer")(question=question).answer)


def shapes() -> Any:
    """Gives what is no plain data."""
    return [dspy.Prediction(answer=("a", 1)), Shaped(), {2: {"x"}}]


def fail(message: str) -> None:
    """Fails."""
    raise LookupError(message)


def hang() -> None:
    """Does not come back."""
    time.sleep(600)


async def later() -> int:
    """Comes back later."""
    return 1
