"""Starts the sidecar: `python -m signet_sidecar`. One line on stdout says where it listens; logs go to stderr."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys

from signet_sidecar.config import Config, ConfigError, read_config
from signet_sidecar.log import configure_logging
from signet_sidecar.server import SidecarServer

logger = logging.getLogger(__name__)


def main() -> int:
    """Serves until SIGTERM or SIGINT; returns 0 then, 2 where the environment is at fault, 1 where it cannot listen."""
    try:
        config = read_config(os.environ)
    except ConfigError as error:
        print(f"signet-sidecar: {error}", file=sys.stderr)
        return 2
    configure_logging("supervisor", config.log_level)
    try:
        asyncio.run(_serve(config))
    except OSError as error:
        print(f"signet-sidecar: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(config: Config) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if os.environ.get("SIGNET_PARENT_PIPE") == "1":
        # The other end is held by who started us: it closes when that process is gone, however it went.
        loop.add_reader(sys.stdin.fileno(), _end_with_parent, loop, stopping)
    server = SidecarServer(config)
    try:
        address = await server.start()
        print(json.dumps({"event": "listening", "address": address}), flush=True)
        logger.info("listening", extra={"address": address, "workers": config.workers})
        await stopping.wait()
        logger.info("draining")
    finally:
        await server.stop()


def _end_with_parent(loop: asyncio.AbstractEventLoop, stopping: asyncio.Event) -> None:
    if os.read(sys.stdin.fileno(), 4096) == b"":
        loop.remove_reader(sys.stdin.fileno())
        stopping.set()


if __name__ == "__main__":
    sys.exit(main())
