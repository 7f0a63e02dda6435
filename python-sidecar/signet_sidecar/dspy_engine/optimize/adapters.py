"""The Chat and JSON adapters for many threads and ever new prompts: the bytes of the served ones, with nothing kept."""

from __future__ import annotations

from typing import Any

from signet_sidecar.dspy_engine.adapters import KeptChatAdapter, KeptJSONAdapter, Plan, _Kept


class _Fresh(_Kept):
    def plan_of(self, signature: Any) -> Plan | None:
        # Optimizers write new instructions into a signature that was rendered before.
        return self._make_plan(signature)

    def user_message_output_requirements(self, signature: Any) -> str:
        text: str = super(_Kept, self).user_message_output_requirements(signature)  # type: ignore[misc]
        return text

    def _messages(self, plan: Plan, signature: Any, demos: list[Any], inputs: dict[str, Any]) -> list[dict[str, Any]]:
        # The served adapters keep the demo messages of a signature: here each candidate has demos of its own, on several threads.
        content = self.format_user_message_content(signature, inputs, main_request=True)  # type: ignore[attr-defined]
        return [dict(plan.system), *self.format_demos(signature, demos), {"role": "user", "content": content}]  # type: ignore[attr-defined]


class FreshJSONAdapter(_Fresh, KeptJSONAdapter):
    """`dspy.JSONAdapter()`."""


class FreshChatAdapter(_Fresh, KeptChatAdapter):
    """`dspy.ChatAdapter()`, falling back to JSON."""

    def _make_json_adapter_fallback(self) -> FreshJSONAdapter:
        return FreshJSONAdapter(
            use_native_function_calling=self.use_native_function_calling, parallel_tool_calls=self.parallel_tool_calls
        )


FreshJSONAdapter.__name__ = "JSONAdapter"
FreshChatAdapter.__name__ = "ChatAdapter"

FRESH_ADAPTERS: dict[str, type[FreshChatAdapter] | type[FreshJSONAdapter]] = {"chat": FreshChatAdapter, "json": FreshJSONAdapter}
