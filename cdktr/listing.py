"""The workflow folder as it is told: all definitions, what a list needs of each, one of them, and what is wrong.

The long texts are made once for each state of the folder, beside the event loop, and only when somebody asks.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from cdktr.catalog import Catalog
from cdktr.codec import outline_to_json, workflow_to_json
from cdktr.errors import no_workflow
from cdktr.replies import OK, Reply, success

#: Makes in a thread what would hold the event loop up.
InThread = Callable[[Callable[[], Reply]], Awaitable[Reply]]


class Listing:
    """What there is to tell of a catalog."""

    def __init__(self, catalog: Catalog, in_thread: InThread) -> None:
        self._catalog = catalog
        self._whole = _Text(catalog, _whole, in_thread)
        self._outlines = _Text(catalog, _outlines, in_thread)

    async def whole(self) -> Reply:
        """Every definition in force, by id."""
        return await self._whole.now()

    async def outlines(self) -> Reply:
        """What a list needs of each, and the number of this state of the folder."""
        return await self._outlines.now()

    def one(self, workflow_id: str) -> Reply:
        """One definition in force. Raises NotFoundError."""
        workflow = self._catalog.workflows.get(workflow_id)
        if workflow is None:
            raise no_workflow(workflow_id)
        return success(workflow_to_json(workflow))

    def problems(self) -> list[dict[str, Any]]:
        """What is wrong in the folder, each problem as an object."""
        names = ("path", "line", "column", "message", "hint")
        return [{name: getattr(problem, name) for name in names} for problem in self._catalog.problems]


class _Text:
    """A reply that is the same as long as the folder is."""

    def __init__(self, catalog: Catalog, make: Callable[[Catalog, int], Reply], in_thread: InThread) -> None:
        self._catalog = catalog
        self._make = make
        self._in_thread = in_thread
        self._one_at_a_time = asyncio.Lock()
        self._made: tuple[int | None, Reply] = None, OK

    async def now(self) -> Reply:
        """That of the folder as it is. Who asks while it is made waits for it."""
        async with self._one_at_a_time:
            # Looked at before the workflows: when they change in between, it is made once more than needed.
            revision = self._catalog.revision
            if self._made[0] != revision:
                self._made = revision, await self._in_thread(lambda: self._make(self._catalog, revision))
            return self._made[1]


def _whole(catalog: Catalog, _revision: int) -> Reply:
    return success({workflow.id: workflow_to_json(workflow) for workflow in catalog.workflows.values()})


def _outlines(catalog: Catalog, revision: int) -> Reply:
    workflows = catalog.workflows
    found = [outline_to_json(workflows[name]) for name in sorted(workflows)]
    return success({"revision": revision, "workflows": found})
