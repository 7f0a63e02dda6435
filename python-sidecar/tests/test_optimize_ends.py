"""How optimizations end before their time: budgets, cancellation, what hangs, eats memory or dies."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from signet_sidecar.gen import sidecar_pb2 as pb
from tests.optimizing import Optimization, optimization, text_of
from tests.support import Sidecar, auth, eventually, sidecar
from tests.test_optimize import CASES, ROWS, TRAIN, VAL, scripted

USER_CODE = Path(__file__).parent / "user_code"
NAMES = ("hangs", "holds_on", "eats", "dies", "raises", "tells", "nothing", "first_examples", "half", "broken")
MODULES = ",".join([*(f"{name}=own_optimizers:{name}" for name in NAMES), "Carefully=own_optimizers:Carefully"])
ASKING = [kind for kind in CASES if kind != "labeled_few_shot"]


@pytest.fixture(scope="module")
def optimizers() -> Iterator[Sidecar]:
    more = {"SIGNET_PYTHON_PATH": str(USER_CODE), "SIGNET_PYTHON_MODULES": MODULES, "SIGNET_SIDECAR_OPTIMIZER_MIB": "400"}
    with sidecar(SIGNET_SIDECAR_OPTIMIZERS="2", **more) as made:
        yield made


class Capped:
    """A model that answers so many calls and refuses each later one."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.answered = 0
        self.refused = 0

    def __call__(self, call: pb.OptimizeLmCall) -> str | pb.LmFailure:
        if self.left == 0:
            self.refused += 1
            return pb.LmFailure(reason="BUDGET_EXCEEDED", message="the budget of LM calls is spent")
        self.left -= 1
        self.answered += 1
        return scripted(text_of(call))


@pytest.mark.parametrize(("kind", "threads"), [*((kind, 4) for kind in ASKING), ("simba", 1), ("gepa", 1)])
def test_a_cap_ends_each_optimizer_after_exactly_so_many_calls(optimizers: Sidecar, kind: str, threads: int) -> None:
    lm = Capped(5)
    with optimization(optimizers, lm) as job:
        wanting = {"max_bootstrapped_demos": 9, "max_labeled_demos": 0} if kind == "bootstrap" else CASES[kind][0]
        job.start(kind, wanting, TRAIN, VAL, threads=threads)
        began = time.monotonic()
        error = job.outcome(10)

        assert isinstance(error, pb.OptimizeError), error
        assert error.reason == "BUDGET_EXCEEDED"
        assert lm.answered == 5
        assert 1 <= lm.refused <= threads
        assert time.monotonic() - began < 5


EARLY: dict[str, tuple[dict[str, Any], int]] = {
    "random_search": ({"num_candidate_programs": 3}, 30),
    "copro": ({"breadth": 3, "depth": 2}, 9),
    "infer_rules": ({"num_candidates": 20}, 15),
    "mipro": ({"num_candidates": 6, "num_trials": 30, "minibatch": False}, 60),
    "simba": ({"bsize": 4, "num_candidates": 3}, 45),
    "gepa": ({"auto": "light"}, 12),
}


@pytest.mark.parametrize("kind", EARLY)
def test_candidates_measured_before_the_cap_are_told(optimizers: Sidecar, kind: str) -> None:
    config, count = EARLY[kind]
    with optimization(optimizers, Capped(count)) as job:
        rows = [({"question": f"Is {number} odd?"}, {"answer": "yes" if number % 2 else "no"}) for number in range(8)]
        job.start(kind, config, rows, rows[:4])
        error = job.outcome()
        assert isinstance(error, pb.OptimizeError), error
        assert error.reason == "BUDGET_EXCEEDED"
        assert max(trial.score for trial in job.all("trial")) > 0


def test_demos_gathered_before_the_cap_are_told_without_a_score(optimizers: Sidecar) -> None:
    with optimization(optimizers, Capped(3)) as job:
        job.start("bootstrap", {"max_bootstrapped_demos": 6}, TRAIN)
        assert job.outcome().reason == "BUDGET_EXCEEDED"
        trial = job.all("trial")[0]

        assert (trial.score, trial.examples, trial.full) == (-1, 0, False)
        assert trial.state_json.count(b'"augmented": true') == 3


@pytest.mark.parametrize("kind", ["evaluate", *ASKING])
def test_a_stop_ends_each_optimizer_that_waits_for_the_model(optimizers: Sidecar, kind: str) -> None:
    asked = threading.Event()

    def silent(_: pb.OptimizeLmCall) -> None:
        asked.set()

    with optimization(optimizers, silent) as job:
        job.start(kind, CASES[kind][0] if kind in CASES else {}, TRAIN, VAL, threads=4)
        assert asked.wait(20)
        began = time.monotonic()
        job.send(stop=pb.OptimizeStop(reason="CANCELLED"))
        assert job.outcome(5).reason == "CANCELLED"
        assert time.monotonic() - began < 1.5


def test_a_stop_ends_one_that_waits_for_its_metric(optimizers: Sidecar) -> None:
    asked = threading.Event()

    def silent(_: pb.OptimizeMetricCall) -> None:
        asked.set()

    with optimization(optimizers, lambda call: scripted(text_of(call)), silent) as job:
        job.start("random_search", {}, TRAIN, VAL)
        assert asked.wait(20)
        job.send(stop=pb.OptimizeStop(reason="DEADLINE_EXCEEDED"))
        assert job.outcome(5).reason == "DEADLINE_EXCEEDED"


