"""A connection that ends when nothing is asked on it."""

import asyncio
import time

from uvicorn.protocols.http.h11_impl import H11Protocol

from flower_mm.serve import limits


class Connection(H11Protocol):
    """uvicorn's, which would wait for ever for the end of a first line.

    It waits as well for the rest of a request that is refused, and for a
    client to read an answer: each may take so long and no longer.
    """

    _patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        if len(self.connections) > limits.CONNECTIONS:
            transport.abort()
        self._wait_anew()

    def data_received(self, data: bytes) -> None:
        began = time.thread_time()
        super().data_received(data)
        if time.thread_time() - began > limits.PARSE_SECONDS:
            self.transport.abort()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._wait_anew()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._patience.cancel()

    def _should_upgrade(self) -> bool:
        # To a web socket, which tabs of other programs ask for that once ran
        # at this port: answered as if it had not been said, without warnings.
        return False

    def _wait_anew(self) -> None:
        if self._patience:
            self._patience.cancel()
        self._patience = self.loop.call_later(
            limits.IDLE_SECONDS, self._end_if_idle
        )

    def _end_if_idle(self) -> None:
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
