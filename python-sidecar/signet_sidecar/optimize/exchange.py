"""What the optimizer's threads ask of the executor, and the one way in which all of them are stopped."""

from __future__ import annotations

import asyncio
import concurrent.futures
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from signet_sidecar.dspy_engine.lm import LmAnswer, LmCallEnded, LmCallFailed, LmPromptTooLong, LmRequest
from signet_sidecar.dspy_engine.optimize.port import MetricFailed
from signet_sidecar.errors import cut
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.wire import write_type

CALL_BYTES_MAX = 15 * 1024 * 1024
KEPT_MAX = 50_000
# Reasons after which no later call can fare better.
ENDING = frozenset({"CANCELLED", "DEADLINE_EXCEEDED", "BUDGET_EXCEEDED", "LM_NOT_CONFIGURED"})

Send = Callable[[pb.OptimizeResponse], None]


class Exchange:
    """Calls from any thread, each with a number of its own kind; `send` must take frames from any thread.

    Once stopped, every waiting and every later call raises LmCallEnded: DSPy swallows ordinary exceptions.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._lock = threading.Lock()
        self._pending: dict[tuple[str, int], concurrent.futures.Future[Any]] = {}
        # Answers, and calls on their way: two threads with the same question wait for one reply.
        self._kept: OrderedDict[bytes, concurrent.futures.Future[Any]] = OrderedDict()
        self._tool_calls = 0
        self.lm_calls = 0
        self.metric_calls = 0
        self.last_role = ""
        self.stop_reason = ""
        self.last_failure: LmCallFailed | None = None

    def call_lm(self, role: str, request: LmRequest, rollout: str) -> LmAnswer:
        """Blocks this thread for one completion; raises LmCallFailed or LmCallEnded where there is none.

        A request that was answered before in the same rollout has that answer again and leaves no frame.
        """
        key = _key_of(role, request, rollout)
        return self._answer(key, self._ask_lm(role, request, key).result())

    async def call_lm_async(self, role: str, request: LmRequest, rollout: str) -> LmAnswer:
        """The same for a module that awaits."""
        key = _key_of(role, request, rollout)
        return self._answer(key, await asyncio.wrap_future(self._ask_lm(role, request, key)))

    def call_metric(self, example_id: str, inputs_json: bytes, expected_json: bytes, outputs_json: bytes) -> tuple[float, str]:
        """Blocks this thread for a score and its feedback; raises MetricFailed or LmCallEnded."""
        if len(inputs_json) + len(expected_json) + len(outputs_json) > CALL_BYTES_MAX:
            raise MetricFailed("the example and its outputs are too large to be measured")
        with self._lock:
            self.metric_calls += 1
            number = self.metric_calls
            future = self._open("metric", number)
        call = pb.OptimizeMetricCall(
            call=number, example_id=example_id, inputs_json=inputs_json, expected_json=expected_json, outputs_json=outputs_json
        )
        self._send(pb.OptimizeResponse(metric_call=call))
        reply: pb.OptimizeMetricReply = future.result()
        if reply.error:
            raise MetricFailed(reply.error)
        return reply.score, reply.feedback

    def count_metric(self) -> None:
        """Counts a score that was taken in this process; raises LmCallEnded once stopped."""
        with self._lock:
            self._check()
            self.metric_calls += 1

    def call_tool(self, name: str, args: dict[str, Any]) -> Any:
        """Blocks this thread for what a tool of an agent gave; raises LmCallEnded."""
        args_json = json.dumps(args, default=str).encode()
        with self._lock:
            self._tool_calls += 1
            number = self._tool_calls
            future = self._open("tool", number)
        self._send(pb.OptimizeResponse(tool_call=pb.ToolCall(call=number, tool=name, args_json=args_json)))
        return json.loads(future.result())

    def take_lm_reply(self, reply: pb.LmReply) -> None:
        """Gives a call its reply; one that nobody waits for is dropped."""
        self._settle("lm", reply.call, reply)

    def take_metric_reply(self, reply: pb.OptimizeMetricReply) -> None:
        """Gives a call its score."""
        self._settle("metric", reply.call, reply)

    def take_tool_reply(self, reply: pb.ToolReply) -> None:
        """Gives a call what its tool gave."""
        self._settle("tool", reply.call, reply.observation_json)

    def stop(self, reason: str) -> None:
        """Ends all calls, now and from now on; the first reason stays."""
        with self._lock:
            if self.stop_reason:
                return
            self.stop_reason = reason
            pending = list(self._pending.values())
            self._pending.clear()
        for future in pending:
            if not future.done():
                future.set_exception(self._ended())

    @property
    def in_flight(self) -> int:
        """How many calls wait for an answer."""
        return len(self._pending)

    def _ask_lm(self, role: str, request: LmRequest, key: bytes) -> concurrent.futures.Future[Any]:
        with self._lock:
            self._check()
            if kept := self._kept.get(key):
                return kept
        messages = [pb.LmMessage(role=message["role"], content=_text(message["content"])) for message in request.messages]
        call = pb.LmCall(
            predictor=request.predictor,
            prompt_adapter=request.asking.prompt_adapter,
            output_fields=[
                pb.OutputField(name=out.name, text=out.text, type=write_type(out.type)) for out in request.asking.outputs
            ],
            messages=messages,
            options_json=request.options_json,
            traceparent=request.traceparent,
        )
        if call.ByteSize() > CALL_BYTES_MAX:
            raise LmCallFailed("INPUT_INVALID", f"the prompt is larger than {CALL_BYTES_MAX} bytes", retryable=False)
        with self._lock:
            if kept := self._kept.get(key):
                return kept
            future = self._open("lm", self.lm_calls + 1)
            self._kept[key] = future
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
            self.lm_calls += 1
            self.last_role = role
            call.call = self.lm_calls
        self._send(pb.OptimizeResponse(lm_call=pb.OptimizeLmCall(role=role, call=call)))
        return future

    def _open(self, kind: str, number: int) -> concurrent.futures.Future[Any]:
        self._check()
        future: concurrent.futures.Future[Any] = concurrent.futures.Future()
        self._pending[kind, number] = future
        return future

    def _check(self) -> None:
        if self.stop_reason:
            raise self._ended()

    def _ended(self) -> LmCallEnded:
        return LmCallEnded(self.stop_reason, "the optimization ends", retryable=False)

    def _settle(self, kind: str, number: int, value: Any) -> None:
        with self._lock:
            future = self._pending.pop((kind, number), None)
        if future is not None and not future.done():
            future.set_result(value)

    def _answer(self, key: bytes, reply: pb.LmReply) -> LmAnswer:
        if reply.HasField("completion"):
            return LmAnswer(reply.completion.text, False)
        with self._lock:
            self._kept.pop(key, None)
        failure = reply.failure
        reason = failure.reason or "LM_ERROR"
        message = cut(failure.message or "the language model gave no completion", 2_000)
        if reason in ENDING:
            # Other threads must not ask on: each further call would be one more than allowed.
            self.stop(reason)
            raise LmCallEnded(reason, message, retryable=failure.retryable)
        kind = LmPromptTooLong if failure.context_exceeded else LmCallFailed
        failed = kind(reason, message, retryable=failure.retryable, retry_after_ms=failure.retry_after_ms)
        self.last_failure = failed
        raise failed


def _key_of(role: str, request: LmRequest, rollout: str) -> bytes:
    asking = request.asking
    asked = [role, rollout, asking.prompt_adapter, [out.name for out in asking.outputs], request.messages]
    return hashlib.sha256(json.dumps(asked, default=repr).encode() + b"\0" + request.options_json).digest()


def _text(content: Any) -> str:
    if not isinstance(content, str):
        raise LmCallFailed("INPUT_INVALID", "messages with media cannot be sent to the model", retryable=False)
    return content
