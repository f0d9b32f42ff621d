"""Who stores how much: exact bytes per source, and whose value goes when there is too much.

Every stored value of a stranger is in the account of its source; values of this node are summed apart and
never evicted. Invariant: ``total`` is the sum of the accounts, and an account exists only while it holds a
value. The largest account is found through a heap of upper bounds: an account is listed again only when it
outgrows its last listing, and an outdated listing is corrected when it comes to the top. Source: spec 02,
12.1 and 12.7, S-7.
"""

import heapq

from dna_dht.core.sources import LOCAL
from dna_dht.core.values.expiry import ExpiryQueue
from dna_dht.core.values.stored_value import StoredValue

REBUILD_FROM = 64  # outdated listings below this are not worth a rebuild


class SourceAccount:
    """What one source stores here.

    Attributes:
        source: its rate-limit group; the one copy of this text that all its values share.
        bytes: sum of the sizes of its values.
        queue: its values by expiry.
        listed: the size it is listed with in the heap of the largest; never below ``bytes``.
    """

    __slots__ = ("bytes", "listed", "queue", "source")

    def __init__(self, source: str) -> None:
        self.source = source
        self.bytes = 0
        self.listed = -1
        self.queue = ExpiryQueue()


class Quotas:
    """The accounts of all sources.

    Attributes:
        total: bytes stored for strangers.
        local: bytes stored for this node.
    """

    __slots__ = ("_accounts", "_largest", "_listings", "local", "total")

    def __init__(self) -> None:
        self.total = 0
        self.local = 0
        self._accounts: dict[str, SourceAccount] = {}
        self._largest: list[tuple[int, int, SourceAccount]] = []
        self._listings = 0

    def add(self, value: StoredValue) -> None:
        """Charge *value* to its source."""
        if value.source == LOCAL:
            self.local += value.size
            return
        account = self._accounts.get(value.source)
        if account is None:
            account = self._accounts[value.source] = SourceAccount(value.source)
        value.source = account.source
        account.bytes += value.size
        account.queue.push(value)
        self.total += value.size
        if account.bytes > account.listed:
            self._list(account)

    def remove(self, value: StoredValue) -> None:
        """Take *value*, already marked as gone, off its account."""
        if value.source == LOCAL:
            self.local -= value.size
            return
        account = self._accounts[value.source]
        account.bytes -= value.size
        account.queue.dropped()
        self.total -= value.size
        if not len(account.queue):
            del self._accounts[value.source]
            account.listed = -1

    def next_victim(self) -> StoredValue | None:
        """The value with the nearest expiry of the largest account; None if strangers store nothing."""
        heap = self._largest
        while heap:
            listed, _, account = heap[0]
            if account.listed != -listed:
                heapq.heappop(heap)
            elif account.bytes < account.listed:
                heapq.heappop(heap)
                self._list(account)
            else:
                return account.queue.first()
        return None

    def by_source(self) -> dict[str, int]:
        """Bytes per source."""
        return {source: account.bytes for source, account in self._accounts.items()}

    def _list(self, account: SourceAccount) -> None:
        account.listed = account.bytes
        self._listings += 1
        heapq.heappush(self._largest, (-account.bytes, self._listings, account))
        if len(self._largest) > REBUILD_FROM + 2 * len(self._accounts):
            live = [listing for listing in self._largest if listing[2].listed == -listing[0]]
            self._largest = list({id(listing[2]): listing for listing in live}.values())
            heapq.heapify(self._largest)
