"""Python that steps of pipelines call: what it is given, what comes back, DSPy's ColBERTv2, and what is refused."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlparse

import pytest

from signet_sidecar.gen import sidecar_pb2 as pb
from tests.support import (
    ExecutorSession,
    LmScript,
    Sidecar,
    auth,
    error_of,
    eventually,
    failure,
    field,
    outputs_of,
    program,
    sidecar,
    type_of,
)

NAMES = ("Counter", "NoCall", "Asking", "Awaiting", "ask", "join", "shapes", "fail", "hang", "later")
ASKED: list[dict[str, list[str]]] = []


class Search(BaseHTTPRequestHandler):
    """Stands in for a ColBERT server: answers with as many passages as it is asked for."""

    def do_GET(self) -> None:
        """Answers one search."""
        asked = parse_qs(urlparse(self.path).query)
        ASKED.append(asked)
        topk = [{"pid": at, "text": f"passage {at}", "score": 1 / (at + 1)} for at in range(int(asked["k"][0]) + 2)]
        body = {"error": True, "message": "no index"} if asked["query"] == ["broken"] else {"topk": topk}
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def log_message(self, *_: Any) -> None:
        """Says nothing."""


@pytest.fixture(scope="module")
def own() -> Iterator[Sidecar]:
    """A sidecar with a user's code and a place to search."""
    server = HTTPServer(("127.0.0.1", 0), Search)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    env = {
        "SIGNET_PYTHON_PATH": str(Path(__file__).parent / "user_code"),
        "SIGNET_PYTHON_MODULES": ",".join(f"{name}=own_calls:{name}" for name in NAMES),
        "SIGNET_COLBERT_URL": f"http://127.0.0.1:{server.server_port}/search",
    }
    with sidecar(SIGNET_LOG_LEVEL="error", **env) as made:
        yield made
    server.shutdown()


def call(name: str, **config: Any) -> pb.ProgramDefinition:
    fields = [field("arguments", type_of("dict", type_of("str"), type_of("any"))), field("result", type_of("any"), output=True)]
    return program(*fields, module=f"call:{name}", module_config_json=json.dumps(config).encode())


def alone(own: Sidecar, made: pb.ProgramDefinition, lm: LmScript | None = None) -> ExecutorSession:
    def probe() -> Any:
        pool = own.stub.GetPool(pb.GetPoolRequest(solo_waiting=1), timeout=10, metadata=auth())
        ready = (w for w in pool.workers if w.lane == pb.LANE_SOLO and w.state == pb.WORKER_STATE_READY)
        return next(ready, None)

    executor = ExecutorSession(eventually(probe).address, lm)
    executor.wait("ready")
    executor.define(made)
    return executor


def result_of(own: Sidecar, made: pb.ProgramDefinition, **arguments: Any) -> Any:
    executor = alone(own, made)
    try:
        return outputs_of(executor.run({"arguments": arguments}))["result"]
    finally:
        executor.close()


def refusal_of(own: Sidecar, made: pb.ProgramDefinition, **arguments: Any) -> tuple[str, str]:
    executor = alone(own, made)
    try:
        error = error_of(executor.run({"arguments": arguments}))
        return error.reason, error.message
    finally:
        executor.close()


def test_pip_04_a_class_is_made_with_its_keywords_and_called_with_the_inputs(own: Sidecar) -> None:
    assert result_of(own, call("Counter", longer_than=3), text="one two three four") == {"words": 2}
    assert result_of(own, call("join", second="-", z=1), first="a", y=2) == "a-yz"


def test_what_is_no_plain_data_becomes_it(own: Sidecar) -> None:
    assert result_of(own, call("shapes")) == [{"answer": ["a", 1]}, [[1, 2], [3, 4]], {"2": ["x"]}]


