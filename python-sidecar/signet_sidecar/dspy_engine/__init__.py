"""The only importer of DSPy: builds programs out of typed definitions, runs them and writes their outputs."""

from __future__ import annotations


def prepare_process() -> None:
    """Imports DSPy (1.5 s of CPU) and makes it fit for a server: no cache, no handlers of its own, kept type adapters,
    hostile replies bounded."""
    import logging

    import dspy

    from signet_sidecar.dspy_engine import bounded_repair, type_adapters

    type_adapters.install()
    bounded_repair.install()
    dspy.configure_cache(enable_disk_cache=False, enable_memory_cache=False)
    for name in ("dspy", "LiteLLM"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = True
    # DSPy's warnings and prints can quote inputs.
    for module in (dspy.predict.best_of_n, dspy.predict.refine):
        module.__dict__["print"] = lambda *_, **__: None
    logging.getLogger("dspy").setLevel(logging.ERROR)
