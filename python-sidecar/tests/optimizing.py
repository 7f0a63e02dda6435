"""The executor's side of one optimization, for tests."""

from __future__ import annotations

import json
import queue
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.gen import sidecar_pb2_grpc as rpc
from tests.support import BOUND_S, TOKEN, Sidecar, auth, eventually, program

LmScript = Callable[[pb.OptimizeLmCall], "str | pb.LmFailure | None"]
MetricScript = Callable[[pb.OptimizeMetricCall], "float | tuple[float, str] | str | None"]
Rows = list[tuple[dict[str, Any], dict[str, Any]]]


def text_of(call: pb.OptimizeLmCall) -> str:
    """All that a call shows the model."""
    return "\n".join(message.content for message in call.call.messages)


def exact_answer(call: pb.OptimizeMetricCall) -> float:
    """1 if the answer is the expected one."""
    given, expected = json.loads(call.outputs_json), json.loads(call.expected_json)
    return float(given.get("answer") == expected.get("answer"))


class Optimization:
    """One call of Optimize; scripts answer the model's and the metric's calls."""

    def __init__(self, address: str, lm: LmScript, metric: MetricScript = exact_answer, token: str = TOKEN) -> None:
        self.lm = lm
        self.metric = metric
        self.on_tool: Callable[[pb.ToolCall], None] = lambda _: None
        self.frames: list[pb.OptimizeResponse] = []
        self.calls: list[pb.OptimizeLmCall] = []
        self.ended: grpc.RpcError | None = None
        self.closed = threading.Event()
        self._out: queue.SimpleQueue[pb.OptimizeRequest | None] = queue.SimpleQueue()
        options = (("grpc.max_receive_message_length", 16 << 20), ("grpc.max_send_message_length", 64 << 20))
        self._channel = grpc.insecure_channel(address, options=options)
        stub: Any = rpc.SidecarServiceStub(self._channel)
        self._stream = stub.Optimize(iter(self._out.get, None), metadata=auth(token))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for frame in self._stream:
                self.frames.append(frame)
                match frame.WhichOneof("kind"):
                    case "lm_call":
                        self._answer(frame.lm_call)
                    case "metric_call":
                        self._score(frame.metric_call)
                    case "tool_call":
                        self.on_tool(frame.tool_call)
        except grpc.RpcError as error:
            self.ended = error
        self.closed.set()

    def _answer(self, call: pb.OptimizeLmCall) -> None:
        self.calls.append(call)
        answer = self.lm(call)
        if isinstance(answer, str):
            self.send(lm_reply=pb.LmReply(call=call.call.call, completion=pb.LmCompletion(text=answer)))
        elif answer is not None:
            self.send(lm_reply=pb.LmReply(call=call.call.call, failure=answer))

    def _score(self, call: pb.OptimizeMetricCall) -> None:
        score = self.metric(call)
        reply = pb.OptimizeMetricReply(call=call.call)
        match score:
            case None:
                return
            case str():
                reply.error = score
            case (number, feedback):
                reply.score, reply.feedback = number, feedback
            case _:
                reply.score = score
        self.send(metric_reply=reply)

    def send(self, **frame: Any) -> None:
        self._out.put(pb.OptimizeRequest(**frame))

    def examples(self, split: str, rows: Rows) -> None:
        made = [
            pb.OptimizeExample(
                id=f"{split}-{at}", inputs_json=json.dumps(inputs).encode(), outputs_json=json.dumps(outputs).encode()
            )
            for at, (inputs, outputs) in enumerate(rows)
        ]
        self.send(examples=pb.OptimizeExamples(split=split, examples=made))

    def start(self, optimizer: str, config: dict[str, Any] | None = None, train: Rows = (), val: Rows = (), **more: Any) -> None:  # type: ignore[assignment]
        more.setdefault("program", program())
        config_json = json.dumps(config).encode() if config else b""
        self.send(start=pb.OptimizeStart(optimizer=optimizer, config_json=config_json, job="test", **more))
        self.examples("train", train)
        if val:
            self.examples("val", val)
        self.send(begin=pb.OptimizeBegin())

    def all(self, kind: str) -> list[Any]:
        return [getattr(frame, kind) for frame in list(self.frames) if frame.WhichOneof("kind") == kind]

    def wait(self, kind: str, bound_s: float = BOUND_S) -> Any:
        return eventually(lambda: next(iter(self.all(kind)), None) or (self.closed.is_set() and self.ended), bound_s)

    def outcome(self, bound_s: float = 60.0) -> pb.OptimizeResult | pb.OptimizeError:
        """The last word; the stream is over then."""
        assert self.closed.wait(bound_s), self.frames[-3:]
        last = [*self.all("result"), *self.all("error")]
        assert len(last) == 1, (self.ended, self.frames[-3:])
        return last[0]

    def close(self) -> None:
        self._out.put(None)
        self._stream.cancel()
        self._channel.close()
        self._thread.join(10)


def _json(values: dict[str, Any]) -> bytes:
    return json.dumps(values).encode()


@contextmanager
def optimization(sidecar: Sidecar, lm: LmScript, metric: MetricScript = exact_answer, job: str = "test") -> Iterator[Optimization]:
    """A process of its own for the length of a block."""
    request = pb.StartOptimizationRequest(job=job)
    started = sidecar.stub.StartOptimization(request, timeout=60, metadata=auth())
    made = Optimization(started.address, lm, metric)
    try:
        yield made
    finally:
        made.close()
        sidecar.stub.EndOptimization(pb.EndOptimizationRequest(job=job), timeout=10, metadata=auth())
