"""DSPy's module calls as spans, for the runs whose trace is sampled."""

from __future__ import annotations

from typing import Any

from dspy.utils import callback_context
from dspy.utils.callback import BaseCallback
from opentelemetry.trace import Span, Status, StatusCode, Tracer, set_span_in_context

# Classes of ours that stand for one of DSPy's.
_NAMES = {"ChainsCompared": "MultiChainComparison"}


class ModuleSpans(BaseCallback):  # type: ignore[misc]
    """One run's module spans below the run's own; no inputs, outputs or prompts in them."""

    def __init__(self, tracer: Tracer, run: Span) -> None:
        self._tracer = tracer
        self._run = run
        self._open: dict[str, Span] = {}

    def on_module_start(self, call_id: str, instance: Any, inputs: dict[str, Any]) -> None:
        """Opens the module's span under its caller's."""
        name = _NAMES.get(type(instance).__name__) or type(instance).__name__.removeprefix("Served")
        self._open[call_id] = self._tracer.start_span(name, set_span_in_context(self._innermost()))

    def on_module_end(self, call_id: str, outputs: Any | None, exception: BaseException | None = None) -> None:
        """Closes it."""
        span = self._open.pop(call_id, None)
        if span is None:
            return
        if exception is not None:
            span.set_attribute("error.type", type(exception).__name__)
            span.set_status(Status(StatusCode.ERROR))
        span.end()

    def traceparent(self) -> str:
        """The W3C trace context of the innermost open module."""
        context = self._innermost().get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def _innermost(self) -> Span:
        return self._open.get(callback_context.ACTIVE_CALL_ID.get() or "", self._run)
