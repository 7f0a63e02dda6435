"""Sessions between an executor and a real worker: their rules, their ends and runs side by side."""

from __future__ import annotations

import grpc
import pytest

from signet_sidecar.gen import sidecar_pb2 as pb
from tests.support import ExecutorSession, Sidecar, error_of, eventually, outputs_of, program, reply, session

QA = "[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"


def test_runs_of_two_executors_do_not_mix(shared: Sidecar) -> None:
    with (
        session(shared, lambda call: "[[ ## answer ## ]]\nfirst", program()) as one,
        session(shared, lambda call: "[[ ## answer ## ]]\nsecond", program()) as two,
    ):
        runs = [(executor, executor.start({"question": str(n)})) for n in range(50) for executor in (one, two)]
        answers = {(id(executor), outputs_of(executor.outcome(run))["answer"]) for executor, run in runs}
        assert answers == {(id(one), "first"), (id(two), "second")}


def test_replies_may_come_in_any_order(shared: Sidecar) -> None:
    held: list[pb.LmCall] = []
    with session(shared, lambda call: held.append(call), program()) as executor:
        runs = [executor.start({"question": f"q{n}"}) for n in range(20)]
        eventually(lambda: len(held) == 20)
        for call in reversed(held):
            executor.send(pb.ExecutorFrame(lm_reply=reply(call, f"[[ ## answer ## ]]\nto run {call.run}")))
        assert [outputs_of(executor.outcome(run))["answer"] for run in runs] == [f"to run {run}" for run in runs]


def test_a_message_beyond_16_mib_ends_the_session_and_not_the_worker(shared: Sidecar) -> None:
    with session(shared, program=program()) as executor:
        executor.start({"question": "x" * (17 << 20)})
        eventually(lambda: executor.closed.is_set())
        assert executor.ended is not None
        assert executor.ended.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    with session(shared, program=program()) as executor:
        assert outputs_of(executor.run({"question": "?"})) == {"answer": "yes"}


def test_unknown_refs_and_numbers_in_use_are_refused(shared: Sidecar) -> None:
    with session(shared, lambda call: None, program()) as executor:
        assert error_of(executor.run({"question": "?"}, ref="unknown")).reason == "INVALID_REQUEST"
        run = executor.start({"question": "?"})
        eventually(lambda: executor.calls)
        executor.send(pb.ExecutorFrame(start=pb.Start(run=run, ref="p", inputs_json=b'{"question": "again"}')))
        assert error_of(executor.outcome(run)).reason == "INVALID_REQUEST"


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([pb.ExecutorFrame(start=pb.Start(run=1))], grpc.StatusCode.INVALID_ARGUMENT),
        ([pb.ExecutorFrame()], grpc.StatusCode.INVALID_ARGUMENT),
        ([pb.ExecutorFrame(hello=pb.Hello()), pb.ExecutorFrame(hello=pb.Hello())], grpc.StatusCode.INVALID_ARGUMENT),
        ([pb.ExecutorFrame(hello=pb.Hello())] + [pb.ExecutorFrame()] * 1_000, grpc.StatusCode.INVALID_ARGUMENT),
    ],
)
def test_a_session_that_breaks_the_rules_is_ended(shared: Sidecar, frames: list[pb.ExecutorFrame], code: grpc.StatusCode) -> None:
    executor = ExecutorSession(shared.ready().address, hello=False)
    executor.send(*frames)
    eventually(lambda: executor.closed.is_set())
    assert executor.ended is not None
    assert executor.ended.code() == code
    executor.close()


def test_a_ref_names_one_program_for_life(shared: Sidecar) -> None:
    with session(shared, program=program()) as executor:
        executor.define(program())
        assert outputs_of(executor.run({"question": "?"})) == {"answer": "yes"}
        executor.define(program(instructions="another"))
        eventually(lambda: executor.closed.is_set())
        assert executor.ended is not None
        assert executor.ended.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_replies_that_nobody_waits_for_are_ignored(shared: Sidecar) -> None:
    with session(shared, program=program()) as executor:
        executor.send(pb.ExecutorFrame(lm_reply=pb.LmReply(run=99, call=1, completion=pb.LmCompletion(text="x"))))
        executor.send(pb.ExecutorFrame(cancel=pb.Cancel(run=99)))
        assert outputs_of(executor.run({"question": "?"})) == {"answer": "yes"}


