"""DSPy alone: one process that keeps calls of one Predict in flight. Takes a JSON line for each job, answers with one."""

from __future__ import annotations

import asyncio
import json
import sys
import time

import dspy
from engine import Answer, make_lm


async def keep_in_flight(predict: dspy.Predict, job: dict) -> dict:
    times: list[float] = []
    begun = time.perf_counter()
    end = begun + job["seconds"]

    async def lane() -> None:
        while time.perf_counter() < end:
            at = time.perf_counter()
            result = await predict.acall(**job["inputs"])
            assert result.confidence == 0.5
            times.append((time.perf_counter() - at) * 1000)

    await asyncio.gather(*(lane() for _ in range(job["inFlight"])))
    times.sort()
    return {
        "calls": len(times),
        "failures": 0,
        "elapsedMs": (time.perf_counter() - begun) * 1000,
        "p50Ms": times[len(times) // 2],
        "p99Ms": times[min(len(times) - 1, int(len(times) * 0.99))],
    }


async def main(kind: str, base: str) -> None:
    predict = dspy.Predict(Answer)
    with dspy.context(lm=make_lm(kind, base), adapter=dspy.ChatAdapter(), trace=[], disable_history=True):
        while line := await asyncio.to_thread(sys.stdin.readline):
            print(json.dumps(await keep_in_flight(predict, json.loads(line))), flush=True)


asyncio.run(main(sys.argv[1], sys.argv[2]))
