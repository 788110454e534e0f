"""How often something may be asked for: a bucket of tokens for each name, as a client's, and one for all, in bounded
memory."""

from dataclasses import dataclass

#: Names with a bucket of their own; more than these share one.
MOST_NAMES = 4096

#: What all together may ask, in shares of one.
ALL = 10

#: The name of those that share a bucket.
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
    """Grants each name `per_minute` requests a minute, which may come at once, and ten times that to all of them."""

    def __init__(self, per_minute: int) -> None:
        self._size = float(per_minute)
        self._per_s = per_minute / 60
        self._buckets: dict[str, _Bucket] = {}
        self._all: _Bucket | None = None

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, name: str, now: float) -> float:
        """0 when the request is granted, else the seconds until one will be. `now` is in seconds."""
        own = self._bucket(name, now)
        if own.tokens < 1:
            return (1 - own.tokens) / self._per_s
        if self._all is None:
            self._all = _Bucket(self._size * ALL, now)
        self._all.fill(self._size * ALL, self._per_s * ALL, now)
        # Only what one may ask is taken from all: one that asks too often must not use up what others have.
        if self._all.tokens < 1:
            return (1 - self._all.tokens) / (self._per_s * ALL)
        own.tokens -= 1
        self._all.tokens -= 1
        return 0.0

    def _bucket(self, name: str, now: float) -> _Bucket:
        if name not in self._buckets and len(self._buckets) >= MOST_NAMES:
            self._drop_full(now)
            if len(self._buckets) >= MOST_NAMES:
                name = _OTHERS
        bucket = self._buckets.setdefault(name, _Bucket(self._size, now))
        bucket.fill(self._size, self._per_s, now)
        return bucket

    def _drop_full(self, now: float) -> None:
        """A full bucket is as good as none."""
        for bucket in self._buckets.values():
            bucket.fill(self._size, self._per_s, now)
        self._buckets = {name: bucket for name, bucket in self._buckets.items() if bucket.tokens < self._size}
