"""The optimizer processes: one a job, as many at once as the sidecar takes."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import grpc

from signet_sidecar.becoming import becomes
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.ray_cluster import RayCluster
from signet_sidecar.worker_process import Program, WorkerProcess

START_S = 60.0
END_S = 1.0
MEMORY_MIN = 64 * 1024 * 1024
_JOB = re.compile(r"[A-Za-z0-9_\-]{1,64}")

logger = logging.getLogger(__name__)


class OptimizersError(Exception):
    """A process that is not started; carries the status to answer with."""

    def __init__(self, code: grpc.StatusCode, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass
class _Optimizer:
    worker: WorkerProcess
    scratch: Path
    ended: asyncio.Task[None]


class Optimizers:
    """Starts and ends them, on the cluster if one answers. A process that ends, however it ends, leaves nothing behind."""

    def __init__(self, count_max: int, memory_max: int, cluster: RayCluster | None = None) -> None:
        self._count_max = count_max
        self._memory_max = memory_max
        self._cluster = cluster
        self._jobs: dict[str, _Optimizer] = {}
        self._starts = 0
        self._closing = False

    async def start(self, job: str, memory_bytes: int) -> WorkerProcess:
        """A process that takes its call; raises OptimizersError. One of the same job is ended first."""
        if not _JOB.fullmatch(job):
            raise OptimizersError(grpc.StatusCode.INVALID_ARGUMENT, "job must be 1 to 64 letters, digits, `-` and `_`")
        await self.end(job)
        if self._closing:
            raise OptimizersError(grpc.StatusCode.UNAVAILABLE, "the sidecar stops")
        if len(self._jobs) >= self._count_max:
            message = f"{len(self._jobs)} optimizations run here, which is all that SIGNET_SIDECAR_OPTIMIZERS lets"
            raise OptimizersError(grpc.StatusCode.RESOURCE_EXHAUSTED, message)
        optimizer = self._spawn(job, max(MEMORY_MIN, min(memory_bytes or self._memory_max, self._memory_max)))
        worker = optimizer.worker
        await becomes(lambda: worker.state != pb.WORKER_STATE_STARTING or optimizer.ended.done(), START_S)
        if worker.state != pb.WORKER_STATE_READY:
            await self._end(optimizer)
            raise OptimizersError(grpc.StatusCode.UNAVAILABLE, "the process of the optimization did not start")
        return worker

    async def end(self, job: str) -> bool:
        """Ends the process of a job within 1 s; false if there is none."""
        optimizer = self._jobs.get(job)
        if optimizer is None:
            return False
        await self._end(optimizer)
        return True

    async def close(self) -> None:
        """Ends all processes; none is started any more."""
        self._closing = True
        await asyncio.gather(*(self._end(optimizer) for optimizer in list(self._jobs.values())))

    def describe(self) -> list[pb.Worker]:
        """The processes as GetPool tells of them."""
        return [
            pb.Worker(
                worker=worker.name,
                pid=worker.pid,
                address=worker.address,
                state=worker.state,
                starts=1,
                lane=pb.LANE_OPTIMIZE,
                in_flight=worker.in_flight,
                rss_bytes=worker.rss_bytes,
                runs=worker.runs,
            )
            for worker in (optimizer.worker for optimizer in self._jobs.values())
        ]

    def _spawn(self, job: str, memory_bytes: int) -> _Optimizer:
        scratch = Path(tempfile.mkdtemp(prefix="signet-optimize-"))
        program = Program("signet_sidecar.optimize", ("--memory", str(memory_bytes)), "o")
        worker = (
            self._cluster.process(self._starts, lambda: None, program=program)
            if self._cluster is not None and self._cluster.is_ready
            else WorkerProcess(self._starts, scratch, lambda: None, program=program)
        )
        self._starts += 1
        optimizer = _Optimizer(worker, scratch, asyncio.create_task(self._keep(job, worker, scratch)))
        self._jobs[job] = optimizer
        return optimizer

    async def _keep(self, job: str, worker: WorkerProcess, scratch: Path) -> None:
        try:
            code = await worker.run()
            logger.info("an optimizer process ended", extra={"worker": worker.name, "job": job, "exit_code": code})
        except OSError as error:
            logger.error("an optimizer process cannot be started", extra={"worker": worker.name, "cause": str(error)})
        finally:
            kept = self._jobs.get(job)
            if kept is not None and kept.worker is worker:
                del self._jobs[job]
            shutil.rmtree(scratch, ignore_errors=True)

    async def _end(self, optimizer: _Optimizer) -> None:
        await becomes(lambda: optimizer.worker.pid != 0 or optimizer.ended.done(), END_S)
        # No word of warning: whoever asks has waited for it, or has gone.
        optimizer.worker.kill()
        await asyncio.wait({optimizer.ended}, timeout=END_S)
