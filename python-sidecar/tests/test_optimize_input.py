"""What an optimizer process is told: programs of every kind, metrics, settings out of range and frames against the rules."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from signet_sidecar.dspy_engine.optimize.run_optimizer import RUNNERS
from signet_sidecar.dspy_engine.optimize.settings import SETTINGS, SettingsFault, read_settings
from signet_sidecar.gen import sidecar_pb2 as pb
from tests.optimizing import Optimization, optimization, text_of
from tests.support import Sidecar, auth, field, program, sidecar
from tests.test_optimize import CASES, TRAIN, VAL, scripted
from tests.test_optimize_ends import MODULES, USER_CODE

ANSWER = "[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"


@pytest.fixture(scope="module")
def optimizers() -> Iterator[Sidecar]:
    modules = f"{MODULES},Awaits=own_optimizers:Awaits"
    with sidecar(SIGNET_SIDECAR_OPTIMIZERS="2", SIGNET_PYTHON_PATH=str(USER_CODE), SIGNET_PYTHON_MODULES=modules) as made:
        yield made


def answering(call: pb.OptimizeLmCall) -> str:
    """Fills every output that a program's predictor asks for."""
    names = [output.name for output in call.call.output_fields]
    asked = call.call.messages[-1].content
    values = {name: "yes" if name == "answer" else f"because of {name}" for name in names}
    if "next_tool_name" in names:
        done = "Observation" in asked or "observation_0" in asked
        values |= {"next_tool_name": "finish" if done else "lookup", "next_tool_args": "{}" if done else '{"word": "odd"}'}
    if call.call.prompt_adapter == "json":
        return json.dumps(values)
    return "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in values.items()) + "[[ ## completed ## ]]"


TOOL = {"name": "lookup", "description": "Looks a word up.", "args": {"word": {"type": "string"}}}
PROGRAMS: dict[str, tuple[pb.ProgramDefinition, list[str]]] = {
    "predict": (program(), ["predict"]),
    "predict in JSON": (program(prompt_adapter="json"), ["predict"]),
    "chain_of_thought": (program(module="chain_of_thought"), ["predict"]),
    "multi_chain_comparison": (program(module="multi_chain_comparison"), ["chain.predict", "compare.predict"]),
    "react": (program(module="react", module_config_json=json.dumps({"tools": [TOOL]}).encode()), ["react", "extract.predict"]),
    "a module that only awaits": (program(module="python:Awaits"), ["step"]),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_programs_of_every_kind_are_optimized(optimizers: Sidecar, name: str) -> None:
    definition, paths = PROGRAMS[name]
    with optimization(optimizers, answering) as job:
        job.on_tool = lambda call: job.send(tool_reply=pb.ToolReply(call=call.call, observation_json=b'"not even"'))
        job.start("bootstrap", {"max_bootstrapped_demos": 1, "max_labeled_demos": 0}, TRAIN[1:2], program=definition)
        result = job.outcome()

        assert isinstance(result, pb.OptimizeResult), result
        assert job.all("ready")[0].predictors == paths
        state = json.loads(result.state_json)
        flat = state if paths == ["predict"] and "signature" in state else state[paths[-1]]
        assert [demo["answer"] for demo in flat["demos"]] == ["yes"]
        assert {call.call.predictor for call in job.calls} == set(paths)
        if name == "react":
            assert json.loads(job.all("tool_call")[0].args_json) == {"word": "odd"}


def test_demos_keep_only_what_prompts_show(optimizers: Sidecar) -> None:
    rows = [({"question": "Is 1 odd?"}, {"answer": "yes", "source": "a book", "note": None})]
    with optimization(optimizers, answering) as job:
        job.start("labeled_few_shot", {}, rows)
        assert json.loads(job.outcome().state_json)["demos"] == [{"question": "Is 1 odd?", "answer": "yes"}]


METRICS: dict[str, tuple[pb.OptimizeMetric, float]] = {
    "dspy": (pb.OptimizeMetric(name="dspy_metric:answer_exact_match"), 1 / 2),
    "python": (pb.OptimizeMetric(name="python_metric:half"), 3 / 4),
    "python that raises": (pb.OptimizeMetric(name="python_metric:broken"), 0),
}


@pytest.mark.parametrize("name", METRICS)
def test_metrics_of_python_are_taken_in_the_process(optimizers: Sidecar, name: str) -> None:
    metric, wanted = METRICS[name]
    with optimization(optimizers, lambda _: ANSWER) as job:
        job.start("evaluate", val=TRAIN[:2], metric=metric)
        result = job.outcome()
        assert result.best_score == pytest.approx(wanted)
        assert result.metric_calls == 2
        assert not job.all("metric_call")


def test_a_metric_that_fails_counts_as_nothing_and_is_told(optimizers: Sidecar) -> None:
    answers = iter(["the judge is away", 7.0])
    with optimization(optimizers, lambda _: ANSWER, lambda _: next(answers)) as job:
        job.start("evaluate", val=TRAIN[:2])
        # Beyond 1 is 1.
        assert job.outcome().best_score == 0.5
        assert any("the judge is away" in log.text for log in job.all("log") if log.level == "warning")


def test_feedback_reaches_the_reflecting_model(optimizers: Sidecar) -> None:
    with optimization(optimizers, lambda call: scripted(text_of(call)), lambda _: (0.2, "Mention the zebra.")) as job:
        job.start("gepa", {"max_metric_calls": 12}, TRAIN, VAL)
        job.outcome()
        assert any("Mention the zebra." in text_of(call) for call in job.calls if call.role == "prompt")


def test_a_threshold_decides_what_becomes_a_demo(optimizers: Sidecar) -> None:
    for config, threshold, count in (({}, 0.6, 0), ({}, 0.5, 1), ({"metric_threshold": 0.4}, 0.9, 1)):
        with optimization(optimizers, lambda _: ANSWER, lambda _: 0.5) as job:
            settings = {"max_labeled_demos": 0, "max_bootstrapped_demos": 1, **config}
            job.start("bootstrap", settings, TRAIN[:2], metric=pb.OptimizeMetric(threshold=threshold))
            assert len(json.loads(job.outcome().state_json)["demos"]) == count


def test_an_optimizer_of_the_user_gets_what_it_asks_for(optimizers: Sidecar) -> None:
    with optimization(optimizers, lambda call: scripted(text_of(call))) as job:
        job.start("custom", {"name": "Carefully", "kwargs": {"word": "great care"}}, TRAIN, VAL)
        result = job.outcome()
        assert json.loads(result.state_json)["signature"]["instructions"] == "Answer with great care."
        assert result.best_score == 1
        assert len(job.all("trial")) == 2
    with optimization(optimizers, lambda _: ANSWER) as job:
        job.start("custom", {"name": "first_examples", "kwargs": {"count": 1}}, TRAIN)
        assert len(json.loads(job.outcome().state_json)["demos"]) == 1


def test_what_a_user_prints_is_told_without_secrets_and_finds_no_token(optimizers: Sidecar) -> None:
    with optimization(optimizers, lambda _: ANSWER) as job:
        job.start("custom", {"name": "tells"}, TRAIN)
        job.outcome()
        texts = [log.text for log in job.all("log")]
        assert "token:" in texts[0] and "test-token" not in texts[0]
        assert "sk-abc" not in texts[0]
        assert texts[1] == "to stderr"


REFUSED: dict[str, tuple[dict[str, Any], str, str]] = {
    "no optimizer": ({"optimizer": "adam"}, "OPTIMIZER_INVALID", "`adam` is not an optimizer"),
    "half of a pair": ({"optimizer": "mipro", "config": {"num_trials": 3}}, "OPTIMIZER_INVALID", "mipro takes either `auto`"),
    "two bounds": (
        {"optimizer": "gepa", "config": {"auto": "light", "max_metric_calls": 9}},
        "OPTIMIZER_INVALID",
        "gepa takes one of",
    ),
    "a batch beyond the data": (
        {"optimizer": "simba", "config": {"bsize": 900}},
        "DATASET_INVALID",
        "config.bsize of simba is larger",
    ),
    "no examples": ({"optimizer": "bootstrap", "train": []}, "DATASET_INVALID", "no training examples"),
    "an input that there is not": (
        {"optimizer": "bootstrap", "train": [({"question": "x", "colour": "red"}, {})]},
        "DATASET_INVALID",
        "train[0]: the program has no input `colour`",
    ),
    "an example without inputs": (
        {"optimizer": "bootstrap", "train": [({}, {"answer": "x"})]},
        "DATASET_INVALID",
        "train[0] has no",
    ),
    "a program that cannot be built": ({"program": program(module="magic")}, "MODULE_INVALID", "`magic` is not a module"),
    "a type that there is not": (
        {"program": program(field("question", pb.Type()))},
        "SIGNATURE_TYPE",
        "a type without a known kind",
    ),
    "a state of another program": ({"initial_state_json": b'{"other": {}}'}, "MODULE_INVALID", "the state of `self` has no"),
    "a state that is no JSON": ({"initial_state_json": b"{"}, "MODULE_INVALID", "the state cannot be read"),
    "a metric outside the list": (
        {"metric": pb.OptimizeMetric(name="python_metric:os.system")},
        "MODULE_INVALID",
        "`os.system` is not in SIGNET_PYTHON_MODULES",
    ),
    "a metric that is none": (
        {"metric": pb.OptimizeMetric(name="exact_match")},
        "OPTIMIZER_INVALID",
        "is no metric of the sidecar",
    ),
    "an optimizer outside the list": (
        {"optimizer": "custom", "config": {"name": "os.system"}},
        "MODULE_INVALID",
        "is not in SIGNET",
    ),
    "an optimizer without a name": ({"optimizer": "custom"}, "OPTIMIZER_INVALID", "config.name of custom is required"),
    "an argument that it does not take": (
        {"optimizer": "custom", "config": {"name": "nothing", "kwargs": {"speed": 1}}},
        "OPTIMIZER_INVALID",
        "config.kwargs.speed",
    ),
    "an optimizer that gives no program": (
        {"optimizer": "custom", "config": {"name": "nothing"}},
        "OPTIMIZER_INVALID",
        "`nothing` gave no dspy.Module but NoneType",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_optimized_is_refused_by_its_path(optimizers: Sidecar, name: str) -> None:
    given, reason, words = REFUSED[name]
    more = {"optimizer": "labeled_few_shot", "train": TRAIN, **given}
    with optimization(optimizers, lambda _: ANSWER) as job:
        job.start(**more)
        error = job.outcome()
        assert isinstance(error, pb.OptimizeError), error
        assert (error.reason, words in error.message) == (reason, True), error
        assert not job.calls


@pytest.mark.parametrize(
    ("optimizer", "given", "words"),
    [
        ("bootstrap", {"k": 3}, "config.k: bootstrap takes max_bootstrapped_demos"),
        ("evaluate", {"k": 3}, "config.k: evaluate takes num_threads"),
        ("copro", {"breadth": 1}, "config.breadth of copro must be a whole number from 2 to 50"),
        ("copro", {"init_temperature": float("inf")}, "config.init_temperature of copro must be a number from 0 to 2"),
        ("simba", {"bsize": "8"}, "config.bsize of simba must be"),
        ("simba", {"bsize": True}, "config.bsize of simba must be"),
        ("simba", {"bsize": 10**30}, "config.bsize of simba must be"),
        ("gepa", {"auto": "heaviest"}, "config.auto of gepa must be one of light, medium, heavy, null"),
        ("gepa", {"use_merge": 1}, "config.use_merge of gepa must be true or false"),
        ("custom", {"name": ""}, "config.name of custom must be a text"),
        ("custom", {"name": "x", "kwargs": []}, "config.kwargs of custom must be an object"),
        ("x" * 500, {}, "is not an optimizer"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(optimizer: str, given: dict[str, Any], words: str) -> None:
    with pytest.raises(SettingsFault, match=re.escape(words)):
        read_settings(optimizer, given)


def test_whole_numbers_may_come_with_a_point() -> None:
    assert read_settings("simba", {"bsize": 8.0}) == {"bsize": 8}


def test_settings_that_are_no_object_are_refused(optimizers: Sidecar) -> None:
    for text in (b"[1]", b'{"k": NaN}'):
        with optimization(optimizers, lambda _: ANSWER) as job:
            job.send(start=pb.OptimizeStart(program=program(), optimizer="bootstrap", config_json=text))
            assert job.outcome().reason == "OPTIMIZER_INVALID"


BROKEN: dict[str, list[dict[str, Any]]] = {
    "begin before start": [{"begin": pb.OptimizeBegin()}],
    "examples before start": [{"examples": pb.OptimizeExamples(split="train")}],
    "a reply before start": [{"lm_reply": pb.LmReply(call=1)}],
    "a second start": [{"start": pb.OptimizeStart(program=program(), optimizer="evaluate")}] * 2,
    "an empty frame first": [{}],
}


@pytest.mark.parametrize("name", BROKEN)
def test_frames_out_of_order_end_the_stream(optimizers: Sidecar, name: str) -> None:
    with optimization(optimizers, lambda _: ANSWER) as job:
        for frame in BROKEN[name]:
            job.send(**frame)
        assert job.closed.wait(10)
        assert job.ended is not None
        assert job.ended.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_nothing_is_added_to_an_optimization_that_has_begun(optimizers: Sidecar) -> None:
    with optimization(optimizers, lambda _: None) as job:
        job.start("evaluate", val=TRAIN)
        job.wait("lm_call")
        job.examples("train", TRAIN)
        assert job.closed.wait(10)
        assert job.ended is not None
        assert job.ended.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_replies_that_nobody_waits_for_are_dropped(optimizers: Sidecar) -> None:
    with optimization(optimizers, lambda _: ANSWER) as job:
        job.send(start=pb.OptimizeStart(program=program(), optimizer="evaluate"))
        job.send(lm_reply=pb.LmReply(call=77), metric_reply=None)
        job.send(metric_reply=pb.OptimizeMetricReply(call=9, score=1))
        job.send(tool_reply=pb.ToolReply(call=3, observation_json=b"{"))
        job.examples("val", TRAIN)
        job.send(begin=pb.OptimizeBegin())
        assert isinstance(job.outcome(), pb.OptimizeResult)


def test_a_process_takes_one_optimization_from_who_has_the_token(optimizers: Sidecar) -> None:
    request = pb.StartOptimizationRequest(job="once")
    started = optimizers.stub.StartOptimization(request, timeout=30, metadata=auth())
    stranger = Optimization(started.address, lambda _: ANSWER, token="another")
    first = Optimization(started.address, lambda _: None)
    second = None
    try:
        assert stranger.closed.wait(10)
        assert stranger.ended is not None
        assert stranger.ended.code() == grpc.StatusCode.UNAUTHENTICATED
        first.start("evaluate", val=TRAIN)
        first.wait("lm_call")
        second = Optimization(started.address, lambda _: ANSWER)
        assert second.closed.wait(10)
        assert second.ended is not None
        assert second.ended.code() == grpc.StatusCode.FAILED_PRECONDITION
    finally:
        for job in (stranger, first, second):
            if job is not None:
                job.close()


def test_a_job_has_a_name_that_is_one(optimizers: Sidecar) -> None:
    for name in ("", "a/b", "x" * 65, "über"):
        with pytest.raises(grpc.RpcError) as refused:
            optimizers.stub.StartOptimization(pb.StartOptimizationRequest(job=name), timeout=10, metadata=auth())
        assert refused.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_replies_that_cannot_be_read_fail_their_example_alone(optimizers: Sidecar) -> None:
    texts = iter(["", "\ud800".encode("utf-8", "replace").decode(), "{" * 5_000, *[ANSWER] * 20])
    with optimization(optimizers, lambda _: next(texts)) as job:
        job.start("bootstrap", {"max_labeled_demos": 0, "max_bootstrapped_demos": 1, "max_errors": 5}, TRAIN)
        assert json.loads(job.outcome().state_json)["demos"][0]["answer"] == "yes"


def test_kinds_of_the_table_are_the_kinds_that_run() -> None:
    assert set(RUNNERS) == set(SETTINGS) == {*CASES, "custom", "evaluate"}
