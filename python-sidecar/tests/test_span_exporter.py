"""An outage of the receiver of spans, against a real OTLP door."""

from __future__ import annotations

import logging
import socket
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2, trace_service_pb2_grpc
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from signet_sidecar.span_exporter import ToldOnceExporter
from tests.support import eventually


class _Door(trace_service_pb2_grpc.TraceServiceServicer):
    def Export(self, request: object, context: object) -> object:  # noqa: N802
        return trace_service_pb2.ExportTraceServiceResponse()


def test_an_outage_is_told_once_and_its_end_with_what_was_lost(caplog: pytest.LogCaptureFixture) -> None:
    with socket.socket() as place:
        place.bind(("127.0.0.1", 0))
        port = place.getsockname()[1]
    exporter = ToldOnceExporter(OTLPSpanExporter(endpoint=f"http://127.0.0.1:{port}", insecure=True, timeout=1))
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracer = provider.get_tracer("test")
    caplog.set_level(logging.INFO)
    for number in range(3):
        tracer.start_span(f"lost {number}").end()
    assert [record.getMessage() for record in caplog.records] == ["spans are lost: nobody takes them"]

    server = grpc.server(ThreadPoolExecutor(1))
    trace_service_pb2_grpc.add_TraceServiceServicer_to_server(_Door(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:

        def told() -> bool:
            tracer.start_span("kept").end()
            return any(record.getMessage() == "spans are taken again" for record in caplog.records)

        eventually(told)
    finally:
        server.stop(0)
    ends = [record for record in caplog.records if record.getMessage() == "spans are taken again"]
    assert len(ends) == 1
    assert vars(ends[0])["lost"] >= 3
    provider.shutdown()
    logging.getLogger("opentelemetry.exporter.otlp").setLevel(logging.NOTSET)
