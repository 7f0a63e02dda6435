"""One run: its state on the I/O side and its coroutine on DSPy's loop."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import time
from typing import TYPE_CHECKING, Any

from signet_sidecar.dspy_engine.definition import ProgramData
from signet_sidecar.dspy_engine.execute import execute, to_failure
from signet_sidecar.dspy_engine.lm import Asking, LmAnswer, LmCallEnded, LmCallFailed, LmPromptTooLong, LmRequest
from signet_sidecar.dspy_engine.programs import Programs
from signet_sidecar.errors import RunFailure
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.log import RUN_IDS
from signet_sidecar.telemetry import UNTRACED, Telemetry
from signet_sidecar.wire import write_type

if TYPE_CHECKING:
    from signet_sidecar.worker.session import Session

# Reasons that end a run whatever its module does with exceptions.
_ENDING = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "BUDGET_EXCEEDED"})
_ASKINGS_MAX = 1_024

Pending = asyncio.Future[pb.LmReply] | concurrent.futures.Future[pb.LmReply]
_output_fields: dict[int, tuple[Asking, list[pb.OutputField]]] = {}


class Run:
    """A run in flight. `stop` holds why it is asked to end; `answered` is set by the I/O side alone."""

    __slots__ = (
        "answered", "call_count", "calls", "deadline", "execution_id", "inputs_json", "lm_ns", "lm_options_json",
        "number", "program", "session", "started_ns", "stop", "task", "tool_call_count", "tool_calls", "traceparent",
    )  # fmt: skip

    def __init__(self, session: Session, start: pb.Start, program: ProgramData) -> None:
        self.session = session
        self.number = start.run
        self.program = program
        self.inputs_json = start.inputs_json
        self.lm_options_json = start.lm_options_json
        self.traceparent = start.traceparent
        self.execution_id = start.execution_id
        self.started_ns = time.monotonic_ns()
        self.lm_ns = 0
        self.call_count = 0
        self.calls: dict[int, Pending] = {}
        self.tool_call_count = 0
        self.tool_calls: dict[int, asyncio.Future[bytes]] = {}
        self.stop = ""
        self.answered = False
        self.task: asyncio.Task[None] | None = None
        self.deadline: asyncio.TimerHandle | None = None

    def begin(self, programs: Programs, telemetry: Telemetry) -> None:
        """Starts the run's task; called on DSPy's loop."""
        if not self.stop:
            self.task = asyncio.get_running_loop().create_task(self._perform(programs, telemetry))
            self.task.add_done_callback(self._never_begun)
        else:
            self.session.post(self, self.stop_frame(), last=True)

    def cancel(self) -> None:
        """Cancels the run's task; called on DSPy's loop."""
        if self.task is not None:
            self.task.cancel()

    def stop_frame(self) -> pb.WorkerFrame:
        """The answer of a run that was asked to end and did not."""
        return self._failed(self._stop_failure())

    def _never_begun(self, task: asyncio.Task[None]) -> None:
        # A task that is cancelled before its first step never enters its body.
        if task.cancelled():
            self.session.post(self, self.stop_frame(), last=True)

    async def _perform(self, programs: Programs, telemetry: Telemetry) -> None:
        RUN_IDS.set((self.traceparent[3:35], self.execution_id))
        self.session.post(self, self._step("started"))
        trace = UNTRACED
        outputs = b""
        failure: RunFailure | None = None
        try:
            trace = telemetry.begin_run(self.traceparent, self.execution_id)
            outputs = await execute(
                programs.get(self.program), self.inputs_json, self.lm_options_json, RunPort(self), trace.modules
            )
        except asyncio.CancelledError:
            failure = self._stop_failure()
        # The last door of a run: whatever a program raises ends that run alone, SystemExit included.
        except BaseException as error:
            failure = to_failure(error)
        trace.end(failure)
        self.session.post(self, self._step("failed" if failure else "completed"))
        self.session.post(self, self._failed(failure) if failure else self._result(outputs), last=True)

    def _step(self, status: str) -> pb.WorkerFrame:
        return pb.WorkerFrame(step=pb.Step(run=self.number, name="predict", status=status))

    def _result(self, outputs: bytes) -> pb.WorkerFrame:
        own_ns = max(0, time.monotonic_ns() - self.started_ns - self.lm_ns)
        return pb.WorkerFrame(
            result=pb.Result(run=self.number, outputs_json=outputs, lm_calls=self.call_count, own_us=own_ns // 1_000)
        )

    def _failed(self, failure: RunFailure) -> pb.WorkerFrame:
        return pb.WorkerFrame(
            error=pb.RunError(
                run=self.number,
                reason=failure.reason,
                message=failure.message,
                category=failure.category,
                python_type=failure.python_type,
                retryable=failure.retryable,
                traceback=failure.traceback,
                lm_calls=self.call_count,
            )
        )

    def _stop_failure(self) -> RunFailure:
        if self.stop == "DEADLINE_EXCEEDED":
            return RunFailure(self.stop, "the deadline passed before the program ended", "deadline")
        return RunFailure("CANCELLED", "the run was cancelled", "cancelled")


class RunPort:
    """The run's way to the model and to the tools: calls leave as frames and their replies come back over the session."""

    __slots__ = ("_run",)

    def __init__(self, run: Run) -> None:
        self._run = run

    async def call(self, request: LmRequest) -> LmAnswer:
        """Waits on DSPy's loop for the reply."""
        run = self._run
        future: asyncio.Future[pb.LmReply] = asyncio.get_running_loop().create_future()
        number = self._send(request, future, threadsafe=False)
        began_ns = time.monotonic_ns()
        try:
            return _answer(await future)
        finally:
            run.lm_ns += time.monotonic_ns() - began_ns
            run.calls.pop(number, None)

    def call_sync(self, request: LmRequest) -> LmAnswer:
        """Blocks this thread, never the I/O loop that brings the reply."""
        run = self._run
        future: concurrent.futures.Future[pb.LmReply] = concurrent.futures.Future()
        number = self._send(request, future, threadsafe=True)
        began_ns = time.monotonic_ns()
        try:
            return _answer(future.result())
        except concurrent.futures.CancelledError as error:
            raise LmCallEnded(run.stop or "CANCELLED", "the run ended while it waited for the model", retryable=False) from error
        finally:
            run.lm_ns += time.monotonic_ns() - began_ns
            run.calls.pop(number, None)

    async def call_tool(self, name: str, args: dict[str, Any]) -> Any:
        """Waits on DSPy's loop for what the tool gave."""
        run = self._run
        self._check_going()
        # Half a surrogate pair ends the run: an agent cannot show it to the model either.
        args_json = json.dumps(args, ensure_ascii=False, default=str).encode()
        run.tool_call_count += 1
        number = run.tool_call_count
        future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        run.tool_calls[number] = future
        try:
            call = pb.ToolCall(run=run.number, call=number, tool=name, args_json=args_json)
            run.session.post(run, pb.WorkerFrame(tool_call=call))
            began_ns = time.monotonic_ns()
            observation = await future
            run.lm_ns += time.monotonic_ns() - began_ns
            return json.loads(observation)
        finally:
            run.tool_calls.pop(number, None)

    def _check_going(self) -> None:
        run = self._run
        if run.stop:
            raise LmCallEnded(run.stop, "the run is ending", retryable=False)

    def _send(self, request: LmRequest, pending: Pending, *, threadsafe: bool) -> int:
        run = self._run
        self._check_going()
        number = run.call_count + 1
        frame = pb.WorkerFrame(
            lm_call=pb.LmCall(
                run=run.number,
                call=number,
                predictor=request.predictor,
                prompt_adapter=request.asking.prompt_adapter,
                output_fields=_fields(request.asking),
                messages=[pb.LmMessage(role=message["role"], content=_text(message["content"])) for message in request.messages],
                options_json=request.options_json,
                traceparent=request.traceparent,
            )
        )
        run.call_count = number
        run.calls[number] = pending
        run.session.post(run, frame, threadsafe=threadsafe)
        return number


def _fields(asking: Asking) -> list[pb.OutputField]:
    # By identity: hashing an Asking walks all its types, and adapters keep one a signature.
    kept = _output_fields.get(id(asking))
    if kept is None:
        if len(_output_fields) >= _ASKINGS_MAX:
            _output_fields.clear()
        kept = (asking, [pb.OutputField(name=out.name, text=out.text, type=write_type(out.type)) for out in asking.outputs])
        _output_fields[id(asking)] = kept
    return kept[1]


def _text(content: Any) -> str:
    if not isinstance(content, str):
        raise RunFailure("MODULE_INVALID", "messages with media cannot be sent to the model", "module")
    return content


def _answer(reply: pb.LmReply) -> LmAnswer:
    if reply.HasField("completion"):
        return LmAnswer(reply.completion.text, reply.completion.streamed)
    failure = reply.failure
    reason = failure.reason or "LM_ERROR"
    message = failure.message or "the language model gave no completion"
    if reason in _ENDING:
        raise LmCallEnded(reason, message, retryable=failure.retryable)
    failed = LmPromptTooLong if failure.context_exceeded else LmCallFailed
    raise failed(reason, message, retryable=failure.retryable, retry_after_ms=failure.retry_after_ms)
