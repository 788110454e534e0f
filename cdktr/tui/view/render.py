"""The whole screen."""

from dataclasses import replace

from cdktr.tui.state.model import LEAST, State, Tab
from cdktr.tui.state.room import Rect, body
from cdktr.tui.view.canvas import Area, Canvas, Frame
from cdktr.tui.view.frame import footer, header, remark, tabs, too_small
from cdktr.tui.view.logs import logs_screen
from cdktr.tui.view.others import admin_place, agents_place
from cdktr.tui.view.overlays import overlay
from cdktr.tui.view.runs import open_run, runs_place
from cdktr.tui.view.workflows import workflows_place

PLACES = {
    Tab.WORKFLOWS: workflows_place,
    Tab.RUNS: runs_place,
    Tab.AGENTS: agents_place,
    Tab.ADMIN: admin_place,
}


def render(state: State) -> Frame:
    """As many rows as the terminal has, each as wide as it is."""
    canvas = Canvas(state.width, state.height, state.look)
    screen = Area(canvas, Rect(0, 0, state.width, state.height))
    if state.is_too_small:
        too_small(screen, state, LEAST)
        return canvas.frame()
    header(screen.part(0, 0, state.width, 1), state)
    if state.logs is not None:
        logs_screen(screen.part(0, 1, state.width, state.height - 2), state)
    else:
        tabs(screen.part(0, 1, state.width, 1), state)
        place = screen.part(*body(state))
        _place(place, state)
        remark(place, state)
    footer(screen.part(0, state.height - 1, state.width, 1), state)
    for number, shown in enumerate(state.overlays):
        overlay(screen, state, shown, replace(state, overlays=state.overlays[:number]))
    return canvas.frame()


def _place(area: Area, state: State) -> None:
    if state.run is not None:
        open_run(area, state)
    else:
        PLACES[state.tab](area, state)
