"""Which scheduled times of one workflow were accepted: each of them, not only the last, for a clock that is set back
comes to them again, and to others that were never accepted.

They are kept as stretches of equal steps, so a regular schedule takes no more room in a year than in a minute.
"""

from typing import Any

#: Stretches that are remembered, those that were added to last; of the others only the last time is.
REMEMBERED = 64


class Times:
    """A set of times in milliseconds. `forgotten` is the last of those that it no longer knows one by one."""

    def __init__(self, stretches: list[range] | None = None, forgotten: int = -1) -> None:
        #: The one that was added to last is the last one.
        self._stretches = stretches or []
        self._forgotten = forgotten

    def has(self, time: int, now: int) -> bool:
        """Was it accepted, or can that not be ruled out? What was forgotten counts once it is over: if it was accepted
        while the clock was wrong, it must not silence the schedule until that time comes again."""
        return time <= self._forgotten <= now or any(time in stretch for stretch in self._stretches)

    def add(self, time: int) -> None:
        """Accept one."""
        # Any of them: a clock that was set back comes to the end of an older one.
        for stretch in reversed(self._stretches):
            step = stretch.step if len(stretch) > 1 else time - stretch[0]
            if step > 0 and time == stretch[-1] + step:
                self._stretches.remove(stretch)
                self._stretches.append(range(stretch[0], time + 1, step))
                return
        self._stretches.append(range(time, time + 1))
        if len(self._stretches) > REMEMBERED:
            self._forgotten = max(self._forgotten, self._stretches.pop(0)[-1])

    def remove(self, time: int) -> None:
        """It was not accepted after all."""
        parts = []
        for stretch in self._stretches:
            at = stretch.index(time) if time in stretch else len(stretch)
            parts += [stretch[:at], stretch[at + 1 :]]
        self._stretches = [part for part in parts if part]

    def last_until(self, now: int) -> int:
        """The last that is not later than `now`; one before all times when there is none."""
        begun = (stretch for stretch in self._stretches if stretch[0] <= now)
        lasts = [stretch[min(len(stretch) - 1, (now - stretch[0]) // stretch.step)] for stretch in begun]
        return max([*lasts, self._forgotten if self._forgotten <= now else -1])

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        stretches = [[each.start, each.stop, each.step] for each in self._stretches]
        return {"stretches": stretches, "forgotten": self._forgotten}

    @classmethod
    def of(cls, plain: dict[str, Any]) -> "Times":
        """What `plain` made."""
        return cls([range(*each) for each in plain["stretches"]], plain["forgotten"])
