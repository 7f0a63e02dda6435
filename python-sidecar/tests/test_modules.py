"""Every module that a program may name, in real workers: its calls, its outputs, its settings, and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from signet_sidecar.gen import sidecar_pb2 as pb
from tests.support import ExecutorSession, Sidecar, error_of, eventually, outputs_of, program, session, sidecar

USER_CODE = {
    "SIGNET_PYTHON_PATH": str(Path(__file__).parent / "user_code"),
    "SIGNET_PYTHON_MODULES": ",".join(
        [
            "TwoHops=own_programs:TwoHops",
            "Wrapped=own_programs:Wrapped@shared",
            "Moody=own_programs:Moody@shared",
            "Stuck=own_programs:Stuck",
            "NeedsMuch=own_programs:NeedsMuch",
            "NoWork=own_programs:NoWork",
            "NotAModule=own_programs:NotAModule",
            "SyncShared=own_programs:TwoHops@shared",
            "Missing=no_such_package:Nothing",
            "short=own_programs:short_is_better",
        ]
    ),
}


@pytest.fixture(scope="module")
def own() -> Iterator[Sidecar]:
    """A sidecar with a user's code."""
    with sidecar(SIGNET_LOG_LEVEL="error", **USER_CODE) as made:
        yield made


def configured(module: str, config: Any = None, **more: Any) -> pb.ProgramDefinition:
    text = json.dumps(config).encode() if config is not None else b""
    return program(module=module, module_config_json=text, **more)


