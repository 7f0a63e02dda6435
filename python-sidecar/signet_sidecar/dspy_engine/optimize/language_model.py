"""DSPy's language model inside an optimization: calls leave through the port, marked with the role in which they are made."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from signet_sidecar.dspy_engine.definition import Capabilities
from signet_sidecar.dspy_engine.lm import ASKING, Asking, LmAnswer, LmRequest, PortLM, write_options
from signet_sidecar.dspy_engine.optimize.port import OptimizePort

_NOT_ASKED = Asking("chat", ())


class RoleLM(PortLM):
    """The model of a role, for many threads at once. Copies (another temperature, another rollout) are of the same role.

    Inside one optimization the same request is paid once, as with DSPy's own cache: another rollout is another request.
    """

    def __init__(self, port: OptimizePort, role: str, lm: Capabilities, options: Mapping[str, Any], traceparent: str = "") -> None:
        super().__init__(lm, _Unused(), options, write_options(options), {}, None)
        self._out = port
        self._role = role
        self._traceparent = traceparent

    def __deepcopy__(self, memo: dict[int, Any]) -> RoleLM:
        # Optimizers deep-copy modules that carry a model; the way out is one for all.
        made = copy.copy(self)
        made.kwargs = dict(self.kwargs)
        return made

    def dump_state(self) -> dict[str, Any]:
        """A name and nothing else: what a saved program needs of its model the registry knows."""
        return {"model": self.model}

    async def acall(self, prompt: str | None = None, *, messages: list[dict[str, Any]] | None = None, **kwargs: Any) -> list[str]:
        """One text a generation."""
        answers = await self.ask(messages or [{"role": "user", "content": prompt or ""}], kwargs, _take_asking())
        return [answer.text for answer in answers]

    async def ask(self, messages: list[dict[str, Any]], kwargs: dict[str, Any], asking: Asking) -> list[LmAnswer]:
        """One answer a generation."""
        return [await self._out.call_lm_async(self._role, *asked) for asked in self._requests(messages, kwargs, asking)]

    def __call__(self, prompt: str | None = None, *, messages: list[dict[str, Any]] | None = None, **kwargs: Any) -> list[str]:
        """The blocking form."""
        requests = self._requests(messages or [{"role": "user", "content": prompt or ""}], kwargs, _take_asking())
        return [self._out.call_lm(self._role, *asked).text for asked in requests]

    def _requests(self, messages: list[dict[str, Any]], kwargs: dict[str, Any], asking: Asking) -> list[tuple[LmRequest, str]]:
        count, made = self._request(messages, kwargs, asking)
        request = LmRequest(made.predictor, made.asking, made.messages, made.options_json, self._traceparent)
        rollout = kwargs.get("rollout_id", self.kwargs.get("rollout_id"))
        return [(request, f"{rollout}/{number}") for number in range(count)]


class _Unused:
    async def call(self, request: LmRequest) -> LmAnswer:
        raise NotImplementedError("calls of an optimization leave through its port")

    def call_sync(self, request: LmRequest) -> LmAnswer:
        raise NotImplementedError("calls of an optimization leave through its port")


def _take_asking() -> Asking:
    # Stock adapters of DSPy's own proposers do not say what they ask for: the word of an earlier call must not stand for them.
    asking = ASKING.get()
    ASKING.set(_NOT_ASKED)
    return asking
