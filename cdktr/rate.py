"""How often somebody may ask: a bucket of tokens for each client and one for all, in bounded memory."""

from dataclasses import dataclass

#: Clients with a bucket of their own; more than these share one.
MOST_CLIENTS = 4096

#: What all clients together may ask, in shares of one.
ALL = 10

#: The name of the clients that share a bucket.
_OTHERS = ""


@dataclass(slots=True)
class _Bucket:
    tokens: float
    at: float

    def fill(self, size: float, per_s: float, now: float) -> None:
        # A clock that stands still or goes back fills nothing.
        self.tokens = min(self.tokens + max(now - self.at, 0) * per_s, size)
        self.at = max(self.at, now)


class Rates:
    """Grants each client `per_minute` requests a minute, which may come at once, and ten times that to all of them."""

    def __init__(self, per_minute: int) -> None:
        self._size = float(per_minute)
        self._per_s = per_minute / 60
        self._clients: dict[str, _Bucket] = {}
        self._all: _Bucket | None = None

    def __len__(self) -> int:
        return len(self._clients)

    def take(self, client: str, now: float) -> float:
        """0 when the request is granted, else the seconds until one will be. `now` is in seconds."""
        own = self._bucket(client, now)
        if own.tokens < 1:
            return (1 - own.tokens) / self._per_s
        if self._all is None:
            self._all = _Bucket(self._size * ALL, now)
        self._all.fill(self._size * ALL, self._per_s * ALL, now)
        # Only what a client may ask is taken from all: one that asks too often must not use up what others have.
        if self._all.tokens < 1:
            return (1 - self._all.tokens) / (self._per_s * ALL)
        own.tokens -= 1
        self._all.tokens -= 1
        return 0.0

    def _bucket(self, client: str, now: float) -> _Bucket:
        if client not in self._clients and len(self._clients) >= MOST_CLIENTS:
            self._drop_full(now)
            if len(self._clients) >= MOST_CLIENTS:
                client = _OTHERS
        bucket = self._clients.setdefault(client, _Bucket(self._size, now))
        bucket.fill(self._size, self._per_s, now)
        return bucket

    def _drop_full(self, now: float) -> None:
        """A full bucket is as good as none."""
        for bucket in self._clients.values():
            bucket.fill(self._size, self._per_s, now)
        self._clients = {name: bucket for name, bucket in self._clients.items() if bucket.tokens < self._size}
