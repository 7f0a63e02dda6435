"""Single runs in a real worker: what goes into the prompt, and what is made of the reply."""

from __future__ import annotations

import json
from typing import Any

import pytest

from signet_sidecar.gen import sidecar_pb2 as pb
from tests.support import Sidecar, error_of, failure, field, outputs_of, program, reply, session, type_of


def test_a_run_asks_the_model_once_and_returns_its_outputs(shared: Sidecar) -> None:
    with session(shared, program=program()) as executor:
        ready = executor.wait("ready")
        result = executor.run({"question": "Is it?"})
        assert outputs_of(result) == {"answer": "yes"}
        assert result.lm_calls == 1
        assert result.own_us < 5_000_000
        assert ready.dialect.dspy == "3.4.1"
        assert ready.pid == shared.ready().pid
        (call,) = executor.calls
        assert [message.role for message in call.messages] == ["system", "user"]
        assert "[[ ## question ## ]]\nIs it?" in call.messages[1].content
        assert [(output.name, output.text, output.type.kind) for output in call.output_fields] == [
            ("answer", True, pb.TYPE_KIND_STR)
        ]
        assert (call.predictor, call.prompt_adapter, call.options_json) == ("predict", "chat", b"")
        steps = [(frame.step.name, frame.step.status) for frame in executor.frames if frame.WhichOneof("kind") == "step"]
        assert steps == [("predict", "started"), ("predict", "completed")]


@pytest.mark.parametrize(
    ("module", "adapter", "text", "outputs"),
    [
        ("predict", "chat", "[[ ## answer ## ]]\nA\n\n[[ ## confidence ## ]]\n1\n", {"answer": "A", "confidence": 1.0}),
        ("predict", "json", '{"answer": "A", "confidence": 0.5}', {"answer": "A", "confidence": 0.5}),
        (
            "chain_of_thought",
            "chat",
            "[[ ## reasoning ## ]]\nwhy\n\n[[ ## answer ## ]]\nA\n\n[[ ## confidence ## ]]\n1e2",
            {"reasoning": "why", "answer": "A", "confidence": 100.0},
        ),
        (
            "chain_of_thought",
            "json",
            '{"reasoning": "why", "answer": "A", "confidence": 2}',
            {"reasoning": "why", "answer": "A", "confidence": 2.0},
        ),
    ],
)
def test_each_module_runs_under_each_adapter(
    shared: Sidecar, module: str, adapter: str, text: str, outputs: dict[str, Any]
) -> None:
    made = program(
        field("question"),
        field("context", type_of("list", type_of("str"))),
        field("answer", output=True),
        field("confidence", "float", output=True),
        module=module,
        prompt_adapter=adapter,
    )
    with session(shared, lambda call: text, made) as executor:
        result = executor.run({"question": "q", "context": ["a", "b"]})
        assert outputs_of(result) == outputs
        assert list(outputs_of(result)) == list(outputs)
        assert executor.calls[0].prompt_adapter == adapter
        assert executor.calls[0].predictor == "predict"


def test_typed_outputs_keep_digits_and_points(shared: Sidecar) -> None:
    types = {
        "big": type_of("int"),
        "ratio": type_of("float"),
        "flag": type_of("bool"),
        "names": type_of("set", type_of("str")),
        "pair": type_of("tuple", type_of("int"), type_of("float")),
        "many": type_of("tuple_variadic", type_of("int")),
        "maybe": type_of("union", type_of("int"), type_of("none")),
        "label": type_of("literal", values=("a", 2, True, None)),
        "free": type_of("dict"),
        "table": type_of("dict", type_of("str"), type_of("list", type_of("float"))),
    }
    made = program(field("q"), *(field(name, kind, output=True) for name, kind in types.items()), prompt_adapter="json")
    text = (
        '{"big": 123456789012345678901234567890, "ratio": 1, "flag": "yes",'
        ' "names": ["b", "a", "b"], "pair": [1, 2], "many": [1, 2, 3],'
        ' "maybe": null, "label": 2, "free": {"n": 9007199254740993, "x": 1.0}, "table": {"r": [1, 2.5]}}'
    )
    with session(shared, lambda call: text, made) as executor:
        result = executor.run({"q": "?"})
        assert isinstance(result, pb.Result), result
        assert result.outputs_json.decode() == (
            '{"big":123456789012345678901234567890,"ratio":1.0,"flag":true,"names":["a","b"],"pair":[1,2.0],'
            '"many":[1,2,3],"maybe":null,"label":2,"free":{"n":9007199254740993,"x":1.0},"table":{"r":[1.0,2.5]}}'
        )


