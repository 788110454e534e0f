import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cdktr.catalog import Catalog, Changes, validate_paths, workflow_texts
from cdktr.parse import MAX_BYTES, parse_workflow
from cdktr.workflow import Workflow

GOOD = "name: {}\ntasks:\n  a:\n    name: T\n    config: !Subprocess\n      cmd: 'true'\n"
BAD = "name: B\nkron: x\n"


def write(path: Path, text: str, time_s: float = 1e9) -> None:
    """A file that was last changed long ago."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (time_s, time_s))


def replace(path: Path, text: str) -> None:
    """What an editor or a deployment does: another file in the place of the first."""
    write(path.with_suffix(".new"), text)
    path.with_suffix(".new").replace(path)


class Counting:
    """The parser, and which ids it was asked for."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def __call__(self, text: bytes, workflow_id: str, path: str) -> Workflow:
        self.ids.append(workflow_id)
        return parse_workflow(text, workflow_id, path)


@pytest.fixture
def counting() -> Counting:
    return Counting()


@pytest.fixture
def catalog(tmp_path: Path, counting: Counting) -> Catalog:
    return Catalog(tmp_path, counting)


def names(catalog: Catalog) -> dict[str, str]:
    return {workflow_id: workflow.name for workflow_id, workflow in catalog.workflows.items()}


def said(catalog: Catalog) -> list[str]:
    return [str(problem).removeprefix(f"{catalog.folder}/") for problem in catalog.problems]


def test_folders_make_ids(tmp_path: Path, catalog: Catalog) -> None:
    for path in ("example.yml", "etl/daily.yaml", "data/ingestion/api.YML", "a.b.yml"):
        write(tmp_path / path, GOOD.format(path))
    ids = ("a.b", "data.ingestion.api", "etl.daily", "example")
    assert catalog.refresh() == Changes(added=ids)
    assert sorted(catalog.workflows) == list(ids)
    assert catalog.workflows["etl.daily"].path == str(tmp_path / "etl/daily.yaml")
    assert catalog.file_count == 4


@pytest.mark.parametrize(
    "path", [".hidden.yml", ".git/a.yml", "a.yml~", ".#a.yml", "#a.yml#", "a.yml.orig", "notes.txt"]
)
def test_other_files_are_passed_over(tmp_path: Path, catalog: Catalog, path: str) -> None:
    write(tmp_path / path, BAD)
    assert not catalog.refresh()
    assert catalog.file_count == 0


def test_only_changed_files_are_read(tmp_path: Path, catalog: Catalog, counting: Counting) -> None:
    write(tmp_path / "a.yml", GOOD.format("A"))
    write(tmp_path / "b.yml", GOOD.format("B"))
    write(tmp_path / "c.yml", BAD)
    catalog.refresh()
    assert counting.ids == ["a", "b", "c"]
    assert not catalog.refresh()
    write(tmp_path / "b.yml", GOOD.format("BB"))
    assert catalog.refresh() == Changes(changed=("b",))
    assert counting.ids == ["a", "b", "c", "b"]
    assert names(catalog) == {"a": "A", "b": "BB"}


@pytest.mark.parametrize(
    "touch",
    [
        lambda path: write(path, GOOD.format("X"), 1e9 + 1),
        lambda path: write(path, GOOD.format("Longer")),
        lambda path: replace(path, GOOD.format("X")),
    ],
    ids=["time", "size", "inode"],
)
def test_each_sign_of_a_change(
    tmp_path: Path, catalog: Catalog, counting: Counting, touch: Callable[[Path], None]
) -> None:
    write(tmp_path / "a.yml", GOOD.format("A"))
    catalog.refresh()
    touch(tmp_path / "a.yml")
    assert catalog.refresh().changed == ("a",)


