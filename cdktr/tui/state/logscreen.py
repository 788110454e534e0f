"""The screen of log lines: which part of the log is held, where it stands, and which page is wanted next."""

from collections.abc import Sequence
from dataclasses import replace

from cdktr.tui.state.commands import Command, FetchLogs, FollowLogs, StopLogs
from cdktr.tui.state.events import LogNews, LogPage, LogsFailed
from cdktr.tui.state.facts import LogLine
from cdktr.tui.state.loglines import first_from_end, matches
from cdktr.tui.state.logquery import WINDOW, LogQuery, Place
from cdktr.tui.state.model import LinkStatus, Logs, Notice, State
from cdktr.tui.state.room import log_rows

Result = tuple[State, tuple[Command, ...]]

#: Lines off the screen below which the next page is asked for.
AHEAD = 200

#: Seconds that a remark stands.
REMARK_S = 6.0

#: Seconds until what could not be had is asked for again.
AGAIN_S = 3.0

#: Levels that can be shown alone, in the order in which the key goes through them.
LEVELS = (None, "ERROR", "WARNING", "INFO")


def opened(state: State, title: str, query: LogQuery) -> Result:
    """The screen on a selection: its end, and what comes."""
    return _asked(state, Logs(title, query, following=query.end_ms is None))


def changed(state: State, logs: Logs, query: LogQuery) -> Result:
    """The screen on another selection of the same log, as it was otherwise."""
    fresh = Logs(logs.title, query, wrap=logs.wrap, verbose=logs.verbose, search=logs.search)
    return _asked(state, replace(fresh, since=logs.since, until=logs.until, following=query.end_ms is None))


def level_changed(state: State, logs: Logs) -> Result:
    """The screen on the next level alone; who does not follow stays where the first line on the screen was."""
    query = next_level(logs)
    if logs.following or not logs.lines:
        return changed(state, logs, query)
    top = logs.lines[min(top_of(state, logs), first_shown_at_end(state, logs), len(logs.lines) - 1)].sequence
    fresh = replace(logs, query=query, lines=(), heard=(), begins=False, ends=False, top=0)
    return _asked(state, fresh, Place.AFTER, None if top is None else top - 1)


def _asked(state: State, logs: Logs, place: Place | None = None, sequence: int | None = None) -> Result:
    """Ask for a part of the log that has nothing to do with what is held, under a number of its own."""
    number = state.asked + 1
    logs = replace(logs, number=number, live=False, found=None, missed="", owed=0)
    place = place or (Place.TAIL if logs.query.end_ms is None else Place.HEAD)
    return _sent(state, logs, FetchLogs(number, logs.query, place, sequence))


def _sent(state: State, logs: Logs, command: FetchLogs) -> Result:
    """Ask for a page; one with another number ends what went on."""
    is_new = command.number != state.asked
    logs = replace(logs, busy=True, fetch=command, again=0.0)
    return replace(state, logs=logs, asked=command.number), (StopLogs(), command) if is_new else (command,)


def closed(state: State) -> Result:
    """Back from it."""
    return replace(state, logs=None), (StopLogs(),)


# What comes.


def page_came(state: State, page: LogPage) -> Result:
    """A page that was asked for."""
    logs = state.logs
    if logs is None or logs.number != page.number:
        return state, ()
    # What stands before a line says nothing of what may still come.
    is_open = logs.open if page.place is Place.BEFORE else page.open
    logs = replace(logs, busy=False, fetch=None, again=0.0, open=is_open, trouble=page.trouble)
    if page.place in (Place.MATCH_AFTER, Place.MATCH_BEFORE):
        return _found(state, logs, page)
    if page.place is Place.TAIL:
        logs = replace(logs, lines=page.lines, begins=not page.full, ends=True, top=0)
        return _followed(replace(state, logs=logs if logs.following else at_end(state, logs)))
    if page.place is Place.HEAD:
        logs = replace(logs, lines=page.lines, begins=True, ends=not page.full, top=0, following=False)
        return _followed(replace(state, logs=logs))
    if page.place is Place.AFTER and not logs.lines:
        return _landed(state, logs, page)
    state, followed = _followed(replace(state, logs=_repaid(state, _joined(logs, page))))
    state, more = paged(state)
    return state, (*followed, *more)


