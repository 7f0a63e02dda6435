"""What the process writes to its log."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator

import pytest

from signet_sidecar.log import configure_logging


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Iterator[pytest.CaptureFixture[str]]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield capsys
    root.handlers[:] = handlers
    root.setLevel(level)


def test_our_debug_lines_stand_alone_and_an_absent_receiver_of_spans_is_no_error(
    lines: pytest.CaptureFixture[str],
) -> None:
    configure_logging("supervisor", "debug")
    logging.getLogger("signet_sidecar.x").debug("ours")
    logging.getLogger("asyncio").debug("using a selector")
    logging.getLogger("grpc._cython.cygrpc").debug("loaded a loop")
    logging.getLogger("opentelemetry.exporter.otlp.proto.grpc.exporter").error("failed to export")
    logging.getLogger("signet_sidecar.x").error("broken")
    written = [json.loads(line) for line in lines.readouterr().err.splitlines()]
    assert [(line["level"], line["msg"]) for line in written] == [
        ("debug", "ours"),
        ("warning", "failed to export"),
        ("error", "broken"),
    ]


def test_secrets_are_hidden_wherever_they_stand(lines: pytest.CaptureFixture[str]) -> None:
    configure_logging("supervisor", "info")
    said = "authorization: Bearer abc.d@f, bearer gh@i, sgn_0123456789abcdef at http://user:geheim@host/v1 and http://host:80"
    logging.getLogger("x").info(said, extra={"url": "api_key=verysecret"})
    text = lines.readouterr().err
    assert "http://host:80" in text
    assert not any(secret in text for secret in ("abc.d", "d@f", "gh@i", "sgn_0123456789", "geheim", "verysecret"))
