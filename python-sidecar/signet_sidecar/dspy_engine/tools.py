"""Tools of agents: DSPy shows them to the model, the executor calls them."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any, Protocol

import dspy


class ToolPort(Protocol):
    """The way to the tools; raises LmCallEnded where the run ends meanwhile."""

    async def call_tool(self, name: str, args: dict[str, Any]) -> Any:
        """What the model is shown of the call: any JSON value."""
        ...


class BlockingToolPort(Protocol):
    """The way to the tools for threads."""

    def call_tool(self, name: str, args: dict[str, Any]) -> Any:
        """Blocks the calling thread for what the model is shown of the call."""
        ...


TOOL_PORT: ContextVar[ToolPort] = ContextVar("signet_tool_port")
# The one of a process that runs one thing alone: its threads do not inherit context variables.
_blocking: list[BlockingToolPort] = []


def serve_blocking_tools(port: BlockingToolPort) -> None:
    """Lets tools be called without awaiting, for the rest of this process."""
    _blocking[:] = [port]


class PortTool(dspy.Tool):  # type: ignore[misc]
    """A tool whose calls leave through the run's port. Its arguments are checked by the executor, which refuses in words."""

    async def acall(self, /, **kwargs: Any) -> Any:
        """One call."""
        return await TOOL_PORT.get().call_tool(self.name, kwargs)

    def __call__(self, /, **kwargs: Any) -> Any:
        """One call of an agent that does not await; only where `serve_blocking_tools` was called."""
        if not _blocking:
            raise RuntimeError("this process calls tools only from modules that await")
        return _blocking[0].call_tool(self.name, kwargs)


class FinishTool(dspy.Tool):  # type: ignore[misc]
    """ReAct's own tool. Arguments, which it does not take, are refused in words: DSPy shows the model a traceback with paths."""

    async def acall(self, /, **kwargs: Any) -> str:
        """The end of the turns."""
        return self(**kwargs)

    def __call__(self, /, **kwargs: Any) -> str:
        """The same without awaiting."""
        for name in kwargs:
            return f"Execution error in {self.name}: Arg {name} is not in the tool's args."
        return "Completed."


def finish_in_words(stock: dspy.Tool) -> FinishTool:
    """The stock tool `finish` with other words for what went wrong, the same in the prompt."""
    return FinishTool(func=stock.func, name=stock.name, desc=stock.desc, args=stock.args, arg_types=stock.arg_types)


def make_tools(configured: list[dict[str, Any]]) -> list[PortTool]:
    """DSPy's form of the configured tools."""
    return [
        PortTool(
            func=_elsewhere, name=tool["name"], desc=tool.get("description", ""), args=dict(tool.get("args", {})), arg_types={}
        )
        for tool in configured
    ]


def _elsewhere() -> None:
    raise RuntimeError("tools are called by the executor")
