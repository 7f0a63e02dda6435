"""Worker processes on the nodes of a Ray cluster, as the supervisor sees them. Ray itself stays in a process of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from signet_sidecar.config import Ray
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.place import Place
from signet_sidecar.worker_process import SERVING, Program, WorkerProcess

LOOK_S = 0.2
CLOSE_S = 4.0
LOST = -1

logger = logging.getLogger(__name__)


class RayDriver(WorkerProcess):
    """The process that holds the actors. When it ends, Ray ends them all."""

    def __init__(self, slot: int, scratch: Path, address: str) -> None:
        program = Program("signet_sidecar.on_ray", ("--address", address), "r", keeps_ray=True)
        super().__init__(slot, scratch, lambda: None, program=program)
        self._held: dict[str, RayProcess] = {}

    async def run(self) -> int:
        """As of any process; all that it holds are lost with it."""
        try:
            return await super().run()
        finally:
            for process in list(self._held.values()):
                process.settle(LOST)

    def take(self, process: RayProcess, order: dict[str, Any]) -> None:
        """Starts one process in an actor; it hears of it until it is let go."""
        self._held[process.name] = process
        self.tell(order)

    def let_go(self, process: RayProcess) -> None:
        """Tells a process nothing more."""
        self._held.pop(process.name, None)

    def tell(self, order: dict[str, Any]) -> None:
        """Writes one line to the process; nothing if it is gone."""
        self.write(json.dumps(order).encode() + b"\n")

    def _take(self, report: dict[str, Any]) -> None:
        process = self._held.get(str(report.get("name")))
        match report.get("event"):
            case "process":
                if process is not None:
                    process.mirror(report)
            case "ended":
                if process is not None:
                    process.settle(int(report["code"]))
            case _:
                super()._take(report)


class RayProcess(WorkerProcess):
    """A worker process in an actor, wherever Ray puts it; whoever holds it sees no difference."""

    def __init__(
        self, cluster: RayCluster, slot: int, on_change: Callable[[], None], *, solo: bool = False, program: Program = SERVING
    ) -> None:
        super().__init__(slot, Path(), on_change, solo=solo, program=program)
        self._cluster = cluster
        self._driver: RayDriver | None = None
        self._remote_pid = 0
        self._exit: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @property
    def pid(self) -> int:
        """The process id on its node, 0 before it is known."""
        return self._remote_pid

    async def run(self) -> int:
        """Starts the process once the cluster is there and watches it until it has ended; returns its exit code (-1: lost)."""
        try:
            while not self._exit.done():
                driver = self._cluster.driver
                if driver is not None:
                    self._driver = driver
                    driver.take(self, {"order": "start", "name": self.name, "solo": self.solo, **asdict(self._program)})
                    break
                await asyncio.sleep(LOOK_S)
            return await asyncio.shield(self._exit)
        finally:
            if self._driver is not None:
                self._driver.let_go(self)
            self._become(pb.WORKER_STATE_LOST)

    def drain(self) -> None:
        """Asks the worker to finish what it has and to end."""
        if self.state == pb.WORKER_STATE_READY:
            self._become(pb.WORKER_STATE_DRAINING)
            self._order("drain")
        elif self.state == pb.WORKER_STATE_STARTING:
            self.kill()

    def end(self, why: str) -> None:
        """Ends the process as `WorkerProcess.end` does, on its node; returns at once."""
        if not self._exit.done() and self.state != pb.WORKER_STATE_LOST:
            logger.warning("ending a worker", extra={"worker": self.name, "worker_pid": self.pid, "why": why})
            self._become(pb.WORKER_STATE_LOST)
            self._order("end")

    def kill(self) -> None:
        """Ends its actor."""
        self._order("kill")

    def _order(self, order: str) -> None:
        if self._driver is None:
            self.settle(LOST)
        else:
            self._driver.tell({"order": order, "name": self.name})

    def mirror(self, report: dict[str, Any]) -> None:
        """Takes over what the actor told of the process."""
        self._remote_pid = int(report["pid"])
        self._take({**report, "event": "heartbeat", "busy_ms": 0})
        if report["ready"] and self.state == pb.WORKER_STATE_STARTING:
            self._take({"event": "ready", "address": report["address"]})

    def settle(self, code: int) -> None:
        """Ends the watch: the process is gone."""
        if not self._exit.done():
            self._exit.set_result(code)


class RayCluster:
    """Makes processes on the cluster and keeps the one that drives it; started again when it dies, after 0.2 s to 5 s."""

    def __init__(self, settings: Ray) -> None:
        self.workers = settings.workers
        self.solo_workers = settings.solo_workers
        self._address = settings.address
        self._scratch = Path(tempfile.mkdtemp(prefix="signet-ray-"))
        self._place: Place | None = None

    def start(self) -> None:
        """Begins to connect; returns at once."""

        def make(number: int) -> WorkerProcess:
            return RayDriver(number, self._scratch, self._address)

        self._place = Place(0, make, lambda _: None, lane=pb.LANE_UNSPECIFIED)

    @property
    def driver(self) -> RayDriver | None:
        """The process that is connected, if one is."""
        place = self._place
        return place.worker if place is not None and place.is_ready and isinstance(place.worker, RayDriver) else None

    @property
    def is_ready(self) -> bool:
        """True while processes can be started there."""
        return self.driver is not None

    def process(self, slot: int, on_change: Callable[[], None], *, solo: bool = False, program: Program = SERVING) -> WorkerProcess:
        """One that is started on the cluster when it is run."""
        return RayProcess(self, slot, on_change, solo=solo, program=program)

    async def close(self) -> None:
        """Lets go of the cluster; what still runs there ends."""
        if self._place is not None:
            self._place.give_up()
            await asyncio.wait({self._place.ended}, timeout=CLOSE_S)
            self._place.worker.kill()
            self._place.ended.cancel()
        shutil.rmtree(self._scratch, ignore_errors=True)
