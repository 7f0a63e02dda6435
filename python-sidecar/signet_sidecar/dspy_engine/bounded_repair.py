"""Bounds what a hostile reply costs: json_repair is quadratic in some texts, and 16 kB of opening braces cost it 13 s."""

from __future__ import annotations

import asyncio
import contextvars
import ctypes
import json
import re
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import dspy
import json_repair
import regex  # type: ignore[import-untyped]

CHARACTERS_MAX = 512 * 1024
DEPTH_MAX = 200
READING_S = 5.0
THREADS = 4

T = TypeVar("T")
_BRACKETS = re.compile(r"[{}\[\]()]")
_OPENED_BY = {"}": "{", "]": "[", ")": "("}
_threads = ThreadPoolExecutor(THREADS, thread_name_prefix="read-reply")


class ReadingTooLong(BaseException):
    """A reply took longer to read than any reply may; not an Exception, so that no module takes it for its own."""


class BoundedRepair:
    """json_repair as DSPy's adapters use it, with texts refused that would cost it seconds. JSON passes whatever its size."""

    def loads(self, text: str, *args: Any, **kwargs: Any) -> Any:
        """`json_repair.loads`, or RecursionError for a text that is no JSON and beyond the bounds."""
        fault = _fault(text)
        if fault and not _is_json(text):
            raise RecursionError(fault)
        return json_repair.loads(text, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(json_repair, name)


class BoundedSearch:
    """The `regex` library as DSPy's JSON adapter uses it, which looks from each brace to the end of the text."""

    def search(self, pattern: str, text: str, flags: int) -> Any:
        """`regex.search`, or TimeoutError; other threads run meanwhile."""
        return regex.search(pattern, text, flags, concurrent=True, timeout=READING_S)

    def __getattr__(self, name: str) -> Any:
        return getattr(regex, name)


def install() -> None:
    """Puts the bounds before everything that reads replies in this process, DSPy's own adapters included."""
    for module in (dspy.adapters.json_adapter, dspy.adapters.utils):
        module.__dict__["json_repair"] = BoundedRepair()
    dspy.adapters.json_adapter.__dict__["regex"] = BoundedSearch()


def _fault(text: str) -> str:
    if len(text) > CHARACTERS_MAX:
        return f"a reply of more than {CHARACTERS_MAX} characters is not repaired"
    if sum(map(text.count, "{[(")) <= DEPTH_MAX:
        return ""
    # Each kind by itself: what closes a list leaves json_repair, and DSPy's search for an object, inside the brace.
    depth = {"{": 0, "[": 0, "(": 0}
    for bracket in _BRACKETS.findall(text):
        if bracket in depth:
            depth[bracket] += 1
            if depth[bracket] > DEPTH_MAX:
                return f"a reply that nests deeper than {DEPTH_MAX} levels is not repaired"
        elif depth[_OPENED_BY[bracket]]:
            depth[_OPENED_BY[bracket]] -= 1
    return ""


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def within_bounds(work: Callable[[], T], seconds: float = READING_S) -> T:
    """What `work` gives; after `seconds` it is broken off with ReadingTooLong. Python code alone is reached, no waiting."""
    thread = threading.get_ident()
    lock = threading.Lock()
    ended = False

    def break_off() -> None:
        with lock:
            if not ended:
                _raise_in(thread, ReadingTooLong)

    watch = threading.Timer(seconds, break_off)
    watch.daemon = True
    watch.start()
    try:
        return work()
    finally:
        with lock:
            ended = True
        # What was raised and has not arrived yet must not arrive anywhere else.
        _raise_in(thread, None)
        watch.cancel()


def _raise_in(thread: int, error: type[BaseException] | None) -> None:
    raised = None if error is None else ctypes.py_object(error)
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), raised)


async def within_bounds_apart(work: Callable[[], T]) -> T:
    """The same on a thread of its own, so that the loop turns meanwhile."""
    context = contextvars.copy_context()
    return await asyncio.get_running_loop().run_in_executor(_threads, context.run, within_bounds, work)
