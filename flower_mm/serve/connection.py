"""A connection that is closed while it is idle."""

import asyncio
import time

from uvicorn.protocols.http.h11_impl import H11Protocol

from flower_mm.serve import limits


class Connection(H11Protocol):
    """uvicorn's protocol with limits.

    uvicorn waits without a limit for the end of a first line, for the rest of
    a refused request, and for a client to read a response.
    """

    _timer: asyncio.TimerHandle | None = None

    def connection_made(
        self,
        transport: asyncio.Transport,  # type: ignore[override]  # as uvicorn's
    ) -> None:
        super().connection_made(transport)
        if len(self.connections) > limits.CONNECTIONS:
            transport.abort()
        self._restart_timer()

    def data_received(self, data: bytes) -> None:
        start = time.thread_time()
        super().data_received(data)
        if time.thread_time() - start > limits.PARSE_SECONDS:
            self.transport.abort()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._restart_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self._timer:
            self._timer.cancel()

    def _should_upgrade(self) -> bool:
        # Tabs of other programs that used this port ask for a web socket; it
        # would warn about each.
        return False

    def _restart_timer(self) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self.loop.call_later(
            limits.IDLE_SECONDS, self._close_if_idle
        )

    def _close_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