def _landed(state: State, logs: Logs, page: LogPage) -> Result:
    """The lines after a place where nothing is held yet; where there are none, the end."""
    if not page.lines:
        return _asked(state, logs)
    logs = replace(logs, lines=page.lines, begins=False, ends=not page.full, top=0)
    state, followed = _followed(replace(state, logs=logs))
    state, more = paged(state)
    return state, (*followed, *more)


def failed(state: State, event: LogsFailed) -> Result:
    """Log lines cannot be had now: what is held stays, and goes on where its end is that of the log."""
    logs = state.logs
    if logs is None or logs.number != event.number:
        return state, ()
    logs = replace(logs, busy=False, trouble=event.why, again=state.now + AGAIN_S, owed=0)
    return _followed(replace(state, logs=logs))


def tried_again(state: State) -> Result:
    """The page that could not be had is asked for again, in time; not of a principal that is away."""
    logs = state.logs
    is_due = logs is not None and logs.fetch is not None and logs.again and state.now >= logs.again
    if logs is None or logs.fetch is None or not is_due or state.link.status is LinkStatus.AWAY:
        return state, ()
    return _sent(state, logs, logs.fetch)


def gone_on(state: State, logs: Logs) -> Result:
    """What could not be had is asked for again: all, where nothing is held or what is held is not the end that is
    followed."""
    if logs.fetch is not None:
        return _sent(state, logs, logs.fetch)
    if logs.lines and (logs.live or not logs.following or not logs.open):
        return replace(state, logs=replace(logs, trouble="", busy=False)), ()
    return _asked(state, replace(logs, trouble=""))


def _followed(state: State) -> Result:
    """Have what comes told where the last line of the log is held, and only there."""
    logs = state.logs
    if logs is None or logs.live == (can_grow := logs.ends and logs.open and logs.query.end_ms is None):
        return state, ()
    turn = logs.turn + can_grow
    state = replace(state, logs=replace(logs, live=can_grow, turn=turn))
    last = logs.lines[-1].sequence if logs.lines else None
    return state, (FollowLogs(logs.number, logs.query, last, turn) if can_grow else StopLogs(),)


def _joined(logs: Logs, page: LogPage) -> Logs:
    """A page at one end of what is held; as much is let go at the other. What is held may have gone on meanwhile."""
    edge = logs.lines[0 if page.place is Place.BEFORE else -1].sequence if logs.lines else None
    if edge != page.sequence:
        return logs
    if page.place is Place.BEFORE:
        lines = page.lines + logs.lines
        kept = lines[:WINDOW]
        ends = logs.ends and len(kept) == len(lines)
        return replace(logs, lines=kept, begins=not page.full, ends=ends, top=logs.top + len(page.lines))
    lines = logs.lines + page.lines
    gone = max(len(lines) - WINDOW, 0)
    begins = logs.begins and not gone
    return replace(logs, lines=lines[gone:], begins=begins, ends=not page.full, top=max(logs.top - gone, 0))


def _found(state: State, logs: Logs, page: LogPage) -> Result:
    direction = 1 if page.place is Place.MATCH_AFTER else -1
    if page.found is None:
        if page.sequence is not None:
            return _match_around(state, logs, direction)
        notice = Notice(f"{logs.search!r} is not found", state.now + REMARK_S)
        return _followed(replace(state, logs=replace(logs, missed=logs.search), notice=notice))
    if page.sequence is None:
        state = replace(state, notice=_around(state, direction))
    # Which ends are the log's is not known; the next pages tell.
    logs = replace(logs, lines=page.lines, begins=False, ends=False, following=False)
    return _followed(replace(state, logs=shown_at(state, logs, page.found)))


