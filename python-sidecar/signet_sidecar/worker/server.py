"""A worker's gRPC door and the hand-over between its two loops."""

from __future__ import annotations

import asyncio
import concurrent.futures
import logging
import resource
import sys
from collections.abc import Callable
from typing import Any

import grpc
import grpc.aio

from signet_sidecar.auth import TokenCheck
from signet_sidecar.config import Config
from signet_sidecar.dialect import dialect
from signet_sidecar.dspy_engine.definition import ProgramData
from signet_sidecar.dspy_engine.programs import Programs, build_program
from signet_sidecar.dspy_engine.user_code import UserCode
from signet_sidecar.errors import DefinitionError
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.gen import sidecar_pb2_grpc as rpc
from signet_sidecar.lane import runs_alone
from signet_sidecar.telemetry import Telemetry
from signet_sidecar.wire import read_program, write_fault
from signet_sidecar.worker.compile import answer_parse, answer_render, plan_of, safely
from signet_sidecar.worker.engine_loop import EngineLoop
from signet_sidecar.worker.link import SupervisorLink
from signet_sidecar.worker.run import Pending, Run
from signet_sidecar.worker.session import CREDIT
from signet_sidecar.worker.session import Session as SessionState

CANCEL_GRACE_S = 2.0
LEAVE_S = 3.0
MESSAGE_BYTES_MAX = 16 * 1024 * 1024

logger = logging.getLogger(__name__)


