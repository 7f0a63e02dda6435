"""The executor's stream of one optimization: frames in, frames out, and the ladder by which it ends."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from signet_sidecar.config import Config
from signet_sidecar.dspy_engine.optimize.examples import DatasetFault
from signet_sidecar.dspy_engine.optimize.settings import SettingsFault
from signet_sidecar.errors import DefinitionError
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.optimize.exchange import ENDING
from signet_sidecar.optimize.job import Job, refused
from signet_sidecar.optimize.output import capture

FRAME_BYTES_MAX = 15 * 1024 * 1024
STOP_GRACE_S = 2.0
HEARTBEAT_S = 3.0
EXECUTOR_SILENT_S = 15.0
PROGRESS_S = 0.5
LAST_WRITE_S = 1.0
STOPPING_TURN_S = 0.0002

logger = logging.getLogger(__name__)


class ProtocolError(Exception):
    """The executor broke the order of frames; ends the stream with INVALID_ARGUMENT."""


class OptimizeSession:
    """The state of the stream. All of it belongs to the I/O loop, but for `_post`, which any thread may call."""

    def __init__(self, config: Config, context: Any, rss_bytes: Callable[[], int], memory_max: int) -> None:
        self._config = config
        self._context = context
        self._rss_bytes = rss_bytes
        self._memory_max = memory_max
        self._loop = asyncio.get_running_loop()
        self._out: asyncio.Queue[pb.OptimizeResponse | None] = asyncio.Queue()
        self._is_over = False
        self._job: Job | None = None
        self._begun = False
        self._is_written = False
        self._heard = time.monotonic()
        self._stopping: asyncio.TimerHandle | None = None

    async def serve(self) -> None:
        """Reads and writes until the last frame has left or the executor is gone."""
        writer = asyncio.create_task(self._write())
        tasks = {writer, asyncio.create_task(self._read()), asyncio.create_task(self._beat()), asyncio.create_task(self._tell())}
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            # What is on its way out leaves first: an abort beside a running write would not arrive.
            self._out.put_nowait(None)
            await asyncio.wait({writer}, timeout=LAST_WRITE_S)
            for task in done:
                error = task.exception()
                if isinstance(error, ProtocolError):
                    await self._context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
                if error is not None and not isinstance(error, grpc.RpcError):
                    logger.warning("an optimization's stream broke off", extra={"cause": repr(error)})
        finally:
            for task in tasks:
                task.cancel()
            if self._job is not None:
                self._job.exchange.stop("CANCELLED")

    def _post(self, frame: pb.OptimizeResponse) -> None:
        self._loop.call_soon_threadsafe(self._out.put_nowait, frame)

    async def _read(self) -> None:
        while True:
            request = await self._context.read()
            if not isinstance(request, pb.OptimizeRequest):
                return
            self._heard = time.monotonic()
            await self._take(request)

    async def _take(self, request: pb.OptimizeRequest) -> None:
        kind = request.WhichOneof("kind")
        if kind == "heartbeat" or self._is_over:
            return
        if (kind == "start") != (self._job is None):
            raise ProtocolError("the first frame is OptimizeStart, and it comes once")
        job = self._job
        match kind:
            case "start":
                await self._start(request.start)
            case "examples" | "begin" if self._begun:
                raise ProtocolError("nothing may be added to an optimization that has begun")
            case "examples" if job is not None:
                self._add(job, request.examples)
            case "begin" if job is not None:
                self._begun = True
                job.begin()
            case "stop" if job is not None:
                self._stop(job, request.stop.reason)
            case "lm_reply" if job is not None:
                job.exchange.take_lm_reply(request.lm_reply)
            case "metric_reply" if job is not None:
                job.exchange.take_metric_reply(request.metric_reply)
            case "tool_reply" if job is not None:
                job.exchange.take_tool_reply(request.tool_reply)

    async def _start(self, start: pb.OptimizeStart) -> None:
        capture(lambda level, text: self._post(pb.OptimizeResponse(log=pb.OptimizeLog(level=level, text=text))))
        try:
            # A user's module may be imported here.
            self._job = await asyncio.to_thread(Job, start, self._config, self._post)
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError):
                raise
            if not isinstance(error, (DefinitionError, SettingsFault, DatasetFault)):
                logger.exception("an optimization cannot be prepared")
            self._last(pb.OptimizeResponse(error=refused(error)))
            return
        self._out.put_nowait(pb.OptimizeResponse(ready=self._job.ready()))

    def _add(self, job: Job, examples: pb.OptimizeExamples) -> None:
        try:
            job.add(examples)
        except DatasetFault as error:
            self._last(pb.OptimizeResponse(error=refused(error)))

    def _stop(self, job: Job, reason: str) -> None:
        if reason not in ENDING:
            raise ProtocolError(f"`{reason[:100]}` is not a reason to stop")
        job.exchange.stop(reason)
        if not self._begun:
            self._last(pb.OptimizeResponse(error=pb.OptimizeError(reason=reason, message="the optimization had not begun")))
        elif self._stopping is None:
            # Python that does not come back to us ends with the process: the last frame is ours then.
            error = pb.OptimizeError(reason=reason, message="the optimizer did not react and was ended")
            error.lm_calls, error.metric_calls = job.exchange.lm_calls, job.exchange.metric_calls
            # Python that keeps on computing must not keep us from going: each step of ours would wait 5 ms for its turn.
            sys.setswitchinterval(STOPPING_TURN_S)
            self._stopping = self._loop.call_later(STOP_GRACE_S, self._last, pb.OptimizeResponse(error=error))

    def _last(self, frame: pb.OptimizeResponse) -> None:
        self._is_over = True
        self._out.put_nowait(frame)

    async def _write(self) -> None:
        # The first last word counts: what is behind it is never sent.
        while not self._is_written:
            frame = await self._out.get()
            if frame is None:
                return
            frame = _fitting(frame)
            await self._context.write(frame)
            if frame.WhichOneof("kind") in ("result", "error"):
                self._is_written = self._is_over = True

    async def _beat(self) -> None:
        while time.monotonic() - self._heard < EXECUTOR_SILENT_S:
            rss = self._rss_bytes()
            in_flight = self._job.exchange.in_flight if self._job is not None else 0
            self._out.put_nowait(pb.OptimizeResponse(heartbeat=pb.Heartbeat(in_flight=in_flight, rss_bytes=rss)))
            for _ in range(int(HEARTBEAT_S / PROGRESS_S)):
                self._check_memory()
                await asyncio.sleep(PROGRESS_S)
        logger.warning("the executor is silent")

    def _check_memory(self) -> None:
        if self._rss_bytes() > self._memory_max and not self._is_over:
            message = f"the optimization took more than {self._memory_max // 2**20} MiB of memory"
            error = pb.OptimizeError(reason="MODULE_FAILED", message=message, python_type="MemoryError")
            self._last(pb.OptimizeResponse(error=error))

    async def _tell(self) -> None:
        told = b""
        while True:
            await asyncio.sleep(PROGRESS_S)
            if self._job is None or not self._begun or self._is_over:
                continue
            progress = self._job.progress()
            text = progress.SerializeToString()
            if text != told:
                told = text
                self._out.put_nowait(pb.OptimizeResponse(progress=progress))


def _fitting(frame: pb.OptimizeResponse) -> pb.OptimizeResponse:
    # States are bounded where they are written; this is for what else could ever grow.
    if frame.ByteSize() <= FRAME_BYTES_MAX:
        return frame
    message = f"a frame of the optimization was larger than {FRAME_BYTES_MAX} bytes"
    return pb.OptimizeResponse(error=pb.OptimizeError(reason="INTERNAL", message=message))
