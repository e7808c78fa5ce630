"""Start and graceful stop of a server."""

import asyncio
import contextlib
import logging
import socket
import threading
from collections.abc import Callable, Iterator

import uvicorn
from starlette.applications import Starlette

from tfac.errors import ConfigError
from tfac.serving.server.connections import bounded_connections
from tfac.serving.server.core import ModelServer
from tfac.serving.server.grpc_service import create_grpc_server

_LOGGER = logging.getLogger(__name__)


async def serve(
    server: ModelServer,
    app: Starlette,
    ready: Callable[[int, int], None],
    stop: asyncio.Event,
) -> None:
    """Serves until `stop` is set, then finishes what is in flight.

    Args:
        server: with its models loaded.
        app: its REST API.
        ready: called with the ports of gRPC and REST once both answer.
        stop: set by the running event loop. Nothing new is accepted from then on; requests in
            flight have the options' `grace`.

    Raises:
        ConfigError: a port is taken.
    """
    options = server.options
    server.attach()
    grpc_server = create_grpc_server(server)
    with _listening(options.host, options.rest_api_port) as listener:
        try:
            port = grpc_server.add_insecure_port(_address(options.host, options.port))
        except RuntimeError as error:
            raise ConfigError(
                f"--port: {options.host}:{options.port} cannot be listened on: {error}"
            ) from error
        await grpc_server.start()
        http_server = _HttpServer(
            uvicorn.Config(
                app,
                http=bounded_connections(options.idle_timeout_seconds),
                ws="none",
                lifespan="off",
                log_config=None,
                log_level=logging.ERROR,
                access_log=False,
                server_header=False,
                timeout_keep_alive=int(options.idle_timeout_seconds) or 1,
                timeout_graceful_shutdown=options.grace,
            )
        )
        serving = asyncio.create_task(http_server.serve(sockets=[listener]))
        while not http_server.started:
            await asyncio.sleep(0.01)
        ready(port, listener.getsockname()[1])
        await stop.wait()
        http_server.should_exit = True
        await asyncio.gather(grpc_server.stop(options.grace), serving)
    server.close()


class _HttpServer(uvicorn.Server):
    """One that leaves signals to the program."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def every(seconds: float, work: Callable[[], None], stop: threading.Event) -> threading.Thread:
    """Starts a thread that does `work` again and again, and goes on when it fails.

    Args:
        seconds: between the end of one time and the start of the next.
        work: what to do.
        stop: ends the thread.
    """

    def repeat() -> None:
        while not stop.wait(seconds):
            try:
                work()
            except Exception:
                _LOGGER.exception("looking for changes failed; it is tried again")

    thread = threading.Thread(target=repeat, daemon=True)
    thread.start()
    return thread


def _address(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With its protocol named, as asyncio sets TCP_NODELAY only there.
    with socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, port))
        except OSError as error:
            raise ConfigError(
                f"--rest_api_port: {host}:{port} cannot be listened on: {error.strerror}"
            ) from error
        yield listener
