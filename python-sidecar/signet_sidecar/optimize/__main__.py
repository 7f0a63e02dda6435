"""Starts an optimizer process: `python -m signet_sidecar.optimize --name NAME --report-fd FD --parent PID --memory BYTES`."""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import signal
import warnings

from signet_sidecar.config import Config, read_config
from signet_sidecar.log import configure_logging
from signet_sidecar.worker.link import SupervisorLink, die_with_parent

# What libraries and threads reserve without using it.
RESERVED_BYTES = 1024**3


def main() -> None:
    """Runs one optimization and ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--report-fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--memory", type=int, required=True)
    arguments = parser.parse_args()
    die_with_parent(arguments.parent)
    config = read_config(os.environ)
    # Code that runs here later finds no token in its environment.
    for name in ("SIGNET_INTERNAL_TOKEN", "SIGNET_INTERNAL_TOKEN_FILE"):
        os.environ.pop(name, None)
    # The session watches what is used; this stops what would outgrow the machine between two looks.
    bound = 2 * arguments.memory + RESERVED_BYTES
    resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))
    configure_logging(arguments.name, config.log_level)
    warnings.simplefilter("ignore")
    asyncio.run(_serve(config, SupervisorLink(arguments.report_fd), arguments.memory))


async def _serve(config: Config, link: SupervisorLink, memory_max: int) -> None:
    # Imported late: a process without its supervisor ends before it pays for DSPy.
    from signet_sidecar.dspy_engine import prepare_process
    from signet_sidecar.optimize.server import OptimizerServer
    from signet_sidecar.worker.server import rss_bytes

    prepare_process()
    server = OptimizerServer(config, memory_max)
    loop = asyncio.get_running_loop()
    # What was paid for is recorded elsewhere: nothing here is worth waiting for.
    loop.add_signal_handler(signal.SIGTERM, os._exit, 0)
    address = await server.serve()
    link.report("ready", address=address)

    def state() -> dict[str, int]:
        called = int(server.is_called)
        return {"busy_ms": 0, "in_flight": called, "rss_bytes": rss_bytes(), "runs": called, "sessions": called}

    link.start(state, {})
    await server.run_until_ended()
    # DSPy's threads may be anywhere.
    os._exit(0)


if __name__ == "__main__":
    main()
