"""Every key there is: what it does and where. The footer and the help are drawn from this one table."""

from dataclasses import dataclass
from enum import StrEnum

from cdktr.tui.state.model import Calendar, Confirm, Form, Help, Menu, Prompt, State, Tab


class Where(StrEnum):
    """What has the keys; the value is its title in the help."""

    WORKFLOWS = "List of workflows"
    GRAPH = "Graph of a workflow"
    RUNS = "List of runs"
    RUN = "A run"
    AGENTS = "Agents"
    ADMIN = "Principal"
    LOGS = "Log lines"
    HELP = "Help"
    PROMPT = "A line of text"
    FORM = "A form"
    CALENDAR = "Calendar"
    MENU = "A choice"
    CONFIRM = "A question"


W = Where
PLACES = frozenset({W.WORKFLOWS, W.GRAPH, W.RUNS, W.RUN, W.AGENTS, W.ADMIN})
FULL = PLACES | {W.LOGS}
LISTS = PLACES - {W.GRAPH}


@dataclass(frozen=True, slots=True)
class Binding:
    """Keys that do the same: `action` is its name in `actions`, `label` stands in the footer ("" does not)."""

    keys: tuple[str, ...]
    action: str
    where: frozenset[Where]
    label: str
    help: str
    #: A verb and an argument of it that the principal must know.
    needs: tuple[str, ...] = ()


def _key(keys: str, action: str, where: Where | frozenset[Where], label: str, help: str, needs: str = "") -> Binding:
    places = where if isinstance(where, frozenset) else frozenset({where})
    return Binding(tuple(keys.split()), action, places, label, help, tuple(needs.split()))


