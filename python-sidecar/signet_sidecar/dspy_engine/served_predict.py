"""DSPy's Predict as served programs use it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dspy
from dspy.dsp.utils.settings import settings
from pydantic_core import PydanticUndefined

from signet_sidecar.dspy_engine.adapters import _Kept
from signet_sidecar.dspy_engine.lm import PortLM


class ServedPredict(dspy.Predict):  # type: ignore[misc]
    """`dspy.Predict` whose plain calls go straight to the adapter; calls with DSPy's own keywords take the stock way."""

    _PRIVILEGED = frozenset({"signature", "new_signature", "demos", "config", "lm", "prediction", "_trace"})

    async def aforward(self, **kwargs: Any) -> Any:
        """One prediction."""
        lm = self.lm or settings.lm
        adapter = settings.adapter
        # DSPy 3.4.1 asks each output for decision types, checks and warns on each call: 0.1 ms that a served run need not pay.
        if self._PRIVILEGED.isdisjoint(kwargs) and isinstance(lm, PortLM) and isinstance(adapter, _Kept) and not self._many(lm):
            for name, default in self._defaults().items():
                kwargs.setdefault(name, default)
            completions = await adapter.acall(lm, dict(self.config), self.signature, self.demos, kwargs)
            return self._forward_postprocess(completions, self.signature, **kwargs)
        return await super().aforward(**kwargs)

    def _many(self, lm: PortLM) -> bool:
        return any(key in options for options in (self.config, lm.kwargs) for key in ("n", "num_generations"))

    def _defaults(self) -> Mapping[str, Any]:
        kept = self.__dict__.get("_kept_defaults")
        if kept is None or kept[0] is not self.signature:
            fields = self.signature.input_fields.items()
            kept = (self.signature, {name: info.default for name, info in fields if info.default is not PydanticUndefined})
            self._kept_defaults = kept
        defaults: Mapping[str, Any] = kept[1]
        return defaults