def test_a_file_that_changed_just_now_is_read_once_more(
    tmp_path: Path, catalog: Catalog, counting: Counting, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "a.yml", GOOD.format("A"), 1e9)
    monkeypatch.setattr("time.time_ns", lambda: 10**18 + 10**6)
    catalog.refresh()
    monkeypatch.setattr("time.time_ns", lambda: 10**18 + 10**9)
    assert not catalog.refresh()
    catalog.refresh()
    assert counting.ids == ["a", "a"]


def test_a_change_that_means_nothing_is_none(tmp_path: Path, catalog: Catalog, counting: Counting) -> None:
    write(tmp_path / "a.yml", GOOD.format("A"))
    catalog.refresh()
    write(tmp_path / "a.yml", "# a comment\n" + GOOD.format("A"))
    assert not catalog.refresh()
    assert counting.ids == ["a", "a"]


def test_the_last_good_version_stays(tmp_path: Path, catalog: Catalog) -> None:
    write(tmp_path / "a.yml", GOOD.format("A"))
    catalog.refresh()
    write(tmp_path / "a.yml", BAD)
    changes = catalog.refresh()
    assert (changes.changed, changes.failed) == ((), ("a",))
    assert len(changes.problems) == 2
    assert said(catalog) == [
        "a.yml:1:1: a workflow needs the key 'tasks'",
        "a.yml:2:1: unknown key 'kron' in a workflow; did you mean 'cron'?",
    ]
    assert not catalog.refresh()
    assert len(catalog.problems) == 2
    assert names(catalog) == {"a": "A"}
    write(tmp_path / "a.yml", GOOD.format("AA"))
    assert catalog.refresh() == Changes(changed=("a",))
    assert not catalog.problems


def test_a_file_that_is_gone_takes_its_workflow_along(tmp_path: Path, catalog: Catalog) -> None:
    for path in ("a.yml", "b/c.yml", "bad.yml"):
        write(tmp_path / path, BAD if path == "bad.yml" else GOOD.format("A"))
    catalog.refresh()
    for path in ("b/c.yml", "bad.yml"):
        (tmp_path / path).unlink()
    (tmp_path / "b").rmdir()
    assert catalog.refresh() == Changes(removed=("b.c",))
    assert names(catalog) == {"a": "A"}
    assert not catalog.problems


@pytest.mark.parametrize(("first", "second"), [("a.yaml", "a.yml"), ("a.b.yml", "a/b.yml"), ("a.YML", "a.yml")])
def test_two_files_of_one_id(tmp_path: Path, catalog: Catalog, first: str, second: str) -> None:
    write(tmp_path / first, GOOD.format("first"))
    write(tmp_path / second, GOOD.format("second"))
    (workflow_id,) = catalog.refresh().added
    assert names(catalog) == {workflow_id: "first"}
    assert said(catalog) == [
        f"{second}: the workflow id {workflow_id} is taken by {tmp_path / first}; "
        "this file is ignored; rename one of them"
    ]
    (tmp_path / first).unlink()
    assert catalog.refresh() == Changes(changed=(workflow_id,))
    assert names(catalog) == {workflow_id: "second"}


@pytest.mark.parametrize("name", ["my flow.yml", "-x.yml", "é.yml", "a\x1b[2J.yml", "a\nb.yml"])
def test_a_path_that_makes_no_id(tmp_path: Path, catalog: Catalog, name: str) -> None:
    write(tmp_path / name, GOOD.format("A"))
    assert not catalog.refresh().added
    (problem,) = said(catalog)
    assert problem.isprintable()
    assert "which is not one; rename the file: an id has up to 200 letters" in problem


def test_a_name_that_is_no_unicode(tmp_path: Path, catalog: Catalog) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.yml")).write_text(GOOD.format("A"))
    catalog.refresh()
    assert "\\udcff.yml: the path gives" in said(catalog)[0]
    said(catalog)[0].encode()


def test_a_missing_folder_says_what_to_do(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "none")
    problem = catalog.refresh().problems[0]
    assert str(problem) == (
        f"{tmp_path}/none: the workflow folder does not exist; "
        "start in the folder of the project, create it with `cdktr init`, or set CDKTR_WORKFLOW_DIR"
    )
    write(tmp_path / "none/a.yml", GOOD.format("A"))
    assert catalog.refresh() == Changes(added=("a",))
    assert not catalog.problems