def chat(**fields: str) -> str:
    return "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in fields.items()) + "[[ ## completed ## ]]"


def test_react_calls_tools_through_the_executor(own: Sidecar) -> None:
    steps = [
        chat(next_thought="look", next_tool_name="lookup", next_tool_args='{"term": "Ada"}'),
        chat(next_thought="done", next_tool_name="finish", next_tool_args="{}"),
        chat(reasoning="seen", answer="Lovelace"),
    ]
    texts = iter(steps)
    tool = {"name": "lookup", "description": "Looks a term up.", "args": {"term": {"type": "string"}}}
    made = configured("react", {"max_iters": 3, "tools": [tool]})
    with session(own, lambda call: next(texts), made) as executor:
        run = executor.start({"question": "Who?"})
        call = executor.wait("tool_call", run)
        assert (call.call, call.tool, json.loads(call.args_json)) == (1, "lookup", {"term": "Ada"})
        executor.send(pb.ExecutorFrame(tool_reply=pb.ToolReply(run=run, call=1, observation_json=b'{"born": 1815}')))
        assert outputs_of(executor.outcome(run)) == {"reasoning": "seen", "answer": "Lovelace"}
        assert [call.predictor for call in executor.calls] == ["react", "react", "extract.predict"]
        assert "(1) lookup, whose description is <desc>Looks a term up.</desc>." in executor.calls[0].messages[0].content
        assert '{"born": 1815}' in executor.calls[1].messages[1].content


def test_a_tool_call_ends_with_its_run(own: Sidecar) -> None:
    text = chat(next_thought="look", next_tool_name="lookup", next_tool_args="{}")
    with session(own, lambda call: text, configured("react", {"tools": [{"name": "lookup"}]})) as executor:
        run = executor.start({"question": "Who?"})
        executor.wait("tool_call", run)
        executor.send(pb.ExecutorFrame(cancel=pb.Cancel(run=run)))
        assert error_of(executor.outcome(run)).reason == "CANCELLED"
        executor.send(pb.ExecutorFrame(tool_reply=pb.ToolReply(run=run, call=1, observation_json=b"not json")))


def test_multi_chain_comparison_asks_several_chains_and_compares_them(own: Sidecar) -> None:
    def lm(call: pb.LmCall) -> str:
        if call.predictor == "chain.predict":
            return chat(reasoning=f"way {call.call}", answer=f"A{call.call}")
        return chat(rationale="the second is right", answer="A2")

    with session(own, lm, configured("multi_chain_comparison", {"M": 2, "temperature": 0.5})) as executor:
        result = executor.run({"question": "?"})
        assert outputs_of(result) == {"rationale": "the second is right", "answer": "A2"}
        assert result.lm_calls == 3
        assert [call.predictor for call in executor.calls] == ["chain.predict", "chain.predict", "compare.predict"]
        assert [json.loads(call.options_json) for call in executor.calls] == [{"temperature": 0.5}] * 3
        assert "«I'm trying to way 1 I'm not sure but my prediction is A1»" in executor.calls[2].messages[1].content


def solo(own: Sidecar) -> pb.Worker:
    """A solo worker, asked for as an executor asks."""
    from tests.support import auth

    def probe() -> Any:
        pool = own.stub.GetPool(pb.GetPoolRequest(solo_waiting=1), timeout=10, metadata=auth())
        return next((w for w in pool.workers if w.lane == pb.LANE_SOLO and w.state == pb.WORKER_STATE_READY), None)

    return eventually(probe)


def alone(own: Sidecar, lm: Any, made: pb.ProgramDefinition) -> ExecutorSession:
    executor = ExecutorSession(solo(own).address, lm)
    executor.wait("ready")
    executor.define(made)
    return executor


@pytest.mark.parametrize(("module", "inner"), [("best_of_n", "predict"), ("refine", "predict"), ("best_of_n", "chain_of_thought")])
def test_best_of_n_keeps_the_first_answer_that_is_good_enough(own: Sidecar, module: str, inner: str) -> None:
    texts = iter(["much too long", "yes", "never asked"])

    def lm(call: pb.LmCall) -> str:
        if call.predictor.startswith("module"):
            return chat(reasoning="because", answer=next(texts)) if inner == "chain_of_thought" else chat(answer=next(texts))
        return chat(discussion="d", advice='{"predict": "be short", "self": "be short"}')

    executor = alone(own, lm, configured(module, {"N": 3, "threshold": 1, "reward_fn": "short", "module": inner}))
    try:
        assert outputs_of(executor.run({"question": "?"})) == {"answer": "yes"}
        asked = [json.loads(call.options_json) for call in executor.calls if call.predictor.startswith("module")]
        assert asked == [{"temperature": 1.0}] * 2
    finally:
        executor.close()


def test_a_users_module_runs_in_a_thread_and_asks_the_executor(own: Sidecar) -> None:
    executor = alone(own, lambda call: chat(answer=f"hop {call.call}"), configured("python:TwoHops", {"kwargs": {"hops": 3}}))
    try:
        result = executor.run({"question": "?"})
        assert outputs_of(result) == {"answer": "hop 3"}
        assert [call.predictor for call in executor.calls] == ["ask"] * 3
        assert "hop 2" in executor.calls[2].messages[1].content
        assert "[[ ## question ## ]]" in executor.calls[0].messages[1].content
    finally:
        executor.close()


def test_a_users_module_may_take_the_signature_and_share_its_worker(own: Sidecar) -> None:
    with session(own, lambda call: chat(reasoning="r", answer="wrapped"), configured("python:Wrapped")) as executor:
        assert outputs_of(executor.run({"question": "?"})) == {"answer": "wrapped"}
        assert executor.calls[0].predictor == "inner.predict"


@pytest.mark.parametrize(
    ("question", "message"),
    [
        ("raise", "ValueError: bad mood"),
        ("leave", "SystemExit: 3"),
        ("nothing", "the module gave no `answer`, which the signature declares"),
    ],
)
def test_what_a_users_module_does_wrong_fails_its_run_alone(own: Sidecar, question: str, message: str) -> None:
    with session(own, lambda call: chat(answer="fine"), configured("python:Moody")) as executor:
        error = error_of(executor.run({"question": question}))
        assert (error.reason, error.message) == ("MODULE_FAILED", message)
        assert outputs_of(executor.run({"question": "well?"})) == {"answer": "fine"}


def test_a_shared_worker_refuses_what_must_run_alone(own: Sidecar) -> None:
    with session(own, program=configured("python:TwoHops")) as executor:
        assert error_of(executor.run({"question": "?"})).reason == "INVALID_REQUEST"
        assert executor.calls == []


def test_a_solo_worker_takes_one_run_at_a_time_whoever_asks(own: Sidecar) -> None:
    made = configured("python:TwoHops")
    first = alone(own, lambda call: None, made)
    worker = solo(own)
    second = ExecutorSession(worker.address, lambda call: chat(answer="ok"))
    try:
        assert second.wait("ready").credit == 1
        second.define(made)
        first_worker = first.wait("ready").worker
        run = first.start({"question": "?"})
        eventually(lambda: first.calls)
        if first_worker == second.wait("ready").worker:
            assert second.wait("credit").limit == 0
            assert error_of(second.run({"question": "?"})).reason == "QUEUE_FULL"
        first.send(pb.ExecutorFrame(cancel=pb.Cancel(run=run)))
        assert error_of(first.outcome(run)).reason == "CANCELLED"
        eventually(lambda: isinstance(second.run({"question": "?"}), pb.Result))
    finally:
        first.close()
        second.close()


def test_a_run_that_cannot_be_stopped_costs_its_worker_and_no_other(own: Sidecar) -> None:
    executor = alone(own, None, configured("python:Stuck"))
    try:
        name = executor.wait("ready").worker
        run = executor.start({"question": "?"}, deadline_ms=200)
        assert error_of(executor.outcome(run)).reason == "DEADLINE_EXCEEDED"
        eventually(lambda: executor.closed.is_set())
        assert solo(own).worker != name
    finally:
        executor.close()


def test_compiling_tells_the_lane(own: Sidecar) -> None:
    assert own.compile(configured("react")).lane == pb.LANE_SHARED
    assert own.compile(configured("python:Moody")).lane == pb.LANE_SHARED
    assert own.compile(configured("python:TwoHops")).lane == pb.LANE_SOLO
    assert own.compile(configured("best_of_n", {"threshold": 1, "reward_fn": "short"})).lane == pb.LANE_SOLO


@pytest.mark.parametrize(
    ("module", "config", "why"),
    [
        ("os.system", None, "is not a module"),
        ("python:os.system", None, "is not in SIGNET_PYTHON_MODULES"),
        ("python:", None, "is not in SIGNET_PYTHON_MODULES"),
        ("python:Missing", None, "cannot be imported"),
        ("python:NotAModule", None, "is not a class made from dspy.Module"),
        ("python:short", None, "is not a class made from dspy.Module"),
        ("python:NoWork", None, "has no `forward` or `aforward`"),
        ("python:SyncShared", None, "has no `aforward`, since it shares its worker"),
        ("python:NeedsMuch", None, "cannot be made"),
        ("python:NeedsMuch", {"kwargs": {"colour": "exit"}}, "cannot be made"),
        ("python:NeedsMuch", {"kwargs": {"colour": "red", "self": 1}}, "cannot be made"),
        ("python:NeedsMuch", {"kwargs": []}, "module_config.kwargs of python:NeedsMuch must be an object"),
        ("python:TwoHops", {"hops": 3}, "module_config.hops: python:TwoHops takes kwargs"),
        ("predict", {"temperature": 1}, "module_config.temperature: predict takes none"),
        ("react", {"max_iters": 0}, "must be a whole number from 1 to 50"),
        ("react", {"max_iters": True}, "must be a whole number"),
        ("react", {"tools": [{"name": "finish"}]}, "tools[0].name"),
        ("react", {"tools": [{"name": "a"}, {"name": "a"}]}, "tools[1].name"),
        ("react", {"tools": [{"name": "a b"}]}, "tools[0].name"),
        ("react", {"tools": [{"name": "a", "args": {"x": 1}}]}, "tools[0].args"),
        ("react", {"tools": "all"}, "must be a list"),
        ("multi_chain_comparison", {"M": 1}, "must be a whole number from 2 to 8"),
        ("multi_chain_comparison", {"temperature": 3}, "must be a number from 0 to 2"),
        ("best_of_n", {"threshold": 1}, "module_config.reward_fn of best_of_n must be a text"),
        ("best_of_n", {"reward_fn": "short"}, "module_config.threshold of best_of_n must be a number"),
        ("best_of_n", {"threshold": 1, "reward_fn": "os.system"}, "is not in SIGNET_PYTHON_MODULES"),
        ("best_of_n", {"threshold": 1, "reward_fn": "TwoHops"}, "must name a function"),
        ("best_of_n", {"threshold": 1, "reward_fn": "short", "module": "react"}, "must be one of predict, chain_of_thought"),
        ("program_of_thought", {"max_iters": 99}, None),
        ("program_of_thought", None, "Deno"),
    ],
)
def test_a_module_that_cannot_be_served_says_why(own: Sidecar, module: str, config: Any, why: str | None) -> None:
    answer = own.compile(configured(module, config))
    assert answer.error.reason == "MODULE_INVALID"
    assert why is None or why in answer.error.message


def test_settings_that_are_no_object_are_refused(own: Sidecar) -> None:
    for text in (b"[1]", b"{", b"\xff"):
        assert own.compile(program(module="react", module_config_json=text)).error.reason == "MODULE_INVALID"


def test_demos_belong_to_the_predictor_that_answers(own: Sidecar) -> None:
    demo = json.dumps({"question": "first?", "reasoning": "so", "answer": "one"}).encode()
    steps = iter([chat(next_thought="", next_tool_name="finish", next_tool_args="{}"), chat(reasoning="r", answer="a")])
    with session(own, lambda call: next(steps), configured("react", demos_json=[demo])) as executor:
        outputs_of(executor.run({"question": "?"}))
        assert [len(call.messages) for call in executor.calls] == [2, 4]
    assert own.compile(configured("python:Moody", demos_json=[demo])).error.reason == "MODULE_INVALID"
