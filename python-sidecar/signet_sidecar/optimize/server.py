"""The door of an optimizer process: one call of Optimize, then the end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import grpc
import grpc.aio

from signet_sidecar.auth import TokenCheck
from signet_sidecar.config import Config
from signet_sidecar.gen import sidecar_pb2_grpc as rpc
from signet_sidecar.optimize.session import OptimizeSession
from signet_sidecar.worker.server import MESSAGE_BYTES_MAX, rss_bytes

UNCALLED_S = 30.0

logger = logging.getLogger(__name__)


class OptimizerServer(rpc.SidecarServiceServicer):
    """Serves Optimize once; `run_until_ended` returns when it is over or nobody came for 30 s."""

    def __init__(self, config: Config, memory_max: int) -> None:
        self._config = config
        self._memory_max = memory_max
        self._called = asyncio.Event()
        self._ended = asyncio.Event()
        self._server = grpc.aio.server(
            interceptors=(TokenCheck(config.token),),
            options=(
                ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
                ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
                ("grpc.so_reuseport", 0),
            ),
        )

    async def serve(self) -> str:
        """Opens the door on a free port of the supervisor's interface and returns its address."""
        rpc.add_SidecarServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        port = self._server.add_insecure_port(f"{self._config.host}:0")
        await self._server.start()
        return f"{self._config.host}:{port}"

    async def Optimize(self, request_iterator: Any, context: Any) -> None:  # noqa: N802
        """The optimization of this process."""
        if self._called.is_set():
            await context.abort(grpc.StatusCode.FAILED_PRECONDITION, "this process has its optimization")
        self._called.set()
        try:
            await OptimizeSession(self._config, context, rss_bytes, self._memory_max).serve()
        finally:
            self._ended.set()

    @property
    def is_called(self) -> bool:
        """True once its optimization has begun."""
        return self._called.is_set()

    async def run_until_ended(self) -> None:
        """Serves until the optimization is over, then lets its last frame leave."""
        try:
            await asyncio.wait_for(self._called.wait(), UNCALLED_S)
            await self._ended.wait()
        except TimeoutError:
            logger.warning("nobody called this optimizer process")
        await self._server.stop(1.0)