def test_cancel_ends_a_waiting_run_at_once(shared: Sidecar) -> None:
    with session(shared, lambda call: None, program()) as executor:
        run = executor.start({"question": "?"})
        eventually(lambda: executor.calls)
        executor.send(pb.ExecutorFrame(cancel=pb.Cancel(run=run)))
        error = error_of(executor.outcome(run, bound_s=2))
        assert (error.reason, error.category, error.lm_calls) == ("CANCELLED", "cancelled", 1)


def test_a_deadline_ends_the_run_in_the_worker(shared: Sidecar) -> None:
    with session(shared, lambda call: None, program()) as executor:
        error = error_of(executor.run({"question": "?"}, deadline_ms=150))
        assert (error.reason, error.category) == ("DEADLINE_EXCEEDED", "deadline")
        late = executor.calls[0]
        executor.send(pb.ExecutorFrame(lm_reply=reply(late, QA)))
        executor.lm = lambda call: QA
        assert outputs_of(executor.run({"question": "?"}, deadline_ms=30_000)) == {"answer": "yes"}


def test_drain_lets_running_ones_finish_and_no_further_one_begin(shared: Sidecar) -> None:
    with session(shared, lambda call: None, program()) as executor:
        run = executor.start({"question": "?"})
        eventually(lambda: executor.calls)
        executor.send(pb.ExecutorFrame(drain=pb.Drain()))
        late = error_of(executor.run({"question": "late"}))
        assert (late.reason, late.retryable) == ("SHUTTING_DOWN", True)
        assert not any(frame.HasField("drained") for frame in executor.frames)
        executor.send(pb.ExecutorFrame(lm_reply=reply(executor.calls[0], QA)))
        assert outputs_of(executor.outcome(run)) == {"answer": "yes"}
        executor.wait("drained")


def test_more_runs_than_the_credit_are_refused(shared: Sidecar) -> None:
    with session(shared, lambda call: None, program()) as executor:
        credit = executor.wait("ready").credit
        for n in range(credit):
            executor.start({"question": str(n)})
        error = error_of(executor.run({"question": "one too many"}))
        assert (error.reason, error.retryable) == ("QUEUE_FULL", True)


def test_both_sides_hear_that_the_other_lives(shared: Sidecar) -> None:
    with session(shared, lambda call: None, program()) as executor:
        executor.start({"question": "?"})
        heartbeat = executor.wait("heartbeat")
        assert heartbeat.in_flight == 1
        assert heartbeat.busy_ms < 2_000
        assert heartbeat.rss_bytes > 20_000_000


def test_runs_of_an_executor_that_is_gone_are_cancelled(shared: Sidecar) -> None:
    pid = shared.ready().pid
    with session(shared, lambda call: None, program()) as executor:
        for n in range(5):
            executor.start({"question": str(n)})
        eventually(lambda: len(executor.calls) == 5)
    with session(shared, program=program()) as executor:
        # A run that did not end within 2 s of its cancellation would cost the worker its life.
        heartbeat = executor.wait("heartbeat")
        assert heartbeat.in_flight == 0
        assert outputs_of(executor.run({"question": "?"})) == {"answer": "yes"}
    assert shared.ready().pid == pid


def test_a_thousand_runs_end_once_each(shared: Sidecar) -> None:
    with session(shared, program=program()) as executor:
        runs: list[int] = []
        for n in range(1_000):
            runs.append(executor.start({"question": str(n)}))
            if len(runs) >= 100:
                assert isinstance(executor.outcome(runs[-100]), pb.Result)
        for run in runs[-100:]:
            assert isinstance(executor.outcome(run), pb.Result)
        assert sorted(frame.result.run for frame in executor.frames if frame.HasField("result")) == runs


def test_runs_cancelled_in_the_message_that_starts_them_end_at_once(shared: Sidecar) -> None:
    pid = shared.ready().pid
    with session(shared, lambda call: None, program()) as executor:
        frames: list[pb.ExecutorFrame] = []
        for run in range(1_000, 1_050):
            frames.append(pb.ExecutorFrame(start=pb.Start(run=run, ref="p", inputs_json=b'{"question": "?"}')))
            frames.append(pb.ExecutorFrame(cancel=pb.Cancel(run=run)))
        executor.send(*frames)
        for run in range(1_000, 1_050):
            assert error_of(executor.outcome(run, bound_s=1.5)).reason == "CANCELLED"
    assert shared.ready().pid == pid
