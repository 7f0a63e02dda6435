"""The examples that an optimizer learns from and measures on."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, Protocol

import dspy

from signet_sidecar.dspy_engine.outputs import read_object
from signet_sidecar.errors import cut

EXAMPLES_MAX = 100_000


class Row(Protocol):
    """An example as it came: its id, and JSON objects of inputs and of expected outputs (empty means none)."""

    @property
    def id(self) -> str:
        """What it is called by who measures."""
        ...

    @property
    def inputs_json(self) -> bytes:
        """The inputs."""
        ...

    @property
    def outputs_json(self) -> bytes:
        """The expected outputs."""
        ...


class DatasetFault(Exception):
    """Examples that cannot be used; names them by split and number."""


class Examples:
    """Both splits in the order in which they came; remembers each example's id."""

    def __init__(self, inputs: Iterable[str]) -> None:
        self._inputs = frozenset(inputs)
        self._ids: dict[int, str] = {}
        self.train: list[Any] = []
        self.val: list[Any] = []

    def add(self, split: str, chunk: Iterable[Row]) -> None:
        """Takes some of a split; raises DatasetFault for what is no example of the program."""
        if split not in ("train", "val"):
            raise DatasetFault(f"`{split[:100]}` is not a split: take `train` or `val`")
        rows = self.train if split == "train" else self.val
        for row in chunk:
            if len(self.train) + len(self.val) >= EXAMPLES_MAX:
                raise DatasetFault(f"an optimization takes at most {EXAMPLES_MAX} examples")
            where = f"{split}[{len(rows)}]"
            made = self._read(row, where)
            self._ids[id(made)] = row.id
            rows.append(made)

    def id_of(self, example: Any) -> str:
        """The id of an example; empty for one that is not among them."""
        return self._ids.get(id(example), "")

    def _read(self, row: Row, where: str) -> Any:
        try:
            inputs = read_object(row.inputs_json)
            outputs = read_object(row.outputs_json) if row.outputs_json else {}
        except ValueError as error:
            raise DatasetFault(f"{where} cannot be read: {cut(str(error), 200)}") from error
        unknown = inputs.keys() - self._inputs
        if unknown:
            names = ", ".join(f"`{cut(name, 100)}`" for name in sorted(unknown))
            raise DatasetFault(f"{where}: the program has no input {names}")
        if not inputs:
            raise DatasetFault(f"{where} has no inputs")
        outputs = {name: value for name, value in outputs.items() if name not in self._inputs}
        try:
            return dspy.Example({**inputs, **outputs}).with_inputs(*inputs)
        except Exception as error:
            raise DatasetFault(f"{where}: DSPy refuses the example: {cut(str(error), 200)}") from error


def expected_of(example: Any) -> dict[str, Any]:
    """The expected outputs of an example."""
    return dict(example.labels().items())


def write_values(values: dict[str, Any], plain: Any) -> bytes:
    """A JSON object in Python's JSON: NaN and half surrogate pairs pass, what is no JSON becomes text."""
    return json.dumps(values, default=plain).encode()
