"""Keeps fresh what the screen wants: looks at the principal again and again, and asks only for what has changed."""

import threading
import time
from collections.abc import Callable
from typing import Any

from cdktr.client import Principal
from cdktr.errors import CdktrError, ProtocolError, UnreachableError
from cdktr.tui.feed.ask import abilities, answer
from cdktr.tui.state import wants as w
from cdktr.tui.state.events import Arrived, Away, Event, Failed, Up
from cdktr.tui.state.facts import Abilities

#: The revision in STATUS of what a want is about; what is not here may always have changed.
REVISIONS: dict[type[w.Want], str] = {
    w.TheFolder: "workflows",
    w.TheLatest: "runs",
    w.TheRuns: "runs",
    w.Recent: "runs",
    w.TheTasks: "runs",
}

#: Seconds between two looks at a principal that does not tell revisions.
BLIND_S = 5.0

#: Seconds between two attempts to reach one that is away.
RETRY_S = 0.5


class Poller:
    """One thread. `post` may be called from it; `want` and `refresh` from any."""

    def __init__(self, principal: Principal, poll_s: float, post: Callable[[Event], None]) -> None:
        self._principal = principal
        self._poll_s = poll_s
        self._post = post
        self._wake = threading.Event()
        self._stopping = False
        self._wants: tuple[w.Want, ...] = ()
        self._can: Abilities | None = None
        #: The revision and the time of each last answer.
        self._told: dict[w.Want, tuple[Any, float]] = {}
        self._facts: Any = {}
        self._again = False

    def want(self, wants: tuple[w.Want, ...]) -> None:
        """What is to be kept fresh from now on."""
        self._wants = wants
        self._wake.set()

    def refresh(self) -> None:
        """Ask for everything anew, now."""
        self._again = True
        self._wake.set()

    def knows(self, verb: str) -> bool:
        """Whether the principal has a verb; supposed of one that was not asked yet."""
        return self._can is None or self._can.has(verb)

    def stop(self) -> None:
        """End, after the request that is under way."""
        self._stopping = True
        self._wake.set()

    def run(self) -> None:
        """Until it is stopped."""
        with self._principal:
            while not self._stopping:
                self._wake.clear()
                self._wake.wait(self._look())

    def _look(self) -> float:
        """One round; the seconds until the next."""
        if self._again:
            self._again = False
            self._told.clear()
        try:
            if self._can is None:
                self._can = abilities(self._principal)
                self._told.clear()
                self._post(Up(self._can))
            for want in self._wants:
                if self._stopping:
                    break
                if self._is_stale(want):
                    self._ask(want, self._can)
        except CdktrError as error:
            self._can = None
            self._post(Away(str(error)))
            return RETRY_S
        busy = self._facts.get("running") or self._facts.get("queued")
        return self._poll_s / 4 if busy else self._poll_s

    def _is_stale(self, want: w.Want) -> bool:
        if want not in self._told or type(want) not in REVISIONS:
            return True
        revision, at = self._told[want]
        now = self._revision(want)
        if now is None:
            return time.monotonic() - at >= BLIND_S
        # The one run that is looked at closely is asked for at every change, lists no more often than promised.
        return revision != now and (isinstance(want, w.TheTasks) or time.monotonic() - at >= self._poll_s)

    def _revision(self, want: w.Want) -> Any:
        return (self._facts.get("revisions") or {}).get(REVISIONS.get(type(want), ""))

    def _ask(self, want: w.Want, can: Abilities) -> None:
        revision = self._revision(want)
        try:
            value = answer(self._principal, want, can)
        except (UnreachableError, ProtocolError):
            raise
        except CdktrError as error:
            self._post(Failed(want, str(error)))
        else:
            if isinstance(want, w.Facts):
                self._facts = value
            self._post(Arrived(want, value))
        known = {each: told for each, told in self._told.items() if each in self._wants}
        self._told = {**known, want: (revision, time.monotonic())}
