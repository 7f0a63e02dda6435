"""What an optimizer asks of the world outside its process."""

from __future__ import annotations

from typing import Any, Protocol

from signet_sidecar.dspy_engine.lm import LmAnswer, LmRequest


class MetricFailed(Exception):
    """A metric that gave no score; says why."""


class OptimizePort(Protocol):
    """The ways out, for any thread. Every method raises LmCallEnded once the optimization was stopped."""

    last_role: str

    def call_lm(self, role: str, request: LmRequest, rollout: str) -> LmAnswer:
        """Blocks the calling thread for one completion; raises LmCallFailed where there is none."""
        ...

    async def call_lm_async(self, role: str, request: LmRequest, rollout: str) -> LmAnswer:
        """Awaits one completion."""
        ...

    def call_metric(self, example_id: str, inputs_json: bytes, expected_json: bytes, outputs_json: bytes) -> tuple[float, str]:
        """Blocks the calling thread for a score and its feedback; raises MetricFailed where there is none."""
        ...

    def count_metric(self) -> None:
        """Counts a score that was taken in this process."""
        ...

    def call_tool(self, name: str, args: dict[str, Any]) -> Any:
        """Blocks the calling thread for what a tool of an agent gave."""
        ...
