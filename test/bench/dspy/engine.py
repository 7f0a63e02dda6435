"""DSPy's LM over aiohttp: an engine object of our own, which is the cheapest supported way to ask an OpenAI endpoint."""

from __future__ import annotations

from typing import Any

import aiohttp
import dspy
from dspy import lm15


class UnusedEngine:
    """The sync half, which DSPy asks for and nothing here calls."""

    def complete(self, request: Any) -> Any:
        raise RuntimeError("only the async engine is used")


class AsyncEngine:
    """Asks the endpoint once for each request, on connections that are kept."""

    def __init__(self, base: str) -> None:
        self._url = f"{base}/chat/completions"
        self._http: aiohttp.ClientSession | None = None

    async def complete(self, request: Any) -> Any:
        if self._http is None:
            self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        async with self._http.post(self._url, json={"model": request.model, "messages": to_chat(request)}) as reply:
            if reply.status >= 400:
                raise lm15.ServerError(await reply.text(), status=reply.status)
            return lm15.response_from_openai_chat(await reply.json(), model=request.model)


def to_chat(request: Any) -> list[dict[str, str]]:
    """The messages in OpenAI's form; texts only."""
    system = [{"role": "system", "content": text_of(request.system)}] if request.system else []
    return system + [{"role": message.role, "content": text_of(message.parts)} for message in request.messages]


def text_of(parts: Any) -> str:
    return parts if isinstance(parts, str) else "".join(part.text for part in parts)


class Answer(dspy.Signature):
    """Given the fields `question`, `context`, produce the fields `answer`, `confidence`."""

    question: str = dspy.InputField()
    context: list[str] = dspy.InputField()
    answer: str = dspy.OutputField()
    confidence: float = dspy.OutputField()


def make_lm(kind: str, base: str) -> dspy.LM:
    """An LM that asks the endpoint: `engine` through the object above, `lm15` as DSPy's own client does."""
    if kind == "engine":
        return dspy.LM("openai/scripted", engine=UnusedEngine(), async_engine=AsyncEngine(base), cache=False, num_retries=0)
    return dspy.LM("openai/scripted", engine="lm15", api_base=base, api_key="none", cache=False, num_retries=0)