def news_came(state: State, news: LogNews) -> Result:
    """Lines that came while they are followed."""
    logs = state.logs
    if logs is None or logs.number != news.number or logs.turn != news.turn or not logs.live:
        return state, ()
    heard = () if news.lines or not news.trouble else (logs.heard + news.heard)[-WINDOW:]
    logs = replace(logs, open=news.open, trouble=news.trouble, heard=heard)
    if not logs.following and (news.jumped or len(logs.lines) + len(news.lines) > WINDOW):
        # What comes is paged in when somebody goes there.
        return _followed(replace(state, logs=replace(logs, ends=False)))
    if news.jumped:
        logs = replace(logs, lines=news.lines, begins=False)
    else:
        lines = logs.lines + news.lines
        gone = max(len(lines) - WINDOW, 0)
        logs = replace(logs, lines=lines[gone:], begins=logs.begins and not gone)
    return replace(state, logs=logs), ()


# Where it stands.


def top_of(state: State, logs: Logs) -> int:
    """The first line on the screen."""
    return first_shown_at_end(state, logs) if logs.following else logs.top


def first_shown_at_end(state: State, logs: Logs) -> int:
    """The first line on the screen when it stands at the end."""
    return first_from_end(logs, state.width, log_rows(state), state.look.unicode)


def at_end(state: State, logs: Logs) -> Logs:
    """Standing at the end of what is held."""
    return replace(logs, top=first_shown_at_end(state, logs), owed=0)