@pytest.mark.parametrize("name", ["hangs", "holds_on"])
def test_a_stop_ends_python_that_does_not_react_with_its_process(optimizers: Sidecar, name: str) -> None:
    with optimization(optimizers, lambda call: scripted(text_of(call))) as job:
        job.start("custom", {"name": name}, TRAIN)
        pid = eventually(lambda: next(iter(optimizers.pool().optimizers), None)).pid
        job.wait("heartbeat")
        began = time.monotonic()
        job.send(stop=pb.OptimizeStop(reason="CANCELLED"))

        assert job.outcome(5).reason == "CANCELLED"
        eventually(lambda: not is_alive(pid), 5)
        assert time.monotonic() - began < 5


def test_the_end_of_the_stream_ends_the_process(optimizers: Sidecar) -> None:
    with optimization(optimizers, lambda _: None) as job:
        job.start("random_search", {}, TRAIN, VAL)
        job.wait("lm_call")
        pid = optimizers.pool().optimizers[0].pid
        job.close()
        eventually(lambda: not is_alive(pid), 5)
        eventually(lambda: not optimizers.pool().optimizers, 5)


def test_an_optimization_that_eats_memory_is_ended_and_says_so(optimizers: Sidecar) -> None:
    with optimization(optimizers, lambda _: None) as job:
        job.start("custom", {"name": "eats"}, TRAIN)
        error = job.outcome(30)

        assert (error.reason, error.python_type) == ("MODULE_FAILED", "MemoryError")
        assert "MiB of memory" in error.message


def test_a_process_that_dies_breaks_the_stream_and_frees_its_place(optimizers: Sidecar) -> None:
    with optimization(optimizers, lambda _: None) as job:
        job.start("custom", {"name": "dies"}, TRAIN)
        assert job.closed.wait(20)
        assert job.ended is not None
        assert job.ended.code() == grpc.StatusCode.UNAVAILABLE
        eventually(lambda: not optimizers.pool().optimizers, 5)


def test_a_process_is_ended_by_force_for_who_asks(optimizers: Sidecar) -> None:
    with optimization(optimizers, lambda _: None) as job:
        job.start("custom", {"name": "hangs"}, TRAIN)
        job.wait("ready")
        pid = optimizers.pool().optimizers[0].pid
        ended = optimizers.stub.EndOptimization(pb.EndOptimizationRequest(job="test"), timeout=5, metadata=auth())
        assert ended.ended
        assert not is_alive(pid)
        assert not optimizers.stub.EndOptimization(pb.EndOptimizationRequest(job="test"), timeout=5, metadata=auth()).ended


def test_a_failing_model_ends_an_optimizer_with_the_reason_of_its_calls(optimizers: Sidecar) -> None:
    failure = pb.LmFailure(reason="LM_UNAVAILABLE", message="the endpoint is away", retryable=True)
    with optimization(optimizers, lambda _: failure) as job:
        job.start("random_search", {"max_errors": 3}, TRAIN, VAL)
        error = job.outcome()
        assert (error.reason, error.retryable) == ("LM_UNAVAILABLE", True)
        assert len(job.calls) < 20
    with optimization(optimizers, lambda _: pb.LmFailure(reason="LM_NOT_CONFIGURED", message="no model")) as job:
        job.start("simba", CASES["simba"][0], TRAIN)
        assert job.outcome().reason == "LM_NOT_CONFIGURED"
        assert len(job.calls) == 1


def test_replies_that_cannot_be_read_end_an_optimizer_with_what_was_wrong(optimizers: Sidecar) -> None:
    with optimization(optimizers, lambda _: "no idea") as job:
        job.start("random_search", {}, TRAIN, [*VAL, *VAL])
        error = job.outcome()
        assert error.reason == "MODULE_FAILED"
        assert "the program failed last with AdapterParseError" in error.message


def test_an_optimizer_that_raises_tells_why(optimizers: Sidecar) -> None:
    with optimization(optimizers, lambda _: None) as job:
        job.start("custom", {"name": "raises"}, TRAIN)
        error = job.outcome()
        assert (error.reason, error.message, error.python_type) == ("MODULE_FAILED", "SystemExit: no more", "SystemExit")


def test_the_sidecar_takes_as_many_as_it_may_and_replaces_the_process_of_a_job() -> None:
    def start(made: Sidecar, job: str) -> Any:
        return made.stub.StartOptimization(pb.StartOptimizationRequest(job=job), timeout=30, metadata=auth())

    with sidecar(SIGNET_SIDECAR_OPTIMIZERS="1") as made:
        first = start(made, "one")
        with pytest.raises(grpc.RpcError) as refused:
            start(made, "two")
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
        second = start(made, "one")
        assert second.pid != first.pid
        assert not is_alive(first.pid)
        pid = second.pid
    assert not is_alive(pid)
    with sidecar(SIGNET_SIDECAR_OPTIMIZERS="0") as made:
        with pytest.raises(grpc.RpcError) as refused:
            start(made, "one")
        assert refused.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_sidecar_that_dies_takes_its_optimizations_with_it() -> None:
    made = Sidecar(SIGNET_SIDECAR_OPTIMIZERS="1")
    started = made.stub.StartOptimization(pb.StartOptimizationRequest(job="one"), timeout=30, metadata=auth())
    job = Optimization(started.address, lambda _: None)
    try:
        job.start("random_search", {}, ROWS)
        job.wait("lm_call")
        made.process.kill()
        eventually(lambda: not is_alive(started.pid), 5)
        assert job.closed.wait(5)
    finally:
        job.close()
        made.stop()


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return os.path.exists(f"/proc/{pid}")
