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


class Shaped:
    """Like an array of numbers."""

    def tolist(self) -> list[list[int]]:
        """Its numbers."""
        return [[1, 2], [3, 4]]


def join(first: str, second: str = "!", **rest: Any) -> str:
    """Joins what it is given."""
    return first + second + "".join(sorted(rest))


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
