"""Spans of sampled runs, received by a real OTLP door."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc

from signet_sidecar.gen import sidecar_pb2 as pb
from tests.support import Sidecar, eventually, program, session

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


class Receiver(trace_service_pb2_grpc.TraceServiceServicer):
    """Keeps what is exported."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        self.services: set[str] = set()
        self._lock = threading.Lock()
        self.server = grpc.server(ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self.server)
        self.address = f"http://127.0.0.1:{self.server.add_insecure_port('127.0.0.1:0')}"
        self.server.start()

    def Export(self, request: Any, context: Any) -> Any:  # noqa: N802
        with self._lock:
            for resource_spans in request.resource_spans:
                attributes = {item.key: item.value.string_value for item in resource_spans.resource.attributes}
                self.services.add(attributes["service.name"])
                self.spans += [span for scope in resource_spans.scope_spans for span in scope.spans]
        return trace_service_pb2.ExportTraceServiceResponse()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.server.stop(0)


def test_a_sampled_run_leaves_a_tree_of_spans_without_its_content(receiver: Receiver) -> None:
    made = Sidecar(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.address)
    with session(made, program=program(module="chain_of_thought")) as executor:
        executor.lm = lambda call: "[[ ## reasoning ## ]]\nr\n\n[[ ## answer ## ]]\ncontent-of-reply"
        more = {"traceparent": f"00-{TRACE}-{PARENT}-01", "execution_id": "execution-7"}
        assert isinstance(executor.run({"question": "content-of-input"}, **more), pb.Result)
        call = executor.calls[0]
    # Drained at the end: nothing waits for a timer.
    assert made.stop() == 0
    spans = {span.name: span for span in eventually(lambda: len(receiver.spans) >= 3 and receiver.spans)}
    assert set(spans) == {"sidecar.run", "ChainOfThought", "Predict"}
    run, outer, inner = spans["sidecar.run"], spans["ChainOfThought"], spans["Predict"]
    assert {span.trace_id.hex() for span in spans.values()} == {TRACE}
    assert (run.parent_span_id.hex(), outer.parent_span_id, inner.parent_span_id) == (PARENT, run.span_id, outer.span_id)
    assert call.traceparent == f"00-{TRACE}-{inner.span_id.hex()}-01"
    assert receiver.services == {"signet-sidecar"}
    assert "content-of" not in str(receiver.spans)
    assert "execution-7" in str(run.attributes)


def test_a_failed_run_leaves_failed_spans(receiver: Receiver) -> None:
    made = Sidecar(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.address)
    with session(made, lambda call: "garbage", program()) as executor:
        assert isinstance(executor.run({"question": "?"}, traceparent=f"00-{TRACE}-{PARENT}-01"), pb.RunError)
    made.stop()
    spans = {span.name: span for span in eventually(lambda: len(receiver.spans) >= 2 and receiver.spans)}
    assert [spans[name].status.code for name in ("sidecar.run", "Predict")] == [2, 2]
    assert "LM_REPLY_UNREADABLE" in str(spans["sidecar.run"].attributes)


def test_a_run_that_is_not_sampled_leaves_nothing(receiver: Receiver) -> None:
    made = Sidecar(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.address)
    with session(made, program=program()) as executor:
        assert isinstance(executor.run({"question": "?"}, traceparent=f"00-{TRACE}-{PARENT}-00"), pb.Result)
        assert executor.calls[0].traceparent == ""
    made.stop()
    assert receiver.spans == []


@pytest.mark.parametrize("traceparent", ["x", "00-zz-zz-01", "00-" + "0" * 32 + "-" + "0" * 16 + "-01", "é1", "1" * 5_000])
def test_a_malformed_trace_context_hurts_no_run(receiver: Receiver, traceparent: str) -> None:
    made = Sidecar(OTEL_EXPORTER_OTLP_ENDPOINT=receiver.address)
    with session(made, program=program()) as executor:
        assert isinstance(executor.run({"question": "?"}, traceparent=traceparent), pb.Result)
    made.stop()


def test_an_endpoint_that_refuses_hurts_no_run() -> None:
    made = Sidecar(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")
    with session(made, program=program()) as executor:
        assert isinstance(executor.run({"question": "?"}, traceparent=f"00-{TRACE}-{PARENT}-01"), pb.Result)
    assert made.stop() == 0
