"""DSPy's own thread and loop, reached in batches from the I/O loop."""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

THREADS = 16
TICK_S = 0.25

logger = logging.getLogger(__name__)


class EngineLoop:
    """Runs callbacks and coroutines on DSPy's loop; `busy_ms` tells from any thread how long it has not turned."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._inbox: deque[tuple[Callable[..., Any], tuple[Any, ...]]] = deque()
        self._woken = False
        self._turned_ns = time.monotonic_ns()
        self._thread = threading.Thread(target=self._run, name="dspy", daemon=True)

    def start(self) -> None:
        """Starts the thread; returns at once."""
        self._thread.start()

    def post(self, callback: Callable[..., Any], *args: Any) -> None:
        """Calls `callback` on DSPy's loop soon, in order; one wake-up serves all that was posted before it ran."""
        self._inbox.append((callback, args))
        if not self._woken:
            self._woken = True
            self.loop.call_soon_threadsafe(self._drain)

    def busy_ms(self) -> int:
        """Milliseconds since the loop turned last, 0 while it turns as it should."""
        silent_ms = (time.monotonic_ns() - self._turned_ns) // 1_000_000
        return int(max(0, silent_ms - 2 * int(TICK_S * 1_000)))

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        # DSPy hands synchronous work to the default executor; unsized it would follow the number of cores.
        self.loop.set_default_executor(ThreadPoolExecutor(THREADS, thread_name_prefix="dspy-sync"))
        self._tick()
        self.loop.run_forever()

    def _tick(self) -> None:
        self._turned_ns = time.monotonic_ns()
        self.loop.call_later(TICK_S, self._tick)

    def _drain(self) -> None:
        # Cleared first: what is posted while we drain either is taken here or wakes us again.
        self._woken = False
        inbox = self._inbox
        while inbox:
            callback, args = inbox.popleft()
            try:
                callback(*args)
            except Exception:
                logger.exception("a callback on DSPy's loop failed")
