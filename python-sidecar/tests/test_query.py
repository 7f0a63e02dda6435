"""HDL-05: rows of what the sidecar holds, by resource, action, filters, sorts, limit, offset and arguments."""

from __future__ import annotations

import json

import pytest

from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.query import QueryError, answer

MODULES = [
    {"name": "Shop.B", "shared": False, "held": True},
    {"name": "Shop.A", "shared": True, "held": True},
    {"name": "Shop.C", "shared": True, "held": True},
]


def names(**fields: object) -> list[str]:
    request = pb.QueryRequest(**{"resource": "modules", "action": "read", **fields})  # type: ignore[arg-type]
    return [json.loads(row)["name"] for row in answer(request, MODULES).rows_json]


def test_reads_filters_sorts_and_cuts() -> None:
    """HDL-05 answers rows in order of their names, filtered, sorted and cut."""
    assert names() == ["Shop.A", "Shop.B", "Shop.C"]
    assert names(filters=[pb.QueryFilter(field="shared", value_json=b"true")]) == ["Shop.A", "Shop.C"]
    assert names(sorts=[pb.QuerySort(field="shared"), pb.QuerySort(field="name", descending=True)]) == [
        "Shop.B",
        "Shop.C",
        "Shop.A",
    ]
    assert names(limit=1, offset=1) == ["Shop.B"]
    assert names(offset=100) == []
    assert names(arguments_json=b"{}") == ["Shop.A", "Shop.B", "Shop.C"]
    assert names(filters=[pb.QueryFilter(field="shared", value_json=b"1")]) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"resource": "secrets"},
        {"action": "destroy"},
        {"filters": [pb.QueryFilter(field="__class__", value_json=b"1")]},
        {"filters": [pb.QueryFilter(field="name", value_json=b"not json")]},
        {"filters": [pb.QueryFilter(field="name", value_json=b"1")] * 33},
        {"sorts": [pb.QuerySort(field="nope")]},
        {"arguments_json": b'{"path":"/etc"}'},
    ],
)
def test_refuses_what_there_is_not(fields: dict[str, object]) -> None:
    """HDL-05 refuses resources, actions, fields, values and arguments that there are not."""
    with pytest.raises(QueryError):
        names(**fields)
