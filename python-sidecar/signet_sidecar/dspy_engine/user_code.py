"""The user's own Python: names of the allow-list, and nothing else, become objects."""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Collection, Mapping
from typing import Any

from signet_sidecar.errors import DefinitionError


class UserCode:
    """The allow-list and the folder that it is read from; an object is imported when it is first asked for."""

    def __init__(self, modules: Mapping[str, str], path: str, shared: Collection[str] = (), colbert_url: str = "") -> None:
        self._modules = modules
        self._path = os.path.abspath(path) if path else ""
        self._found: dict[str, Any] = {}
        self.shared = frozenset(shared)
        self.colbert_url = colbert_url

    def load(self, name: Any) -> Any:
        """The object behind a name; raises DefinitionError where the name is not listed or its code cannot be imported."""
        target = self._modules.get(name) if isinstance(name, str) else None
        if target is None:
            raise DefinitionError("MODULE_INVALID", f"`{str(name)[:200]}` is not in SIGNET_PYTHON_MODULES")
        if name not in self._found:
            self._found[name] = self._import(name, target)
        return self._found[name]

    def _import(self, name: str, target: str) -> Any:
        if self._path and self._path not in sys.path:
            # Last: a user's `json.py` must not stand before Python's own.
            sys.path.append(self._path)
        module_name, _, attribute = target.partition(":")
        try:
            return getattr(importlib.import_module(module_name), attribute)
        # A user's module can raise anything while it is imported, SystemExit included.
        except BaseException as error:
            message = f"`{name}` cannot be imported: {error}"
            raise DefinitionError("MODULE_INVALID", message, type(error).__name__) from error


NO_USER_CODE = UserCode({}, "")
