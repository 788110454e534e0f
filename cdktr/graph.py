"""The graph of a workflow drawn in characters: a row a task, in the order in which tasks may start. Pure.

    ○        extract      ○  waits for nothing
    ├─►─┐    clean        ►  waits for what joins from the left
    └─►─┤    check        ▼  waits for what comes from above
        ▼    load

Tasks that are waited for by the same tasks share one line: whatever enters it above is waited for by all that leave
it below. So a fan-out and a fan-in of a hundred tasks take two lines, and nothing has to be guessed: where lines cross
without touching, the horizontal one is hidden.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cdktr.dag import Dag

#: What the drawing is made of, and what stands for it where there are no box characters.
BOXES = "○►▼│─├└┼┴┐┤┘"
ASCII = dict(zip(map(ord, BOXES), "o>v|-+++++++", strict=True))

#: (it is also reached from the left, it goes on below) -> a line that a task waits for.
_JOINS = {(False, True): "├", (False, False): "└", (True, True): "┼", (True, False): "┴"}

#: A row: its drawing and its task, which is "" in a row of lines alone.
Row = tuple[str, str]


def draw(depends: Mapping[str, Sequence[str]], columns: int, boxes: bool = True) -> list[Row]:
    """The rows; where the drawing would take more than `columns`, each row tells in words what its task waits for."""
    dag = Dag(depends)
    drawing = _Drawing(dag)
    rows = [row for layer in dag.layers() for task in layer for row in drawing.add(task)]
    if any(len(art) > columns for art, _ in rows):
        return in_words(depends, columns)
    return rows if boxes else [(art.translate(ASCII), task) for art, task in rows]


def in_words(depends: Mapping[str, Sequence[str]], columns: int) -> list[Row]:
    """The rows without a drawing: each tells what its task waits for, in at most so many columns."""
    dag = Dag(depends)
    return [(_in_words(dag.dependencies(task), columns), task) for layer in dag.layers() for task in layer]


def _in_words(names: Sequence[str], columns: int) -> str:
    if not names:
        return ""
    text = f"after {', '.join(names)}"
    return text if len(text) <= columns else f"after {len(names)} task{'' if len(names) == 1 else 's'}"


@dataclass(slots=True)
class _Line:
    """The line from all tasks that have the same dependents to these."""

    #: How many of each are not drawn yet.
    sources: int = 0
    targets: int = 0
    #: Its place while it is drawn, in steps of two columns.
    slot: int | None = None


@dataclass(slots=True)
class _Place:
    """Where one task goes."""

    slot: int
    #: Lines it waits for, ascending, and which of them end with it.
    enters: list[int]
    ends: set[int]
    #: Where its own line is or begins; None when nothing waits for it.
    leaves: int | None = None
    begins: bool = False

    @property
    def mark(self) -> str:
        """The character of the task itself."""
        return "○" if not self.enters else "▼" if self.slot in self.ends else "►"


@dataclass(slots=True)
class _Drawing:
    dag: Dag
    _lines: dict[frozenset[str], _Line] = field(default_factory=dict)
    #: The lines that go on below the last row.
    _open: dict[int, _Line] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for task in self.dag.tasks:
            targets = frozenset(self.dag.dependents(task))
            line = self._lines.setdefault(targets, _Line(targets=len(targets)))
            line.sources += 1

    def add(self, task: str) -> list[Row]:
        """The rows of the next task: two where its line is to its left."""
        place = self._place(task)
        rows = [(self._row(place), task)]
        self._close(place)
        if place.leaves is not None and place.leaves < place.slot:
            rows.append((self._way_back(place), ""))
        if place.begins:
            line = self._line_of(task)
            line.slot, self._open[place.leaves or 0] = place.leaves, line
        self._line_of(task).sources -= 1
        return rows

    def _line_of(self, task: str) -> _Line:
        return self._lines[frozenset(self.dag.dependents(task))]

    def _place(self, task: str) -> _Place:
        entered = {line.slot: line for line in map(self._line_of, self.dag.dependencies(task))}
        enters = sorted(slot for slot in entered if slot is not None)
        ends = {slot for slot in enters if self._open[slot].targets == 1}
        last = enters[-1] if enters else -1
        place = _Place(last if last in ends else self._free(last + 1), enters, ends)
        line = self._line_of(task)
        if not line.targets:
            return place
        place.begins = line.slot is None
        # A line of one task begins below it, one of several beside it, so that the others find it on their right.
        place.leaves = line.slot
        if place.leaves is None:
            place.leaves = place.slot if line.sources == 1 else self._free(place.slot + 1)
        return place

    def _free(self, slot: int) -> int:
        while slot in self._open:
            slot += 1
        return slot

    def _close(self, place: _Place) -> None:
        for slot in place.enters:
            self._open[slot].targets -= 1
        for slot in place.ends:
            del self._open[slot]

    def _row(self, place: _Place) -> str:
        """The row of the task: lines enter from the left, and leave to the right."""
        start = place.enters[0] if place.enters else place.slot
        end = max(place.slot, place.leaves if place.leaves is not None else 0)
        marks = {slot: _JOINS[slot > start, slot not in place.ends] for slot in place.enters}
        if end > place.slot:
            marks[end] = "┐" if place.begins else "┤"
        return self._drawn({**marks, place.slot: place.mark}, start, end)

    def _way_back(self, place: _Place) -> str:
        """The row below a task that leads to a line on its left."""
        left = place.leaves or 0
        return self._drawn({left: "├", place.slot: "┘"}, left, place.slot)

    def _drawn(self, marks: Mapping[int, str], start: int, end: int) -> str:
        text = ""
        for slot in range(max(end, *self._open, 0) + 1):
            inside = start <= slot <= end
            text += marks.get(slot) or ("│" if slot in self._open else "─" if inside else " ")
            text += "─" if start <= slot < end else " "
        return text.rstrip()
