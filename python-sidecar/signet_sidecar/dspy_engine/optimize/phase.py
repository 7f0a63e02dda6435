"""What an optimizer does now, as far as DSPy's events tell."""

from __future__ import annotations

from typing import Any

import dspy
from dspy.utils.callback import BaseCallback


class Phase(BaseCallback):  # type: ignore[misc]
    """`name` is `bootstrap`, `evaluate` or `search`; `last_error` is what a program raised last."""

    def __init__(self) -> None:
        self.name = "search"
        self.last_error: Exception | None = None

    def on_module_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """A program, or a part of one, ended."""
        if isinstance(exception, Exception):
            self.last_error = exception

    def on_evaluate_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """A candidate is measured."""
        self.name = "evaluate"

    def on_evaluate_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """It was."""
        self.name = "search"

    def on_compile_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """An optimizer, or one inside another, begins."""
        self.name = "bootstrap" if type(instance) is dspy.BootstrapFewShot else "search"

    def on_compile_end(self, call_id: str, outputs: Any | None, exception: Exception | None = None) -> None:
        """It ended."""
        self.name = "search"
