"""Metrics in real workers: DSPy's own, a user's, and all the ways in which one can fail to give a score."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from signet_sidecar.gen import sidecar_pb2 as pb
from tests.support import (
    ExecutorSession,
    Sidecar,
    auth,
    error_of,
    eventually,
    field,
    outputs_of,
    program,
    session,
    sidecar,
    type_of,
)

NAMES = ("same_answer", "graded", "for_gepa", "Judge", "odd", "later", "alone", "not_callable")
ANY = type_of("dict", type_of("str"), type_of("any"))


@pytest.fixture(scope="module")
def own() -> Iterator[Sidecar]:
    """A sidecar with a user's metrics; `quick` is one of them that may share its worker."""
    listed = [f"{name}=own_metrics:{name}" for name in NAMES] + ["quick=own_metrics:odd@shared"]
    path = str(Path(__file__).parent / "user_code")
    with sidecar(SIGNET_LOG_LEVEL="error", SIGNET_PYTHON_PATH=path, SIGNET_PYTHON_MODULES=",".join(listed)) as made:
        yield made


def metric(module: str, **config: Any) -> pb.ProgramDefinition:
    fields = [field(name, ANY) for name in ("inputs", "expected", "outputs")]
    fields += [field("score", "float", output=True), field("feedback", output=True)]
    return program(*fields, module=module, module_config_json=json.dumps(config).encode())


def asked(question: str, expected: str, given: str) -> dict[str, Any]:
    return {"inputs": {"question": question}, "expected": {"answer": expected}, "outputs": {"answer": given}}


def alone(own: Sidecar, made: pb.ProgramDefinition, lm: Any = None) -> ExecutorSession:
    def probe() -> Any:
        pool = own.stub.GetPool(pb.GetPoolRequest(solo_waiting=1), timeout=10, metadata=auth())
        ready = (w for w in pool.workers if w.lane == pb.LANE_SOLO and w.state == pb.WORKER_STATE_READY)
        return next(ready, None)

    executor = ExecutorSession(eventually(probe).address, lm)
    executor.wait("ready")
    executor.define(made)
    return executor


@pytest.mark.parametrize(
    ("module", "config", "row", "score", "feedback"),
    [
        ("python_metric:same_answer", {}, asked("?", "a", "a"), 1.0, ""),
        ("python_metric:same_answer", {}, asked("?", "a", "b"), 0.0, ""),
        ("python_metric:graded", {"arguments": {"weight": 0.25}}, asked("q", "a", "ab"), 0.25, "`ab` to `q`"),
        ("python_metric:for_gepa", {}, asked("?", "a", "b"), 0.5, "None None None"),
    ],
)
def test_a_users_metric_gives_a_score(
    own: Sidecar, module: str, config: Any, row: dict[str, Any], score: float, feedback: str
) -> None:
    executor = alone(own, metric(module, **config))
    try:
        assert outputs_of(executor.run(row)) == {"score": score, "feedback": feedback}
    finally:
        executor.close()


def test_a_users_metric_may_ask_the_model(own: Sidecar) -> None:
    lm = "[[ ## verdict ## ]]\nTrue\n\n[[ ## completed ## ]]"
    executor = alone(own, metric("python_metric:Judge", arguments={"strict": True}), lambda call: lm)
    try:
        assert outputs_of(executor.run(asked("?", "a", "b")))["score"] == 1.0
        assert [call.predictor for call in executor.calls] == ["metric.ask"]
    finally:
        executor.close()


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("raise", "ValueError: no opinion"),
        ("leave", "SystemExit: 3"),
        ("seven", "`quick` gave 7, which is not from 0 to 1"),
        ("nan", "`quick` gave nan, which is not from 0 to 1"),
        ("none", "`quick` gave NoneType, which is no number"),
        ("text", "`quick` gave str, which is no number"),
        ("list", "`quick` gave list, which is no number"),
        ("empty", "`quick` gave NoneType, which is no number"),
        ("unknown", "KeyError: 'unknown'"),
    ],
)
def test_a_metric_that_gives_no_score_says_why(own: Sidecar, question: str, message: str) -> None:
    with session(own, program=metric("python_metric:quick")) as executor:
        error = error_of(executor.run(asked(question, "a", "b")))
        assert (error.reason, error.message) == ("MODULE_FAILED", message)


def test_an_async_metric_is_no_plain_function(own: Sidecar) -> None:
    executor = alone(own, metric("python_metric:later"))
    try:
        assert "a coroutine, but metrics are plain functions" in error_of(executor.run(asked("?", "a", "b"))).message
    finally:
        executor.close()


