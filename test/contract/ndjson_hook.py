"""Teaches schemathesis to send bodies of one JSON object a line, and files."""

import json

import schemathesis


def _bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace")


@schemathesis.serializer("application/x-ndjson")
def ndjson(_context: object, value: object) -> bytes:
    return _bytes(value)


@schemathesis.serializer("text/csv")
def csv(_context: object, value: object) -> bytes:
    return _bytes(value)
