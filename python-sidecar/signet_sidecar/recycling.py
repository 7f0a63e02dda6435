"""Replaces workers that are old, have run much or have grown, one at a time and never before a successor is there."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Protocol

from signet_sidecar.becoming import becomes
from signet_sidecar.config import Recycle
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.place import Place
from signet_sidecar.worker_process import WorkerProcess

LOOK_S = 0.5
READY_S = 120.0
KNOWN_S = 5.0
GONE_S = 600.0
AGAIN_S = 30.0

logger = logging.getLogger(__name__)


class RecycledPool(Protocol):
    """The pool as recycling sees it."""

    recycled: int

    @property
    def places(self) -> tuple[Place, ...]:
        """All places."""
        ...

    def open_place(self, *, lane: pb.Lane = pb.LANE_SHARED) -> Place:
        """Makes one more place."""
        ...


async def recycle_for_ever(pool: RecycledPool, limits: Recycle) -> None:
    """Looks at the workers twice a second until it is cancelled."""
    while True:
        await asyncio.sleep(LOOK_S)
        for place in pool.places:
            why = why_recycle(place.worker, limits) if place.is_ready else ""
            if why:
                await _replace(pool, place, why)


def why_recycle(worker: WorkerProcess, limits: Recycle) -> str:
    """Which limit a worker has passed; empty if none."""
    if limits.runs and worker.runs >= limits.runs:
        return f"{worker.runs} runs"
    if limits.mib and worker.rss_bytes >= limits.mib * 1024 * 1024:
        return f"{worker.rss_bytes // (1024 * 1024)} MiB"
    if limits.minutes and worker.ready_at is not None and time.monotonic() - worker.ready_at >= limits.minutes * 60:
        return f"{limits.minutes} minutes"
    return ""


async def _replace(pool: RecycledPool, place: Place, why: str) -> None:
    old = place.worker
    logger.info("replacing a worker", extra={"worker": old.name, "why": why})
    if place.lane == pb.LANE_SOLO:
        # Solo workers come when somebody waits for one.
        place.give_up()
    else:
        successor = pool.open_place(lane=place.lane)
        if not await becomes(lambda: successor.is_ready, READY_S):
            logger.error("a successor does not become ready", extra={"worker": old.name})
            successor.give_up()
            await asyncio.sleep(AGAIN_S)
            return
        # Executors look once a second: from then on new runs have somewhere else to go.
        await becomes(lambda: successor.worker.sessions >= old.sessions, KNOWN_S)
        place.give_up()
    pool.recycled += 1
    await asyncio.wait({place.ended}, timeout=GONE_S)
