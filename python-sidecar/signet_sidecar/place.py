"""One place in the pool, kept filled with a worker until it is given up."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.worker_process import WorkerProcess

BACKOFF_MIN_S = 0.2
BACKOFF_MAX_S = 5.0
STEADY_S = 10.0

logger = logging.getLogger(__name__)


class Place:
    """Starts a worker again when it dies, after 0.2 s to 5 s. `on_end` is called when the place is given up and empty."""

    def __init__(
        self, number: int, make: Callable[[int], WorkerProcess], on_end: Callable[[Place], None], *, lane: pb.Lane = pb.LANE_SHARED
    ) -> None:
        self.number = number
        self.lane = lane
        self.solo = lane in (pb.LANE_SOLO, pb.LANE_BULK_SOLO)
        self.bulk = lane in (pb.LANE_BULK, pb.LANE_BULK_SOLO)
        self.starts = 0
        self.restarts = 0
        self.lost = 0
        self._make = make
        self._on_end = on_end
        self._given_up = asyncio.Event()
        self.worker = make(number)
        self.ended = asyncio.create_task(self._keep())

    @property
    def is_given_up(self) -> bool:
        """True once no further worker is started here."""
        return self._given_up.is_set()

    @property
    def is_ready(self) -> bool:
        """True if its worker takes sessions and stays."""
        return self.worker.state == pb.WORKER_STATE_READY and not self.is_given_up

    @property
    def is_coming(self) -> bool:
        """True if a worker is there or on its way."""
        return not self.is_given_up and self.worker.state != pb.WORKER_STATE_LOST

    def describe(self) -> pb.Worker:
        """The worker as GetPool tells of it."""
        worker = self.worker
        return pb.Worker(
            worker=worker.name,
            pid=worker.pid,
            address=worker.address,
            state=worker.state,
            starts=self.starts,
            lane=self.lane,
            in_flight=worker.in_flight,
            rss_bytes=worker.rss_bytes,
            runs=worker.runs,
        )

    def give_up(self) -> None:
        """Lets the worker finish what it has; none follows it."""
        self._given_up.set()
        self.worker.drain()

    async def _keep(self) -> None:
        backoff_s = BACKOFF_MIN_S
        while not self.is_given_up:
            self.starts += 1
            began = time.monotonic()
            try:
                code = await self.worker.run()
            except OSError as error:
                logger.error("a worker cannot be started", extra={"worker": self.worker.name, "cause": str(error)})
                code = -1
            if self.is_given_up:
                break
            self.lost += 1
            # A run in quarantine may kill worker after worker: the others that wait must not wait longer for each.
            steady = time.monotonic() - began > STEADY_S or (self.solo and self.worker.ready_at is not None)
            backoff_s = BACKOFF_MIN_S if steady else min(BACKOFF_MAX_S, backoff_s * 2)
            logger.warning("a worker ended", extra={"worker": self.worker.name, "exit_code": code, "again_in_s": backoff_s})
            await self._pause(backoff_s)
            if not self.is_given_up:
                self.restarts += 1
                self.worker = self._make(self.number)
        self._on_end(self)

    async def _pause(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._given_up.wait(), seconds)
        except TimeoutError:
            pass
