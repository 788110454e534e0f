"""How the screen is divided: needed to draw it, and to know how far a page of a list goes."""

from typing import NamedTuple

from cdktr.tui.state.model import State, Tab

#: Columns from which a list has a head.
HEADED = 48


class Rect(NamedTuple):
    """A part of the screen."""

    x: int
    y: int
    width: int
    height: int


class Panels(NamedTuple):
    """A list, and beside or below it what is selected there; the latter None where there is no room."""

    main: Rect
    side: Rect | None


def body(state: State) -> Rect:
    """All between the tabs and the footer."""
    return Rect(0, 2, state.width, max(state.height - 3, 0))


def workflows(state: State) -> Panels:
    """The list beside the details; the whole body for the graph when it is zoomed."""
    x, y, width, height = body(state)
    if state.workflows.zoomed:
        return Panels(Rect(x, y, 0, height), Rect(x, y, width, height))
    left = max(26, min(84, width * 42 // 100))
    return Panels(Rect(x, y, left, height), Rect(left + 1, y, width - left - 1, height))


def runs(state: State) -> Panels:
    """The history; on a tall screen the selected run below it."""
    x, y, width, height = body(state)
    if height < 32:
        return Panels(Rect(x, y, width, height), None)
    upper = height * 45 // 100
    return Panels(Rect(x, y, width, upper), Rect(x, y + upper, width, height - upper))


def list_rows(state: State) -> int:
    """Rows of the list that the keys move in."""
    if state.run is not None:
        # With every fact that a run may have above its tasks.
        return max(body(state).height - 9, 1)
    if state.tab is Tab.WORKFLOWS:
        main = workflows(state).main
        return max(main.height - (2 if main.width >= HEADED else 1), 1)
    if state.tab is Tab.RUNS:
        return max(runs(state).main.height - 2, 1)
    # Of the agents, the last row is for the labels of the one that is selected.
    return max(body(state).height - (3 if state.tab is Tab.AGENTS else 2), 1)


def log_rows(state: State) -> int:
    """Rows of log lines on the screen for them: all but the header, its own head and the footer."""
    return max(state.height - 3, 1)


def overlay_rows(state: State) -> int:
    """Rows that a long overlay has for what it holds."""
    return max(state.height - 4, 1)