def shown_at(state: State, logs: Logs, sequence: int) -> Logs:
    """Standing where a line is in the upper half of the screen."""
    index = next((n for n, line in enumerate(logs.lines) if line.sequence == sequence), 0)
    return replace(logs, top=max(index - log_rows(state) // 3, 0), found=sequence, missed="", following=False, owed=0)


def scrolled(state: State, logs: Logs, by: int) -> Result:
    """Some lines further down."""
    last = first_shown_at_end(state, logs)
    top = top_of(state, logs)
    if logs.again and logs.lines:
        # What could not be had is not wanted any more: nobody is carried away by it later.
        logs = replace(logs, fetch=None, again=0.0, trouble="")
    # Who follows goes on following at the end; who comes back to the end of an open log does not begin to.
    logs = replace(logs, top=top, following=logs.following and top + by >= last, owed=logs.owed + by)
    return paged(replace(state, logs=_repaid(state, logs)))


def _repaid(state: State, logs: Logs) -> Logs:
    """Scrolled as far as there are lines; the rest is done when more have come: no key is pressed in vain."""
    wanted = logs.top + logs.owed
    top = max(0, min(wanted, first_shown_at_end(state, logs)))
    is_more = not logs.begins and state.can("LSLOGS", "before") if wanted < top else not logs.ends
    return replace(logs, top=top, owed=wanted - top if is_more and not logs.following else 0)


def paged(state: State) -> Result:
    """Ask for the next page where the end of what is held is near."""
    logs = state.logs
    if logs is None or logs.busy or not logs.lines:
        return state, ()
    first, last = logs.lines[0].sequence, logs.lines[-1].sequence
    if logs.top < AHEAD and not logs.begins and state.can("LSLOGS", "before") and not logs.following:
        return _fetched(state, logs, Place.BEFORE, first)
    if not logs.ends and not logs.following and logs.top + log_rows(state) + AHEAD > len(logs.lines):
        return _fetched(state, logs, Place.AFTER, last)
    return state, ()


def _fetched(state: State, logs: Logs, place: Place, sequence: int | None) -> Result:
    return _sent(state, logs, FetchLogs(logs.number, logs.query, place, sequence))


def to_beginning(state: State, logs: Logs) -> Result:
    """To the first line of the log."""
    logs = replace(logs, following=False, top=0, found=None, owed=0)
    if logs.begins:
        return replace(state, logs=logs), ()
    return _asked(state, logs, Place.HEAD)


def to_end(state: State, logs: Logs) -> Result:
    """To its last line, and follow what comes after it."""
    follow = logs.query.end_ms is None
    if logs.ends:
        return replace(state, logs=at_end(state, replace(logs, following=follow, found=None))), ()
    return _asked(state, replace(logs, following=follow), Place.TAIL)


def follow_switched(state: State, logs: Logs) -> Result:
    """Follow, or stay here."""
    if logs.following:
        return replace(state, logs=replace(logs, top=top_of(state, logs), following=False)), ()
    if logs.query.end_ms is None:
        return to_end(state, logs)
    return changed(state, replace(logs, until=""), replace(logs.query, end_ms=None))


# Search.


def searched(state: State, logs: Logs, text: str) -> Result:
    """Search, downwards from the first line on the screen; nothing to search for is the end of it."""
    logs = replace(logs, search=text, found=None)
    if not text:
        return replace(state, logs=logs), ()
    return next_match(state, logs, 1)


def next_match(state: State, logs: Logs, direction: int) -> Result:
    """The next match in a direction: among what is held, else asked for; from the other end, where there is none."""
    if not logs.search:
        return state, ()
    start = _start(state, logs, direction)
    order: Sequence[LogLine] = logs.lines[start:] if direction > 0 else logs.lines[: max(start + 1, 0)][::-1]
    hit = next((line for line in order if matches(line, logs.search) and line.sequence is not None), None)
    if hit is not None and hit.sequence is not None:
        return paged(replace(state, logs=shown_at(state, logs, hit.sequence)))
    if not logs.lines or (logs.ends if direction > 0 else logs.begins) or not state.can("LSLOGS", "contains"):
        return _match_around(state, logs, direction)
    return _match_asked(state, logs, direction, logs.lines[-1 if direction > 0 else 0].sequence)


def _match_around(state: State, logs: Logs, direction: int) -> Result:
    """There is none up to the end: the first one from the other end."""
    can_ask = bool(logs.lines) and state.can("LSLOGS", "contains")
    if can_ask and not (logs.begins and logs.ends):
        return _match_asked(state, logs, direction, None)
    order = logs.lines[::direction]
    hit = next((line.sequence for line in order if matches(line, logs.search) and line.sequence is not None), None)
    if hit is None:
        where = "" if (logs.begins and logs.ends) or can_ask else " in what is loaded here"
        notice = Notice(f"{logs.search!r} is not found{where}", state.now + REMARK_S)
        return _followed(replace(state, logs=replace(logs, missed=logs.search), notice=notice))
    return paged(replace(state, logs=shown_at(state, logs, hit), notice=_around(state, direction)))


def _around(state: State, direction: int) -> Notice:
    return Notice("from the beginning" if direction > 0 else "from the end", state.now + REMARK_S)


def _match_asked(state: State, logs: Logs, direction: int, edge: int | None) -> Result:
    # Under a number of its own: a page that is under way would be joined to what is found.
    number = state.asked + 1
    logs = replace(logs, number=number, following=False, live=False, top=top_of(state, logs), owed=0)
    place = Place.MATCH_AFTER if direction > 0 else Place.MATCH_BEFORE
    return _sent(state, logs, FetchLogs(number, logs.query, place, edge, logs.search))


def _start(state: State, logs: Logs, direction: int) -> int:
    if logs.found is None:
        return top_of(state, logs)
    index = next((n for n, line in enumerate(logs.lines) if line.sequence == logs.found), 0)
    return index + direction


def next_level(logs: Logs) -> LogQuery:
    """The selection with the next level alone."""
    level = logs.query.level
    return replace(logs.query, level=LEVELS[(LEVELS.index(level) + 1) % len(LEVELS)] if level in LEVELS else None)
