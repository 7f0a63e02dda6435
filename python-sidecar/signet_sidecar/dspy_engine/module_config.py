"""Reads a module's settings: the names that it takes, each with its bounds, and nothing else."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from signet_sidecar.errors import DefinitionError

TOOLS_MAX = 32
_TOOL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


class ModuleConfig:
    """The settings of one module; every method raises DefinitionError with MODULE_INVALID naming the setting."""

    def __init__(self, module: str, given: Mapping[str, Any], takes: Collection[str]) -> None:
        self._module = module
        self._given = given
        for name in given:
            if name not in takes:
                known = f"takes {', '.join(takes)}" if takes else "takes none"
                raise DefinitionError("MODULE_INVALID", f"module_config.{name[:100]}: {module} {known}")

    def whole(self, name: str, default: int, low: int, high: int) -> int:
        """A whole number within bounds."""
        value = self._given.get(name, default)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise self._refuse(name, f"must be a whole number from {low} to {high}")
        return value

    def number(self, name: str, default: float | None, low: float, high: float) -> float:
        """A number within bounds; required where there is no default."""
        value = self._given.get(name, default)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value) or not low <= value <= high:
            raise self._refuse(name, f"must be a number from {low:g} to {high:g}")
        return value

    def text(self, name: str, default: str | None, choices: Collection[str] = ()) -> str:
        """A text, one of the choices where there are any; required where there is no default."""
        value = self._given.get(name, default)
        if not isinstance(value, str) or (choices and value not in choices):
            raise self._refuse(name, f"must be one of {', '.join(choices)}" if choices else "must be a text")
        return value

    def flag(self, name: str, default: bool) -> bool:
        """True or false."""
        value = self._given.get(name, default)
        if not isinstance(value, bool):
            raise self._refuse(name, "must be true or false")
        return value

    def mapping(self, name: str) -> dict[str, Any]:
        """An object; empty if it is not set."""
        value = self._given.get(name, {})
        if not isinstance(value, dict):
            raise self._refuse(name, "must be an object")
        return value

    def tools(self) -> list[dict[str, Any]]:
        """The tools by `name`, `description` and `args`, names unique and fit for a prompt."""
        value = self._given.get("tools", [])
        if not isinstance(value, list) or len(value) > TOOLS_MAX:
            raise self._refuse("tools", f"must be a list of at most {TOOLS_MAX}")
        names: set[str] = set()
        for at, tool in enumerate(value):
            path = f"tools[{at}]"
            if not isinstance(tool, dict):
                raise self._refuse(path, "must be an object")
            name = tool.get("name")
            if not isinstance(name, str) or not _TOOL_NAME.fullmatch(name) or name == "finish" or name in names:
                raise self._refuse(f"{path}.name", "must be an identifier of its own, not `finish`")
            if not isinstance(tool.get("description", ""), str):
                raise self._refuse(f"{path}.description", "must be a text")
            args = tool.get("args", {})
            if not isinstance(args, dict) or not all(isinstance(schema, dict) for schema in args.values()):
                raise self._refuse(f"{path}.args", "must hold a JSON schema for each argument")
            names.add(name)
        return value

    def _refuse(self, name: str, why: str) -> DefinitionError:
        return DefinitionError("MODULE_INVALID", f"module_config.{name} of {self._module} {why}")
