"""Runs one program once."""

from __future__ import annotations

import asyncio
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError, LMError

from signet_sidecar.dspy_engine.lm import LmCallEnded, LmCallFailed, LmPort, PortLM, write_options
from signet_sidecar.dspy_engine.outputs import read_object, write_outputs
from signet_sidecar.dspy_engine.programs import Program
from signet_sidecar.dspy_engine.spans import ModuleSpans
from signet_sidecar.errors import DefinitionError, RunFailure, traceback_of

_CATEGORIES = {"CANCELLED": "cancelled", "DEADLINE_EXCEEDED": "deadline"}


async def execute(program: Program, inputs_json: bytes, lm_options_json: bytes, port: LmPort, spans: ModuleSpans | None) -> bytes:
    """The outputs as JSON; every failure but cancellation leaves as a RunFailure."""
    try:
        inputs = _inputs(program, inputs_json)
        lm = _language_model(program, lm_options_json, port, spans)
        with dspy.context(
            lm=lm,
            adapter=program.adapter,
            trace=[],
            disable_history=True,
            callbacks=[spans] if spans else [],
            warn_on_type_mismatch=False,
        ):
            prediction = await program.module.acall(**inputs)
        return write_outputs(prediction, program.outputs)
    except asyncio.CancelledError:
        raise
    except (Exception, LmCallEnded) as error:
        raise to_failure(error) from error


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


def to_failure(error: BaseException) -> RunFailure:
    """What a run's error is called on the wire."""
    if isinstance(error, RunFailure):
        return error
    python_type = type(error).__name__
    traceback = traceback_of(error)
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