def test_a_metric_that_hangs_costs_its_own_worker_alone(own: Sidecar) -> None:
    executor = alone(own, metric("python_metric:odd"))
    try:
        assert error_of(executor.run(asked("hang", "a", "b"), deadline_ms=200)).reason == "DEADLINE_EXCEEDED"
        eventually(lambda: executor.closed.is_set())
    finally:
        executor.close()


@pytest.mark.parametrize(
    ("name", "config", "row", "score"),
    [
        ("answer_exact_match", {}, asked("?", "The Eiffel Tower", "eiffel tower!"), 1.0),
        ("answer_exact_match", {"arguments": {"frac": 0.5}}, asked("?", "a big tower", "big house"), 1.0),
        ("answer_exact_match", {"arguments": {"frac": 0.9}}, asked("?", "a big tower", "big house"), 0.0),
        (
            "answer_exact_match",
            {"field": "reply", "expected_field": "gold"},
            {"inputs": {"question": "?"}, "expected": {"gold": ["x", "y"]}, "outputs": {"reply": "Y"}},
            1.0,
        ),
        (
            "answer_passage_match",
            {},
            {"inputs": {"question": "?"}, "expected": {"answer": "tower"}, "outputs": {"context": ["no", "The Tower stands."]}},
            1.0,
        ),
    ],
)
def test_a_metric_of_dspy_is_dspys_own(own: Sidecar, name: str, config: Any, row: dict[str, Any], score: float) -> None:
    with session(own, program=metric(f"dspy_metric:{name}", **config)) as executor:
        assert outputs_of(executor.run(row)) == {"score": score, "feedback": ""}


def test_semantic_f1_asks_the_model_through_the_executor(own: Sidecar) -> None:
    text = "[[ ## reasoning ## ]]\nr\n\n[[ ## recall ## ]]\n0.5\n\n[[ ## precision ## ]]\n1.0\n\n[[ ## completed ## ]]"
    row = {"inputs": {"question": "?"}, "expected": {"answer": "long"}, "outputs": {"answer": "short"}}
    made = metric("dspy_metric:SemanticF1", field="answer", expected_field="answer")
    with session(own, lambda call: text, made) as executor:
        assert outputs_of(executor.run(row))["score"] == pytest.approx(2 / 3)
        assert len(executor.calls) == 1
        assert "[[ ## ground_truth ## ]]\nlong" in executor.calls[0].messages[1].content
        error = error_of(executor.run({**row, "inputs": {}}))
        assert (error.reason, error.python_type) == ("MODULE_FAILED", "AttributeError")


@pytest.mark.parametrize(
    ("module", "config", "why"),
    [
        ("python_metric:os.system", {}, "is not in SIGNET_PYTHON_MODULES"),
        ("python_metric:alone", {}, "cannot be called with (example, pred, trace=None)"),
        ("python_metric:not_callable", {}, "is neither a function nor a class"),
        ("python_metric:same_answer", {"arguments": {"colour": 1}}, "cannot be called"),
        ("python_metric:Judge", {"arguments": {"colour": 1}}, "cannot be made: TypeError"),
        ("python_metric:same_answer", {"arguments": [1]}, "must be an object"),
        ("python_metric:same_answer", {"more": 1}, "takes arguments, field, expected_field"),
        ("dspy_metric:eval", {}, "is not a metric of DSPy: take `answer_exact_match`"),
        ("dspy_metric:answer_exact_match", {"arguments": {"frac": 2}}, "must be a number from 0 to 1"),
        ("dspy_metric:SemanticF1", {"arguments": {"decompositional": 1}}, "must be true or false"),
        ("dspy_metric:answer_passage_match", {"arguments": {"frac": 1}}, "takes none"),
        ("metric:same_answer", {}, "is not a module"),
    ],
)
def test_a_metric_that_cannot_be_used_says_why(own: Sidecar, module: str, config: Any, why: str) -> None:
    answer = own.compile(metric(module, **config))
    assert answer.error.reason == "MODULE_INVALID"
    assert why in answer.error.message


def test_compiling_tells_the_lane(own: Sidecar) -> None:
    assert own.compile(metric("python_metric:same_answer")).lane == pb.LANE_SOLO
    assert own.compile(metric("python_metric:quick")).lane == pb.LANE_SHARED
    assert own.compile(metric("dspy_metric:SemanticF1")).lane == pb.LANE_SHARED