def test_a_folder_that_vanishes_as_a_whole_keeps_its_workflows(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "flows")
    write(tmp_path / "flows/a.yml", GOOD.format("A"))
    catalog.refresh()
    (tmp_path / "flows").rename(tmp_path / "elsewhere")
    assert catalog.refresh().removed == ()
    assert names(catalog) == {"a": "A"}
    assert "does not exist" in said(catalog)[0]
    (tmp_path / "flows").mkdir()
    assert catalog.refresh().removed == ("a",)


def test_the_folder_may_be_a_file(tmp_path: Path) -> None:
    write(tmp_path / "a.yml", GOOD.format("A"))
    catalog = Catalog(tmp_path / "a.yml")
    catalog.refresh()
    assert "cannot be read: Not a directory" in str(catalog.problems[0])


def refusing(real: Callable[..., object], refused: str) -> Callable[..., object]:
    def call(path: object, *rest: object) -> object:
        if str(path).endswith(refused):
            raise PermissionError(13, "Permission denied", path)
        return real(path, *rest)

    return call


@pytest.mark.parametrize(("function", "refused"), [("scandir", "sub"), ("open", "sub/a.yml")])
def test_what_cannot_be_read_stays_as_it_was(
    tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch, function: str, refused: str
) -> None:
    write(tmp_path / "sub/a.yml", GOOD.format("A"))
    write(tmp_path / "b.yml", GOOD.format("B"))
    catalog.refresh()
    with monkeypatch.context() as patch:
        patch.setattr(os, function, refusing(getattr(os, function), refused))
        if function == "open":
            write(tmp_path / "sub/a.yml", GOOD.format("AA"), 2e9)
        catalog.refresh()
        (problem,) = said(catalog)
    assert problem.startswith(f"{refused}: cannot be read: Permission denied; check the permissions")
    assert names(catalog) == {"b": "B", "sub.a": "A"}
    catalog.refresh()
    assert names(catalog) == {"b": "B", "sub.a": "AA" if function == "open" else "A"}
    assert not catalog.problems


def test_a_file_may_go_before_it_is_read(tmp_path: Path, catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "a.yml", GOOD.format("A"))
    monkeypatch.setattr(os, "open", lambda path, *rest: (tmp_path / "nothing").stat())
    assert not catalog.refresh()
    assert not catalog.problems


def test_links_are_followed_and_loops_end(tmp_path: Path, catalog: Catalog) -> None:
    write(tmp_path / "real/a.yml", GOOD.format("A"))
    (tmp_path / "real/loop").symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "again").symlink_to(tmp_path / "real", target_is_directory=True)
    (tmp_path / "linked.yml").symlink_to("real/a.yml")
    assert catalog.refresh().added == ("linked", "real.a")
    assert not catalog.problems


def test_links_to_nowhere_and_to_themselves(tmp_path: Path, catalog: Catalog) -> None:
    write(tmp_path / "target", GOOD.format("A"))
    (tmp_path / "a.yml").symlink_to("target")
    (tmp_path / "self.yml").symlink_to("self.yml")
    assert catalog.refresh().added == ("a",)
    (tmp_path / "target").unlink()
    catalog.refresh()
    hint = "; check the permissions and where links lead"
    assert said(catalog) == [
        f"a.yml: cannot be read: No such file or directory{hint}",
        f"self.yml: cannot be read: Too many levels of symbolic links{hint}",
    ]
    assert names(catalog) == {"a": "A"}


def test_a_pipe_is_not_waited_for(tmp_path: Path, catalog: Catalog) -> None:
    os.mkfifo(tmp_path / "a.yml")
    catalog.refresh()
    assert "a.yml: cannot be read: not a regular file" in said(catalog)[0]


