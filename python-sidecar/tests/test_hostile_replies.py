"""Replies that cost their reader seconds hold up nobody else."""

from __future__ import annotations

import json
import time

import pytest

from signet_sidecar.dspy_engine.bounded_repair import BoundedRepair, ReadingTooLong, within_bounds
from signet_sidecar.gen import sidecar_pb2 as pb
from tests.support import Sidecar, error_of, field, outputs_of, program, session, type_of

LISTED = program(field("question"), field("answer", type_of("list"), output=True), prompt_adapter="json")
# json_repair is quadratic in it: 36 kB would take it more than a minute.
QUADRATIC = '{"answer": ["' + 'a" b "' * 6_000
READ_MAX_S = 9.0
HELD_UP_MAX_S = 1.5


@pytest.mark.parametrize(
    "text", ["{" * 16_000, "(" * 16_000, '{"answer": ' + "{ ] " * 20_000, QUADRATIC, "[1] " + "{ x " * 190 + "y" * 500_000]
)
def test_a_reply_that_takes_seconds_holds_up_no_other_run(shared: Sidecar, text: str) -> None:
    def lm(call: pb.LmCall) -> str:
        return text if "hostile" in call.messages[-1].content else '{"answer": ["yes"]}'

    with session(shared, lm, LISTED) as executor:
        executor.run({"question": "the first run builds the program"})
        began = time.monotonic()
        hostile = executor.start({"question": "hostile"})
        slowest = 0.0
        while not any(frame.HasField("error") for frame in list(executor.frames)):
            started = time.monotonic()
            assert outputs_of(executor.run({"question": "kind"})) == {"answer": ["yes"]}
            slowest = max(slowest, time.monotonic() - started)
            assert time.monotonic() - began < READ_MAX_S
        error = error_of(executor.outcome(hostile))
        assert (error.reason, error.category, error.lm_calls) == ("LM_REPLY_UNREADABLE", "parse", 1)
        assert slowest < HELD_UP_MAX_S
        busy = [frame.heartbeat.busy_ms for frame in list(executor.frames) if frame.HasField("heartbeat")]
        assert max(busy, default=0) == 0


def test_json_passes_whatever_its_size_and_depth(shared: Sidecar) -> None:
    nested = "[" * 300 + "]" * 300
    text = json.dumps({"answer": ["x" * 600_000]})[:-2] + f", {nested}]}}"
    with session(shared, lambda call: text, LISTED) as executor:
        assert len(outputs_of(executor.run({"question": "?"}))["answer"]) == 2


def test_a_large_reply_is_repaired_as_ever(shared: Sidecar) -> None:
    items = ", ".join(f"'item {number}'" for number in range(1_000))
    with session(shared, lambda call: "{'answer': [" + items + ",]}", LISTED) as executor:
        assert outputs_of(executor.run({"question": "?"}))["answer"] == [f"item {number}" for number in range(1_000)]


def test_bounds_break_off_what_they_watch_and_nothing_after_it() -> None:
    def forever() -> None:
        while True:
            pass

    with pytest.raises(ReadingTooLong):
        within_bounds(forever, 0.1)
    for _ in range(2_000):
        try:
            within_bounds(lambda: time.sleep(0.0005), 0.0005)
        except ReadingTooLong:
            continue
    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        pass


@pytest.mark.parametrize("text", ["[" * 201, "{" * 201 + "]" * 201, "x" * 600_000])
def test_texts_beyond_the_bounds_are_not_repaired(text: str) -> None:
    with pytest.raises(RecursionError):
        BoundedRepair().loads(text)


def test_texts_within_the_bounds_are() -> None:
    assert BoundedRepair().loads("[" * 100 + "1,") == json.loads("[" * 100 + "1" + "]" * 100)
    assert BoundedRepair().loads("(a) " * 500) == BoundedRepair().loads("(a) " * 500)
