"""The pool of worker processes: keeps it full, tells its state, drains it."""

from __future__ import annotations

import asyncio
import logging
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from signet_sidecar.config import Recycle
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.place import Place
from signet_sidecar.ray_cluster import RayCluster
from signet_sidecar.recycling import recycle_for_ever
from signet_sidecar.worker_process import WorkerProcess

DRAIN_S = 10.0
END_S = 4.0
SOLO_IDLE_S = 300.0
SOLO_LOOK_S = 5.0

logger = logging.getLogger(__name__)


class Supervisor:
    """Holds `size` shared workers and up to `solo_max` solo ones; `on_ready` hears whenever it becomes able or unable to serve."""

    def __init__(
        self,
        size: int,
        on_ready: Callable[[bool], Awaitable[None]],
        *,
        solo_max: int = 1,
        drain_s: float = DRAIN_S,
        recycle: Recycle = Recycle(0, 0, 0),  # noqa: B008
        cluster: RayCluster | None = None,
    ) -> None:
        self._size = size
        self._solo_max = solo_max
        self._drain_s = drain_s
        self._recycle = recycle
        self._cluster = cluster
        self._on_ready = on_ready
        self._places: list[Place] = []
        self._numbers = 0
        self._tasks: list[asyncio.Task[None]] = []
        self._closing = False
        self._changed = asyncio.Event()
        self._scratch = Path(tempfile.mkdtemp(prefix="signet-sidecar-"))
        self._past_restarts = 0
        self._past_lost = 0
        self.recycled = 0

    def start(self) -> None:
        """Begins to fill the pool; returns at once."""
        for _ in range(self._size):
            self.open_place()
        if self._cluster is not None:
            self._cluster.start()
            for _ in range(self._cluster.workers):
                self.open_place(lane=pb.LANE_BULK)
            for _ in range(self._cluster.solo_workers):
                self.open_place(lane=pb.LANE_BULK_SOLO)
        self._tasks = [
            asyncio.create_task(self._tell()),
            asyncio.create_task(self._look_after_solo()),
            asyncio.create_task(recycle_for_ever(self, self._recycle)),
        ]

    @property
    def places(self) -> tuple[Place, ...]:
        """All places, those included that are given up and not yet empty."""
        return tuple(self._places)

    def open_place(self, *, lane: pb.Lane = pb.LANE_SHARED) -> Place:
        """Makes one more place and begins to fill it."""
        cluster = self._cluster

        def make(number: int) -> WorkerProcess:
            if cluster is not None and lane in (pb.LANE_BULK, pb.LANE_BULK_SOLO):
                return cluster.process(number, self._changed.set, solo=lane == pb.LANE_BULK_SOLO)
            return WorkerProcess(number, self._scratch, self._changed.set, solo=lane == pb.LANE_SOLO)

        place = Place(self._numbers, make, self._forget, lane=lane)
        self._numbers += 1
        self._places.append(place)
        return place

    def workers(self) -> list[pb.Worker]:
        """All workers as they are now, dying ones included."""
        return [place.describe() for place in self._places]

    def ready(self, *, solo: bool = False) -> list[WorkerProcess]:
        """The workers of a lane of this machine that take sessions."""
        lane = pb.LANE_SOLO if solo else pb.LANE_SHARED
        return [place.worker for place in self._places if place.lane == lane and place.is_ready]

    def want_solo(self, waiting: int) -> None:
        """Hears how many runs wait for a solo worker and starts as many as are missing, within the bound."""
        if self._closing or waiting <= 0:
            return
        there = [place for place in self._places if place.lane == pb.LANE_SOLO and not place.is_given_up]
        busy = sum(place.worker.in_flight > 0 for place in there)
        for _ in range(min(self._solo_max, busy + waiting) - len(there)):
            self.open_place(lane=pb.LANE_SOLO)

    @property
    def restarts(self) -> int:
        """How often a worker was started in place of one that had died."""
        return self._past_restarts + sum(place.restarts for place in self._places)

    @property
    def lost(self) -> int:
        """How many workers ended without having been asked to, or because they hung."""
        return self._past_lost + sum(place.lost for place in self._places)

    @property
    def rss_bytes(self) -> int:
        """Resident memory of all workers, as they reported it last."""
        return sum(place.worker.rss_bytes for place in self._places)

    @property
    def in_flight(self) -> int:
        """Runs in flight in all workers, as they reported it last."""
        return sum(place.worker.in_flight for place in self._places)

    async def drain(self) -> None:
        """Lets all workers finish what they have for a bounded time, then ends them; nothing is left running."""
        self._closing = True
        for place in self._places:
            place.give_up()
        await _all_ended(self._places, self._drain_s)
        await self.close()

    async def close(self) -> None:
        """Ends all workers: SIGTERM, SIGKILL 3 s later."""
        self._closing = True
        for task in self._tasks:
            task.cancel()
        places = self.places
        for place in places:
            place.give_up()
            place.worker.end("the sidecar stops")
        await _all_ended(places, END_S)
        for place in places:
            place.worker.kill()
            place.ended.cancel()
        if self._cluster is not None:
            await self._cluster.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    def _forget(self, place: Place) -> None:
        self._past_restarts += place.restarts
        self._past_lost += place.lost
        self._places.remove(place)
        self._changed.set()

    async def _tell(self) -> None:
        told: bool | None = None
        while True:
            able = bool(self.ready())
            if able != told:
                told = able
                await self._on_ready(able)
            await self._changed.wait()
            self._changed.clear()

    async def _look_after_solo(self) -> None:
        while True:
            await asyncio.sleep(SOLO_LOOK_S)
            latest = time.monotonic() - SOLO_IDLE_S
            for place in self.places:
                worker = place.worker
                if place.lane == pb.LANE_SOLO and place.is_ready and worker.in_flight == 0 and worker.used_at < latest:
                    logger.info("a solo worker is not needed any more", extra={"worker": worker.name})
                    place.give_up()


async def _all_ended(places: Iterable[Place], timeout_s: float) -> None:
    tasks = [place.ended for place in places]
    if tasks:
        await asyncio.wait(tasks, timeout=timeout_s)
