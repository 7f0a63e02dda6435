"""The pool of worker processes: keeps it full, tells its state, drains it."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.worker_process import WorkerProcess

BACKOFF_MIN_S = 0.2
BACKOFF_MAX_S = 5.0
STEADY_S = 10.0
DRAIN_S = 10.0
END_S = 4.0

logger = logging.getLogger(__name__)


class Supervisor:
    """Restarts workers that die, after 0.2 s to 5 s; `on_ready` hears whenever the pool becomes able or unable to serve."""

    def __init__(self, size: int, on_ready: Callable[[bool], Awaitable[None]]) -> None:
        self._size = size
        self._on_ready = on_ready
        self._slots: dict[int, WorkerProcess] = {}
        self._starts: dict[int, int] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._closing = asyncio.Event()
        self._changed = asyncio.Event()
        self._scratch = Path(tempfile.mkdtemp(prefix="signet-sidecar-"))

    def start(self) -> None:
        """Begins to fill the pool; returns at once."""
        self._keepers = [asyncio.create_task(self._keep(slot)) for slot in range(self._size)]
        self._keepers.append(asyncio.create_task(self._tell()))

    def workers(self) -> list[pb.Worker]:
        """All workers as they are now, dying ones included."""
        return [
            pb.Worker(worker=worker.name, pid=worker.pid, address=worker.address, state=worker.state, starts=self._starts[slot])
            for slot, worker in sorted(self._slots.items())
        ]

    def ready(self) -> list[WorkerProcess]:
        """The workers that take sessions."""
        return [worker for worker in self._slots.values() if worker.state == pb.WORKER_STATE_READY]

    @property
    def restarts(self) -> int:
        """How often a worker was started again."""
        return sum(starts - 1 for starts in self._starts.values())

    @property
    def rss_bytes(self) -> int:
        """Resident memory of all workers, as they reported it last."""
        return sum(worker.rss_bytes for worker in self._slots.values())

    @property
    def in_flight(self) -> int:
        """Runs in flight in all workers, as they reported it last."""
        return sum(worker.in_flight for worker in self._slots.values())

    async def drain(self) -> None:
        """Lets all workers finish what they have for at most 10 s, then ends them; nothing is left running."""
        self._closing.set()
        for worker in self._slots.values():
            worker.drain()
        keepers = self._keepers[: self._size]
        if keepers:
            await asyncio.wait(keepers, timeout=DRAIN_S)
        await self.close()

    async def close(self) -> None:
        """Ends all workers: SIGTERM, SIGKILL 3 s later."""
        self._closing.set()
        for worker in self._slots.values():
            worker.end("the sidecar stops")
        keepers = self._keepers[: self._size]
        if keepers:
            await asyncio.wait(keepers, timeout=END_S)
        for worker in self._slots.values():
            worker.kill()
        for task in self._keepers:
            task.cancel()
        shutil.rmtree(self._scratch, ignore_errors=True)

    async def _keep(self, slot: int) -> None:
        backoff_s = BACKOFF_MIN_S
        while not self._closing.is_set():
            worker = WorkerProcess(slot, self._scratch, self._changed.set)
            self._slots[slot] = worker
            self._starts[slot] = self._starts.get(slot, 0) + 1
            began = time.monotonic()
            try:
                code = await worker.run()
            except OSError as error:
                logger.error("a worker cannot be started", extra={"worker": worker.name, "cause": str(error)})
                code = -1
            if self._closing.is_set():
                return
            backoff_s = BACKOFF_MIN_S if time.monotonic() - began > STEADY_S else min(BACKOFF_MAX_S, backoff_s * 2)
            logger.warning("a worker ended", extra={"worker": worker.name, "exit_code": code, "again_in_s": backoff_s})
            await _wait(self._closing, backoff_s)

    async def _tell(self) -> None:
        told: bool | None = None
        while True:
            able = bool(self.ready())
            if able != told:
                told = able
                await self._on_ready(able)
            await self._changed.wait()
            self._changed.clear()


async def _wait(event: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), timeout_s)
    except TimeoutError:
        pass
