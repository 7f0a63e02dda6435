"""What an optimizer works with."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import dspy

from signet_sidecar.dspy_engine.optimize.examples import Examples
from signet_sidecar.dspy_engine.optimize.language_model import RoleLM
from signet_sidecar.dspy_engine.optimize.measure import Measure
from signet_sidecar.dspy_engine.optimize.trials import EvaluateTrials, Trials
from signet_sidecar.dspy_engine.user_code import UserCode

NOT_COMPLETE = "what was gathered before the end"


@dataclass(frozen=True)
class Work:
    """All that an optimizer works with."""

    student: Any
    examples: Examples
    measure: Measure
    trials: Trials
    settings: dict[str, Any]
    seed: int
    threads: int
    task_lm: RoleLM
    prompt_lm: RoleLM
    teacher_lm: RoleLM | None
    user_code: UserCode

    @property
    def val(self) -> list[Any]:
        """What candidates are measured on: the validation examples, or the training ones where there are none."""
        return self.examples.val or self.examples.train

    @property
    def teacher_settings(self) -> dict[str, Any]:
        """DSPy's settings under which a teacher runs."""
        return {} if self.teacher_lm is None else {"lm": self.teacher_lm}

    def take(self, *names: str) -> dict[str, Any]:
        """The settings of these names that were given."""
        return {name: self.settings[name] for name in names if name in self.settings}


def demo_settings(work: Work) -> dict[str, Any]:
    """The settings of optimizers that bootstrap."""
    # A threshold decides in the measure, where scores are; DSPy gets a yes or no.
    return work.take("max_bootstrapped_demos", "max_labeled_demos", "max_rounds", "max_errors")


def shuffled(work: Work) -> list[Any]:
    """The training examples in the order of the seed."""
    # These optimizers have fixed seeds of their own: another seed means another order.
    train = list(work.examples.train)
    if work.seed:
        random.Random(work.seed).shuffle(train)  # noqa: S311
    return train


@contextmanager
def evaluations(work: Work) -> Iterator[None]:
    """Tells each evaluation of the block as a trial."""
    with dspy.context(callbacks=[*dspy.settings.callbacks, EvaluateTrials(work.trials)]):
        yield


@contextmanager
def keeping(work: Work, optimizer: Any) -> Iterator[None]:
    """Tells the demos gathered so far as an unmeasured candidate when the optimizer is stopped while it gathers."""
    try:
        yield
    except BaseException:
        gathered = getattr(optimizer, "name2traces", {})
        if any(gathered.values()) and work.trials.count == 0:
            optimizer.validation = list(work.examples.train)
            work.trials.tell(optimizer._train(), -1.0, 0, NOT_COMPLETE)
        raise
