"""Runs one program once."""

from __future__ import annotations

import asyncio
import contextvars
from typing import Any, Protocol

import dspy
from dspy.utils.exceptions import AdapterParseError, ContextWindowExceededError, LMError

from signet_sidecar.dspy_engine.lm import LmCallEnded, LmCallFailed, LmPort, PortLM, write_options
from signet_sidecar.dspy_engine.outputs import read_object, write_outputs
from signet_sidecar.dspy_engine.programs import Program
from signet_sidecar.dspy_engine.spans import ModuleSpans
from signet_sidecar.dspy_engine.tools import TOOL_PORT, ToolPort
from signet_sidecar.errors import DefinitionError, RunFailure, traceback_of

_CATEGORIES = {"CANCELLED": "cancelled", "DEADLINE_EXCEEDED": "deadline"}


class RunPort(LmPort, ToolPort, Protocol):
    """The way of one run to the model and to the tools."""


async def execute(program: Program, inputs_json: bytes, lm_options_json: bytes, port: RunPort, spans: ModuleSpans | None) -> bytes:
    """The outputs as JSON; every failure but cancellation leaves as a RunFailure."""
    lm: PortLM | None = None
    try:
        inputs = _inputs(program, inputs_json)
        lm = _language_model(program, lm_options_json, port, spans)
        TOOL_PORT.set(port)
        with dspy.context(
            lm=lm,
            adapter=program.adapter,
            trace=[],
            disable_history=True,
            callbacks=[spans] if spans else [],
            warn_on_type_mismatch=False,
        ):
            prediction = await (program.module.acall(**inputs) if program.is_async else _in_thread(program.module, inputs))
        return write_outputs(_declared(prediction, program.outputs), program.outputs)
    except asyncio.CancelledError:
        raise
    except (Exception, LmCallEnded) as error:
        raise _of_reply(error, lm) or to_failure(error) from error


def _of_reply(error: BaseException, lm: PortLM | None) -> RunFailure | None:
    # Inputs came first: what no request can carry after an answer came out of that answer.
    if lm is None or not lm.has_answered or not isinstance(error, UnicodeEncodeError):
        return None
    message = "the reply holds half a surrogate pair, which no request can carry"
    return RunFailure("LM_REPLY_UNREADABLE", message, "parse", python_type=type(error).__name__, traceback=traceback_of(error))


async def _in_thread(module: Any, inputs: dict[str, Any]) -> Any:
    context = contextvars.copy_context()
    future = asyncio.get_running_loop().run_in_executor(None, lambda: context.run(module, **inputs))
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        # A thread cannot be stopped: its calls of the model fail from now on, and a run that goes on costs the worker its life.
        await asyncio.wait({future})
        raise


def _declared(prediction: Any, names: tuple[str, ...]) -> dict[str, Any]:
    if prediction is None:
        raise RunFailure("MODULE_FAILED", "the module gave no prediction", "module")
    values = {}
    for name in names:
        try:
            values[name] = prediction[name]
        except (KeyError, TypeError, IndexError) as error:
            message = f"the module gave no `{name}`, which the signature declares"
            raise RunFailure("MODULE_FAILED", message, "module", python_type=type(error).__name__) from error
    return values


def _inputs(program: Program, inputs_json: bytes) -> dict[str, Any]:
    try:
        given = read_object(inputs_json)
    except ValueError as error:
        raise RunFailure(
            "INPUT_INVALID", f"the inputs cannot be read: {error}", "input", python_type=type(error).__name__
        ) from error
    missing = program.required - given.keys()
    if missing:
        raise RunFailure("INPUT_INVALID", f"inputs are missing: {', '.join(sorted(missing))}", "input")
    # Only declared names pass: Predict takes keywords such as `lm` and `config` for itself.
    return {name: value for name, value in given.items() if name in program.inputs}


def _language_model(program: Program, lm_options_json: bytes, port: LmPort, spans: ModuleSpans | None) -> PortLM:
    options = program.data.lm_options
    options_json = program.lm_options_json
    if lm_options_json:
        try:
            options = {**options, **read_object(lm_options_json)}
            options_json = write_options(options)
        except ValueError as error:
            raise RunFailure("INPUT_INVALID", f"lm_options cannot be read: {error}", "input") from error
    return PortLM(program.data.lm, port, options, options_json, program.predictors, spans)


def _refusal_of(error: BaseException) -> BaseException:
    """What the model said where an agent gave up making its prompt shorter; else the error itself."""
    if isinstance(error, ContextWindowExceededError):
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, LmCallFailed):
                return cause
            cause = cause.__cause__ or cause.__context__
    return error


def to_failure(error: BaseException) -> RunFailure:
    """What a run's error is called on the wire."""
    if isinstance(error, RunFailure):
        return error
    python_type = type(error).__name__
    traceback = traceback_of(error)
    error = _refusal_of(error)
    if isinstance(error, (LmCallFailed, LmCallEnded)):
        category = _CATEGORIES.get(error.reason, "lm")
        return RunFailure(
            error.reason, error.message, category, python_type=python_type, retryable=error.retryable, traceback=traceback
        )
    if isinstance(error, DefinitionError):
        return RunFailure("MODULE_INVALID", error.fault.message, "module", python_type=error.fault.python_type or python_type)
    if isinstance(error, AdapterParseError):
        return RunFailure("LM_REPLY_UNREADABLE", str(error).strip(), "parse", python_type=python_type, traceback=traceback)
    if isinstance(error, LMError):
        return RunFailure("LM_ERROR", str(error), "lm", python_type=python_type, traceback=traceback)
    if isinstance(error, UnicodeEncodeError):
        message = "a text holds a lone surrogate, which no request can carry"
        return RunFailure("INPUT_INVALID", message, "input", python_type=python_type, traceback=traceback)
    return RunFailure("MODULE_FAILED", f"{python_type}: {error}", "module", python_type=python_type, traceback=traceback)
