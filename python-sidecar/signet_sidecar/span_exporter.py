"""Sends spans, and says once when nobody takes them and once when somebody does again."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult

_log = logging.getLogger("signet_sidecar.telemetry")


class ToldOnceExporter(SpanExporter):
    """Passes spans on to another exporter; an outage is one warning, and its end one line with what was lost."""

    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter
        self._lost = 0
        # It warns at each batch by itself.
        logging.getLogger("opentelemetry.exporter.otlp").setLevel(logging.CRITICAL)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends a batch; what fails is counted and not sent again."""
        try:
            result = self._exporter.export(spans)
        except Exception as error:
            result = SpanExportResult.FAILURE
            _log.debug("could not send spans", exc_info=error)
        if result is not SpanExportResult.SUCCESS:
            if self._lost == 0:
                _log.warning("spans are lost: nobody takes them")
            self._lost += len(spans)
        elif self._lost > 0:
            _log.info("spans are taken again", extra={"lost": self._lost})
            self._lost = 0
        return result

    def shutdown(self) -> None:
        """Ends the exporter below."""
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Sends what the exporter below holds back."""
        return self._exporter.force_flush(timeout_millis)
