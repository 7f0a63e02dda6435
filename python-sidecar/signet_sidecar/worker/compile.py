"""Single builds and single readings: what a worker answers outside sessions."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any, TypeVar

from signet_sidecar.dialect import dialect
from signet_sidecar.dspy_engine.parse_completion import Parsed, parse_completion
from signet_sidecar.dspy_engine.programs import Program, Programs
from signet_sidecar.dspy_engine.prompt_plan import PlanError, make_plan
from signet_sidecar.dspy_engine.render_prompt import PlanFault, render_prompt
from signet_sidecar.errors import DefinitionError
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.wire import read_program

REPLY_BYTES_MAX = 4 * 1024 * 1024

logger = logging.getLogger(__name__)

Request = TypeVar("Request")
Answer = TypeVar("Answer")


def plan_of(program: Program) -> dict[str, Any]:
    """The fields of CompileProgramResponse that tell the plan, or why there is none."""
    versions = dialect()
    names = {"dspy": versions.dspy, "json_repair": versions.json_repair, "pydantic": versions.pydantic, "python": versions.python}
    try:
        return {"plan_json": make_plan(program, names)}
    except PlanError as error:
        return {"plan_fault": str(error)}
    except Exception as error:
        logger.exception("a program broke its plan")
        return {"plan_fault": f"the plan cannot be made: {type(error).__name__}: {error}"}


def answer_parse(programs: Programs, request: pb.ParseCompletionRequest) -> pb.ParseCompletionResponse:
    """Reads one reply; raises DefinitionError for what cannot be built and ValueError for a reply that is no JSON string."""
    if len(request.reply_json) > REPLY_BYTES_MAX:
        raise ValueError(f"reply_json is larger than {REPLY_BYTES_MAX} bytes")
    reply = json.loads(request.reply_json)
    if not isinstance(reply, str):
        raise ValueError("reply_json is not a JSON string")
    program = programs.get(read_program(request.program))
    read = parse_completion(program, request.predictor, request.prompt_adapter, reply)
    if isinstance(read, Parsed):
        marks = [pb.ValueMark(path_json=path.encode(), kind=kind) for path, kind in read.marks]
        return pb.ParseCompletionResponse(outputs=pb.ParsedOutputs(outputs_json=read.outputs_json.encode(), marks=marks))
    fault = pb.ParseFault(
        python_type=read.python_type,
        kind=read.kind,
        fields=read.fields,
        message=_wellformed(read.message),
    )
    return pb.ParseCompletionResponse(error=fault)


def answer_render(programs: Programs, request: pb.RenderPromptRequest) -> pb.RenderPromptResponse:
    """Shows one prompt; raises DefinitionError for what cannot be built and ValueError for inputs that are no JSON object."""
    inputs = json.loads(request.inputs_json)
    if not isinstance(inputs, dict):
        raise ValueError("inputs_json is not a JSON object")
    program = programs.get(read_program(request.program))
    shown = render_prompt(program, request.predictor, request.prompt_adapter, inputs)
    if isinstance(shown, PlanFault):
        fault = pb.ModuleFault(reason="MODULE_INVALID", message=_wellformed(shown.message), python_type=shown.python_type)
        return pb.RenderPromptResponse(error=fault)
    return pb.RenderPromptResponse(messages_json=json.dumps(shown).encode())


def _wellformed(text: str) -> str:
    return text.encode(errors="replace").decode()


def safely(answer: Callable[[Programs, Request], Answer], programs: Programs, request: Request) -> Answer | str:
    """The answer, or what is wrong with the request."""
    try:
        return answer(programs, request)
    except DefinitionError as error:
        return error.fault.message
    except (ValueError, RecursionError) as error:
        return f"the request cannot be read: {error}"
