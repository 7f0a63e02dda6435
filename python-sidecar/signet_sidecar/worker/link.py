"""The worker's two pipes to its supervisor: commands come on stdin, reports leave on a descriptor of their own."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

REPORT_EVERY_S = 1.0
_PR_SET_PDEATHSIG = 1


class SupervisorLink:
    """Reports from a thread outside both loops, and ends the worker's process group when the supervisor is gone."""

    def __init__(self, report_fd: int) -> None:
        self._fd = report_fd
        self._lock = threading.Lock()

    def start(
        self,
        state: Callable[[], dict[str, int]],
        commands: Mapping[str, Callable[[], object]],
        other: Callable[[str], object] | None = None,
    ) -> None:
        """Begins to listen for commands, `other` being given every other line, and to report the worker's state every second."""
        threading.Thread(target=self._listen, args=(commands, other), name="link-commands", daemon=True).start()
        threading.Thread(target=self._beat, args=(state,), name="link-heartbeat", daemon=True).start()

    def report(self, event: str, **values: Any) -> None:
        """Writes one line to the supervisor."""
        line = json.dumps({"event": event, **values}).encode() + b"\n"
        try:
            with self._lock:
                os.write(self._fd, line)
        except OSError:
            end_group()

    def _listen(self, commands: Mapping[str, Callable[[], object]], other: Callable[[str], object] | None) -> None:
        for line in sys.stdin:
            command = commands.get(line.strip())
            if command is not None:
                command()
            elif other is not None:
                other(line)
        end_group()

    def _beat(self, state: Callable[[], dict[str, int]]) -> None:
        while True:
            self.report("heartbeat", **state())
            time.sleep(REPORT_EVERY_S)


def end_group() -> None:
    """Kills this process and all that it started: nobody is left who could ask for anything."""
    os.killpg(os.getpgid(0), signal.SIGKILL)


def die_with_parent(parent_pid: int) -> None:
    """Lets the kernel kill this process when its parent dies, for the case that its threads cannot run (Linux only)."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    # It may have died before the kernel was asked.
    if os.getppid() != parent_pid:
        end_group()
