"""RequestGroup: the open requests of one operation, so that they can be counted and cancelled together."""

from collections.abc import Callable

from dna_dht.core.exchange.remote_node import RemoteNode
from dna_dht.core.exchange.requests import Kind, Request, Requests
from dna_dht.wire.messages import Reply


class RequestGroup:
    """Sends requests and knows which of them are open."""

    __slots__ = ("_open", "_requests")

    def __init__(self, requests: Requests) -> None:
        self._requests = requests
        self._open: set[Request] = set()

    def send(
        self,
        node: RemoteNode,
        kind: Kind,
        build: Callable[[int], list[bytes]],
        *,
        on_reply: Callable[[Reply], None],
        on_failed: Callable[[int], None],
        on_slow: Callable[[], None] | None = None,
        then: Callable[[], None] | None = None,
    ) -> Request:
        """As :meth:`Requests.send`; *then* is called after each of the three."""
        request: Request

        def replied(reply: Reply) -> None:
            self._open.discard(request)
            on_reply(reply)
            if then is not None:
                then()

        def failed(code: int) -> None:
            self._open.discard(request)
            on_failed(code)
            if then is not None:
                then()

        def slow() -> None:
            if on_slow is not None:
                on_slow()
            if then is not None:
                then()

        told = slow if on_slow is not None or then is not None else None
        request = self._requests.send(node, kind, build, on_reply=replied, on_failed=failed, on_slow=told)
        self._open.add(request)
        return request

    def cancel(self, request: Request) -> None:
        """Cancel one of them."""
        self._open.discard(request)
        self._requests.cancel(request)

    def cancel_all(self) -> None:
        """Cancel what is open."""
        for request in self._open:
            self._requests.cancel(request)
        self._open.clear()

    def __len__(self) -> int:
        return len(self._open)