def test_a_file_that_is_too_large(tmp_path: Path, catalog: Catalog) -> None:
    write(tmp_path / "a.yml", "#" * (MAX_BYTES + 10))
    catalog.refresh()
    assert said(catalog) == [f"a.yml:1:1: the file is larger than {MAX_BYTES} bytes"]


def test_a_view_does_not_change(tmp_path: Path, catalog: Catalog) -> None:
    write(tmp_path / "a.yml", GOOD.format("A"))
    catalog.refresh()
    view = catalog.workflows
    (tmp_path / "a.yml").unlink()
    catalog.refresh()
    assert list(view) == ["a"]
    with pytest.raises(TypeError):
        view["b"] = view["a"]  # type: ignore[index]


def test_other_threads_see_all_or_nothing(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path / f"{number}.yml", GOOD.format("A"))
    seen: set[int] = set()
    read: list[str] = []
    catalog: Catalog

    def parse(text: bytes, workflow_id: str, path: str) -> Workflow:
        seen.add(len(catalog.workflows))
        # The other thread's turn.
        time.sleep(0.0001)
        read.append(workflow_id)
        return parse_workflow(text, workflow_id, path)

    catalog = Catalog(tmp_path, parse)
    threads = [threading.Thread(target=catalog.refresh) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == {0}
    assert len(read) == len(catalog.workflows) == 40


def test_validate_takes_files_and_folders(tmp_path: Path) -> None:
    write(tmp_path / "flows/a.yml", GOOD.format("A"))
    write(tmp_path / "flows/sub/b.yml", BAD)
    write(tmp_path / "c.txt", BAD)
    write(tmp_path / "my flow.yml", GOOD.format("A"))
    count, problems = validate_paths([tmp_path / name for name in ("flows", "c.txt", "my flow.yml", "none.yml")])
    assert count == 5
    assert [str(problem).removeprefix(f"{tmp_path}/").split(": ")[0] for problem in problems] == [
        "flows/sub/b.yml:1:1",
        "flows/sub/b.yml:2:1",
        "c.txt:1:1",
        "c.txt:2:1",
        "my flow.yml",
        "none.yml",
    ]
    assert "No such file" in problems[-1].message


def test_validate_shows_paths_as_they_were_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write(Path("a.yml"), BAD)
    assert validate_paths([Path("a.yml")])[1][0].path == "a.yml"
    assert validate_paths([Path()])[1][0].path == "a.yml"


def test_a_revision_differs_when_something_changed(tmp_path: Path, catalog: Catalog) -> None:
    write(tmp_path / "a.yml", GOOD.format("A"))
    seen = [catalog.revision]

    def look() -> bool:
        """Whether another look finds that something changed."""
        catalog.refresh()
        seen.append(catalog.revision)
        return seen[-1] != seen[-2]

    assert look()
    assert not look()
    write(tmp_path / "b.yml", BAD)
    assert look()
    assert not look()
    (tmp_path / "b.yml").unlink()
    assert look()
    replace(tmp_path / "a.yml", GOOD.format("Another"))
    assert look()
    assert not look()


def test_the_texts_of_all_files(tmp_path: Path) -> None:
    """Good or not, in folders that are linked too, each once; what cannot be read is left out."""
    folder = tmp_path / "flows"
    write(folder / "b.yml", "b: [")
    write(folder / "sub" / "a.YAML", "a")
    write(folder / "note.txt", "no")
    write(tmp_path / "other" / "c.yml", "c")
    (folder / "link").symlink_to(tmp_path / "other")
    (folder / "loop").symlink_to(folder)
    os.mkfifo(folder / "pipe.yml")
    (folder / "none.yml").symlink_to("nowhere")
    assert list(workflow_texts(folder)) == [
        (folder / "b.yml", "b: ["),
        (folder / "link" / "c.yml", "c"),
        (folder / "sub" / "a.YAML", "a"),
    ]
    assert list(workflow_texts(tmp_path / "none")) == []
