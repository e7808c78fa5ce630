"""HTTP connections that do not stay open for clients that send nothing, or too slowly."""

import asyncio

from uvicorn.protocols.http.h11_impl import H11Protocol

MOST_CONNECTIONS = 1024


def bounded_connections(idle_seconds: float) -> type[H11Protocol]:
    """Returns a protocol for uvicorn whose connections are cut when they idle.

    uvicorn bounds the pause between two requests, but not the time for a first request to come, or
    for its header or the rest of a body that nobody reads. Here the time from a connection's start,
    or from the end of an answer, to the end of the next request's header is bounded; the
    application bounds the rest.

    Args:
        idle_seconds: the bound.
    """

    class BoundedConnection(H11Protocol):
        """A connection with a timer that runs while no request is being answered."""

        _timer: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:
            super().connection_made(transport)
            if len(self.connections) > MOST_CONNECTIONS:
                transport.abort()
            else:
                self._start_timer()

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self.cycle is not None and not self.cycle.response_complete:
                self._stop_timer()

        def on_response_complete(self) -> None:
            self._start_timer()
            super().on_response_complete()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_timer()
            super().connection_lost(exc)

        def _start_timer(self) -> None:
            self._stop_timer()
            self._timer = self.loop.call_later(idle_seconds, self.transport.abort)

        def _stop_timer(self) -> None:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    return BoundedConnection
