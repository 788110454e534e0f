"""Completion in the real shells, at a terminal: what is typed, Tab, Return, and what the command then gets."""

import fcntl
import os
import pty
import re
import select
import shlex
import shutil
import struct
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cdktr.cli.tree.service import SHELLS
from tests.integration.cluster import PATIENCE_S, Cluster
from tests.integration.conftest import NewCluster

pytestmark = pytest.mark.integration

HELLO = "name: Hello\nparams: {who: world}\ntasks:\n  a: {name: A, config: !Subprocess {cmd: 'true'}}\n"

START = {
    "bash": ["bash", "--norc", "--noprofile", "-i"],
    "zsh": ["zsh", "-f", "-i"],
    "fish": ["fish", "--no-config", "-i"],
}
#: cdktr itself shows what it gets; the program that completes is the real one.
SET_UP = {
    "bash": "PS1='$ '; bind 'set enable-bracketed-paste off'; source {0}; cdktr() {{ printf '<%s>' \"$@\"; echo; }}",
    "zsh": "PS1='$ '; unset zle_bracketed_paste; unsetopt prompt_sp; autoload -U compinit; compinit -u -d {1}; "
    "source {0}; cdktr() {{ printf '<%s>' \"$@\"; echo; }}",
    "fish": "function fish_prompt; echo '$ '; end; source {0}; function cdktr; printf '<%s>' $argv; echo; end",
}

#: How a terminal answers who it is, which newer shells wait for.
WHO = re.compile(rb"\x1b\[0?c")


class Terminal:
    """A shell at a terminal of 200 columns."""

    def __init__(self, shell: str, cluster: Cluster) -> None:
        folder = cluster.folder
        script = folder / f"script.{shell}"
        done = cluster.cli("completion", shell)
        assert done.returncode == 0, done.stderr
        script.write_text(done.stdout)
        self._seen = b""
        env = {**cluster.environment(), "TERM": "xterm", "LC_ALL": "C.UTF-8", "HISTFILE": "/dev/null"}
        env |= {"XDG_CONFIG_HOME": str(folder), "XDG_DATA_HOME": str(folder), "INPUTRC": "/dev/null"}
        self._process, self._end = pty.fork()
        if self._process == 0:
            os.chdir(folder)
            os.execvpe(START[shell][0], START[shell], env)
        fcntl.ioctl(self._end, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 200, 0, 0))
        quoted = shlex.quote(str(script)), shlex.quote(str(folder / "dump"))
        self.type(SET_UP[shell].format(*quoted) + "\r")
        self.type("cdktr ready\r")
        self.wait_for("<ready>")

    def type(self, keys: str) -> None:
        """Press these keys."""
        os.write(self._end, keys.encode())

    def wait_for(self, pattern: str) -> str:
        """What the shell has written, up to this pattern; it is not seen again."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            text = re.sub(
                r"[\0-\x08\x0e-\x1a]|\x1b\[[0-9;?]*[a-zA-Z]|\x1b[=>]|\x1b\([A-Z0-9]|\x1b\].*?(\x07|\x1b\\)",
                "",
                self._seen.decode("utf-8", "replace"),
            )
            if found := re.search(pattern, text):
                self._seen = text[found.end() :].encode()
                return text[: found.end()]
            ready, _, _ = select.select([self._end], [], [], max(deadline - time.monotonic(), 0))
            assert ready, f"{pattern} did not come: {text}"
            data = os.read(self._end, 65536)
            if WHO.search(data):
                os.write(self._end, b"\x1b[?6c")
            self._seen += data

    def completed(self, line: str) -> str:
        """The words of the command when the line was typed, tabs and all, and entered, as `<a><b>`.

        A tab is a key of its own: the next is pressed when the shell has had its say on it.
        """
        self.type(line + "\r")
        found: list[str] = re.findall("<.*>", self.wait_for(r"[\r\n]<.*>\s*\n"))
        return found[-1]

    def close(self) -> None:
        """End it."""
        os.close(self._end)
        os.kill(self._process, 9)
        os.waitpid(self._process, 0)


@contextmanager
def terminal(shell: str, cluster: Cluster) -> Iterator[Terminal]:
    """A shell, ended afterwards."""
    if shutil.which(START[shell][0]) is None:
        pytest.skip(f"there is no {shell} here (Debian package {shell})")
    made = Terminal(shell, cluster)
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A principal with workflows, one of which ran."""
    with Cluster(tmp_path_factory.mktemp("my cluster")) as cluster:
        for name in ("hello", "etl/daily", "etl/data"):
            cluster.write(name, HELLO)
        (cluster.folder / "my listener.py").touch()
        (cluster.folder / "my folder").mkdir()
        cluster.start_principal()
        yield cluster


@pytest.mark.parametrize("shell", SHELLS)
def test_a_shell_completes(shell: str, live: Cluster) -> None:
    run = live.cli("task", "run", "hello").stdout.strip()
    with terminal(shell, live) as there:
        for typed, wanted in {
            "task ru\t": "<task><run>",
            "task run he\t": "<task><run><hello>",
            "task run etl.dai\t": "<task><run><etl.daily>",
            "task run --wait he\t": "<task><run><--wait><hello>",
            "task run hello --fol\t": "<task><run><hello><--follow>",
            "task history --status FA\t": "<task><history><--status><FAILED>",
            "task history --status fa\t": "<task><history><--status><FAILED>",
            "task history --status=CR\t": "<task><history><--status=CRASHED>",
            f"task show --run {run[:-1]}\t": f"<task><show><--run><{run}>",
            "logs query --workflow=etl.dat\t": "<logs><query><--workflow=etl.data>",
            "listen my\\ l\t": "<listen><my listener.py>",
            "start principal --workflow-dir my\\ f\t": "<start><principal><--workflow-dir><my folder>",
            "task run hello --params-file=my\\ l\t": "<task><run><hello><--params-file=my listener.py>",
            "validate workflows/etl/dat\t": "<validate><workflows/etl/data.yml>",
            "service prin\t--u\t": "<service><principal><--user>",
        }.items():
            # zsh takes away the / behind a folder when the word has ended.
            assert there.completed(f"cdktr {typed}").replace("/>", ">") == wanted, typed
        # What begins alike is shown.
        there.type("cdktr task run etl.da\t\t")
        shown = there.wait_for(r"etl\.daily[^$]*etl\.data")
        assert "hello" not in shown.rpartition("\n")[2]


@pytest.mark.parametrize("shell", SHELLS)
def test_without_a_principal_it_is_silent(shell: str, new_cluster: NewCluster) -> None:
    cluster = new_cluster(CDKTR_PRINCIPAL_PORT="1")
    with terminal(shell, cluster) as there:
        assert there.completed("cdktr task run he\t") == "<task><run><he>"
        assert there.completed("cdktr task show --js\t") == "<task><show><--json>"
