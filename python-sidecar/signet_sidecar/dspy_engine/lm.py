"""DSPy's language model here: an object whose calls leave through a port and never touch a network."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Protocol

import dspy
from dspy.clients.call_context import stream_emitted
from dspy.clients.legacy_requests import _strict_json_schema
from dspy.dsp.utils.settings import settings
from dspy.utils.exceptions import ContextWindowExceededError, LMError
from pydantic import BaseModel

from signet_sidecar.dspy_engine.definition import Capabilities, TypeData

GENERATIONS_MAX = 16

# Settings of DSPy's own client, which does not stand between us and the model.
_CLIENT_KEYS = frozenset(
    {"n", "num_generations", "cache", "rollout_id", "num_retries", "callbacks", "prompt_cache", "model", "messages"}
)


@dataclass(frozen=True)
class OutputData:
    """An output that a reply is to contain; `type` is absent where it has no form outside Python."""

    name: str
    text: bool
    type: TypeData | None


@dataclass(frozen=True)
class Asking:
    """Which adapter asks, and for which outputs."""

    prompt_adapter: str
    outputs: tuple[OutputData, ...]


@dataclass(frozen=True, slots=True)
class LmRequest:
    """One call of the model."""

    predictor: str
    asking: Asking
    messages: list[dict[str, Any]]
    options_json: bytes
    traceparent: str


@dataclass(frozen=True, slots=True)
class LmAnswer:
    """One completion; `streamed` means that text of it was shown already."""

    text: str
    streamed: bool


class LmPort(Protocol):
    """The way to the model. Both methods raise LmCallFailed or LmCallEnded where there is no completion."""

    async def call(self, request: LmRequest) -> LmAnswer:
        """Waits on DSPy's loop."""
        ...

    def call_sync(self, request: LmRequest) -> LmAnswer:
        """Blocks the calling thread."""
        ...


class LmCallFailed(LMError):  # type: ignore[misc]
    """A call without a completion, which a module may handle; carries the reason of the contract."""

    def __init__(self, reason: str, message: str, *, retryable: bool, retry_after_ms: int = 0) -> None:
        LMError.__init__(self, message, code=reason, retry_after=retry_after_ms / 1_000 if retry_after_ms else None)
        self.reason = reason
        self.retryable = retryable


class LmPromptTooLong(LmCallFailed, ContextWindowExceededError):  # type: ignore[misc]
    """A call whose prompt is longer than the model takes: DSPy's agents ask again with less of their trajectory."""


class LmCallEnded(BaseException):
    """A call that ended because its run must end (budget, deadline, cancel): DSPy swallows ordinary exceptions."""

    def __init__(self, reason: str, message: str, *, retryable: bool) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.retryable = retryable


class Tracing(Protocol):
    """Names the innermost span of a run."""

    def traceparent(self) -> str:
        """The W3C trace context to hand on; empty means the run's own."""
        ...


# Kept on the predictor too, for copies that BestOfN and Refine make of a module.
_PATH = "_signet_path"

ASKING: ContextVar[Asking] = ContextVar("signet_asking", default=Asking("chat", ()))  # noqa: B039


