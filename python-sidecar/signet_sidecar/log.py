"""JSON lines on stderr, with the trace and execution they belong to and without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
from contextvars import ContextVar
from datetime import UTC, datetime

# (trace id, execution id) of the run that the current task works for.
RUN_IDS: ContextVar[tuple[str, str]] = ContextVar("signet_run_ids", default=("", ""))

_SECRET_PATTERN = re.compile(
    r"(?i)(bearer\s+)[^\s\"']+|(://[^:/\s\"'@]*:)[^/\s\"'@]+(?=@)|\b(?:sgn|sk)[-_][A-Za-z0-9_\-]{8,}"
    r"|((?:token|secret|password|api[-_]?key|authorization)[\"']?\s*[:=]\s*[\"']?(?:(?:bearer|basic)\s+)?)[^\s\"',;]+"
)
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


def redact(text: str) -> str:
    """Hides what looks like a key, a token or a credential."""
    return _SECRET_PATTERN.sub(lambda match: f"{match[1] or match[2] or match[3] or ''}[redacted]", text)


class _JsonLines(logging.Formatter):
    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        trace_id, execution_id = RUN_IDS.get()
        line: dict[str, object] = {
            "level": record.levelname.lower(),
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "service": "signet-sidecar",
            "process": self._process,
            "pid": record.process,
            "msg": redact(record.getMessage()),
        }
        if trace_id:
            line["trace_id"] = trace_id
        if execution_id:
            line["execution_id"] = execution_id
        for key, value in vars(record).items():
            if key not in _STANDARD and key not in line:
                line[key] = redact(value) if isinstance(value, str) else value
        if record.exc_info:
            line["error"] = redact(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=False, default=str)


# Their debug lines tell of their insides, several a second.
_CHATTY = ("asyncio", "grpc")


def _soften(record: logging.LogRecord) -> bool:
    # A receiver of spans that is away hurts no request: it is no error of ours.
    if record.name.startswith("opentelemetry.") and record.levelno > logging.WARNING:
        record.levelno, record.levelname = logging.WARNING, "WARNING"
    return True


def configure_logging(process: str, level: str) -> None:
    """Sends every logger of the process to stderr as JSON lines from `level` on; faults of exporters are warnings."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_soften)
    handler.setFormatter(_JsonLines(process))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").setLevel(logging.ERROR)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))
