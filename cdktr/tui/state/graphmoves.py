"""Moving from task to task in the graph of a workflow, as it is drawn."""

from cdktr.dag import Dag
from cdktr.text import cells, width
from cdktr.tui.state.layout import Box, Depends, Layout, layout
from cdktr.tui.state.model import State
from cdktr.tui.state.wants import TheDefinition, selected_id
from cdktr.workflow import Workflow

#: Columns of a task's name in its box, at most.
LONGEST_NAME = 24


def workflow_named(state: State, workflow_id: str) -> Workflow | None:
    """The definition in force, if it is known."""
    return state.data.definitions.get(workflow_id)


def selected_workflow(state: State) -> Workflow | None:
    """The definition of the workflow that keys are about, if it is known."""
    return workflow_named(state, selected_id(state))


def why_unknown(state: State) -> str:
    """Why the definition of the selected workflow is not known; "" where it is, or there is none to be known."""
    workflow_id = selected_id(state)
    if not workflow_id or workflow_id in state.data.definitions:
        return ""
    failed = state.data.failed.get(TheDefinition(workflow_id))
    return failed or f"{workflow_id} is still being asked for; press it again"


def depends_of(workflow: Workflow) -> Depends:
    """The graph as a key."""
    return tuple((task_id, task.depends) for task_id, task in workflow.tasks.items())


def box_width(task_id: str) -> int:
    """Columns of a box: its name, a mark, and the frame."""
    return min(width(cells(task_id)), LONGEST_NAME) + 6


def layout_of(workflow: Workflow, tall: bool) -> Layout | None:
    """The drawing of a workflow."""
    widths = tuple(box_width(task_id) for task_id in workflow.tasks)
    return layout(depends_of(workflow), widths, tall)


def next_task(workflow: Workflow, task_id: str, direction: str) -> str:
    """The task that lies in a direction of another: the nearest box there."""
    drawing = layout_of(workflow, True)
    if task_id not in workflow.tasks:
        return next(iter(workflow.tasks), "")
    if drawing is None:
        return _in_order(workflow, task_id, direction)
    here = drawing.boxes[task_id]

    def distance(box: Box) -> tuple[int, int] | None:
        across, down = box.layer - here.layer, box.middle - here.middle
        if direction in ("up", "down"):
            ahead = down if direction == "down" else -down
            return (abs(across), ahead) if ahead > 0 and across == 0 else None
        ahead = across if direction == "right" else -across
        return (ahead, abs(down)) if ahead > 0 else None

    ways = {name: way for name, box in drawing.boxes.items() if (way := distance(box)) is not None}
    return min(ways, key=lambda name: ways[name]) if ways else task_id


def _in_order(workflow: Workflow, task_id: str, direction: str) -> str:
    order = [name for layer in Dag(dict(depends_of(workflow))).layers() for name in layer]
    step = 1 if direction in ("down", "right") else -1
    return order[max(0, min(order.index(task_id) + step, len(order) - 1))]
