"""The internal token at every door of the sidecar."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import grpc.aio

# Probes and tools ask these without a token; they tell nothing but descriptors and a state.
_OPEN = ("/grpc.health.v1.Health/", "/grpc.reflection.")


def bearer(token: str) -> tuple[tuple[str, str], ...]:
    """The metadata that a caller sends."""
    return (("authorization", f"Bearer {token}"),)


class TokenCheck(grpc.aio.ServerInterceptor):  # type: ignore[type-arg]
    """Answers UNAUTHENTICATED to calls without the internal token, compared in constant time."""

    def __init__(self, token: str) -> None:
        self._wanted = f"Bearer {token}".encode()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any]]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Any:
        """Passes a call on, or replaces its handler by a refusal of the same shape."""
        handler = await continuation(handler_call_details)
        if handler is None or str(handler_call_details.method).startswith(_OPEN) or self._known(handler_call_details):
            return handler
        return _refusal(handler)

    def _known(self, details: grpc.HandlerCallDetails) -> bool:
        given = [value for key, value in details.invocation_metadata or () if key == "authorization"]
        return len(given) == 1 and hmac.compare_digest(str(given[0]).encode(), self._wanted)


def _refusal(handler: Any) -> Any:
    async def refuse(_request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the internal token is missing or wrong")

    async def refuse_stream(_request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the internal token is missing or wrong")
        yield None

    if handler.request_streaming and handler.response_streaming:
        return grpc.stream_stream_rpc_method_handler(refuse_stream, handler.request_deserializer, handler.response_serializer)
    if handler.response_streaming:
        return grpc.unary_stream_rpc_method_handler(refuse_stream, handler.request_deserializer, handler.response_serializer)
    if handler.request_streaming:
        return grpc.stream_unary_rpc_method_handler(refuse, handler.request_deserializer, handler.response_serializer)
    return grpc.unary_unary_rpc_method_handler(refuse, handler.request_deserializer, handler.response_serializer)
