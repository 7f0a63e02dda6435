"""The sidecar's door: the pool, single builds, a look at allow-listed modules, health and reflection."""

from __future__ import annotations

import asyncio
import itertools
import logging
from typing import Any

import grpc
import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from signet_sidecar.auth import TokenCheck, bearer
from signet_sidecar.becoming import becomes
from signet_sidecar.config import Config
from signet_sidecar.describe import Describer
from signet_sidecar.dialect import dialect
from signet_sidecar.gen import sidecar_pb2 as pb
from signet_sidecar.gen import sidecar_pb2_grpc as rpc
from signet_sidecar.lane import runs_alone
from signet_sidecar.metrics import serve_metrics
from signet_sidecar.optimizers import Optimizers, OptimizersError
from signet_sidecar.query import QueryError, answer
from signet_sidecar.ray_cluster import RayCluster
from signet_sidecar.supervisor import Supervisor
from signet_sidecar.worker_process import WorkerProcess

COMPILE_TIMEOUT_S = 20.0
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
MESSAGE_BOUNDS = (("grpc.max_receive_message_length", MESSAGE_BYTES_MAX), ("grpc.max_send_message_length", MESSAGE_BYTES_MAX))
SERVICE = pb.DESCRIPTOR.services_by_name["SidecarService"].full_name

logger = logging.getLogger(__name__)