def test_pip_04_colbert_searches_where_the_operator_says(own: Sidecar) -> None:
    made = call("dspy.ColBERTv2", k=10)
    found = result_of(own, made, query="who wrote it")
    assert len(found) == 10
    assert found[0] == {"pid": 0, "text": "passage 0", "score": 1.0, "long_text": "passage 0"}
    assert len(result_of(own, made, query="who else", k=3)) == 3
    assert result_of(own, call("dspy.ColBERTv2", k=1, simplify=True), query={"a": 1}) == ["passage 0"]
    assert ASKED[-1] == {"query": ['{"a": 1}'], "k": ["1"]}


@pytest.mark.parametrize(
    ("made", "predictor", "result"),
    [
        (call("Asking", words="many"), "ask", {"answer": "Ada"}),
        (call("Awaiting"), "inner.predict", {"reasoning": "known", "answer": "Ada"}),
        (call("ask"), "", "Ada"),
    ],
    ids=["a module", "a module that awaits", "a function"],
)
def test_pip_04_what_is_called_may_ask_the_model(own: Sidecar, made: pb.ProgramDefinition, predictor: str, result: Any) -> None:
    texts = "[[ ## reasoning ## ]]\nknown\n\n[[ ## answer ## ]]\nAda\n\n[[ ## completed ## ]]"
    executor = alone(own, made, lambda _: texts)
    try:
        assert outputs_of(executor.run({"arguments": {"question": "Who?"}})) == {"result": result}
        assert [asked.predictor for asked in executor.calls] == [predictor]
        assert "Who?" in executor.calls[0].messages[-1].content
    finally:
        executor.close()


def test_a_model_that_gives_no_answer_fails_the_call(own: Sidecar) -> None:
    for name in ("Asking", "Awaiting"):
        executor = alone(own, call(name), lambda asked: failure(asked, "LM_NOT_CONFIGURED"))
        try:
            assert error_of(executor.run({"arguments": {"question": "Who?"}})).reason == "LM_NOT_CONFIGURED"
        finally:
            executor.close()


def test_failures_say_whose_fault_they_are(own: Sidecar) -> None:
    assert refusal_of(own, call("fail"), message="nothing there") == ("MODULE_FAILED", "LookupError: nothing there")
    assert refusal_of(own, call("later")) == ("MODULE_FAILED", "`later` gives a coroutine, but steps call plain code")
    reason, message = refusal_of(own, call("dspy.ColBERTv2"), query="broken")
    assert (reason, "no index" in message) == ("MODULE_FAILED", True)
    assert refusal_of(own, call("dspy.ColBERTv2"), query="x", k=1_000)[0] == "INPUT_INVALID"
    assert refusal_of(own, call("dspy.ColBERTv2"))[0] == "INPUT_INVALID"
    assert refusal_of(own, call("join"), second="x")[0] == "MODULE_FAILED"


@pytest.mark.parametrize(
    "made",
    [
        call("os.system"),
        call("dspy.ChainOfThought"),
        call("NoCall"),
        call("Counter", unknown=1),
        call("dspy.ColBERTv2", url="http://169.254.169.254/"),
        call("dspy.ColBERTv2", port=80),
        call("dspy.ColBERTv2", k=0),
    ],
    ids=["a module of Python", "a class of DSPy", "no call", "bad keywords", "an address", "a port", "a bad k"],
)
def test_what_cannot_be_called_is_refused(own: Sidecar, made: pb.ProgramDefinition) -> None:
    assert refusal_of(own, made)[0] == "MODULE_INVALID"


def test_colbert_needs_a_place_to_search() -> None:
    with sidecar(SIGNET_LOG_LEVEL="error") as bare:
        assert refusal_of(bare, call("dspy.ColBERTv2"), query="x")[0] == "MODULE_INVALID"


def test_a_call_that_hangs_ends_with_its_run(own: Sidecar) -> None:
    executor = alone(own, call("hang"))
    run = executor.start({"arguments": {}})
    executor.send(pb.ExecutorFrame(cancel=pb.Cancel(run=run)))
    assert error_of(executor.outcome(run)).reason == "CANCELLED"
    executor.close()
