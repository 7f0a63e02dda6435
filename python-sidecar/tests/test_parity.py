"""What we send and what we read equals stock DSPy, byte for byte; this gates every change of the pinned versions."""

from __future__ import annotations

import asyncio
import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import dspy
import pytest
from dspy import lm15

from signet_sidecar.dspy_engine import prepare_process
from signet_sidecar.dspy_engine.adapters import ADAPTERS
from signet_sidecar.dspy_engine.definition import Capabilities, FieldData, Kind, ProgramData, SignatureData, TypeData
from signet_sidecar.dspy_engine.execute import execute
from signet_sidecar.dspy_engine.lm import LmAnswer, LmRequest
from signet_sidecar.dspy_engine.outputs import write_outputs
from signet_sidecar.dspy_engine.programs import build_program
from signet_sidecar.dspy_engine.signatures import build_signature
from signet_sidecar.errors import RunFailure

RECORDS = [json.loads(line) for line in (Path(__file__).parent / "fixtures/dspy-3.4.1.jsonl").read_text().splitlines()]
# Flagged ones hold a value that no JSON API can carry.
FORMATS = [record for record in RECORDS if record["kind"] == "format" and not record["flags"]]
PARSES = [record for record in RECORDS if record["kind"] == "parse"]
STOCK = {"chat": dspy.ChatAdapter(), "json": dspy.JSONAdapter()}

prepare_process()


def type_data(source: dict[str, Any]) -> TypeData:
    name, of = source["t"], source.get("of")
    if name == "union":
        return TypeData(Kind.UNION, tuple(map(type_data, of)))
    if name == "literal":
        return TypeData(Kind.LITERAL, values=tuple(source["values"]))
    if name == "tuple":
        return (
            TypeData(Kind.TUPLE, tuple(map(type_data, source["items"])))
            if "items" in source
            else TypeData(Kind.TUPLE_VARIADIC, (type_data(of),))
        )
    if name == "dict":
        return TypeData(Kind.DICT, (TypeData(Kind.STR), type_data(of)))
    return TypeData(Kind(name), (type_data(of),) if of else ())


def signature_data(source: dict[str, Any]) -> SignatureData:
    fields = tuple(
        FieldData(
            name=item["name"],
            output=item["kind"] == "output",
            type=type_data(item["type"]),
            description=item.get("desc_src") or "",
            constraints=tuple(item.get("constraint_args", {}).items()),
            has_default="default" in item,
            default=item.get("default"),
        )
        for item in source["fields"]
        if not item.get("added")
    )
    return SignatureData(source["instructions_src"] or "", fields)


def program_data(source: dict[str, Any], adapter: str, **more: Any) -> ProgramData:
    module = {"Predict": "predict", "ChainOfThought": "chain_of_thought"}[source["module"]]
    return ProgramData("digest", signature_data(source), module, adapter, **more)


def test_the_fixtures_are_of_the_installed_versions() -> None:
    header = RECORDS[0]["versions"]
    assert {name: version(name) for name in ("dspy", "pydantic", "json_repair")} == {
        name: header[name] for name in ("dspy", "pydantic", "json_repair")
    }
    assert len(FORMATS) >= 30
    assert len(PARSES) >= 90


@pytest.mark.parametrize("adapter", ["chat", "json"])
@pytest.mark.parametrize("record", FORMATS, ids=lambda record: record["id"])
def test_messages_equal_stock_dspys(record: dict[str, Any], adapter: str) -> None:
    wanted = record["messages"][adapter]
    program = build_program(program_data(record["signature"], adapter, demos=tuple(record["demos"])))
    predictor = program.module.predictors()[0]
    # Twice: the first rendering fills what is kept, the second one uses it.
    for _ in range(2):
        assert program.adapter.format(predictor.signature, predictor.demos, record["inputs"]) == wanted
        assert STOCK[adapter].format(predictor.signature, [dict(demo) for demo in record["demos"]], record["inputs"]) == wanted


@pytest.mark.parametrize("record", PARSES, ids=lambda record: record["id"])
def test_replies_are_read_as_stock_dspy_reads_them(record: dict[str, Any]) -> None:
    program = build_program(program_data(record["signature"], record["adapter"]))
    signature = program.module.predictors()[0].signature
    wanted = record["result"]
    for _ in range(2):
        if "error" in wanted:
            with pytest.raises(Exception) as caught:  # noqa: PT011
                program.adapter.parse(signature, record["reply"])
            assert type(caught.value).__name__ == wanted["error"]
            with pytest.raises(type(caught.value)) as stock:
                STOCK[record["adapter"]].parse(signature, record["reply"])
            assert str(caught.value) == str(stock.value)
        else:
            value = program.adapter.parse(signature, record["reply"])
            if "{'" not in wanted["repr"][1:] and "set(" not in wanted["repr"]:
                assert repr(value) == wanted["repr"]
            assert repr(value) == repr(STOCK[record["adapter"]].parse(signature, record["reply"]))
            finite = "__py__" not in json.dumps(wanted["ok"])
            if finite and "__set__" not in json.dumps(wanted["ok"]):
                assert json.loads(write_outputs(value, tuple(value))) == wanted["ok"]


