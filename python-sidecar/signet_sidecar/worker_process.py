"""One worker process as its supervisor sees it."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import secrets
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from signet_sidecar.gen import sidecar_pb2 as pb

START_TIMEOUT_S = 120.0
SILENT_MAX_S = 10.0
BUSY_MAX_MS = 30_000
KILL_AFTER_S = 3.0
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS", "RAYON_NUM_THREADS")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Program:
    """What a worker process runs: a Python module with arguments of its own; `initial` begins its name.

    `keeps_ray` is true if it may read the cluster's token, as nothing may that runs a user's code.
    """

    module: str
    arguments: tuple[str, ...] = ()
    initial: str = ""
    keeps_ray: bool = False


SERVING = Program("signet_sidecar.worker")


class WorkerProcess:
    """Spawned, never forked, in a process group of its own. `on_change` is called whenever `state` changes."""

    def __init__(
        self,
        slot: int,
        scratch: Path,
        on_change: Callable[[], None],
        *,
        solo: bool = False,
        program: Program = SERVING,
    ) -> None:
        self.name = f"{program.initial or ('s' if solo else 'w')}{slot}-{secrets.token_hex(4)}"
        self.solo = solo
        self._program = program
        self.address = ""
        self.state = pb.WORKER_STATE_STARTING
        self.rss_bytes = 0
        self.in_flight = 0
        self.runs = 0
        self.sessions = 0
        self.ready_at: float | None = None
        self.used_at = time.monotonic()
        self._scratch = scratch
        self._on_change = on_change
        self._process: asyncio.subprocess.Process | None = None
        self._heard = time.monotonic()
        self._ending: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int:
        """The process id, 0 before it is spawned."""
        return self._process.pid if self._process else 0

    async def run(self) -> int:
        """Spawns the process and watches it until it has ended; returns its exit code."""
        read_fd, write_fd = os.pipe()
        try:
            arguments = ["--name", self.name, "--report-fd", str(write_fd), "--parent", str(os.getpid()), *self._program.arguments]
            if self.solo:
                arguments.append("--solo")
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", self._program.module, *arguments),
                stdin=asyncio.subprocess.PIPE,
                # What user code prints must not look like the supervisor's own lines.
                stdout=sys.stderr.fileno(),
                pass_fds=(write_fd,),
                start_new_session=True,
                env=worker_environment(self._scratch, keeps_ray=self._program.keeps_ray),
            )
        except BaseException:
            os.close(read_fd)
            raise
        finally:
            os.close(write_fd)
        self._heard = time.monotonic()
        watchers = [asyncio.create_task(self._listen(read_fd)), asyncio.create_task(self._watch())]
        try:
            return await self._process.wait()
        finally:
            for task in watchers:
                task.cancel()
            self._signal(signal.SIGKILL)
            self._become(pb.WORKER_STATE_LOST)

    def drain(self) -> None:
        """Asks the worker to finish what it has and to end."""
        if self._process and self.state in (pb.WORKER_STATE_STARTING, pb.WORKER_STATE_READY):
            self._become(pb.WORKER_STATE_DRAINING)
            self.write(b"drain\n")

    def write(self, line: bytes) -> None:
        """Tells the process one line; nothing if it is gone."""
        if self._process and self._process.stdin and self._process.returncode is None:
            self._process.stdin.write(line)

    def end(self, why: str) -> None:
        """SIGTERM to the process, SIGKILL to its group 3 s later; returns at once."""
        if self._ending is None and self._process and self._process.returncode is None:
            logger.warning("ending a worker", extra={"worker": self.name, "worker_pid": self.pid, "why": why})
            self._become(pb.WORKER_STATE_LOST)
            self._ending = asyncio.create_task(self._terminate())

    def kill(self) -> None:
        """SIGKILL to the group."""
        self._signal(signal.SIGKILL)

    async def _terminate(self) -> None:
        self._signal(signal.SIGTERM)
        await asyncio.sleep(KILL_AFTER_S)
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            return
        try:
            # Its group has the worker's own id; it can outlive the worker through what user code started.
            os.killpg(self._process.pid, number)
        except ProcessLookupError:
            pass

    def _become(self, state: pb.WorkerState) -> None:
        if self.state != state and self.state != pb.WORKER_STATE_LOST:
            self.state = state
            self._on_change()

    async def _listen(self, read_fd: int) -> None:
        reader = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(read_fd, "rb")
        )
        try:
            while line := await reader.readline():
                self._heard = time.monotonic()
                self._take(json.loads(line))
        finally:
            transport.close()

    def _take(self, report: dict[str, object]) -> None:
        match report.get("event"):
            case "ready":
                self.address = str(report["address"])
                self.ready_at = self.used_at = time.monotonic()
                if self.state == pb.WORKER_STATE_STARTING:
                    self._become(pb.WORKER_STATE_READY)
            case "heartbeat":
                self.rss_bytes = int(str(report["rss_bytes"]))
                self.in_flight = int(str(report["in_flight"]))
                runs = int(str(report["runs"]))
                if self.in_flight > 0 or runs != self.runs:
                    self.used_at = time.monotonic()
                self.runs = runs
                self.sessions = int(str(report["sessions"]))
                busy_ms = int(str(report["busy_ms"]))
                if busy_ms > BUSY_MAX_MS:
                    self.end(f"DSPy's loop has not turned for {busy_ms} ms")
            case "unresponsive":
                self.end("a cancelled run does not end")

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(0.5)
            silent_s = time.monotonic() - self._heard
            if silent_s > (START_TIMEOUT_S if self.state == pb.WORKER_STATE_STARTING else SILENT_MAX_S):
                self.end(f"silent for {silent_s:.0f} s")


def worker_environment(scratch: Path, *, keeps_ray: bool = False) -> dict[str, str]:
    """The environment of a process that imports DSPy: one thread a library, scratch folders, no price list from the network."""
    package_root = str(Path(__file__).resolve().parent.parent)
    path = os.environ.get("PYTHONPATH", "")
    return {
        **{name: value for name, value in os.environ.items() if keeps_ray or not name.startswith("RAY_")},
        **dict.fromkeys(_ONE_THREAD, "1"),
        "PYTHONPATH": f"{package_root}{os.pathsep}{path}" if path else package_root,
        "PYTHONUNBUFFERED": "1",
        "DSPY_CACHEDIR": str(scratch / "dspy"),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "GRPC_ENABLE_FORK_SUPPORT": "0",
    }
