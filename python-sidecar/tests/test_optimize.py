"""Each optimizer gives what plain DSPy gives, and asks what plain DSPy asks."""

from __future__ import annotations

import json
import logging
import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import dspy
import pytest

from signet_sidecar.gen import sidecar_pb2 as pb
from tests.optimizing import Rows, optimization, text_of
from tests.support import Sidecar, sidecar

ROWS: Rows = [({"question": f"Is {number} odd?"}, {"answer": "yes" if number % 2 else "no"}) for number in range(14)]
TRAIN, VAL = ROWS[:8], ROWS[8:]


def scripted(text: str) -> str:
    """A model without state: right with demos or with an instruction that asks for care; without, right about every fourth."""
    fields = re.findall(r"^\d+\. `(\w+)`", text.split("Your output fields are:")[-1].split("\n\n")[0], re.MULTILINE)
    if fields == ["answer"]:
        questions = re.findall(r"Is (\d+) odd\?", text)
        able = len(questions) > 1 or "care" in text.split("your objective is:")[1][:400] or int(questions[-1]) % 4 == 0
        values = {"answer": ("no", "yes")[int(questions[-1]) % 2] if able else "maybe"}
    else:
        # Another text for another question, so that proposals differ and still are the same in each run.
        words = f"care {random.Random(text).randint(0, 9_999)}"
        values = {name: f"Answer with {words} ({name})." for name in fields}
        values |= {name: "a summary" for name in fields if "summary" in name or "observations" in name}
        if "module_advice" in fields:
            values["module_advice"] = json.dumps({"self": f"Use {words}."})
    if "JSON object" in text[-600:]:
        return json.dumps(values)
    return "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in values.items()) + "[[ ## completed ## ]]"


class PlainLM(dspy.BaseLM):
    """The same model as plain DSPy calls it; `asked` holds every prompt."""

    def __init__(self) -> None:
        super().__init__("openai/test", cache=False, num_retries=0)
        self.kwargs = {}
        self.asked: set[str] = set()

    def __call__(self, prompt: str | None = None, *, messages: Any = None, **kwargs: Any) -> list[str]:
        text = "\n".join(message["content"] for message in messages or [{"content": prompt}])
        self.asked.add(text)
        return [scripted(text)] * (kwargs.get("n") or 1)


def plain_metric(example: Any, prediction: Any, *_: Any) -> float:
    return float(prediction is not None and example.answer == prediction.answer)


def as_examples(rows: Rows) -> list[Any]:
    return [dspy.Example(**inputs, **outputs).with_inputs(*inputs) for inputs, outputs in rows]


Compile = Callable[[Any, list[Any], list[Any], PlainLM], Any]
CASES: dict[str, tuple[dict[str, Any], Compile]] = {
    "labeled_few_shot": ({"k": 3}, lambda s, t, v, lm: dspy.LabeledFewShot(k=3).compile(s, trainset=t)),
    "bootstrap": (
        {"max_bootstrapped_demos": 2, "max_labeled_demos": 3},
        lambda s, t, v, lm: dspy.BootstrapFewShot(plain_metric, max_bootstrapped_demos=2, max_labeled_demos=3).compile(
            s, trainset=t
        ),
    ),
    "random_search": (
        {"num_candidate_programs": 3, "max_labeled_demos": 2},
        lambda s, t, v, lm: dspy.BootstrapFewShotWithRandomSearch(
            plain_metric, num_candidate_programs=3, max_labeled_demos=2, num_threads=1
        ).compile(s, trainset=t, valset=v),
    ),
    "copro": (
        {"breadth": 3, "depth": 2},
        lambda s, t, v, lm: dspy.COPRO(prompt_model=lm, metric=plain_metric, breadth=3, depth=2).compile(
            s, trainset=v, eval_kwargs={"num_threads": 1}
        ),
    ),
    "mipro": (
        {"num_candidates": 3, "num_trials": 4, "minibatch": False},
        lambda s, t, v, lm: dspy.MIPROv2(plain_metric, auto=None, num_candidates=3, num_threads=1, seed=9).compile(
            s, trainset=t, valset=v, num_trials=4, minibatch=False
        ),
    ),
    "simba": (
        {"bsize": 4, "max_steps": 3, "num_candidates": 3},
        lambda s, t, v, lm: dspy.SIMBA(metric=plain_metric, bsize=4, max_steps=3, num_candidates=3, num_threads=1).compile(
            s, trainset=t, seed=0
        ),
    ),
    "gepa": (
        {"max_metric_calls": 40},
        lambda s, t, v, lm: dspy.GEPA(plain_metric, max_metric_calls=40, reflection_lm=lm, num_threads=1, seed=0).compile(
            s, trainset=t, valset=v
        ),
    ),
    "infer_rules": (
        {"num_candidates": 2, "num_rules": 3},
        lambda s, t, v, lm: dspy.InferRules(num_candidates=2, num_rules=3, metric=plain_metric, num_threads=1).compile(
            s, trainset=t, valset=v
        ),
    ),
}
# The others measure nothing.
MEASURED = ("random_search", "copro", "mipro", "simba", "gepa", "infer_rules")


@pytest.fixture(scope="module")
def optimizers() -> Iterator[Sidecar]:
    with sidecar(SIGNET_SIDECAR_OPTIMIZERS="2") as made:
        yield made


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("dspy").setLevel(logging.CRITICAL)


def in_plain_dspy(kind: str) -> tuple[dict[str, Any], set[str]]:
    lm = PlainLM()
    student = dspy.Predict(dspy.Signature({"question": (str, dspy.InputField()), "answer": (str, dspy.OutputField())}))
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter(), trace=[], disable_history=True):
        made = CASES[kind][1](student, as_examples(TRAIN), as_examples(VAL), lm)
    return made.dump_state(), lm.asked


@pytest.mark.parametrize("kind", CASES)
def test_an_optimizer_gives_the_state_that_plain_dspy_gives_and_asks_the_same(optimizers: Sidecar, kind: str) -> None:
    wanted, asked = in_plain_dspy(kind)
    with optimization(optimizers, lambda call: scripted(text_of(call))) as job:
        job.start(kind, CASES[kind][0], TRAIN, VAL)
        result = job.outcome()

        assert isinstance(result, pb.OptimizeResult), result
        assert json.loads(result.state_json) == {**json.loads(json.dumps(wanted, default=str)), "lm": None}
        assert {text_of(call) for call in job.calls} == asked
        assert result.lm_calls == len(job.calls)


@pytest.mark.parametrize("kind", MEASURED)
def test_each_candidate_is_told_with_its_score_and_the_best_is_the_result(optimizers: Sidecar, kind: str) -> None:
    with optimization(optimizers, lambda call: scripted(text_of(call))) as job:
        job.start(kind, CASES[kind][0], TRAIN, VAL, threads=3)
        result = job.outcome()
        trials = job.all("trial")

        assert [trial.number for trial in trials] == list(range(1, len(trials) + 1))
        assert all(0 <= trial.score <= 1 for trial in trials)
        best = max(trials, key=lambda trial: (trial.examples, trial.score))
        assert best.score == 1
        assert best.full
        assert result.best_score == best.score
        assert result.state_json in {trial.state_json for trial in trials}


@pytest.mark.parametrize("kind", ["random_search", "mipro", "simba", "gepa"])
def test_the_same_seed_gives_the_same_state_with_many_threads(optimizers: Sidecar, kind: str) -> None:
    states = []
    for _ in range(2):
        with optimization(optimizers, lambda call: scripted(text_of(call))) as job:
            job.start(kind, CASES[kind][0], TRAIN, VAL, threads=4, seed=7)
            states.append(job.outcome().state_json)

    assert states[0] == states[1]


def test_another_seed_makes_another_choice(optimizers: Sidecar) -> None:
    states = set()
    for seed in (0, 1, 2):
        with optimization(optimizers, lambda call: scripted(text_of(call))) as job:
            job.start("labeled_few_shot", {"k": 3}, TRAIN, seed=seed)
            states.add(job.outcome().state_json)

    assert len(states) == 3


def test_a_state_is_the_beginning_of_the_next_optimizer(optimizers: Sidecar) -> None:
    with optimization(optimizers, lambda call: scripted(text_of(call))) as job:
        job.start("infer_rules", {"num_candidates": 1}, TRAIN, VAL)
        first = job.outcome().state_json
    with optimization(optimizers, lambda call: scripted(text_of(call))) as job:
        job.start("evaluate", train=TRAIN, val=VAL, initial_state_json=first)
        measured = job.outcome()
    with optimization(optimizers, lambda call: scripted(text_of(call))) as job:
        job.start("evaluate", train=TRAIN, val=VAL)
        before = job.outcome()

    assert measured.state_json == first
    assert (before.best_score, measured.best_score) == (pytest.approx(2 / 6), 1)


def test_an_identical_request_is_paid_once_and_a_rollout_is_another_request(optimizers: Sidecar) -> None:
    with optimization(optimizers, lambda call: scripted(text_of(call))) as job:
        job.start("evaluate", train=TRAIN, val=[*VAL, *VAL])
        assert job.outcome().lm_calls == len(VAL)
    with optimization(optimizers, lambda call: "[[ ## answer ## ]]\nmaybe\n\n[[ ## completed ## ]]") as job:
        job.start("bootstrap", {"max_rounds": 3, "max_labeled_demos": 0}, TRAIN)
        job.outcome()
        assert len(job.calls) == 3 * len(TRAIN)
        assert {json.loads(call.call.options_json or b"{}").get("temperature") for call in job.calls} == {None, 1.0}


def test_progress_and_printed_lines_are_told_without_bars(optimizers: Sidecar) -> None:
    with optimization(optimizers, lambda call: scripted(text_of(call))) as job:
        job.start("random_search", CASES["random_search"][0], TRAIN, VAL)
        job.outcome()
        texts = [log.text for log in job.all("log")]

    assert any(text.startswith("New best score: 100.0 for seed") for text in texts)
    assert not any("it/s" in text or "\r" in text or "\x1b" in text for text in texts)
    assert all(len(text) <= 2_000 for text in texts)


def test_progress_tells_phases_and_counts(optimizers: Sidecar) -> None:
    def slowly(call: pb.OptimizeLmCall) -> str:
        # Progress is told twice a second.
        time.sleep(0.1)
        return scripted(text_of(call))

    with optimization(optimizers, slowly) as job:
        job.start("mipro", CASES["mipro"][0], TRAIN[:4], VAL[:4])
        result = job.outcome()
        told = job.all("progress")

    assert {"propose", "evaluate"} <= {progress.phase for progress in told}
    assert [progress.lm_calls for progress in told] == sorted(progress.lm_calls for progress in told)
    assert told[-1].trial > 0
    assert told[-1].lm_calls <= result.lm_calls


def test_roles_tell_whose_call_it_is(optimizers: Sidecar) -> None:
    lm = pb.LmCapabilities(model="openai/large")
    with optimization(optimizers, lambda call: scripted(text_of(call))) as job:
        more = {"prompt_lm": lm, "prompt_lm_options_json": b'{"max_tokens": 900}', "teacher_lm": lm}
        job.start("mipro", CASES["mipro"][0], TRAIN, VAL, **more)
        assert isinstance(job.outcome(), pb.OptimizeResult)
        roles = {call.role: json.loads(call.call.options_json or b"{}").get("max_tokens") for call in job.calls}
        paths = {call.role: call.call.predictor for call in job.calls}

    assert roles == {"task": None, "teacher": None, "prompt": 900}
    assert paths == {"task": "predict", "teacher": "predict", "prompt": ""}
