"""Waits for what nobody announces."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

LOOK_S = 0.1


async def becomes(is_so: Callable[[], bool], timeout_s: float) -> bool:
    """Whether something came true in time; looks ten times a second."""
    latest = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() >= latest:
            return False
        await asyncio.sleep(LOOK_S)
    return True
