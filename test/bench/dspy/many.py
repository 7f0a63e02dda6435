"""Plain DSPy over many examples: Parallel or Evaluate in one process. Prints one JSON line: items, seconds, the most memory it took."""

from __future__ import annotations

import json
import resource
import sys
import time

import dspy
from engine import Answer, make_lm


def main(kind: str, base: str, count: int, threads: int, inputs: dict) -> None:
    lm = make_lm("lm15", base)
    predict = dspy.Predict(Answer)
    with dspy.context(lm=lm, adapter=dspy.ChatAdapter(), disable_history=True):
        predict(**inputs)
        begun = time.perf_counter()
        if kind == "Parallel":
            run = dspy.Parallel(num_threads=threads, disable_progress_bar=True)
            results = run([(predict, dict(inputs)) for _ in range(count)])
            assert all(result.confidence == 0.5 for result in results)
        else:
            example = dspy.Example(**inputs, confidence=0.5).with_inputs(*inputs)
            evaluate = dspy.Evaluate(
                devset=[example] * count,
                metric=lambda wanted, got, trace=None: got.confidence == wanted.confidence,
                num_threads=threads,
                display_progress=False,
            )
            assert evaluate(predict).score == 100
        seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(json.dumps({"items": count, "seconds": seconds, "peakMb": peak}), flush=True)


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), json.loads(sys.argv[5]))
