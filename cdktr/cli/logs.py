"""`cdktr logs`: what tasks printed."""

import json
import sys
from argparse import Namespace
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from cdktr.cli import Exit
from cdktr.cli.common import TroubleTeller, WaitTeller, connect, say
from cdktr.cli.names import check_run, check_workflow, task_name
from cdktr.client import REST_MS, Principal
from cdktr.moments import epoch_ms, moment
from cdktr.protocol import ListLogs
from cdktr.records import LogRecord
from cdktr.text import format_log, parse_duration, printable

#: Log lines asked for at once: memory stays small however many there are.
PAGE = 5_000

DEFAULT_WINDOW_S = 24 * 3600.0

Write = Callable[[Iterable[Mapping[str, Any]]], None]


def query(arguments: Namespace) -> int:
    """Print the lines that match."""
    start_ms, end_ms = window(arguments, datetime.now(UTC), None if arguments.run else DEFAULT_WINDOW_S)
    write = writer(arguments.json, arguments.verbose)
    with connect(arguments) as principal:
        request = ListLogs(
            workflow_id=arguments.workflow,
            workflow_instance_id=arguments.run,
            task_name=task_name(principal, arguments.workflow, arguments.task) if arguments.task else None,
            status=arguments.status,
            level=arguments.level,
            start_ms=start_ms,
            end_ms=end_ms,
            limit=PAGE,
        )
        if not _write_pages(principal, request, arguments.limit, write):
            _explain_nothing(principal, arguments)
    return Exit.DONE


def _write_pages(principal: Principal, request: ListLogs, limit: int | None, write: Write) -> int:
    """Print the lines, at most `limit`, and tell if there are more; how many there were."""
    count = 0
    # One more than wanted tells whether there are more.
    for lines in principal.pages(request, None if limit is None else limit + 1, TroubleTeller()):
        write(lines if limit is None else lines[: limit - count])
        count += len(lines)
    if limit is not None and count > limit:
        say(f"These are the first {limit}, there are more; `cdktr logs tail` shows the last.")
    return count


def window(arguments: Namespace, now: datetime, back_s: float | None) -> tuple[int | None, int | None]:
    """The start and end that the flags ask for, in milliseconds; `back_s` is what --last is without them."""
    end = None if arguments.until is None else moment(arguments.until, now)
    if arguments.since is not None:
        return moment(arguments.since, now), end
    if arguments.last is not None:
        back_s = parse_duration(arguments.last)
    return None if back_s is None else (end or epoch_ms(now)) - round(back_s * 1000), end


def _explain_nothing(principal: Principal, arguments: Namespace) -> None:
    """Nothing matched: raises NotFoundError where that is because a name is wrong."""
    if arguments.run:
        check_run(principal, arguments.run)
    if arguments.workflow:
        check_workflow(principal, arguments.workflow)
    if not arguments.json:
        say("No log lines match.")


def tail(arguments: Namespace) -> int:
    """Print the last lines, and then what comes."""
    filters = {"workflow_id": arguments.workflow, "workflow_instance_id": arguments.run}
    write = writer(arguments.json, arguments.verbose)
    with connect(arguments) as principal:
        # Even for no lines at all one is asked for: it tells where the new ones begin.
        page = principal.ask(ListLogs(**filters, limit=max(arguments.lines, 1), tail=True))
        tell = TroubleTeller()
        tell(page.get("trouble"))
        if arguments.lines:
            write(page["lines"])
        if not page["lines"]:
            _explain_nothing(principal, arguments)
        if not arguments.no_follow and page["more"]:
            request = ListLogs(**filters, after=page["next"], limit=PAGE, wait_ms=REST_MS)
            is_queued = WaitTeller(principal, arguments.run) if arguments.run else lambda: False
            for lines in principal.follow(request, tell, is_queued):
                write(lines)
    return Exit.DONE


def writer(as_json: bool, verbose: bool = False, of_one_run: bool = False) -> Write:
    """Prints lines as they come: each as text, or as one JSON object. `of_one_run` is for a person who looks on, and
    wants to know which task says what."""

    def text(line: Mapping[str, Any]) -> str:
        if of_one_run:
            return printable(f"[{line['task_name']}] {line['payload']}")
        return printable(format_log(LogRecord(*(line[name] for name in LogRecord._fields)), verbose))

    def write(lines: Iterable[Mapping[str, Any]]) -> None:
        sys.stdout.writelines(f"{(json.dumps if as_json else text)(line)}\n" for line in lines)
        sys.stdout.flush()

    return write
