"""Programs and rewards of a user, for tests."""

from __future__ import annotations

import os
import threading
import time
from typing import Any

import dspy


class TwoHops(dspy.Module):  # type: ignore[misc]
    """Asks twice, in plain synchronous Python."""

    def __init__(self, hops: int = 2) -> None:
        super().__init__()
        self.hops = hops
        self.ask = dspy.Predict("question -> answer")

    def forward(self, question: str) -> Any:
        for _ in range(self.hops):
            question = self.ask(question=question).answer
        return dspy.Prediction(answer=question, pid=os.getpid(), thread=threading.current_thread().name)


class Wrapped(dspy.Module):  # type: ignore[misc]
    """Takes the program's own signature."""

    def __init__(self, signature: Any) -> None:
        super().__init__()
        self.inner = dspy.ChainOfThought(signature)

    async def aforward(self, **inputs: Any) -> Any:
        return await self.inner.acall(**inputs)


class Moody(dspy.Module):  # type: ignore[misc]
    """Does what the question says: answers, kills its process, raises, or never ends."""

    def __init__(self) -> None:
        super().__init__()
        self.ask = dspy.Predict("question -> answer")

    async def aforward(self, question: str) -> Any:
        if question == "die":
            os._exit(9)
        if question == "raise":
            raise ValueError("bad mood")
        if question == "leave":
            raise SystemExit(3)
        if question == "nothing":
            return dspy.Prediction(mood="empty")
        return await self.ask.acall(question=question)


class Stuck(dspy.Module):  # type: ignore[misc]
    """Never ends, and does not hear that it should."""

    def forward(self, question: str) -> Any:
        while True:
            time.sleep(0.05)


class NeedsMuch(dspy.Module):  # type: ignore[misc]
    """Cannot be made without a setting."""

    def __init__(self, colour: str) -> None:
        super().__init__()
        if colour == "exit":
            raise SystemExit("no")
        self.colour = colour

    def forward(self, question: str) -> Any:
        return dspy.Prediction(answer=self.colour)


class NoWork(dspy.Module):  # type: ignore[misc]
    """Has neither forward nor aforward."""


class NotAModule:
    """No dspy.Module."""


def short_is_better(args: dict[str, Any], prediction: Any) -> float:
    """1 for answers of at most three characters."""
    return 1.0 if len(prediction.answer) <= 3 else 0.0
