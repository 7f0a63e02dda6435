"""The pool's numbers for Prometheus, on a door of their own."""

from __future__ import annotations

import asyncio
from collections import Counter

from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.optimizers import Optimizers
from signet_sidecar.supervisor import Supervisor

REQUEST_BYTES_MAX = 8_192
REQUEST_TIMEOUT_S = 5.0
_STATES = {number: name.removeprefix("WORKER_STATE_").lower() for name, number in pb.WorkerState.items() if number}


async def serve_metrics(supervisor: Supervisor, optimizers: Optimizers, host: str, port: int) -> asyncio.Server:
    """Answers GET /metrics; raises OSError if the port is taken."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), REQUEST_TIMEOUT_S)
            found = head.split(b" ", 2)[:2] == [b"GET", b"/metrics"]
            status, body = ("200 OK", write_metrics(supervisor, optimizers).encode()) if found else ("404 Not Found", b"")
            kind = "text/plain; version=0.0.4; charset=utf-8"
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
                + body
            )
            await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass
        finally:
            writer.close()

    return await asyncio.start_server(answer, host.strip("[]"), port, limit=REQUEST_BYTES_MAX)


def write_metrics(supervisor: Supervisor, optimizers: Optimizers) -> str:
    """The numbers as they are now, in Prometheus' text form."""
    states: Counter[int] = Counter(worker.state for worker in supervisor.workers())
    lines = ["# HELP signet_sidecar_workers Worker processes by what they do.", "# TYPE signet_sidecar_workers gauge"]
    lines += [f'signet_sidecar_workers{{state="{name}"}} {states[number]}' for number, name in _STATES.items()]
    lines += [
        "# HELP signet_sidecar_worker_restarts_total How often a worker was started again.",
        "# TYPE signet_sidecar_worker_restarts_total counter",
        f"signet_sidecar_worker_restarts_total {supervisor.restarts}",
        "# HELP signet_sidecar_worker_recycled_total How often a worker was replaced because of its age, runs or memory.",
        "# TYPE signet_sidecar_worker_recycled_total counter",
        f"signet_sidecar_worker_recycled_total {supervisor.recycled}",
        "# HELP signet_sidecar_worker_lost_total Workers that died or hung.",
        "# TYPE signet_sidecar_worker_lost_total counter",
        f"signet_sidecar_worker_lost_total {supervisor.lost}",
        "# HELP signet_sidecar_resident_bytes Resident memory of all workers.",
        "# TYPE signet_sidecar_resident_bytes gauge",
        f"signet_sidecar_resident_bytes {supervisor.rss_bytes}",
        "# HELP signet_sidecar_runs_in_flight Runs that the workers have begun and not ended.",
        "# TYPE signet_sidecar_runs_in_flight gauge",
        f"signet_sidecar_runs_in_flight {supervisor.in_flight}",
        "# HELP signet_sidecar_optimizers Processes that each run one optimization.",
        "# TYPE signet_sidecar_optimizers gauge",
        f"signet_sidecar_optimizers {len(optimizers.describe())}",
    ]
    return "\n".join(lines) + "\n"
