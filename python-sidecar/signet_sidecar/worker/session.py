"""One executor's stream: frames in, frames out in batches, and the runs between them."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections import deque
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from signet_sidecar.dialect import dialect
from signet_sidecar.dspy_engine.definition import ProgramData
from signet_sidecar.errors import DefinitionError
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.lane import runs_alone
from signet_sidecar.wire import read_program
from signet_sidecar.worker.run import Run

if TYPE_CHECKING:
    from signet_sidecar.worker.server import Worker

CREDIT = 128
FRAMES_MAX = 1_000
BATCH_BYTES = 4 * 1024 * 1024
FRAME_BYTES_MAX = 15 * 1024 * 1024
EXECUTOR_SILENT_S = 15.0
LAST_WRITE_S = 1.0
PROGRAMS_MAX = 10_000

logger = logging.getLogger(__name__)
Context = grpc.aio.ServicerContext[pb.SessionRequest, pb.SessionResponse]


class ProtocolError(Exception):
    """The executor broke the session's rules; ends the stream with INVALID_ARGUMENT."""


class Session:
    """The state of one stream. All of it belongs to the I/O loop, but for `post`."""

    def __init__(self, worker: Worker, context: Context) -> None:
        self._worker = worker
        self._context = context
        self._programs: dict[str, tuple[str, ProgramData | DefinitionError]] = {}
        self._outbox: deque[tuple[Run | None, pb.WorkerFrame, bool]] = deque()
        self._wake = asyncio.Event()
        self._heard = time.monotonic()
        self._draining = False
        self._ending = False
        self._closed = False
        self.executor = ""
        self.runs: dict[int, Run] = {}

    async def serve(self) -> None:
        """Reads and writes until either side ends the stream; then cancels the runs that are left."""
        writer = asyncio.create_task(self._write())
        reader = asyncio.create_task(self._read())
        watcher = asyncio.create_task(self._watch())
        tasks = {writer, reader, watcher}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # What is on its way out leaves first: an abort beside a running write would wait for ever.
            self._ending = True
            self._wake.set()
            await asyncio.wait({writer}, timeout=LAST_WRITE_S)
            for task in done:
                error = task.exception()
                if isinstance(error, ProtocolError):
                    await self._context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
                if error is not None and not isinstance(error, grpc.RpcError):
                    logger.warning("a session broke off", extra={"executor": self.executor, "cause": repr(error)})
            if self._worker.draining or watcher in done:
                await self._context.abort(grpc.StatusCode.UNAVAILABLE, "the worker stops")
        finally:
            self._closed = True
            for task in tasks:
                task.cancel()
            self._discard()
            for run in list(self.runs.values()):
                self._stop(run, "CANCELLED")

    def post(self, run: Run | None, frame: pb.WorkerFrame, *, last: bool = False, threadsafe: bool = False) -> None:
        """Queues a frame; called on DSPy's loop, or on any thread with `threadsafe`."""
        self._outbox.append((run, frame, last))
        self._worker.wake_writer(self, threadsafe=threadsafe)

    def wake(self) -> None:
        """Lets the writer look at its queue; called on the I/O loop."""
        self._wake.set()
        if self._closed:
            self._discard()

    def _discard(self) -> None:
        while self._outbox:
            run, _, last = self._outbox.popleft()
            if last and run is not None and not run.answered:
                self._finish(run)

    def send(self, frame: pb.WorkerFrame) -> None:
        """Queues a frame from the I/O loop."""
        self._outbox.append((None, frame, False))
        self._wake.set()

    async def _read(self) -> None:
        first = True
        while True:
            request = await self._context.read()
            if not isinstance(request, pb.SessionRequest):
                return
            self._heard = time.monotonic()
            if len(request.frames) > FRAMES_MAX:
                raise ProtocolError(f"a message has at most {FRAMES_MAX} frames")
            for frame in request.frames:
                kind = frame.WhichOneof("kind")
                if first != (kind == "hello"):
                    raise ProtocolError("the first frame is Hello, and it comes once")
                first = False
                self._take(kind, frame)

    def _take(self, kind: str | None, frame: pb.ExecutorFrame) -> None:
        match kind:
            case "start":
                self._start(frame.start)
            case "lm_reply":
                self._reply(frame.lm_reply)
            case "tool_reply":
                self._tool_reply(frame.tool_reply)
            case "cancel":
                if run := self.runs.get(frame.cancel.run):
                    self._stop(run, "CANCELLED")
            case "define":
                self._define(frame.define)
            case "hello":
                self._hello(frame.hello)
            case "drain":
                self._draining = True
                self._check_drained()
            # A newer executor may say what we do not know yet; heartbeats were noted when the message came.
            case _:
                pass

    def _hello(self, hello: pb.Hello) -> None:
        self.executor = hello.executor
        ready = pb.Ready(worker=self._worker.name, pid=os.getpid(), dialect=dialect(), credit=self._worker.credit)
        self.send(pb.WorkerFrame(ready=ready))
        if self._worker.retiring:
            self.send(pb.WorkerFrame(retiring=pb.Retiring()))
        logger.info("session opened", extra={"executor": self.executor})

    def _define(self, define: pb.Define) -> None:
        program: ProgramData | DefinitionError
        try:
            program = read_program(define.program)
            digest = program.digest
        except DefinitionError as error:
            program, digest = error, ""
        known = self._programs.get(define.ref)
        if known is not None and known[0] != digest:
            raise ProtocolError("a ref names the same program for the life of a session")
        if known is None and len(self._programs) >= PROGRAMS_MAX:
            raise ProtocolError(f"a session names at most {PROGRAMS_MAX} programs")
        self._programs[define.ref] = (digest, program)
        if isinstance(program, ProgramData) and (self._worker.solo or not runs_alone(program.module, self._worker.shared_modules)):
            self._worker.prepare(program)

    def _start(self, start: pb.Start) -> None:
        known = self._programs.get(start.ref)
        if start.run in self.runs:
            self._refuse(start, "INVALID_REQUEST", "a run of this number is in flight", "internal")
        elif self._draining or self._worker.draining:
            self._refuse(start, "SHUTTING_DOWN", "the worker takes no further run", "internal", retryable=True)
        elif self._worker.is_taken or len(self.runs) >= CREDIT:
            self._refuse(start, "QUEUE_FULL", "the worker has as many runs as it takes", "internal", retryable=True)
        elif known is None:
            self._refuse(start, "INVALID_REQUEST", "no program of this ref was defined", "internal")
        elif isinstance(known[1], DefinitionError):
            fault = known[1].fault
            self._refuse(start, "MODULE_INVALID", fault.message, "module", python_type=fault.python_type)
        elif not self._worker.solo and runs_alone(known[1].module, self._worker.shared_modules):
            self._refuse(start, "INVALID_REQUEST", f"runs of `{known[1].module}` belong on a solo worker", "internal")
        else:
            run = Run(self, start, known[1])
            self.runs[run.number] = run
            if start.deadline_ms:
                delay_s = min(start.deadline_ms, 31_536_000_000) / 1_000
                run.deadline = asyncio.get_running_loop().call_later(delay_s, self._stop, run, "DEADLINE_EXCEEDED")
            self._worker.begin(run)

    def _refuse(self, start: pb.Start, reason: str, message: str, category: str, **more: Any) -> None:
        self.send(pb.WorkerFrame(error=pb.RunError(run=start.run, reason=reason, message=message, category=category, **more)))

    def _reply(self, reply: pb.LmReply) -> None:
        run = self.runs.get(reply.run)
        pending = run.calls.get(reply.call) if run else None
        # A reply that crossed the end of its run is nothing to complain about.
        if pending is not None:
            self._worker.resolve(pending, reply)

    def _tool_reply(self, reply: pb.ToolReply) -> None:
        run = self.runs.get(reply.run)
        pending = run.tool_calls.get(reply.call) if run else None
        if pending is not None:
            self._worker.settle(pending, reply.observation_json)

    def _stop(self, run: Run, reason: str) -> None:
        if run.stop or run.number not in self.runs:
            return
        run.stop = reason
        self._worker.stop_run(run)

    def give_up(self, run: Run) -> None:
        """Answers for a run that did not react to its cancellation."""
        if self.runs.get(run.number) is run and not run.answered:
            self._outbox.append((run, run.stop_frame(), True))
            self.wake()

    async def _write(self) -> None:
        outbox = self._outbox
        while not self._ending:
            await self._wake.wait()
            self._wake.clear()
            while outbox:
                frames: list[pb.WorkerFrame] = []
                size = 0
                while outbox and len(frames) < FRAMES_MAX and size < BATCH_BYTES:
                    run, frame, last = outbox.popleft()
                    if run is not None and run.answered:
                        continue
                    frame_size = frame.ByteSize()
                    if frame_size > FRAME_BYTES_MAX:
                        frame, last, frame_size = self._too_large(run, frame), True, 0
                    frames.append(frame)
                    size += frame_size
                    if last and run is not None:
                        self._finish(run)
                if frames:
                    await self._context.write(pb.SessionResponse(frames=frames))

    def _too_large(self, run: Run | None, frame: pb.WorkerFrame) -> pb.WorkerFrame:
        if run is not None:
            self._worker.cancel_task(run)
        reason, category = ("INPUT_INVALID", "input") if frame.HasField("lm_call") else ("LM_REPLY_UNREADABLE", "parse")
        message = f"the prompt or the outputs are larger than {FRAME_BYTES_MAX} bytes"
        return pb.WorkerFrame(error=pb.RunError(run=run.number if run else 0, reason=reason, message=message, category=category))

    def _finish(self, run: Run) -> None:
        run.answered = True
        if run.deadline is not None:
            run.deadline.cancel()
        self.runs.pop(run.number, None)
        self._worker.finished(run)
        self._check_drained()

    def _check_drained(self) -> None:
        if self._draining and not self.runs:
            self.send(pb.WorkerFrame(drained=pb.Drained()))

    async def _watch(self) -> None:
        while time.monotonic() - self._heard < EXECUTOR_SILENT_S:
            await asyncio.sleep(3.0)
            self.send(pb.WorkerFrame(heartbeat=self._worker.heartbeat(len(self.runs))))
        logger.warning("the executor is silent", extra={"executor": self.executor})
