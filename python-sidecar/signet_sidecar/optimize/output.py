"""What DSPy and its libraries print and log, as bounded lines for whoever watches."""

from __future__ import annotations

import io
import logging
import re
import sys
import threading
import time
from collections.abc import Callable

from signet_sidecar.errors import cut
from signet_sidecar.log import redact

LINE_MAX = 2_000
LINES_A_SECOND = 50
LINES_MAX = 20_000

OnLine = Callable[[str, str], None]
_BAR = re.compile(r"\d+%\|.*it/s|\d+%\|.*s/it|\d+it \[")
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Lines:
    """At most 50 lines a second and 20,000 in all, each redacted and cut; what is beyond is counted and told once."""

    def __init__(self, on_line: OnLine) -> None:
        self._on_line = on_line
        self._lock = threading.Lock()
        self._second = 0
        self._in_second = 0
        self._count = 0
        self._dropped = 0

    def tell(self, level: str, text: str) -> None:
        """Tells one text, line by line; blank lines are left out. Takes calls from any thread."""
        for line in _COLOURS.sub("", text).splitlines():
            if line.strip():
                self._tell(level, line.rstrip())

    def _tell(self, level: str, line: str) -> None:
        with self._lock:
            second = int(time.monotonic())
            if second != self._second:
                self._second, self._in_second = second, 0
            if self._in_second >= LINES_A_SECOND or self._count >= LINES_MAX:
                self._dropped += 1
                return
            dropped, self._dropped = self._dropped, 0
            self._in_second += 1
            self._count += 1
        if dropped:
            self._on_line("warning", f"{dropped} lines were left out")
        self._on_line(level, cut(redact(line), LINE_MAX))


class Printed(io.TextIOBase):
    """Stands for stdout or stderr: whole lines pass, the redrawn states of a progress bar do not."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines
        self._lock = threading.Lock()
        self._rest = ""

    def write(self, text: str) -> int:
        """Takes text of any length."""
        with self._lock:
            *whole, self._rest = (self._rest + text).split("\n")
            # Only what was drawn last is kept of a line that is drawn again and again.
            self._rest = self._rest.rpartition("\r")[2][-LINE_MAX:]
        for line in whole:
            shown = line.rpartition("\r")[2]
            if not _BAR.search(shown):
                self._lines.tell("info", shown)
        return len(text)

    def isatty(self) -> bool:
        """No terminal."""
        return False

    def writable(self) -> bool:
        """Takes text."""
        return True


class LogLines(logging.Handler):
    """Passes log records on."""

    def __init__(self, lines: Lines) -> None:
        super().__init__(logging.INFO)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        """One record."""
        level = {"WARNING": "warning", "ERROR": "error", "CRITICAL": "error", "DEBUG": "debug"}.get(record.levelname, "info")
        try:
            self._lines.tell(level, record.getMessage())
        except Exception:
            self.handleError(record)


def capture(on_line: OnLine) -> None:
    """Lets everything that is printed or logged by DSPy and the libraries of its optimizers become lines, for good."""
    lines = Lines(on_line)
    handler = LogLines(lines)
    for name in ("dspy", "gepa", "optuna"):
        logger = logging.getLogger(name)
        logger.handlers[:] = [handler]
        # Not into the sidecar's own log: these lines quote examples.
        logger.propagate = False
        logger.setLevel(logging.INFO)
    sys.stdout = Printed(lines)
    sys.stderr = Printed(lines)
