"""The cancel ladder of a worker whose DSPy loop does not turn."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from signet_sidecar.config import read_config
from signet_sidecar.dspy_engine import prepare_process
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.worker.engine_loop import EngineLoop
from signet_sidecar.worker.link import SupervisorLink
from signet_sidecar.worker.server import Worker
from tests.support import TOKEN, ExecutorSession, eventually, program


class InProcess:
    """A real worker on a thread of the test, so that the test can block its DSPy loop."""

    def __init__(self) -> None:
        self.reports, write_fd = os.pipe()
        os.set_blocking(self.reports, False)
        self.engine = EngineLoop()
        self.engine.start()
        self.address = ""
        self._link = SupervisorLink(write_fd)
        self._worker: Any = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()
        eventually(lambda: self.address)

    async def _serve(self) -> None:
        config = read_config({"SIGNET_INTERNAL_TOKEN": TOKEN, "SIGNET_SIDECAR_ADDRESS": "127.0.0.1:0"})
        self._worker = Worker("in-process", config, self.engine, self._link)
        self._loop = asyncio.get_running_loop()
        self.address = await self._worker.serve()
        await self._worker.run_until_stopped()

    def reported(self) -> list[str]:
        try:
            return [json.loads(line)["event"] for line in os.read(self.reports, 65_536).splitlines()]
        except BlockingIOError:
            return []

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._worker.stop)
        self._thread.join(10)
        self.engine.loop.call_soon_threadsafe(self.engine.loop.stop)


@pytest.fixture
def worker() -> Iterator[InProcess]:
    prepare_process()
    made = InProcess()
    yield made
    made.stop()


@pytest.mark.parametrize("reason", ["CANCELLED", "DEADLINE_EXCEEDED"])
def test_a_run_that_does_not_react_is_answered_within_its_grace_and_reported(worker: InProcess, reason: str) -> None:
    executor = ExecutorSession(worker.address, lambda call: None)
    executor.define(program())
    executor.wait("ready")
    released = threading.Event()
    worker.engine.post(released.wait, 30)
    began = time.monotonic()
    run = executor.start({"question": "?"}, deadline_ms=100 if reason == "DEADLINE_EXCEEDED" else 0)
    if reason == "CANCELLED":
        executor.send(pb.ExecutorFrame(cancel=pb.Cancel(run=run)))
    outcome = executor.outcome(run, bound_s=5)
    assert 1.9 < time.monotonic() - began < 4
    assert isinstance(outcome, pb.RunError)
    assert outcome.reason == reason
    eventually(lambda: "unresponsive" in worker.reported())
    assert worker.engine.busy_ms() > 1_000
    # Heartbeats come from outside that loop and tell of it.
    eventually(lambda: any(f.HasField("heartbeat") and f.heartbeat.busy_ms > 1_000 for f in executor.frames))
    released.set()
    eventually(lambda: worker.engine.busy_ms() == 0)
    assert [frame.error.run for frame in executor.frames if frame.HasField("error")] == [run]
    executor.close()


def test_a_synchronous_call_of_the_model_cannot_block_its_own_reply(worker: InProcess) -> None:
    from signet_sidecar.dspy_engine.lm import Asking, LmRequest
    from signet_sidecar.worker.run import Run, RunPort

    executor = ExecutorSession(worker.address, lambda call: None)
    executor.define(program())
    run_number = executor.start({"question": "?"})
    eventually(lambda: executor.calls)
    executor.lm = lambda call: "from a blocked loop"
    run: Run = next(iter(next(iter(worker._worker._sessions)).runs.values()))
    answers: list[Any] = []
    request = LmRequest("predict", Asking("chat", ()), [{"role": "user", "content": "sync"}], b"", "")
    # On DSPy's own loop, which stands still until the I/O loop has brought the reply.
    worker.engine.post(lambda: answers.append(RunPort(run).call_sync(request)))
    assert eventually(lambda: answers)[0].text == "from a blocked loop"
    executor.send(pb.ExecutorFrame(cancel=pb.Cancel(run=run_number)))
    executor.outcome(run_number)
    executor.close()
