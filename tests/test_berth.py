"""The folders of agents: held while they live, found when they are dead, and nobody else's touched."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from cdktr.berth import Identity, abandoned, take_berth
from cdktr.errors import StartError
from cdktr.proc import boot_id, host_name, namespace


def test_a_living_agents_folder_is_nobody_elses(tmp_path: Path) -> None:
    data_folder = tmp_path / "new" / "data"
    berth = take_berth(data_folder, "a-1", "a-1/x")
    assert abandoned(data_folder) == []
    for folder in (data_folder, berth.folder.parent, berth.folder):
        assert folder.stat().st_mode & 0o777 == 0o700
    berth.close()


def test_a_dead_agents_folder_is_found_once_with_who_it_was(tmp_path: Path) -> None:
    berth = take_berth(tmp_path, "a-1", "a-1/x")
    berth.write(replace(berth.identity, principal="p"))
    berth.close()
    [found] = abandoned(tmp_path)
    assert found.identity == Identity("a-1", "a-1/x", "p", host_name(), boot_id(), namespace())
    assert found.identity.is_of_this_host
    assert abandoned(tmp_path) == [], "it is in somebody's hands"
    found.close()
    [again] = abandoned(tmp_path)
    again.leave()
    assert abandoned(tmp_path) == []
    assert not berth.folder.exists()


def test_who_died_at_its_birth_leaves_nothing_to_keep(tmp_path: Path) -> None:
    for name, files in {"born": [], "told": ["1.records"]}.items():
        folder = tmp_path / "agents" / name
        folder.mkdir(parents=True)
        for file in ["lock", *files]:
            (folder / file).touch()
    (tmp_path / "agents" / "stranger").mkdir()
    assert abandoned(tmp_path) == []
    assert sorted(path.name for path in (tmp_path / "agents").iterdir() if path.is_dir()) == ["stranger", "told"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"agent_id": "a"}', '{"agent_id": "a", "source": "b", "x": 1}'])
def test_an_identity_that_cannot_be_read_is_left_alone(tmp_path: Path, text: str) -> None:
    berth = take_berth(tmp_path, "a-1", "a-1/x")
    berth.close()
    (berth.folder / "agent.json").write_text(text)
    (berth.folder / "1.records").touch()
    assert abandoned(tmp_path) == []
    assert berth.folder.exists()


def test_another_machines_is_told_from_a_renamed_one(tmp_path: Path) -> None:
    berth = take_berth(tmp_path, "a-1", "a-1/x")
    here = berth.identity
    berth.close()
    assert replace(here, host="renamed").is_of_this_host
    assert replace(here, boot="before").is_of_this_host
    assert not replace(here, host="other", boot="theirs").is_of_this_host
    assert not replace(here, host="other", boot="").is_of_this_host


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "agents").write_text("in the way")
    with pytest.raises(StartError, match="CDKTR_APP_DATA_DIRECTORY"):
        take_berth(tmp_path, "a-1", "a-1/x")
    assert abandoned(tmp_path) == []


def test_the_death_of_its_process_lets_it_go(tmp_path: Path) -> None:
    program = "import os, sys; from pathlib import Path; from cdktr.berth import take_berth;"
    program += "take_berth(Path(sys.argv[1]), 'a-1', 'a-1/x'); os.kill(os.getpid(), 9)"
    root = Path(__file__).resolve().parent.parent
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path)], cwd=root).returncode == -9
    assert [berth.identity.agent_id for berth in abandoned(tmp_path)] == ["a-1"]


def test_what_it_writes_is_whole_at_every_moment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    berth = take_berth(tmp_path, "a-1", "a-1/x")

    def cut(*_: object) -> None:
        raise OSError(5, "I/O error")

    monkeypatch.setattr(Path, "replace", cut)
    with pytest.raises(OSError, match="I/O error"):
        berth.write(replace(berth.identity, principal="new"))
    assert json.loads((berth.folder / "agent.json").read_text())["principal"] == ""
    berth.close()
