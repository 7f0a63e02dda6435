"""One worker process on a node of the cluster: started, watched and ended here as a supervisor does on its own machine."""

from __future__ import annotations

import asyncio
import importlib
import json
import os
import shutil
import tempfile
from pathlib import Path

from signet_sidecar.dialect import dialect
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.log import configure_logging
from signet_sidecar.worker_process import Program, WorkerProcess

LEAVE_S = 0.5


class ProcessActor:
    """An actor's whole life is one process. Everything comes and goes as JSON text."""

    def __init__(self) -> None:
        self._worker: WorkerProcess | None = None
        self._code: int | None = None
        self._scratch = Path(tempfile.mkdtemp(prefix="signet-ray-"))

    async def start(self, order_json: str, settings_json: str) -> None:
        """Starts what is ordered, with the sidecar's settings, on this node's address. Raises where versions differ."""
        order, settings = json.loads(order_json), json.loads(settings_json)
        here = str(dialect())
        if here != order["dialect"]:
            raise RuntimeError(f"this node has other versions than the sidecar: {here.split()} and not {order['dialect'].split()}")
        host: str = importlib.import_module("ray").util.get_node_ip_address()
        os.environ.update(settings, SIGNET_SIDECAR_ADDRESS=f"[{host}]:0" if ":" in host else f"{host}:0")
        configure_logging("ray", os.environ.get("SIGNET_LOG_LEVEL", "info"))
        program = Program(order["module"], tuple(order["arguments"]), order["initial"])
        worker = WorkerProcess(0, self._scratch, lambda: None, solo=order["solo"], program=program)
        worker.name = order["name"]
        self._worker = worker
        self._life = asyncio.create_task(self._live(worker))

    async def look(self) -> str:
        """How the process is; with its exit `code` once it has ended."""
        worker = self._worker
        if worker is None:
            return "{}"
        return json.dumps(
            {
                "pid": worker.pid,
                "address": worker.address,
                "ready": worker.state == pb.WORKER_STATE_READY,
                "in_flight": worker.in_flight,
                "rss_bytes": worker.rss_bytes,
                "runs": worker.runs,
                "sessions": worker.sessions,
                "code": self._code,
            }
        )

    async def drain(self) -> None:
        """Asks the process to finish what it has and to end."""
        if self._worker is not None:
            self._worker.drain()

    async def end(self) -> None:
        """SIGTERM, SIGKILL 3 s later."""
        if self._worker is not None:
            self._worker.end("the sidecar asks for it")

    async def leave(self) -> None:
        """SIGKILL, and nothing of it stays on this node."""
        if self._worker is not None:
            self._worker.kill()
            await asyncio.wait({self._life}, timeout=LEAVE_S)
        shutil.rmtree(self._scratch, ignore_errors=True)

    async def _live(self, worker: WorkerProcess) -> None:
        try:
            self._code = await worker.run()
        except OSError:
            self._code = -1
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)
