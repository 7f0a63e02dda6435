"""Which worker a program belongs to, told by its module's name alone."""

from __future__ import annotations

from collections.abc import Collection

PYTHON_PREFIX = "python:"
CALL_PREFIX = "call:"
DSPY_METRIC_PREFIX = "dspy_metric:"
PYTHON_METRIC_PREFIX = "python_metric:"

# They execute code of a user or of a model; all others only wait for the model and for tools.
_ALONE = frozenset({"best_of_n", "refine", "program_of_thought"})


def runs_alone(module: str, shared_names: Collection[str]) -> bool:
    """True if runs of this module take a worker of their own. A name that is no module at all may be looked at anywhere."""
    for prefix in (PYTHON_PREFIX, PYTHON_METRIC_PREFIX, CALL_PREFIX):
        if module.startswith(prefix):
            return module.removeprefix(prefix) not in shared_names
    return module in _ALONE
