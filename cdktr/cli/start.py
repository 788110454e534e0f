"""`cdktr start`: the daemons."""

import asyncio
import logging
import os
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from cdktr.cli import Exit
from cdktr.cli.common import settings_of
from cdktr.errors import SettingError
from cdktr.process import fill_standard_streams
from cdktr.settings import Settings
from cdktr.text import printable

#: For what a principal writes: journal and database belong to their user alone.
UMASK = 0o077


def principal(arguments: Namespace) -> int:
    """Run a principal until it is told to stop."""
    from cdktr.catalog import Catalog
    from cdktr.principal import Principal, log_changes
    from cdktr.process import raise_file_limit
    from cdktr.standby import Fresh, stand_by

    concurrency = arguments.agent_max_concurrency
    if concurrency is not None and not arguments.with_agent:
        raise SettingError("--max-concurrent is for the agent of --with-agent; give both, or neither")
    if arguments.agent_labels is not None and not arguments.with_agent:
        raise SettingError("--label is for the agent of --with-agent; give both, or neither")
    settings = prepare(arguments)
    # The agent of --with-agent gets back what its user set: its tasks have both from it.
    agent_umask = os.umask(UMASK)
    agent_files = raise_file_limit("a principal")
    of_agent = ["--max-concurrent", str(concurrency)] if concurrency is not None else []
    of_agent += [word for label in arguments.agent_labels or () for word in ("--label", label)]

    catalog = Catalog(Path(settings.workflow_dir))

    def make() -> Principal:
        return Principal(
            settings,
            with_scheduler=not arguments.no_scheduler,
            agent_arguments=of_agent if arguments.with_agent else None,
            agent_umask=agent_umask,
            agent_files=agent_files,
            catalog=catalog,
        )

    def refresh() -> None:
        log_changes(catalog.refresh())

    async def serve() -> None:
        if not arguments.standby:
            await make().run()
            return
        fresh = Fresh(refresh, settings.workflow_dir_refresh_frequency_s)
        made = await stand_by(make)
        # A principal looks for itself.
        fresh.stop()
        if made is not None:
            await made.run()

    asyncio.run(serve())
    return Exit.DONE


def agent(arguments: Namespace) -> int:
    """Run an agent until it is told to stop."""
    from cdktr.agent import Agent
    from cdktr.process import check_file_limit

    settings = prepare(arguments)
    check_file_limit("an agent")

    async def work() -> None:
        await Agent(settings, settings.connect_host, settings.principal_port, arguments.parent_fd).run()

    asyncio.run(work())
    return Exit.DONE


def prepare(arguments: Namespace, for_script: bool = False) -> Settings:
    """What every command begins with that runs until it is told to stop: its settings, streams, and log lines.

    A script may set up log lines of its own: until it does, its lines and ours look like those of other commands.
    """
    settings = settings_of(arguments)
    if settings.app_data_directory.startswith("~"):
        # As a path it would mean a folder of that name, wherever this was started.
        raise SettingError(
            f"CDKTR_APP_DATA_DIRECTORY is {settings.app_data_directory}, and that home folder is not known here; set "
            "HOME, or CDKTR_APP_DATA_DIRECTORY to a folder"
        )
    fill_standard_streams()
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter())
    if for_script:
        # Not at the root, where one that is there makes `logging.basicConfig` do nothing.
        logging.lastResort = handler
        logging.getLogger("cdktr").setLevel(settings.log_level)
    else:
        logging.basicConfig(level=settings.log_level, handlers=[handler])
    return settings


class Formatter(logging.Formatter):
    """`2026-01-31T02:00:00Z [INFO] message`; what a message quotes cannot drive the reader's terminal."""

    converter = staticmethod(time.gmtime)

    def __init__(self) -> None:
        super().__init__("%(asctime)s [%(level)s] %(message)s", "%Y-%m-%dT%H:%M:%SZ")

    def formatMessage(self, record: logging.LogRecord) -> str:
        """The line without a traceback."""
        # As the setting has it.
        record.__dict__["level"] = "WARN" if record.levelno == logging.WARNING else record.levelname
        return printable(super().formatMessage(record))

    def formatException(self, ei: Any) -> str:
        """The lines of a traceback."""
        return "\n".join(map(printable, super().formatException(ei).splitlines()))
