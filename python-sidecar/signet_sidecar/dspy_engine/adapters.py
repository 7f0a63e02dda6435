"""DSPy's Chat and JSON adapters with the text kept that depends on the signature and the demos alone."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import Any

import dspy
from dspy.utils.exceptions import AdapterParseError

from signet_sidecar.dspy_engine.annotations import to_type_data
from signet_sidecar.dspy_engine.bounded_repair import ReadingTooLong, within_bounds_apart
from signet_sidecar.dspy_engine.lm import ASKING, Asking, LmAnswer, OutputData, PortLM
from signet_sidecar.errors import DefinitionError, RunFailure

PLANS_MAX = 256
# So much hostile text costs the loop some 30 ms at most.
QUICK_CHARACTERS = 512
_TOOL_KEYS = ("tools", "tool_choice", "parallel_tool_calls")


@dataclass
class Plan:
    """What is known about a signature's prompt before any input is."""

    system: dict[str, Any]
    requirements: str
    asking: Asking
    demos: list[dict[str, Any]] | None = None
    demo_messages: list[dict[str, Any]] = field(default_factory=list)
    response_format: Any = None


class _Kept:
    """Mixed in before a stock adapter. Signatures with types that are not ours take the stock way unchanged."""

    kind = "chat"
    _plans: dict[Any, Plan | None]

    def plan_of(self, signature: Any) -> Plan | None:
        """The kept text of a signature, or None where one of its types is not ours."""
        plans = self.__dict__.setdefault("_plans", {})
        if signature not in plans:
            if len(plans) >= PLANS_MAX:
                plans.clear()
            plans[signature] = self._make_plan(signature)
        plan: Plan | None = plans[signature]
        return plan

    def _make_plan(self, signature: Any) -> Plan | None:
        try:
            for info in signature.input_fields.values():
                to_type_data(info.annotation)
            outputs = tuple(
                OutputData(name, info.annotation is str, to_type_data(info.annotation))
                for name, info in signature.output_fields.items()
            )
        except DefinitionError:
            return None
        return Plan(
            system={"role": "system", "content": self.format_system_message(signature)},  # type: ignore[attr-defined]
            requirements=super().user_message_output_requirements(signature),  # type: ignore[misc]
            asking=Asking(self.kind, outputs),
        )

    def user_message_output_requirements(self, signature: Any) -> str:
        """DSPy's reminder at the end of the user message, rendered once a signature."""
        plan = self.plan_of(signature)
        if plan is None:
            text: str = super().user_message_output_requirements(signature)  # type: ignore[misc]
            return text
        return plan.requirements

    def format(self, signature: Any, demos: list[Any], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        """The messages of one request: the stock adapter's bytes."""
        plan = self.plan_of(signature)
        if plan is None:
            messages: list[dict[str, Any]] = super().format(signature, demos, inputs)  # type: ignore[misc]
            return messages
        ASKING.set(plan.asking)
        return self._messages(plan, signature, demos, inputs)

    def _messages(self, plan: Plan, signature: Any, demos: list[Any], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        # Kept by identity: a served program's demos never change, and other lists simply render again.
        if plan.demos is not demos or len(plan.demo_messages) > 2 * len(demos):
            plan.demo_messages = self.format_demos(signature, demos)  # type: ignore[attr-defined]
            plan.demos = demos
        # Markers of DSPy's media types inside a text stay text: nothing that a caller writes becomes an image address.
        content = self.format_user_message_content(signature, inputs, main_request=True)  # type: ignore[attr-defined]
        return [plan.system, *plan.demo_messages, {"role": "user", "content": content}]

    async def acall(
        self, lm: Any, lm_kwargs: dict[str, Any], signature: Any, demos: list[Any], inputs: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """DSPy's pipeline of format, call, parse and JSON fallback without its per-call planning, which our types never need."""
        plan = self.plan_of(signature)
        if plan is None or not isinstance(lm, PortLM):
            values: list[dict[str, Any]] = await super().acall(lm, lm_kwargs, signature, demos, inputs)  # type: ignore[misc]
            return values
        self._prepare(lm, lm_kwargs, signature, plan)
        answers = await lm.ask(self._messages(plan, signature, demos, inputs), lm_kwargs, plan.asking)
        try:
            return [await self._read(signature, answer, plan) for answer in answers]
        except AdapterParseError:
            if self.kind == "json" or any(answer.streamed for answer in answers):
                raise
        return await self._make_json_adapter_fallback().acall(lm, lm_kwargs, signature, demos, inputs)  # type: ignore[attr-defined,no-any-return]

    def _prepare(self, lm: PortLM, lm_kwargs: dict[str, Any], signature: Any, plan: Plan) -> None:
        for key in _TOOL_KEYS:
            lm_kwargs.pop(key, None)

    async def _read(self, signature: Any, answer: LmAnswer, plan: Plan) -> dict[str, Any]:
        if not answer.text:
            raise AdapterParseError(
                adapter_name=type(self).__name__,
                signature=signature,
                lm_response=str(answer.text),
                message="The LM returned an empty or null response.",
            )
        try:
            if self._may_take_long(answer.text, plan):
                return await within_bounds_apart(lambda: self._parsed(signature, answer.text))
            return self._parsed(signature, answer.text)
        except AdapterParseError:
            raise
        # DSPy lets some errors of a hostile reply through (nesting beyond the recursion limit, too many digits of an int)
        # and does not ask a second time then.
        except (Exception, ReadingTooLong) as error:
            why = "it takes too long" if isinstance(error, ReadingTooLong) else str(error)
            message = f"the reply cannot be read: {why}"
            raise RunFailure("LM_REPLY_UNREADABLE", message, "parse", python_type=type(error).__name__) from error

    def _parsed(self, signature: Any, text: str) -> dict[str, Any]:
        value: dict[str, Any] = self._parse(signature, text)  # type: ignore[attr-defined]
        return value

    def _may_take_long(self, text: str, plan: Plan) -> bool:
        # Only a text with an open bracket costs json_repair more than a glance, and Chat gives it none of a text field.
        if len(text) <= QUICK_CHARACTERS or (self.kind == "chat" and all(out.text for out in plan.asking.outputs)):
            return False
        return sum(map(text.count, "{[(")) > 2 * text.count("[[ ## ")


class KeptJSONAdapter(_Kept, dspy.JSONAdapter):  # type: ignore[misc]
    """`dspy.JSONAdapter()`, byte for byte."""

    kind = "json"
    _parse = inspect.unwrap(dspy.JSONAdapter.parse)

    def _prepare(self, lm: PortLM, lm_kwargs: dict[str, Any], signature: Any, plan: Plan) -> None:
        self._prepare_response_format(lm, lm_kwargs, signature)

    def _prepare_response_format(self, lm: Any, lm_kwargs: dict[str, Any], signature: Any) -> None:
        plan = self.plan_of(signature)
        if plan is None or not isinstance(lm, PortLM):
            super()._prepare_response_format(lm, lm_kwargs, signature)
            return
        if plan.response_format is None:
            chosen: dict[str, Any] = {}
            super()._prepare_response_format(lm, chosen, signature)
            plan.response_format = chosen
        made = plan.response_format.get("response_format")
        if made is None or (made == {"type": "json_object"} and not lm.takes_json_object):
            return
        lm_kwargs["response_format"] = made


class KeptChatAdapter(_Kept, dspy.ChatAdapter):  # type: ignore[misc]
    """`dspy.ChatAdapter()`, byte for byte, falling back to the kept JSON adapter."""

    # Without the callback wrappers, which a sampled run would pay twice for spans that nobody makes.
    _parse = inspect.unwrap(dspy.ChatAdapter.parse)

    def _make_json_adapter_fallback(self) -> KeptJSONAdapter:
        fallback = self.__dict__.get("_fallback")
        if not isinstance(fallback, KeptJSONAdapter):
            fallback = KeptJSONAdapter(
                use_native_function_calling=self.use_native_function_calling, parallel_tool_calls=self.parallel_tool_calls
            )
            self._fallback = fallback
        return fallback


# DSPy writes the class's name into its messages, which callers see.
KeptJSONAdapter.__name__ = "JSONAdapter"
KeptChatAdapter.__name__ = "ChatAdapter"

ADAPTERS: dict[str, type[_Kept]] = {"chat": KeptChatAdapter, "json": KeptJSONAdapter}
