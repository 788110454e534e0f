"""PostgreSQL and RabbitMQ as Debian packs them, in a temporary folder and a network namespace: no service of the system
is touched, and nothing of them is left.
"""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psycopg2

from tests.integration.cluster import Daemon
from tests.namespace import NOBODY, Namespace

#: Where the packages have their programs.
POSTGRESQL = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
RABBITMQ = sorted(Path("/usr/lib/rabbitmq/lib").glob("*/sbin/rabbitmq-server"))


@contextmanager
def postgresql(there: Namespace) -> Iterator[str]:
    """A server with a database `mydb` of a user `user` whose password is `pass`.

    Yields the folder of its socket: there one is let in without a password, and from outside of the namespace too.
    """
    program = POSTGRESQL[-1]
    # Not in pytest's own temporary folder: only its owner may look into that.
    with TemporaryDirectory(prefix="cdktr-postgresql-") as folder:
        if os.geteuid() == 0:
            os.chown(folder, NOBODY, NOBODY)
        environment = {**os.environ, "HOME": folder, "LC_ALL": "C.UTF-8"}
        data = f"--pgdata={folder}/data"
        access = ["--username=postgres", "--auth-local=trust", "--auth-host=scram-sha-256"]
        subprocess.run(
            [*there.enter_as_user, program.with_name("initdb"), data, "--no-sync", *access],
            cwd=folder,
            env=environment,
            check=True,
            capture_output=True,
        )
        command = [*there.enter_as_user, str(program), "-D", f"{folder}/data", "-k", folder, "-F"]
        server = Daemon("postgres", command, Path(folder), environment)
        try:
            server.wait_for("ready to accept connections")
            with closing(psycopg2.connect(host=folder, user="postgres", dbname="postgres")) as connection:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute("CREATE ROLE \"user\" LOGIN PASSWORD 'pass'")
                    cursor.execute('CREATE DATABASE mydb OWNER "user"')
            yield folder
        finally:
            # It waits for no client then.
            server.signal(signal.SIGINT)
            server.stop()


@contextmanager
def rabbitmq(there: Namespace, folder: Path) -> Iterator[Daemon]:
    """A broker that is still starting: it takes connections once it has said "startup complete"."""
    own = {
        "HOME": folder,  # of the cookie
        "RABBITMQ_NODENAME": "rabbit@localhost",
        "RABBITMQ_MNESIA_BASE": folder / "mnesia",
        "RABBITMQ_LOG_BASE": folder / "log",
        "RABBITMQ_GENERATED_CONFIG_DIR": folder / "config",
        "RABBITMQ_ENABLED_PLUGINS_FILE": folder / "plugins",
        "RABBITMQ_CONFIG_FILE": folder / "none",
        "RABBITMQ_CONF_ENV_FILE": os.devnull,
        "RABBITMQ_LOGS": "-",
        "RUNNING_UNDER_SYSTEMD": "true",  # the script becomes the server
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }
    environment = {**os.environ, **{name: str(value) for name, value in own.items()}}
    # Erlang's name server would outlive the broker that started it.
    names = Daemon("epmd", [*there.enter, "epmd"], folder, environment)
    broker = Daemon("rabbitmq", [*there.enter, str(RABBITMQ[-1])], folder, environment)
    try:
        yield broker
    finally:
        broker.signal(signal.SIGKILL)
        broker.stop()
        names.stop()