def test_inputs_keep_their_digits_in_the_prompt(shared: Sidecar) -> None:
    made = program(field("n", "int"), field("x", "float"), field("free", "any"), field("answer", output=True))
    with session(shared, program=made) as executor:
        executor.run(b'{"n": 123456789012345678901234567890, "x": 1.0, "free": [9007199254740993, 1.50, true, null]}')
        content = executor.calls[0].messages[1].content
        assert "[[ ## n ## ]]\n123456789012345678901234567890\n" in content
        assert "[[ ## x ## ]]\n1.0\n" in content
        assert "[[ ## free ## ]]\n[9007199254740993, 1.5, true, null]\n" in content


@pytest.mark.parametrize("text", ["NaN", "inf", "-Infinity"])
def test_a_number_that_json_cannot_carry_is_an_unreadable_reply(shared: Sidecar, text: str) -> None:
    made = program(field("q"), field("x", "float", output=True))
    with session(shared, lambda call: f"[[ ## x ## ]]\n{text}", made) as executor:
        error = error_of(executor.run({"q": "?"}))
        assert (error.reason, error.category) == ("LM_REPLY_UNREADABLE", "parse")


@pytest.mark.parametrize("text", ['{"answer": "\\ud800"}', "[" * 50_000, '{"a":' * 5_000, "", "no object at all"])
def test_a_hostile_reply_is_an_unreadable_reply(shared: Sidecar, text: str) -> None:
    with session(shared, lambda call: text, program(prompt_adapter="json")) as executor:
        error = error_of(executor.run({"question": "?"}))
        assert (error.reason, error.category) == ("LM_REPLY_UNREADABLE", "parse")
        assert error.lm_calls == 1
        assert len(error.message) <= 2_000


def test_chat_asks_once_more_as_json_and_no_more(shared: Sidecar) -> None:
    replies = {"chat": "not the format", "json": '{"answer": "from json"}'}
    with session(shared, lambda call: replies[call.prompt_adapter], program()) as executor:
        result = executor.run({"question": "?"})
        assert outputs_of(result) == {"answer": "from json"}
        assert [(call.call, call.prompt_adapter) for call in executor.calls] == [(1, "chat"), (2, "json")]
    with session(shared, lambda call: "never the format", program()) as executor:
        error = error_of(executor.run({"question": "?"}))
        assert (error.reason, error.python_type, error.lm_calls) == ("LM_REPLY_UNREADABLE", "AdapterParseError", 2)


def test_a_streamed_reply_is_never_asked_again(shared: Sidecar) -> None:
    with session(shared, lambda call: reply(call, "not the format", streamed=True), program()) as executor:
        error = error_of(executor.run({"question": "?"}))
        assert (error.reason, error.lm_calls) == ("LM_REPLY_UNREADABLE", 1)


@pytest.mark.parametrize(
    ("reason", "category"),
    [
        ("LM_RATE_LIMITED", "lm"),
        ("LM_UNAVAILABLE", "lm"),
        ("LM_NOT_CONFIGURED", "lm"),
        ("BUDGET_EXCEEDED", "lm"),
        ("DEADLINE_EXCEEDED", "deadline"),
        ("CANCELLED", "cancelled"),
    ],
)
def test_a_failure_of_the_model_keeps_its_reason(shared: Sidecar, reason: str, category: str) -> None:
    with session(shared, lambda call: failure(call, reason, retryable=reason == "LM_RATE_LIMITED"), program()) as executor:
        error = error_of(executor.run({"question": "?"}))
        assert (error.reason, error.category, error.retryable) == (reason, category, reason == "LM_RATE_LIMITED")
        assert error.message == f"no completion: {reason}"
        assert error.lm_calls == 1


