"""A real sidecar process and an executor's side of its sessions, for tests."""

from __future__ import annotations

import itertools
import json
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import grpc

from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.gen import sidecar_pb2_grpc as rpc

TOKEN = "test-token-of-the-sidecar"
BOUND_S = 20.0

T = dict[str, Any]
LmScript = Callable[[pb.LmCall], "pb.LmReply | str | None"]


def eventually(probe: Callable[[], Any], bound_s: float = BOUND_S) -> Any:
    """Polls until `probe` returns something true; fails after the bound."""
    end = time.monotonic() + bound_s
    while True:
        value = probe()
        if value:
            return value
        assert time.monotonic() < end, f"did not happen within {bound_s} s: {probe}"
        time.sleep(0.02)


class Sidecar:
    """A running `python -m signet_sidecar` on a free port."""

    def __init__(self, **env: str) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("SIGNET_", "OTEL_"))}
        settings = {"SIGNET_SIDECAR_ADDRESS": "127.0.0.1:0", "SIGNET_INTERNAL_TOKEN": TOKEN, "SIGNET_SIDECAR_WORKERS": "1", **env}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "signet_sidecar"],
            env={**clean, **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout and self.process.stderr
        self.logs: list[dict[str, Any]] = []
        self._reader = threading.Thread(target=self._read_logs, daemon=True)
        self._reader.start()
        line = self.process.stdout.readline()
        assert line, f"the sidecar did not start: {self.logs}"
        self.listening = json.loads(line)
        self.address: str = self.listening["address"]
        self.channel = grpc.insecure_channel(self.address)
        self.stub: Any = rpc.SidecarServiceStub(self.channel)

    def _read_logs(self) -> None:
        assert self.process.stderr
        for line in self.process.stderr:
            try:
                self.logs.append(json.loads(line))
            except ValueError:
                self.logs.append({"raw": line})

    def pool(self) -> pb.GetPoolResponse:
        return self.stub.GetPool(pb.GetPoolRequest(), timeout=10, metadata=auth())

    def ready(self) -> pb.Worker:
        """A worker that takes sessions."""
        return eventually(lambda: next((w for w in self.pool().workers if w.state == pb.WORKER_STATE_READY), None))

    def compile(self, program: pb.ProgramDefinition) -> pb.CompileProgramResponse:
        self.ready()
        return self.stub.CompileProgram(pb.CompileProgramRequest(program=program), timeout=20, metadata=auth())

    def stop(self) -> int:
        """SIGTERM and the exit code."""
        self.channel.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self._reader.join(10)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream
            stream.close()
        return code


@contextmanager
def sidecar(**env: str) -> Iterator[Sidecar]:
    """A sidecar for the length of a block."""
    made = Sidecar(**env)
    try:
        yield made
    finally:
        made.stop()


def auth(token: str = TOKEN) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {token}"),)


class ExecutorSession:
    """The executor's side of one session; a script answers the model's calls."""

    def __init__(self, address: str, lm: LmScript | None = None, token: str = TOKEN, hello: bool = True) -> None:
        self.lm = lm or (lambda call: reply(call, "[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"))
        self.frames: list[pb.WorkerFrame] = []
        self.calls: list[pb.LmCall] = []
        self.ended: grpc.RpcError | None = None
        self.closed = threading.Event()
        self._runs = itertools.count(1)
        self._out: queue.SimpleQueue[pb.SessionRequest | None] = queue.SimpleQueue()
        options = (("grpc.max_receive_message_length", 16 << 20), ("grpc.max_send_message_length", 64 << 20))
        self._channel = grpc.insecure_channel(address, options=options)
        stub: Any = rpc.SidecarServiceStub(self._channel)
        self._stream = stub.Session(iter(self._out.get, None), metadata=auth(token))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        if hello:
            self.send(pb.ExecutorFrame(hello=pb.Hello(executor="test")))

    def _read(self) -> None:
        try:
            for response in self._stream:
                for frame in response.frames:
                    if frame.WhichOneof("kind") == "lm_call":
                        self.calls.append(frame.lm_call)
                        answer = self.lm(frame.lm_call)
                        if isinstance(answer, str):
                            answer = reply(frame.lm_call, answer)
                        if answer is not None:
                            self.send(pb.ExecutorFrame(lm_reply=answer))
                    self.frames.append(frame)
        except grpc.RpcError as error:
            self.ended = error
        self.closed.set()

    def send(self, *frames: pb.ExecutorFrame) -> None:
        self._out.put(pb.SessionRequest(frames=frames))

    def wait(self, kind: str, run: int | None = None, bound_s: float = BOUND_S) -> Any:
        """The first frame of a kind (for a run)."""

        def probe() -> Any:
            for frame in list(self.frames):
                if frame.WhichOneof("kind") == kind:
                    body = getattr(frame, kind)
                    if run is None or body.run == run:
                        return body if kind != "drained" else frame
            return None

        return eventually(probe, bound_s)

    def define(self, program: pb.ProgramDefinition, ref: str = "p") -> None:
        self.send(pb.ExecutorFrame(define=pb.Define(ref=ref, program=program)))

    def start(self, inputs: dict[str, Any] | bytes, ref: str = "p", **more: Any) -> int:
        run = next(self._runs)
        text = inputs if isinstance(inputs, bytes) else json.dumps(inputs).encode()
        self.send(pb.ExecutorFrame(start=pb.Start(run=run, ref=ref, inputs_json=text, **more)))
        return run

    def outcome(self, run: int, bound_s: float = BOUND_S) -> pb.Result | pb.RunError:
        """How a run ended."""

        def probe() -> Any:
            for frame in list(self.frames):
                kind = frame.WhichOneof("kind")
                if kind in ("result", "error") and getattr(frame, kind).run == run:
                    return getattr(frame, kind)
            return None

        return eventually(probe, bound_s)

    def run(self, inputs: dict[str, Any] | bytes, ref: str = "p", **more: Any) -> pb.Result | pb.RunError:
        return self.outcome(self.start(inputs, ref, **more))

    def close(self) -> None:
        self._out.put(None)
        self._stream.cancel()
        self._channel.close()
        self._thread.join(10)


@contextmanager
def session(
    sidecar_: Sidecar, lm: LmScript | None = None, program: pb.ProgramDefinition | None = None
) -> Iterator[ExecutorSession]:
    """A session with a ready worker, with `program` defined as `p`."""
    made = ExecutorSession(sidecar_.ready().address, lm)
    try:
        made.wait("ready")
        if program is not None:
            made.define(program)
        yield made
    finally:
        made.close()


def reply(call: pb.LmCall, text: str, **more: Any) -> pb.LmReply:
    return pb.LmReply(run=call.run, call=call.call, completion=pb.LmCompletion(text=text, **more))


def failure(call: pb.LmCall, reason: str, **more: Any) -> pb.LmReply:
    return pb.LmReply(run=call.run, call=call.call, failure=pb.LmFailure(reason=reason, message=f"no completion: {reason}", **more))


def type_of(kind: str, *args: pb.Type, values: tuple[Any, ...] = ()) -> pb.Type:
    return pb.Type(
        kind=pb.TypeKind.Value(f"TYPE_KIND_{kind.upper()}"), args=args, values_json=[json.dumps(value).encode() for value in values]
    )


def field(name: str, kind: str | pb.Type = "str", *, output: bool = False, **more: Any) -> pb.Field:
    return pb.Field(name=name, output=output, type=type_of(kind) if isinstance(kind, str) else kind, **more)


def program(
    *fields: pb.Field, module: str = "predict", prompt_adapter: str = "chat", instructions: str = "", **more: Any
) -> pb.ProgramDefinition:
    """A program; without fields `question -> answer`."""
    fields = fields or (field("question"), field("answer", output=True))
    more.setdefault("lm", pb.LmCapabilities(model="openai/test"))
    return pb.ProgramDefinition(
        signature=pb.Signature(instructions=instructions, fields=fields), module=module, prompt_adapter=prompt_adapter, **more
    )


def outputs_of(result: pb.Result | pb.RunError) -> dict[str, Any]:
    """The outputs of a run that must have ended well."""
    assert isinstance(result, pb.Result), result
    return json.loads(result.outputs_json)


def error_of(outcome: pb.Result | pb.RunError) -> pb.RunError:
    """The error of a run that must have failed."""
    assert isinstance(outcome, pb.RunError), outcome
    return outcome
