"""What decides the bytes of the prompts, read without importing DSPy."""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import version

from signet_sidecar.gen import sidecar_pb2 as pb


@cache
def dialect() -> pb.Dialect:
    """The versions of this installation."""
    return pb.Dialect(
        dspy=version("dspy"),
        json_repair=version("json_repair"),
        pydantic=version("pydantic"),
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
    )
