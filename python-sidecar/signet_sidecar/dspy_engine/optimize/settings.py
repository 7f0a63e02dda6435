"""The settings of each optimizer: DSPy's own argument names with their bounds, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from signet_sidecar.errors import cut

Check = Callable[[Any], Any]


class SettingsFault(Exception):
    """Settings that an optimizer does not take; names the setting."""


def read_settings(optimizer: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that were given, checked; raises SettingsFault for an unknown optimizer, name or value."""
    table = SETTINGS.get(optimizer)
    if table is None:
        raise SettingsFault(f"`{cut(optimizer, 100)}` is not an optimizer: take {', '.join(SETTINGS)}")
    read = {}
    for name, value in given.items():
        check = table.get(name)
        if check is None:
            known = f"takes {', '.join(table)}" if table else "takes no settings"
            raise SettingsFault(f"config.{cut(name, 100)}: {optimizer} {known}")
        try:
            read[name] = check(value)
        except ValueError as error:
            raise SettingsFault(f"config.{name} of {optimizer} {error}") from error
    return read


def _whole(low: int, high: int) -> Check:
    def check(value: Any) -> int:
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return value

    return check


def _number(low: float, high: float) -> Check:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or not low <= value <= high:
            raise ValueError(f"must be a number from {low:g} to {high:g}")
        return float(value)

    return check


def _one_of(*choices: str | None) -> Check:
    def check(value: Any) -> Any:
        if value not in choices or isinstance(value, bool):
            raise ValueError(f"must be one of {', '.join('null' if choice is None else choice for choice in choices)}")
        return value

    return check


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text")
    return value


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError("must be an object")
    return value


_SHARE = _number(0, 1)
_AUTO = _one_of("light", "medium", "heavy", None)
_DEMOS: dict[str, Check] = {
    "max_bootstrapped_demos": _whole(0, 64),
    "max_labeled_demos": _whole(0, 64),
    "max_rounds": _whole(1, 16),
    "max_errors": _whole(0, 100_000),
    "metric_threshold": _SHARE,
}
_THREADS: dict[str, Check] = {"num_threads": _whole(1, 64)}

SETTINGS: dict[str, dict[str, Check]] = {
    "labeled_few_shot": {"k": _whole(1, 64), "sample": _flag},
    "bootstrap": _DEMOS,
    "random_search": {
        **_DEMOS,
        **_THREADS,
        "max_bootstrapped_demos": _whole(1, 64),
        "num_candidate_programs": _whole(1, 200),
        "stop_at_score": _number(0, 100),
    },
    "copro": {**_THREADS, "breadth": _whole(2, 50), "depth": _whole(1, 20), "init_temperature": _number(0, 2)},
    "mipro": {
        **_THREADS,
        "auto": _AUTO,
        "num_candidates": _whole(1, 100),
        "num_trials": _whole(1, 1_000),
        "max_bootstrapped_demos": _whole(0, 64),
        "max_labeled_demos": _whole(0, 64),
        "max_errors": _whole(0, 100_000),
        "metric_threshold": _SHARE,
        "init_temperature": _number(0, 2),
        "minibatch": _flag,
        "minibatch_size": _whole(1, 1_000),
        "minibatch_full_eval_steps": _whole(1, 100),
        "program_aware_proposer": _flag,
        "data_aware_proposer": _flag,
        "tip_aware_proposer": _flag,
        "fewshot_aware_proposer": _flag,
        "view_data_batch_size": _whole(1, 100),
    },
    "simba": {
        **_THREADS,
        "bsize": _whole(1, 1_000),
        "num_candidates": _whole(1, 50),
        "max_steps": _whole(1, 100),
        "max_demos": _whole(0, 32),
        "demo_input_field_maxlen": _whole(1, 10_000_000),
        "temperature_for_sampling": _number(0.001, 10),
        "temperature_for_candidates": _number(0.001, 10),
    },
    "gepa": {
        **_THREADS,
        "auto": _AUTO,
        "max_full_evals": _whole(1, 1_000),
        "max_metric_calls": _whole(1, 1_000_000),
        "reflection_minibatch_size": _whole(1, 100),
        "candidate_selection_strategy": _one_of("pareto", "current_best"),
        "skip_perfect_score": _flag,
        "add_format_failure_as_feedback": _flag,
        "component_selector": _one_of("round_robin", "all"),
        "use_merge": _flag,
        "max_merge_invocations": _whole(0, 100),
    },
    "infer_rules": {**_DEMOS, **_THREADS, "num_candidates": _whole(1, 100), "num_rules": _whole(1, 100)},
    "custom": {**_THREADS, "name": _text, "kwargs": _mapping},
    "evaluate": dict(_THREADS),
}
