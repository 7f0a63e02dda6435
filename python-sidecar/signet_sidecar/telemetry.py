"""Spans of the sidecar, exported in the background and never in a run's way."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ALWAYS_ON, ParentBased, Sampler, TraceIdRatioBased
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from signet_sidecar import __version__
from signet_sidecar.config import Config
from signet_sidecar.errors import RunFailure

if TYPE_CHECKING:
    from signet_sidecar.dspy_engine.spans import ModuleSpans

# A W3C trace context ends with its flags in hexadecimal: an odd last digit means sampled.
_SAMPLED = frozenset("13579bdf")
_propagator = TraceContextTextMapPropagator()


class RunTrace:
    """The spans of one run, or nothing where its trace is not sampled."""

    __slots__ = ("_span", "modules")

    def __init__(self, span: Span | None, modules: ModuleSpans | None) -> None:
        self._span = span
        self.modules = modules

    def end(self, failure: RunFailure | None) -> None:
        """Closes the run's span."""
        if self._span is None:
            return
        if failure is not None:
            self._span.set_attribute("error.type", failure.reason)
            self._span.set_status(Status(StatusCode.ERROR))
        self._span.end()


UNTRACED = RunTrace(None, None)


class Telemetry:
    """Makes the spans of runs; without an endpoint it makes none."""

    def __init__(self, config: Config) -> None:
        self._provider: TracerProvider | None = None
        self._tracer: Tracer | None = None
        if config.otlp_endpoint:
            # Imported here: the exporter costs 30 MB and 0.2 s that a sidecar without an endpoint need not pay.
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace.export import BatchSpanProcessor

            from signet_sidecar.span_exporter import ToldOnceExporter

            instance = f"{socket.gethostname()}-{os.getpid()}"
            resource = Resource.create(
                {"service.name": "signet-sidecar", "service.version": __version__, "service.instance.id": instance}
            )
            self._provider = TracerProvider(sampler=_sampler(config), resource=resource, shutdown_on_exit=False)
            insecure = not config.otlp_endpoint.startswith("https://")
            exporter = ToldOnceExporter(OTLPSpanExporter(endpoint=config.otlp_endpoint, insecure=insecure, timeout=3))
            self._provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=500))
            self._tracer = self._provider.get_tracer("signet-sidecar", __version__)

    def begin_run(self, traceparent: str, execution_id: str) -> RunTrace:
        """Opens the span `sidecar.run` below the executor's; costs nothing for a run that is not sampled."""
        tracer = self._tracer
        if tracer is None or (traceparent and traceparent[-1] not in _SAMPLED):
            return UNTRACED
        context = _propagator.extract({"traceparent": traceparent}) if traceparent else None
        span = tracer.start_span("sidecar.run", context, SpanKind.SERVER, {"signet.execution.id": execution_id})
        if not span.is_recording():
            return UNTRACED
        from signet_sidecar.dspy_engine.spans import ModuleSpans

        return RunTrace(span, ModuleSpans(tracer, span))

    def flush(self, timeout_ms: int) -> None:
        """Sends what is waiting, for at most `timeout_ms`."""
        if self._provider is not None:
            self._provider.force_flush(timeout_ms)


def _sampler(config: Config) -> Sampler:
    root = {"on": ALWAYS_ON, "off": ALWAYS_OFF}.get(config.sampler.rpartition("_")[2], TraceIdRatioBased(config.sampler_ratio))
    return ParentBased(root) if config.sampler.startswith("parentbased") else root
