"""What is told of the workflow folder, and how often it is made."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from cdktr.catalog import Catalog
from cdktr.codec import outline_from_json, outline_to_json, workflow_from_json
from cdktr.errors import NotFoundError
from cdktr.listing import Listing
from cdktr.messages import load
from cdktr.replies import Reply
from cdktr.workflow import Outline

WORKFLOW = "name: {name}\ncron: 0 0 2 * * *\ntasks:\n  a: {{name: A, config: !Subprocess {{cmd: 'true'}}}}\n"


class Made:
    """A listing of a folder that counts how often it makes a text."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.catalog = Catalog(folder)
        self.count = 0
        self.write("etl", "ETL")
        self.listing = Listing(self.catalog, self._in_thread)

    async def _in_thread(self, make: Callable[[], Reply]) -> Reply:
        self.count += 1
        await asyncio.sleep(0)
        return await asyncio.to_thread(make)

    def write(self, name: str, title: str) -> None:
        path = self.folder / f"{name}.yml"
        path.write_text(WORKFLOW.format(name=title))
        # Long ago: a file that was written just now is read once more.
        os.utime(path, (0, 0))
        self.catalog.refresh()


def value(reply: Reply) -> Any:
    assert reply.kind == "SUCCESS"
    return load(reply.payload or "", "it")


def with_listing(story: Callable[[Made], Awaitable[None]], folder: Path) -> None:
    async def inner() -> None:
        await story(Made(folder))

    asyncio.run(inner())


def test_the_whole_an_outline_and_one_tell_the_same(tmp_path: Path) -> None:
    async def story(made: Made) -> None:
        whole, outlines = value(await made.listing.whole()), value(await made.listing.outlines())
        assert whole["etl"] == value(made.listing.one("etl"))
        [told] = outlines["workflows"]
        assert "dag" not in told
        assert outlines["revision"] == made.catalog.revision
        workflow = workflow_from_json(whole["etl"])
        assert outline_from_json(told) == outline_from_json(whole["etl"]) == Outline.of(workflow)
        with pytest.raises(NotFoundError, match=r"^No workflow exists with id nope$"):
            made.listing.one("nope")

    with_listing(story, tmp_path)


def test_each_text_is_made_once_for_each_state_of_the_folder(tmp_path: Path) -> None:
    async def story(made: Made) -> None:
        async with asyncio.TaskGroup() as group:
            # Of several that ask at once, too.
            asked = [group.create_task(made.listing.outlines()) for _ in range(5)]
        assert made.count == 1
        assert {each.result() for each in asked} == {await made.listing.outlines()}
        made.catalog.refresh()
        await made.listing.outlines()
        assert made.count == 1, "a look at the folder that finds nothing new changes nothing"
        made.write("b", "B")
        made.write("a", "A")
        found = value(await made.listing.outlines())
        assert [each["id"] for each in found["workflows"]] == ["a", "b", "etl"]
        assert made.count == 2
        await made.listing.whole()
        assert made.count == 3

    with_listing(story, tmp_path)


def test_what_changes_while_it_is_made_is_in_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story(made: Made) -> None:
        def changing(workflow: Any) -> Any:
            if made.catalog.file_count == 1:
                made.write("new", "New")
            return outline_to_json(workflow)

        monkeypatch.setattr("cdktr.listing.outline_to_json", changing)
        first, second = value(await made.listing.outlines()), value(await made.listing.outlines())
        assert first["revision"] < second["revision"] == made.catalog.revision
        assert len(second["workflows"]) == 2

    with_listing(story, tmp_path)
