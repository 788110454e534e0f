"""`cdktr listen folder | webhook`: the event listeners that come with cdktr."""

import asyncio
import logging
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from cdktr.cli import Exit
from cdktr.cli.names import find_workflow
from cdktr.cli.run import read_params
from cdktr.cli.start import prepare
from cdktr.client import Principal
from cdktr.codec import workflow_from_json
from cdktr.errors import DefinitionError, SettingError, UnreachableError
from cdktr.listeners.base import ReadyListener
from cdktr.process import on_stop, raise_file_limit
from cdktr.protocol import Ping
from cdktr.settings import Settings, addresses
from cdktr.workflow import bind_params

log = logging.getLogger(__name__)


def folder(arguments: Namespace) -> int:
    """Have a workflow run for each file that is new or changed, until told to stop."""
    from cdktr.listeners.folder import FolderListener, Watch

    settings = prepare(arguments)
    watch = Watch(
        os.path.abspath(os.path.expanduser(arguments.path)),
        arguments.workflow,
        tuple(arguments.pattern),
        arguments.recursive,
        read_params(None, arguments.param),
    )
    with Principal.of(settings) as principal:
        check(principal, settings, {arguments.workflow: watch.fixed_params})
        listener = FolderListener(
            watch,
            Path(settings.app_data_directory),
            principal,
            interval_s=arguments.interval,
            settle_s=arguments.settle,
            existing=arguments.existing,
        )
        log.info("Watching %s for %s", watch.folder, watch.workflow_id)
        return _listen(listener)


def webhook(arguments: Namespace) -> int:
    """Have workflows run for signed requests, until told to stop."""
    from cdktr.listeners.webhook import Policy, WebhookListener, read_secret

    settings = prepare(arguments)
    policy = Policy(
        read_secret(arguments.secret_file, settings.webhook_secret),
        frozenset(arguments.workflow),
        arguments.github,
        read_params(None, arguments.param),
        arguments.rate,
        arguments.max_body,
    )
    raise_file_limit("a webhook")
    with Principal.of(settings) as principal:
        check(principal, settings, dict.fromkeys(sorted(policy.workflows)))
        listener = WebhookListener(policy, arguments.bind, arguments.port, principal)
        which = ", ".join(sorted(policy.workflows)) or "every workflow"
        log.info("Listening on %s port %d for %s", arguments.bind, listener.port, which)
        return _listen(listener)


def check(principal: Principal, settings: Settings, workflows: Mapping[str, Mapping[str, str | None] | None]) -> None:
    """Say which principal it is, and that it is waited for when it is away. Raises NotFoundError for a workflow that
    it does not have, SettingError for parameters that one does not take; None stands for what is not known yet."""
    where = ", ".join(map(str, addresses(settings.connect_host, settings.principal_port)))
    try:
        for workflow_id, params in workflows.items():
            found = find_workflow(principal, workflow_id)
            if params is not None:
                workflow = workflow_from_json(found)
                # A value that is not known yet is of the right kind.
                known = {name: workflow.params.get(name) if value is None else value for name, value in params.items()}
                bind_params(workflow, {name: "" if value is None else value for name, value in known.items()})
        if not workflows:
            principal.ask(Ping())
        log.info("The principal at %s answers", where)
    except UnreachableError as error:
        log.warning("%s. It is waited for", error)
    except DefinitionError as error:
        raise SettingError(str(error)) from None


def _listen(listener: ReadyListener) -> int:
    async def until_stopped() -> None:
        on_stop(listener.stop)
        await asyncio.to_thread(listener.start_listening)

    asyncio.run(until_stopped())
    log.info("Stopped")
    return Exit.DONE
