"""Moving in lists, and editing a line of text."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TypeVar

from cdktr.text import width
from cdktr.tui.state.facts import Folder, Problem
from cdktr.tui.state.model import Cursor, Entry, Field, Prompt
from cdktr.workflow import Scheduled

Line = TypeVar("Line", Prompt, Field)

#: Characters that a line of text takes.
LONGEST_TEXT = 1_000


def settle(cursor: Cursor, keys: Sequence[str], rows: int) -> Cursor:
    """The cursor on a row that there is: on its key where that has gone to, else on what is in its place now."""
    if not keys:
        return Cursor()
    index = cursor.index
    if not (0 <= index < len(keys) and keys[index] == cursor.key):
        index = keys.index(cursor.key) if cursor.key in keys else max(0, min(index, len(keys) - 1))
    top = max(0, min(cursor.top, index, len(keys) - rows))
    return Cursor(keys[index], index, max(top, index - rows + 1))


def move(cursor: Cursor, keys: Sequence[str], by: int, rows: int) -> Cursor:
    """The cursor some rows further down."""
    if not keys:
        return Cursor()
    index = max(0, min(cursor.index + by, len(keys) - 1))
    return settle(replace(cursor, key=keys[index], index=index), keys, rows)


def entries(folder: Folder | None, words: str) -> tuple[Entry, ...]:
    """The list of workflows: files that cannot be used first, then what has all the words in its id or name."""
    if folder is None:
        return ()
    wanted = words.lower().split()

    def fits(*texts: str) -> bool:
        text = " ".join(texts).lower()
        return all(word in text for word in wanted)

    bad = [Entry(f"!{each.place}", problem=each) for each in folder.problems if fits(each.path, each.message)]
    good = [Entry(each.id, workflow=each) for each in folder.workflows if fits(each.id, each.name)]
    return (*{entry.key: entry for entry in bad}.values(), *good)


def problem_with(workflow: Scheduled, problems: Sequence[Problem]) -> Problem | None:
    """What is wrong in the file of a workflow of which the last good version is in force."""
    return next((problem for problem in problems if problem.path == workflow.path), None)


def insert(line: Line, text: str) -> Line:
    """The line with a text put in: as much as it takes, without line breaks and controls."""
    at = max(0, min(line.at, len(line.text)))
    text = "".join(filter(str.isprintable, text))[: max(LONGEST_TEXT - len(line.text), 0)]
    return replace(line, text=line.text[:at] + text + line.text[at:], at=at + len(text))


def edit(line: Line, key: str) -> Line:
    """The line after a key of an editor; unchanged for one that is none."""
    text, at = line.text, max(0, min(line.at, len(line.text)))
    if len(key) == 1 and key.isprintable():
        return insert(line, key)
    match key:
        case "left":
            at -= 1
        case "right":
            at += 1
        case "home" | "ctrl-a":
            at = 0
        case "end" | "ctrl-e":
            at = len(text)
        case "backspace" | "ctrl-h" if at:
            text, at = text[: at - 1] + text[at:], at - 1
        case "delete":
            text = text[:at] + text[at + 1 :]
        case "ctrl-u":
            text, at = text[at:], 0
        case "ctrl-k":
            text = text[:at]
        case "ctrl-w":
            kept = text[:at].rstrip().rpartition(" ")
            start = len(kept[0] + kept[1])
            text, at = text[:start] + text[at:], start
    return replace(line, text=text, at=max(0, min(at, len(text))))


def wrapped(text: str, columns: int) -> list[str]:
    """A text in rows of at most so many columns, none of them empty but the only one."""
    if width(text) <= columns or columns < 2:
        return [text]
    if text.isascii():
        return [text[start : start + columns] for start in range(0, len(text), columns)]
    rows, row, taken = [], "", 0
    for char in text:
        size = width(char)
        if taken + size > columns:
            rows.append(row)
            row, taken = "", 0
        row, taken = row + char, taken + size
    return [*rows, row]
