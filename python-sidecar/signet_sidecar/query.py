"""Reads what the sidecar holds, as rows with filters, an order and a window."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from signet_sidecar.gen import sidecar_pb2 as pb

ROWS_MAX = 1_000
FILTERS_MAX = 32
SORTS_MAX = 8
FIELDS = ("name", "shared", "held")

Row = dict[str, Any]


class QueryError(Exception):
    """Why a question cannot be answered."""


def answer(request: pb.QueryRequest, modules: Sequence[Row]) -> pb.QueryResponse:
    """The rows that a question asks for; QueryError for a resource, an action, a field or a value that there is not."""
    if request.resource != "modules":
        raise QueryError(f"there is no resource `{request.resource[:100]}`")
    if request.action != "read":
        raise QueryError(f"modules have no action `{request.action[:100]}`")
    if request.arguments_json and _read(request.arguments_json, "arguments") != {}:
        raise QueryError("`read` takes no arguments")
    if len(request.filters) > FILTERS_MAX or len(request.sorts) > SORTS_MAX:
        raise QueryError(f"there may be {FILTERS_MAX} filters and {SORTS_MAX} sorts at most")
    rows = list(modules)
    for wanted in request.filters:
        field, value = _field(wanted.field), _read(wanted.value_json, wanted.field)
        rows = [row for row in rows if row[field] == value and type(row[field]) is type(value)]
    rows.sort(key=lambda row: str(row["name"]))
    # The sort is stable, so the last one first.
    for sort in reversed(request.sorts):
        field = _field(sort.field)
        rows.sort(key=lambda row, field=field: row[field], reverse=sort.descending)  # type: ignore[misc]
    limit = min(request.limit or ROWS_MAX, ROWS_MAX)
    window = rows[request.offset : request.offset + limit]
    return pb.QueryResponse(rows_json=[json.dumps(row).encode() for row in window])


def _field(name: str) -> str:
    if name not in FIELDS:
        raise QueryError(f"modules have no field `{name[:100]}`; there are {', '.join(FIELDS)}")
    return name


def _read(text: bytes, what: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise QueryError(f"`{what[:100]}` is not JSON") from None
