"""Uvicorn, told to end endless responses first when it is asked to stop."""

import asyncio
import socket

import uvicorn
from starlette.types import ASGIApp

from gateway.lifetime import Lifetime
from gateway.settings import HttpSettings


class GatewayServer(uvicorn.Server):
    """A server that stops with its Lifetime, and the other way round."""

    def __init__(self, app: ASGIApp, settings: HttpSettings, *, lifetime: Lifetime) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                access_log=False,
                log_config=None,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=settings.shutdown_grace_s,
            )
        )
        self._lifetime = lifetime
        self.listening = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the resources, then the door."""
        await super().startup(sockets)
        self.listening.set()

    async def main_loop(self) -> None:
        """Serve until a signal or the Lifetime ends it."""
        watch = asyncio.create_task(self._watch(), name="lifetime")
        try:
            await super().main_loop()
        finally:
            watch.cancel()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """End event streams, let the others finish within grace, then close."""
        self._lifetime.stop()
        await super().shutdown(sockets)

    async def _watch(self) -> None:
        await self._lifetime.stopping.wait()
        self.should_exit = True

    @property
    def address(self) -> str:
        """The address it listens at, once started."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://{host}:{port}"