class PortLM(dspy.BaseLM):  # type: ignore[misc]
    """One run's language model: options of the endpoint in `kwargs`, capability flags as the executor named them."""

    def __init__(
        self,
        lm: Capabilities,
        port: LmPort,
        options: Mapping[str, Any],
        options_json: bytes,
        predictors: Mapping[int, str],
        tracing: Tracing | None,
    ) -> None:
        super().__init__(lm.model, cache=False, num_retries=0)
        self.kwargs = dict(options)
        self._lm = lm
        self._port = port
        self._options_json: bytes | None = options_json
        self._predictors = predictors
        self._tracing = tracing
        self.has_answered = False

    @property
    def supports_function_calling(self) -> bool:
        """Whether the endpoint calls tools."""
        return self._lm.tools

    @property
    def supports_response_schema(self) -> bool:
        """Whether the endpoint takes a JSON schema for its reply."""
        return self._lm.json_schema

    @property
    def supported_params(self) -> set[str]:
        """The parameters that adapters look for."""
        params = {"temperature", "max_tokens", "top_p", "stop"}
        if self._lm.json_schema or self._lm.json_object:
            params.add("response_format")
        if self._lm.tools:
            params |= {"tools", "tool_choice", "parallel_tool_calls"}
        return params

    @property
    def takes_json_object(self) -> bool:
        """Whether the endpoint takes `response_format` of type `json_object`."""
        return self._lm.json_object

    def copy(self, **kwargs: Any) -> PortLM:
        """A copy with other options, as DSPy's BestOfN and Refine make them."""
        made: PortLM = super().copy(**kwargs)
        made._options_json = None
        return made

    async def acall(self, prompt: str | None = None, *, messages: list[dict[str, Any]] | None = None, **kwargs: Any) -> list[str]:
        """One text a generation, in DSPy's calling form."""
        answers = await self.ask(messages or [{"role": "user", "content": prompt or ""}], kwargs, ASKING.get())
        return [_shown(answer) for answer in answers]

    def __call__(self, prompt: str | None = None, *, messages: list[dict[str, Any]] | None = None, **kwargs: Any) -> list[str]:
        """The blocking form of `acall`, for modules without `aforward`."""
        count, request = self._request(messages or [{"role": "user", "content": prompt or ""}], kwargs, ASKING.get())
        return [_shown(self._port.call_sync(request)) for _ in range(count)]

    async def ask(self, messages: list[dict[str, Any]], kwargs: dict[str, Any], asking: Asking) -> list[LmAnswer]:
        """One answer a generation (`n`, at most 16), each by a call of its own as DSPy does it for custom engines."""
        count, request = self._request(messages, kwargs, asking)
        answers = [await self._port.call(request) for _ in range(count)]
        self.has_answered = True
        return answers

    def _request(self, messages: list[dict[str, Any]], kwargs: dict[str, Any], asking: Asking) -> tuple[int, LmRequest]:
        options_json = self._options_json
        count = 1
        if kwargs or options_json is None:
            merged = {**self.kwargs, **kwargs}
            count = merged.get("n") or merged.get("num_generations") or 1
            options_json = write_options(merged)
        elif "n" in self.kwargs or "num_generations" in self.kwargs:
            count = self.kwargs.get("n") or self.kwargs.get("num_generations") or 1
        if isinstance(count, bool) or not isinstance(count, int) or not 1 <= count <= GENERATIONS_MAX:
            raise ValueError(f"n must be between 1 and {GENERATIONS_MAX}")
        callers = settings.caller_modules
        caller = callers[-1] if callers else None
        predictor = self._predictors.get(id(caller)) or str(getattr(caller, _PATH, ""))
        traceparent = self._tracing.traceparent() if self._tracing else ""
        return count, LmRequest(predictor, asking, messages, options_json, traceparent)


def name_predictor(predictor: Any, path: str) -> None:
    """Lets calls of a predictor, and of its copies, be known by its path in the program."""
    setattr(predictor, _PATH, path)


def write_options(options: Mapping[str, Any]) -> bytes:
    """Everything of a request but its messages as JSON; empty for none. A pydantic class becomes its strict schema."""
    body = {key: value for key, value in options.items() if key not in _CLIENT_KEYS and value is not None}
    made = body.get("response_format")
    if isinstance(made, type) and issubclass(made, BaseModel):
        schema = _strict_json_schema(made.model_json_schema())
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": made.__name__, "schema": schema, "strict": True}}
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode() if body else b""


def _shown(answer: LmAnswer) -> str:
    # DSPy's own mark: once text was visible its adapters raise instead of asking again in another form.
    if answer.streamed:
        stream_emitted()
    return answer.text