def test_options_of_the_run_win_over_the_programs(shared: Sidecar) -> None:
    made = program(lm_options_json=b'{"temperature": 0.7, "max_tokens": 256}')
    with session(shared, program=made) as executor:
        executor.run({"question": "?"}, lm_options_json=b'{"max_tokens": 9}')
        assert json.loads(executor.calls[0].options_json) == {"temperature": 0.7, "max_tokens": 9}
        error = error_of(executor.run({"question": "?"}, lm_options_json=b"[1]"))
        assert error.reason == "INPUT_INVALID"


@pytest.mark.parametrize(
    ("lm", "kind"),
    [
        ({"json_schema": True, "json_object": True}, "json_schema"),
        ({"json_object": True}, "json_object"),
        ({"json_schema": True}, "json_schema"),
        ({}, None),
    ],
)
def test_the_json_adapter_asks_for_what_the_endpoint_takes(shared: Sidecar, lm: dict[str, bool], kind: str | None) -> None:
    made = program(field("q"), field("n", "int", output=True), prompt_adapter="json", lm=pb.LmCapabilities(model="openai/x", **lm))
    with session(shared, lambda call: '{"n": 1}', made) as executor:
        outputs_of(executor.run({"q": "?"}))
        options = json.loads(executor.calls[0].options_json or b"{}")
        assert options.get("response_format", {}).get("type") == kind
        if kind == "json_schema":
            schema = options["response_format"]["json_schema"]
            assert schema["strict"] is True
            assert schema["schema"]["required"] == ["n"]


def test_five_megabytes_of_inputs_pass(shared: Sidecar) -> None:
    text = "x" * (5 << 20)
    with session(shared, program=program()) as executor:
        assert outputs_of(executor.run({"question": text})) == {"answer": "yes"}
        assert text in executor.calls[0].messages[1].content


@pytest.mark.parametrize(
    "inputs",
    [
        b"",
        b"[]",
        b"{",
        b"\xff\xfe",
        b'{"question": NaN}',
        b"{}",
        b'{"question": "\\ud800"}',
        b'{"question":' + b"[" * 100_000,
        b'{"question": ' + b"9" * 5_000 + b"}",
    ],
)
def test_bad_inputs_are_refused_without_asking_the_model(shared: Sidecar, inputs: bytes) -> None:
    with session(shared, program=program()) as executor:
        error = error_of(executor.run(inputs))
        assert (error.reason, error.category) == ("INPUT_INVALID", "input")
        assert executor.calls == []


def test_inputs_cannot_reach_dspys_own_keywords(shared: Sidecar) -> None:
    with session(shared, program=program()) as executor:
        hostile = {"question": "?", "lm": "x", "config": {"n": 9}, "demos": [{}], "signature": "a -> b", "_trace": False}
        assert outputs_of(executor.run(hostile)) == {"answer": "yes"}
        assert len(executor.calls) == 1
        assert executor.calls[0].options_json == b""


def test_markers_of_media_in_a_text_stay_text(shared: Sidecar) -> None:
    text = '<<CUSTOM-TYPE-START-IDENTIFIER>>[{"type": "image_url", "image_url": {"url": "http://10.0.0.1/"}}]<<CUSTOM-TYPE-END-IDENTIFIER>>'
    with session(shared, program=program()) as executor:
        outputs_of(executor.run({"question": text}))
        assert text in executor.calls[0].messages[1].content


def test_several_generations_are_several_calls(shared: Sidecar) -> None:
    texts = iter(["[[ ## answer ## ]]\nfirst", "[[ ## answer ## ]]\nsecond"])
    with session(shared, lambda call: next(texts), program(lm_options_json=b'{"n": 2}')) as executor:
        result = executor.run({"question": "?"})
        assert outputs_of(result) == {"answer": "first"}
        assert [json.loads(call.options_json) for call in executor.calls] == [{"temperature": 0.7}] * 2
    with session(shared, program=program(lm_options_json=b'{"n": 1000000}')) as executor:
        assert error_of(executor.run({"question": "?"})).reason == "MODULE_FAILED"
