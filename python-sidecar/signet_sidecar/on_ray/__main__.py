"""Starts the process that drives a cluster: `python -m signet_sidecar.on_ray --name … --report-fd … --parent … --address …`."""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import os
import signal
import sys
import warnings

from signet_sidecar.config import Config, read_config
from signet_sidecar.log import configure_logging
from signet_sidecar.on_ray.driver import Driver, environment_for_ray, first_lines, settings_of
from signet_sidecar.worker.link import SupervisorLink, die_with_parent

logger = logging.getLogger(__name__)


def main() -> None:
    """Runs until the supervisor says so or is gone."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--name", required=True)
    parser.add_argument("--report-fd", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    parser.add_argument("--address", required=True)
    arguments = parser.parse_args()
    die_with_parent(arguments.parent)
    config = read_config(os.environ)
    configure_logging(arguments.name, config.log_level)
    warnings.simplefilter("ignore")
    asyncio.run(_serve(config, SupervisorLink(arguments.report_fd), arguments.address))


async def _serve(config: Config, link: SupervisorLink, address: str) -> None:
    loop = asyncio.get_running_loop()
    stopping = asyncio.Event()
    # Actors end with the connection; nothing else here is worth waiting for.
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    environment_for_ray()
    ray = importlib.import_module("ray")
    # It writes where it likes, and marks every line of ours.
    sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115, ASYNC230
    try:
        ray.init(address, namespace="signet", log_to_driver=False, configure_logging=False)
    except Exception as error:
        logger.error("cannot connect with Ray", extra={"address": address, "cause": first_lines(error)})
        os._exit(1)
    logging.setLogRecordFactory(logging.LogRecord)
    driver = Driver(ray, link, settings_of(os.environ, config))
    state = dict.fromkeys(("busy_ms", "in_flight", "rss_bytes", "runs", "sessions"), 0)
    link.report("ready", address=address)
    link.start(
        lambda: state,
        {"drain": lambda: loop.call_soon_threadsafe(stopping.set)},
        lambda line: loop.call_soon_threadsafe(driver.take, line),
    )
    await stopping.wait()
    ray.shutdown()
    os._exit(0)


if __name__ == "__main__":
    main()
