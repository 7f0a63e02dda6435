"""What can go wrong in a run, in the words of the public contract."""

from __future__ import annotations

import traceback as traceback_module
from dataclasses import dataclass

MESSAGE_MAX = 2_000
TRACEBACK_MAX = 20_000


@dataclass(frozen=True)
class Fault:
    """Why a module, a signature or a definition cannot be used; `reason` is MODULE_INVALID or SIGNATURE_TYPE."""

    reason: str
    message: str
    python_type: str = ""


class DefinitionError(Exception):
    """A definition that cannot be built; carries the Fault."""

    def __init__(self, reason: str, message: str, python_type: str = "") -> None:
        super().__init__(message)
        self.fault = Fault(reason, cut(message, MESSAGE_MAX), python_type)


class RunFailure(Exception):
    """The end of a run that went wrong, ready for the wire: reason, category and whether a repetition could help."""

    def __init__(
        self,
        reason: str,
        message: str,
        category: str,
        *,
        python_type: str = "",
        retryable: bool = False,
        traceback: str = "",
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = cut(message, MESSAGE_MAX)
        self.category = category
        self.python_type = python_type
        self.retryable = retryable
        self.traceback = traceback


def cut(text: str, length_max: int) -> str:
    """Shortens a text to at most `length_max` characters and drops what UTF-8 cannot carry."""
    if len(text) > length_max:
        text = text[: length_max - 1] + "…"
    return text.encode("utf-8", "replace").decode("utf-8")


def traceback_of(error: BaseException) -> str:
    """Formats an error with its causes, the last 20,000 characters of it."""
    text = "".join(traceback_module.format_exception(error))
    return text[-TRACEBACK_MAX:].encode("utf-8", "replace").decode("utf-8")
