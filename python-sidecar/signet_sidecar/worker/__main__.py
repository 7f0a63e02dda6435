"""Starts one worker: `python -m signet_sidecar.worker --name NAME --report-fd FD --parent PID`, commands on stdin."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import warnings

from signet_sidecar.config import Config, read_config
from signet_sidecar.log import configure_logging
from signet_sidecar.worker.link import SupervisorLink, die_with_parent


def main() -> None:
    """Runs until the supervisor says so or is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--report-fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--solo", action="store_true")
    arguments = parser.parse_args()
    die_with_parent(arguments.parent)
    config = read_config(os.environ)
    # Code that runs here later finds no token in its environment.
    for name in ("SIGNET_INTERNAL_TOKEN", "SIGNET_INTERNAL_TOKEN_FILE"):
        os.environ.pop(name, None)
    configure_logging(arguments.name, config.log_level)
    warnings.simplefilter("ignore")
    asyncio.run(_serve(arguments.name, config, SupervisorLink(arguments.report_fd), solo=arguments.solo))


async def _serve(name: str, config: Config, link: SupervisorLink, *, solo: bool) -> None:
    # Imported late: a worker without its supervisor ends before it pays 1.5 s for DSPy.
    from signet_sidecar.dspy_engine import prepare_process
    from signet_sidecar.worker.engine_loop import EngineLoop
    from signet_sidecar.worker.server import Worker

    prepare_process()
    engine = EngineLoop()
    engine.start()
    worker = Worker(name, config, engine, link, solo=solo)
    loop = asyncio.get_running_loop()
    # Whoever cannot wait follows with SIGKILL, as the supervisor does 3 s later.
    loop.add_signal_handler(signal.SIGTERM, worker.drain)
    address = await worker.serve()
    link.report("ready", address=address)
    link.start(worker.state, {"drain": lambda: loop.call_soon_threadsafe(worker.drain)})
    await worker.run_until_stopped()
    # DSPy's threads may be anywhere; nothing of theirs is worth waiting for.
    os._exit(0)


if __name__ == "__main__":
    main()