class ScriptedPort:
    """Our way to the model, answered from a list."""

    def __init__(self, replies: list[str]) -> None:
        self.replies = list(replies)
        self.requests: list[LmRequest] = []

    async def call(self, request: LmRequest) -> LmAnswer:
        self.requests.append(request)
        return LmAnswer(self.replies.pop(0), False)

    def call_sync(self, request: LmRequest) -> LmAnswer:
        raise AssertionError("not on this way")


class ScriptedEngine:
    """Stock DSPy's way to the model, answered from the same list."""

    def __init__(self, replies: list[str], capabilities: Capabilities) -> None:
        self.replies = list(replies)
        self.requests: list[Any] = []
        self.supports_response_schema = capabilities.json_schema
        self.supported_params = {"response_format"} if capabilities.json_schema or capabilities.json_object else set()

    def complete(self, request: Any) -> Any:
        self.requests.append(request)
        message = lm15.Message(role="assistant", parts=(lm15.TextPart(self.replies.pop(0)),))
        return lm15.Response(id="1", model=request.model, message=message, finish_reason="stop", usage=lm15.Usage())


def stock_messages(request: Any) -> list[tuple[str, str]]:
    turns = [(message.role, "".join(part.text for part in message.parts)) for message in request.messages]
    return [
        ("system", request.system if isinstance(request.system, str) else "".join(part.text for part in request.system)),
        *turns,
    ]


CHAT = "[[ ## answer ## ]]\nParis\n\n[[ ## score ## ]]\n3\n\n[[ ## tags ## ]]\n['a', \"b\"]\n\n[[ ## completed ## ]]"
JSON = '{"answer": "Paris", "score": 3, "tags": ["a"]}'
FIELDS = (
    FieldData("question", False, TypeData(Kind.STR)),
    FieldData("context", False, TypeData(Kind.LIST, (TypeData(Kind.STR),))),
    FieldData("answer", True, TypeData(Kind.STR)),
    FieldData("score", True, TypeData(Kind.FLOAT), "how sure", (("ge", 0), ("le", 1.5))),
    FieldData("tags", True, TypeData(Kind.LIST, (TypeData(Kind.STR),))),
)


@pytest.mark.parametrize(
    "capabilities", [Capabilities(), Capabilities(json_object=True), Capabilities(json_object=True, json_schema=True)]
)
@pytest.mark.parametrize("adapter", ["chat", "json"])
@pytest.mark.parametrize("module", ["predict", "chain_of_thought"])
@pytest.mark.parametrize(
    "replies", [[CHAT, JSON], [JSON, CHAT], ["", JSON], ["garbage", "garbage"], ['{"answer": "x", "score": "no"}', JSON]]
)
def test_calls_and_outcome_equal_stock_predict(replies: list[str], module: str, adapter: str, capabilities: Capabilities) -> None:
    if module == "chain_of_thought":
        replies = [
            text.replace("[[ ## answer", "[[ ## reasoning ## ]]\nr\n\n[[ ## answer").replace(
                '{"answer"', '{"reasoning": "r", "answer"'
            )
            for text in replies
        ]
    demos = ({"question": "q", "context": ["c"], "answer": "a", "score": 1.0, "tags": []}, {"question": "q2", "answer": "a2"})
    data = ProgramData("d", SignatureData("Answer it.", FIELDS), module, adapter, demos, {"temperature": 0.5}, capabilities)
    inputs = {"question": "Où?", "context": ["line\nbreak", "«quoted»"]}

    port = ScriptedPort(replies)
    try:
        ours: Any = json.loads(asyncio.run(execute(build_program(data), json.dumps(inputs).encode(), b"", port, None)))
    except RunFailure as failure:
        ours = failure.python_type

    engine = ScriptedEngine(replies, capabilities)
    stock_class = dspy.Predict if module == "predict" else dspy.ChainOfThought
    stock_module = stock_class(build_signature(data.signature))
    for predictor in stock_module.predictors():
        predictor.demos = [dict(demo) for demo in demos]
    language_model = dspy.LM("openai/x", engine=engine, cache=False, num_retries=0, temperature=0.5)
    try:
        with dspy.context(lm=language_model, adapter=type(STOCK[adapter])(), trace=[], disable_history=True):
            stock: Any = dict(stock_module(**inputs).items())
    except Exception as error:
        stock = type(error).__name__

    assert ours == stock
    assert [[(message["role"], message["content"]) for message in request.messages] for request in port.requests] == [
        stock_messages(request) for request in engine.requests
    ]
    for mine, theirs in zip(port.requests, engine.requests, strict=True):
        options = json.loads(mine.options_json)
        assert options.pop("temperature") == theirs.config.temperature == 0.5
        made = options.pop("response_format", None)
        if made and made["type"] == "json_schema":
            made = {"type": "json_schema", **made["json_schema"]}
        assert json.loads(json.dumps(made)) == json.loads(json.dumps(theirs.config.response_format))
        assert options == {}


def test_types_that_are_not_ours_take_the_stock_way() -> None:
    signature = dspy.Signature({"history": (dspy.History, dspy.InputField()), "answer": (str, dspy.OutputField())})
    inputs = {"history": dspy.History(messages=[{"answer": "before"}])}
    for name, adapter in ADAPTERS.items():
        assert adapter().format(signature, [], inputs) == STOCK[name].format(signature, [], dict(inputs))  # type: ignore[attr-defined]
