"""Prompt plans, and single readings and renderings beside them."""

from __future__ import annotations

import json
from typing import Any

import dspy
import grpc
import pytest

from signet_sidecar.gen import sidecar_pb2 as pb
from tests.support import Sidecar, auth, field, program, type_of


def plan_of(sidecar: Sidecar, made: pb.ProgramDefinition) -> dict[str, Any]:
    response = sidecar.compile(made)
    assert not response.HasField("error"), response.error
    assert response.plan_fault == ""
    plan: dict[str, Any] = json.loads(response.plan_json)
    return plan


def parse(
    sidecar: Sidecar, made: pb.ProgramDefinition, adapter: str, reply: str, predictor: str = "predict"
) -> pb.ParseCompletionResponse:
    request = pb.ParseCompletionRequest(
        program=made, predictor=predictor, prompt_adapter=adapter, reply_json=json.dumps(reply).encode()
    )
    sidecar.ready()
    answer: pb.ParseCompletionResponse = sidecar.stub.ParseCompletion(request, metadata=auth())
    return answer


def test_a_plan_holds_what_stock_dspy_renders(shared: Sidecar) -> None:
    made = program(demos_json=[b'{"question": "one", "answer": "two"}', b'{"question": "three"}'])
    plan = plan_of(shared, made)
    signature = dspy.Signature("question -> answer")
    demos = [{"question": "one", "answer": "two"}, {"question": "three"}]
    (predictor,) = plan["predictors"]
    for name, adapter in (("chat", dspy.ChatAdapter()), ("json", dspy.JSONAdapter())):
        messages = adapter.format(signature, demos, {"question": "Q"})
        own = predictor[name]
        content = "".join(slot["before"] + "Q" for slot in own["slots"]) + own["ending"]
        shown = [{"role": "system", "content": own["system"]}, *own["demos"], {"role": "user", "content": content}]
        assert shown == messages
    assert (plan["format"], plan["module"], plan["outputs"]) == (1, "predict", ["answer"])
    assert plan["dialect"]["dspy"] == "3.4.1"


def test_a_plan_names_all_predictors_of_an_agent(shared: Sidecar) -> None:
    plan = plan_of(shared, program(module="react", module_config_json=b'{"max_iters": 4}'))
    assert [predictor["name"] for predictor in plan["predictors"]] == ["react", "extract.predict"]
    assert plan["settings"] == {"max_iters": 4}
    compared = plan_of(shared, program(module="multi_chain_comparison"))
    assert [predictor["name"] for predictor in compared["predictors"]] == ["chain.predict", "compare.predict"]
    assert json.loads(compared["predictors"][0]["options_json"]) == {"temperature": 0.7}


def test_defaults_and_literals_keep_their_digits(shared: Sidecar) -> None:
    made = program(
        field("q"),
        field("a", type_of("literal", values=(1, True, None, "é")), output=True),
        field("b", type_of("float"), output=True, default_json=b"1e16"),
    )
    a, b = plan_of(shared, made)["predictors"][0]["outputs"]
    assert a["type"]["values_json"] == ["1", "true", "null", '"\\u00e9"']
    assert b["default_json"] == "1e+16"


def test_unions_keep_their_order_whatever_was_built_before(shared: Sidecar) -> None:
    for kinds in (("int", "str"), ("str", "int"), ("int", "str")):
        union = type_of("union", *(type_of(kind) for kind in kinds))
        made = program(
            field("q"), field("a", type_of("list", type_of("union", type_of("list", union), type_of("none"))), output=True)
        )
        inner = plan_of(shared, made)["predictors"][0]["outputs"][0]["type"]["args"][0]["args"][0]["args"][0]
        assert tuple(arg["kind"] for arg in inner["args"]) == kinds


def test_modules_of_python_alone_have_no_plan_and_say_why(shared: Sidecar) -> None:
    response = shared.compile(program(module="multi_chain_comparison", module_config_json=b'{"M": 99}'))
    assert response.HasField("error")
    assert response.plan_json == b""


@pytest.mark.parametrize(
    ("adapter", "reply", "outputs"),
    [
        ("chat", "[[ ## answer ## ]]\n hi \n", {"answer": "hi"}),
        ("json", "{'answer': None}", {"answer": "None"}),
        ("json", '{"answer": "\\ud83d"}', {"answer": "\ud83d"}),
    ],
)
def test_a_reply_is_read_as_dspy_reads_it(shared: Sidecar, adapter: str, reply: str, outputs: dict[str, Any]) -> None:
    assert json.loads(parse(shared, program(), adapter, reply).outputs.outputs_json) == outputs


def test_sets_and_foreign_values_are_marked(shared: Sidecar) -> None:
    made = program(field("q"), field("s", type_of("set", type_of("int")), output=True), field("x", type_of("any"), output=True))
    read = parse(shared, made, "json", '{"s": [3, 1, 3], "x": "1j"}').outputs
    assert json.loads(read.outputs_json) == {"s": [1, 3], "x": "1j"}
    assert [(mark.path_json, mark.kind) for mark in read.marks] == [(b'["s"]', "set"), (b'["x"]', "repr")]


@pytest.mark.parametrize(
    ("adapter", "reply", "kind", "fields"),
    [
        ("chat", "nothing", "missing", ["n"]),
        ("chat", "[[ ## n ## ]]\nmany", "value", ["n"]),
        ("json", "[1]", "no_object", []),
        ("json", "[" * 100_000, "exception", []),
        ("chat", "[[ ## n ## ]]\n" + "{ " * 300_000, "exception", []),
    ],
)
def test_an_unreadable_reply_has_its_reason(shared: Sidecar, adapter: str, reply: str, kind: str, fields: list[str]) -> None:
    made = program(field("q"), field("n", "int", output=True))
    error = parse(shared, made, adapter, reply).error
    assert (error.kind, list(error.fields)) == (kind, fields)
    assert error.python_type


@pytest.mark.parametrize(
    "request_",
    [
        pb.ParseCompletionRequest(program=program(), predictor="predict", prompt_adapter="xml", reply_json=b'""'),
        pb.ParseCompletionRequest(program=program(), predictor="other", prompt_adapter="chat", reply_json=b'""'),
        pb.ParseCompletionRequest(program=program(), predictor="predict", prompt_adapter="chat", reply_json=b"1"),
        pb.ParseCompletionRequest(program=program(), predictor="predict", prompt_adapter="chat", reply_json=b"{"),
        pb.ParseCompletionRequest(program=program(module="rlm"), predictor="predict", prompt_adapter="chat", reply_json=b'""'),
    ],
)
def test_a_wrong_request_is_refused(shared: Sidecar, request_: pb.ParseCompletionRequest) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        shared.stub.ParseCompletion(request_, metadata=auth())
    assert raised.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_prompt_is_shown_with_its_inputs(shared: Sidecar) -> None:
    request = pb.RenderPromptRequest(
        program=program(), predictor="predict", prompt_adapter="chat", inputs_json=b'{"question": ["a"]}'
    )
    shown = json.loads(shared.stub.RenderPrompt(request, metadata=auth()).messages_json)
    assert shown == dspy.ChatAdapter().format(dspy.Signature("question -> answer"), [], {"question": ["a"]})
    request.inputs_json = b'{"question": [1]}'
    assert shared.stub.RenderPrompt(request, metadata=auth()).error.python_type == "TypeError"
    request.inputs_json = b"[]"
    with pytest.raises(grpc.RpcError):
        shared.stub.RenderPrompt(request, metadata=auth())