class Worker(rpc.SidecarServiceServicer):
    """Serves sessions and single builds on one address; holds the two loops together."""

    def __init__(self, name: str, config: Config, engine: EngineLoop, link: SupervisorLink, *, solo: bool = False) -> None:
        self.name = name
        self.solo = solo
        self.draining = False
        self.retiring = False
        self.shared_modules = config.shared_modules
        self._config = config
        self._engine = engine
        self._link = link
        self._loop = asyncio.get_running_loop()
        self._telemetry = Telemetry(config)
        self._user_code = UserCode(config.modules, config.python_path, config.shared_modules, config.colbert_url)
        self._programs = Programs(self._user_code)
        self._sessions: set[SessionState] = set()
        self._dirty: set[SessionState] = set()
        self._in_flight = 0
        self._begun = 0
        self._empty = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._stopping = asyncio.Event()
        self._reader = concurrent.futures.ThreadPoolExecutor(1, thread_name_prefix="reader")
        # Apart from those that are served: these belong to the reader's thread.
        self._read_programs = Programs()
        self._server = grpc.aio.server(
            interceptors=(TokenCheck(config.token),),
            options=(
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
                ("grpc.so_reuseport", 0),
            ),
        )

    async def serve(self) -> str:
        """Opens the door on a free port of the supervisor's interface and returns its address."""
        rpc.add_SidecarServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        port = self._server.add_insecure_port(f"{self._config.host}:0")
        await self._server.start()
        return f"{self._config.host}:{port}"

    async def Session(self, request_iterator: Any, context: Any) -> None:  # noqa: N802
        """One executor's stream."""
        session = SessionState(self, context)
        self._sessions.add(session)
        self._empty.clear()
        try:
            await session.serve()
        finally:
            self._sessions.discard(session)
            if not self._sessions:
                self._empty.set()

    async def CompileProgram(self, request: pb.CompileProgramRequest, context: Any) -> pb.CompileProgramResponse:  # noqa: N802
        """Builds a program on DSPy's loop and tells how it went."""
        answer: asyncio.Future[pb.CompileProgramResponse] = self._loop.create_future()

        def build() -> None:
            made = _compile(request.program, self._user_code)
            self._loop.call_soon_threadsafe(_settle, answer, made)

        self._engine.post(build)
        return await answer

    async def ParseCompletion(self, request: pb.ParseCompletionRequest, context: Any) -> pb.ParseCompletionResponse:  # noqa: N802
        """Reads one reply on a thread of its own: a hostile one can take seconds, which DSPy's loop must not spend."""
        answer: pb.ParseCompletionResponse = await self._read(answer_parse, request, context)
        return answer

    async def RenderPrompt(self, request: pb.RenderPromptRequest, context: Any) -> pb.RenderPromptResponse:  # noqa: N802
        """Shows one prompt on that thread."""
        answer: pb.RenderPromptResponse = await self._read(answer_render, request, context)
        return answer

    async def _read(self, answer: Callable[[Programs, Any], Any], request: Any, context: Any) -> Any:
        made = await self._loop.run_in_executor(self._reader, safely, answer, self._read_programs, request)
        if isinstance(made, str):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, made)
        return made

    @property
    def credit(self) -> int:
        """How many runs a session may have in flight now."""
        if self.draining:
            return 0
        return int(not self.is_taken) if self.solo else CREDIT

    @property
    def is_taken(self) -> bool:
        """True for a solo worker that has its run."""
        return self.solo and self._in_flight > 0

    def begin(self, run: Run) -> None:
        """Hands a run to DSPy's loop."""
        self._in_flight += 1
        self._begun += 1
        self._idle.clear()
        self._offer()
        self._engine.post(run.begin, self._programs, self._telemetry)

    def prepare(self, program: ProgramData) -> None:
        """Builds a program before its first run; a refusal shows when it is run."""
        self._engine.post(self._prepare, program)

    def resolve(self, pending: Pending, reply: pb.LmReply) -> None:
        """Completes an LM call where its caller waits."""
        if isinstance(pending, concurrent.futures.Future):
            if not pending.done():
                pending.set_result(reply)
        else:
            self._engine.post(_settle, pending, reply)

    def settle(self, pending: asyncio.Future[Any], value: Any) -> None:
        """Completes a future of DSPy's loop."""
        self._engine.post(_settle, pending, value)

    def stop_run(self, run: Run) -> None:
        """Cancels a run; one that has not ended after 2 s costs the worker its life."""
        self.cancel_task(run)
        self._loop.call_later(CANCEL_GRACE_S, self._give_up, run)

    def cancel_task(self, run: Run) -> None:
        """Asks DSPy's loop to cancel a run's task and frees threads that wait for the model in its name."""
        for pending in list(run.calls.values()):
            if isinstance(pending, concurrent.futures.Future):
                pending.cancel()
        self._engine.post(run.cancel)

    def finished(self, run: Run) -> None:
        """Counts a run out."""
        self._in_flight -= 1
        if self._in_flight == 0:
            self._idle.set()
        self._offer()

    def _offer(self) -> None:
        # Whoever begins a run on a solo worker takes it from all other sessions.
        if self.solo and not self.draining:
            for session in self._sessions:
                session.send(pb.WorkerFrame(credit=pb.Credit(limit=self.credit)))
            self._link.report("heartbeat", **self.state())

    def wake_writer(self, session: SessionState, *, threadsafe: bool) -> None:
        """Makes the I/O loop write a session's queue: once a turn of DSPy's loop, at once from other threads."""
        if threadsafe:
            self._loop.call_soon_threadsafe(session.wake)
            return
        if not self._dirty:
            # At the end of this turn, so that frames of all runs that are ready now leave as one message.
            self._engine.loop.call_soon(self._hand_over)
        self._dirty.add(session)

    def heartbeat(self, in_flight: int) -> pb.Heartbeat:
        """What a session is told every 3 s."""
        return pb.Heartbeat(busy_ms=self._engine.busy_ms(), in_flight=in_flight, rss_bytes=rss_bytes())

    def state(self) -> dict[str, int]:
        """For the supervisor: milliseconds that DSPy's loop has not turned, runs in flight and begun, sessions, resident bytes."""
        return {
            "busy_ms": self._engine.busy_ms(),
            "in_flight": self._in_flight,
            "runs": self._begun,
            "sessions": len(self._sessions),
            "rss_bytes": rss_bytes(),
        }

    def drain(self) -> None:
        """Lets no further run begin and stops when the last one has ended and no executor holds a session any more."""
        if not self.retiring:
            self.draining = self.retiring = True
            for session in self._sessions:
                session.send(pb.WorkerFrame(credit=pb.Credit(limit=0)))
                session.send(pb.WorkerFrame(retiring=pb.Retiring()))
            self._retirement = self._loop.create_task(self._retire())

    async def _retire(self) -> None:
        await self._idle.wait()
        if self._sessions:
            # A run may be on its way to us: executors end their sessions when they know that we go and have nothing here.
            await _within(self._empty.wait(), LEAVE_S)
            await self._idle.wait()
        self.stop()

    def stop(self) -> None:
        """Ends `run_until_stopped`."""
        self.draining = True
        self._stopping.set()

    async def run_until_stopped(self) -> None:
        """Serves until `stop`, then closes the door within a second and flushes the spans."""
        await self._stopping.wait()
        await self._server.stop(0.5)
        await asyncio.to_thread(self._telemetry.flush, 1_000)

    def _hand_over(self) -> None:
        dirty, self._dirty = self._dirty, set()
        self._loop.call_soon_threadsafe(_wake_all, dirty)

    def _give_up(self, run: Run) -> None:
        if run.answered:
            return
        # Nothing may begin beside what is left of it.
        self.draining = True
        for session in self._sessions:
            session.send(pb.WorkerFrame(credit=pb.Credit(limit=0)))
        logger.error("a run does not react to its cancellation", extra={"execution_id": run.execution_id})
        run.session.give_up(run)
        # The answer gets a moment to leave before the supervisor ends this process.
        self._loop.call_later(0.1, self._link.report, "unresponsive")

    def _prepare(self, program: ProgramData) -> None:
        try:
            self._programs.get(program)
        except DefinitionError:
            logger.info("a program cannot be built", extra={"program": program.digest})


def _wake_all(sessions: set[SessionState]) -> None:
    for session in sessions:
        session.wake()


def _settle(future: asyncio.Future[Any], value: Any) -> None:
    # Its caller may have been cancelled meanwhile.
    if not future.done():
        future.set_result(value)


async def _within(waiting: Any, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(waiting, timeout_s)
    except TimeoutError:
        pass


def _compile(message: pb.ProgramDefinition, user_code: UserCode) -> pb.CompileProgramResponse:
    try:
        data = read_program(message)
        program = build_program(data, user_code)
    except DefinitionError as error:
        return pb.CompileProgramResponse(dialect=dialect(), error=write_fault(error.fault))
    except Exception as error:
        logger.exception("a program broke its build")
        fault = DefinitionError("MODULE_INVALID", f"the program cannot be built: {error}", type(error).__name__).fault
        return pb.CompileProgramResponse(dialect=dialect(), error=write_fault(fault))
    lane = pb.LANE_SOLO if runs_alone(data.module, user_code.shared) else pb.LANE_SHARED
    return pb.CompileProgramResponse(dspy_program_id=f"dspy-{data.digest[:32]}", dialect=dialect(), lane=lane, **plan_of(program))


def rss_bytes() -> int:
    """This process's resident memory; its peak where /proc is missing."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * resource.getpagesize()
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak if sys.platform == "darwin" else peak * 1_024