#: The order is that of the footer.
KEYS: tuple[Binding, ...] = (
    _key("enter", "enter", W.WORKFLOWS, "graph", "go into the graph"),
    _key("enter", "enter", W.GRAPH, "log", "log of the selected task"),
    _key("enter", "enter", W.RUNS, "open", "open the run: tasks, timeline"),
    _key("enter", "enter", W.RUN, "log", "log of the selected task"),
    _key("enter right", "whole", W.ADMIN, "whole lines", "show the lines of the log as a whole, or cut"),
    _key("r", "run", frozenset({W.WORKFLOWS, W.GRAPH, W.RUNS, W.RUN}), "run", "run the workflow now", "RUNTASK"),
    _key("l", "logs", PLACES - {W.AGENTS, W.ADMIN}, "logs", "log of the workflow or the run", "LSLOGS"),
    _key("o", "open_run", frozenset({W.WORKFLOWS, W.GRAPH}), "open run", "open the run that the graph shows", "LSRUNS"),
    _key("f", "follow", W.LOGS, "follow", "follow what comes, or stay here"),
    _key("/", "search", W.LOGS, "search", "search, the found lines are marked"),
    _key("n", "next_match", W.LOGS, "next", "next match"),
    _key("N", "previous_match", W.LOGS, "previous", "previous match"),
    _key("L", "level", W.LOGS, "level", "only one level: ERROR, WARNING, INFO, all"),
    _key("t", "range", W.LOGS, "time", "only a range of time, typed or from a calendar"),
    _key("w", "wrap", W.LOGS, "wrap", "wrap long lines, or scroll sideways"),
    _key("v", "verbose", W.LOGS, "ids", "name workflow, run and task in each line"),
    _key("s", "save", W.LOGS, "save", "save all these lines to a file"),
    _key("/", "filter", W.WORKFLOWS, "filter", "show what has these words in its id or name"),
    _key("/", "of_runs", W.RUNS, "find", "show the runs of a workflow, or with this in an id"),
    _key("s", "status", W.RUNS, "status", "show the runs of one status"),
    _key("v", "other_view", W.RUN, "graph", "graph or timeline"),
    _key("p", "pause", W.WORKFLOWS, "pause", "pause the schedule, or resume it", "PAUSE"),
    _key("[", "older", frozenset({W.WORKFLOWS, W.GRAPH, W.RUN}), "older", "the run before", "LSRUNS"),
    _key("]", "newer", frozenset({W.WORKFLOWS, W.GRAPH, W.RUN}), "newer", "the run after", "LSRUNS"),
    _key("z", "zoom", frozenset({W.WORKFLOWS, W.GRAPH}), "zoom", "the graph on the whole screen, and back"),
    _key("p", "pause", W.GRAPH, "pause", "pause the schedule, or resume it", "PAUSE"),
    _key("R", "reload", frozenset({W.WORKFLOWS, W.ADMIN}), "reload", "read the workflow folder now", "RELOAD"),
    _key("y", "copy", FULL, "copy id", "copy the id of what is selected"),
    _key("f5 ctrl-r", "refresh", FULL, "", "ask for everything anew"),
    _key("up k", "up", FULL | {W.HELP, W.MENU}, "", "up"),
    _key("down j", "down", FULL | {W.HELP, W.MENU}, "", "down"),
    _key("pgup ctrl-b", "page_up", FULL | {W.HELP}, "", "a page up"),
    _key("pgdn ctrl-f", "page_down", FULL | {W.HELP}, "", "a page down"),
    _key("g home", "top", FULL | {W.HELP}, "", "to the top; of a log: to its beginning"),
    _key("G end", "bottom", FULL | {W.HELP}, "", "to the bottom; of a log: to its end"),
    _key("left", "left", frozenset({W.GRAPH, W.LOGS}), "", "left"),
    _key("right", "right", frozenset({W.GRAPH, W.LOGS}), "", "right"),
    _key("tab", "next_panel", PLACES, "", "next panel"),
    _key("backtab", "previous_panel", PLACES, "", "previous panel"),
    _key("1", "tab_1", FULL, "", "workflows"),
    _key("2", "tab_2", FULL, "", "runs"),
    _key("3", "tab_3", FULL, "", "agents"),
    _key("4", "tab_4", FULL, "", "the principal and its own log"),
    _key("m", "mouse", FULL, "", "leave the mouse to the terminal, to copy with it, and back"),
    _key("ctrl-l", "redraw", FULL, "", "paint the screen anew"),
    _key(":", "command", FULL, "", "a command by name: q, help, reload, save FILE"),
    _key("esc", "back", FULL, "", "back"),
    _key("? f1", "help", FULL, "help", "this table"),
    _key("q ctrl-c", "quit", FULL, "quit", "quit"),
    _key("esc q ? f1 enter", "close", W.HELP, "close", "close"),
    _key("y enter", "yes", W.CONFIRM, "yes", "do it"),
    _key("n esc q", "close", W.CONFIRM, "no", "do not"),
    _key("enter", "choose", W.MENU, "choose", "choose"),
    _key("esc q", "close", W.MENU, "cancel", "leave it as it was"),
    _key("enter", "pick", W.CALENDAR, "choose", "take this day"),
    _key("left h", "day_back", W.CALENDAR, "", "the day before"),
    _key("right l", "day_on", W.CALENDAR, "", "the day after"),
    _key("up k", "week_back", W.CALENDAR, "", "a week back"),
    _key("down j", "week_on", W.CALENDAR, "", "a week on"),
    _key("pgup", "month_back", W.CALENDAR, "month back", "a month back"),
    _key("pgdn", "month_on", W.CALENDAR, "month on", "a month on"),
    _key("esc q", "close", W.CALENDAR, "cancel", "leave it as it was"),
    _key("enter", "submit", W.FORM, "ok", "take it"),
    _key("tab down", "next_field", W.FORM, "next", "next line"),
    _key("backtab up", "previous_field", W.FORM, "", "previous line"),
    _key("f2 ctrl-d", "calendar", W.FORM, "calendar", "pick a day, where a time is asked for"),
    _key("esc", "close", W.FORM, "cancel", "leave it as it was"),
    _key("enter", "accept", W.PROMPT, "ok", "take it"),
    _key("tab", "complete", W.PROMPT, "complete", "complete a name"),
    _key("up", "earlier", W.PROMPT, "", "what stood there, or was searched for, before"),
    _key("esc", "cancel", W.PROMPT, "cancel", "leave it as it was"),
    _key("ctrl-c", "quit", frozenset(Where) - FULL, "", "quit"),
)

_BY_KEY = {(where, key): binding for binding in KEYS for where in binding.where for key in binding.keys}


def where(state: State) -> Where:
    """What has the keys now."""
    match state.overlay:
        case Help():
            return Where.HELP
        case Prompt():
            return Where.PROMPT
        case Form():
            return Where.FORM
        case Calendar():
            return Where.CALENDAR
        case Menu():
            return Where.MENU
        case Confirm():
            return Where.CONFIRM
    if state.logs is not None:
        return Where.LOGS
    if state.run is not None:
        return Where.RUN
    if state.tab is Tab.WORKFLOWS:
        return Where.GRAPH if state.workflows.in_graph else Where.WORKFLOWS
    return {Tab.RUNS: Where.RUNS, Tab.AGENTS: Where.AGENTS}.get(state.tab, Where.ADMIN)


def binding_of(place: Where, key: str) -> Binding | None:
    """What a key does there."""
    return _BY_KEY.get((place, key))


def is_able(state: State, binding: Binding) -> bool:
    """Whether the principal can do what the key needs."""
    return not binding.needs or state.can(*binding.needs)


def bindings_of(place: Where) -> list[Binding]:
    """All that there are there, in order."""
    return [binding for binding in KEYS if place in binding.where]