class SidecarServer(rpc.SidecarServiceServicer):
    """Owns the gRPC server and the supervisor behind it."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]
        self._describer = Describer(config)
        cluster = RayCluster(config.ray) if config.ray.address else None
        self.supervisor = Supervisor(
            config.workers,
            self._tell_health,
            solo_max=config.solo_workers,
            drain_s=config.drain_s,
            recycle=config.recycle,
            cluster=cluster,
        )
        self.optimizers = Optimizers(config.optimizers, config.optimizer_mib * 1024 * 1024, cluster)
        self._metrics: asyncio.Server | None = None
        self._channels: dict[str, grpc.aio.Channel] = {}
        self._turns = itertools.count()
        self._server = grpc.aio.server(
            interceptors=(TokenCheck(config.token),),
            options=(
                *MESSAGE_BOUNDS,
                # A second sidecar on the same port must fail, not share it.
                ("grpc.so_reuseport", 0),
            ),
        )

    async def start(self) -> str:
        """Opens the door and begins to fill the pool; returns the address. Raises OSError if the port is taken."""
        rpc.add_SidecarServiceServicer_to_server(self, self._server)  # type: ignore[no-untyped-call]
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)
        await self._tell_health(False)
        names = (SERVICE, health_pb2.DESCRIPTOR.services_by_name["Health"].full_name, reflection.SERVICE_NAME)
        reflection.enable_server_reflection(names, self._server)
        address = f"{self._config.host}:{self._config.port}"
        try:
            port = self._server.add_insecure_port(address)
        except RuntimeError as error:
            raise OSError(f"cannot listen on {address}: the port is taken or the address is not ours") from error
        if self._config.metrics_port is not None:
            door = (self._config.metrics_host, self._config.metrics_port)
            self._metrics = await serve_metrics(self.supervisor, self.optimizers, *door)
        await self._server.start()
        self.supervisor.start()
        return f"{self._config.host}:{port}"

    async def stop(self) -> None:
        """Says NOT_SERVING, drains the pool for a bounded time and closes the door."""
        await self._health.enter_graceful_shutdown()
        # What they have paid for is recorded: their jobs go on elsewhere.
        await self.optimizers.close()
        await self.supervisor.drain()
        await self._server.stop(1.0)
        if self._metrics is not None:
            self._metrics.close()

    async def GetPool(self, request: pb.GetPoolRequest, context: Any) -> pb.GetPoolResponse:  # noqa: N802
        """Lists the workers as they are now."""
        pool = self.supervisor
        pool.want_solo(request.solo_waiting)
        return pb.GetPoolResponse(
            workers=pool.workers(),
            module_names=sorted(self._config.modules),
            dialect=dialect(),
            shared_module_names=sorted(self._config.shared_modules),
            restarts=pool.restarts,
            recycled=pool.recycled,
            lost=pool.lost,
            optimizers=self.optimizers.describe(),
        )

    async def CompileProgram(self, request: pb.CompileProgramRequest, context: Any) -> pb.CompileProgramResponse:  # noqa: N802
        """Has a worker build the program, for at most 20 s; UNAVAILABLE without one."""
        for worker in await self._builders(request.program.module):
            async with grpc.aio.insecure_channel(worker.address, options=MESSAGE_BOUNDS) as channel:
                stub: Any = rpc.SidecarServiceStub(channel)  # type: ignore[no-untyped-call]
                try:
                    answer: pb.CompileProgramResponse = await stub.CompileProgram(
                        request, timeout=COMPILE_TIMEOUT_S, metadata=bearer(self._config.token)
                    )
                    return answer
                except grpc.RpcError as error:
                    logger.warning("a worker did not build a program", extra={"worker": worker.name, "cause": str(error)})
        await context.abort(grpc.StatusCode.UNAVAILABLE, "no worker is ready")
        raise AssertionError("unreachable")

    async def ParseCompletion(self, request: pb.ParseCompletionRequest, context: Any) -> pb.ParseCompletionResponse:  # noqa: N802
        """Has a worker read one reply, for at most 20 s; UNAVAILABLE without one."""
        answer: pb.ParseCompletionResponse = await self._forward("ParseCompletion", request, context)
        return answer

    async def RenderPrompt(self, request: pb.RenderPromptRequest, context: Any) -> pb.RenderPromptResponse:  # noqa: N802
        """Has a worker show one prompt, for at most 20 s; UNAVAILABLE without one."""
        answer: pb.RenderPromptResponse = await self._forward("RenderPrompt", request, context)
        return answer

    async def _forward(self, method: str, request: Any, context: Any) -> Any:
        ready = self.supervisor.ready()
        first = next(self._turns) % max(1, len(ready))
        for worker in ready[first:] + ready[:first]:
            stub: Any = rpc.SidecarServiceStub(self._channel(worker.address))  # type: ignore[no-untyped-call]
            try:
                return await getattr(stub, method)(request, timeout=COMPILE_TIMEOUT_S, metadata=bearer(self._config.token))
            except grpc.aio.AioRpcError as error:
                if error.code() == grpc.StatusCode.INVALID_ARGUMENT:
                    await context.abort(error.code(), error.details())
                logger.warning("a worker did not answer", extra={"worker": worker.name, "method": method, "cause": str(error)})
        await context.abort(grpc.StatusCode.UNAVAILABLE, "no worker is ready")

    def _channel(self, address: str) -> grpc.aio.Channel:
        """The one channel to a worker; those of workers that are gone are let go."""
        if address not in self._channels:
            alive = {worker.address for worker in self.supervisor.ready()}
            self._channels = {kept: channel for kept, channel in self._channels.items() if kept in alive}
            self._channels[address] = grpc.aio.insecure_channel(address, options=MESSAGE_BOUNDS)
        return self._channels[address]

    async def _builders(self, module: str) -> list[WorkerProcess]:
        if not runs_alone(module, self._config.shared_modules):
            return self.supervisor.ready()
        # A user's code is imported only where it runs.
        self.supervisor.want_solo(1)
        await becomes(lambda: bool(self.supervisor.ready(solo=True)), COMPILE_TIMEOUT_S)
        return self.supervisor.ready(solo=True)

    async def DescribeModule(self, request: pb.DescribeModuleRequest, context: Any) -> pb.DescribeModuleResponse:  # noqa: N802
        """Reads one name of the allow-list in a process of its own."""
        return await self._describer.describe(request.name)

    async def Query(self, request: pb.QueryRequest, context: Any) -> pb.QueryResponse:  # noqa: N802
        """Reads what the sidecar holds; INVALID_ARGUMENT for what there is not."""
        held = bool(self.supervisor.ready())
        shared = self._config.shared_modules
        modules = [{"name": name, "shared": name in shared, "held": held} for name in self._config.modules]
        try:
            return answer(request, modules)
        except QueryError as error:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, str(error))
            raise AssertionError("unreachable") from error

    async def StartOptimization(  # noqa: N802
        self, request: pb.StartOptimizationRequest, context: Any
    ) -> pb.StartOptimizationResponse:
        """Starts an optimizer process and answers when it takes its call."""
        try:
            worker = await self.optimizers.start(request.job, request.memory_bytes)
        except OptimizersError as error:
            await context.abort(error.code, str(error))
            raise AssertionError("unreachable") from error
        return pb.StartOptimizationResponse(worker=worker.name, pid=worker.pid, address=worker.address, dialect=dialect())

    async def EndOptimization(self, request: pb.EndOptimizationRequest, context: Any) -> pb.EndOptimizationResponse:  # noqa: N802
        """Ends an optimizer process by force."""
        return pb.EndOptimizationResponse(ended=await self.optimizers.end(request.job))

    async def Optimize(self, request_iterator: Any, context: Any) -> None:  # noqa: N802
        """Refuses: optimizations are served by the process that StartOptimization names."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "call Optimize on the address that StartOptimization gives")

    async def Session(self, request_iterator: Any, context: Any) -> None:  # noqa: N802
        """Refuses: sessions are served by the workers that GetPool names."""
        await context.abort(grpc.StatusCode.UNIMPLEMENTED, "open sessions with the workers that GetPool names")

    async def _tell_health(self, able: bool) -> None:
        status = health_pb2.HealthCheckResponse.SERVING if able else health_pb2.HealthCheckResponse.NOT_SERVING
        for service in ("", SERVICE):
            await self._health.set(service, status)
        await asyncio.sleep(0)
