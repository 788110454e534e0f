"""The base of event listeners: what it gives, and what it says to those who forget something."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, assert_type

import pytest

import cdktr
from cdktr import EventListener, Principal, Result, client, errors, listener, settings
from cdktr import protocol as p
from cdktr.replies import success


class Calls:
    """Stands for the connections: keeps what was asked, and answers with a run or fails."""

    made: list[tuple[str, int]]
    asked: list[Any]
    failure: Exception | None

    def __init__(self, host: str, port: int) -> None:
        Calls.made.append((host, port))

    def call(self, message: bytes, _timeout_s: float) -> bytes:
        """An answer."""
        Calls.asked.append(p.decode(message))
        if Calls.failure is not None:
            raise Calls.failure
        return success({"workflow_instance_id": "r"}).encode()

    def close(self) -> None:
        """Nothing to close."""


@pytest.fixture(autouse=True)
def _calls(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No connection is made, and the settings are the defaults."""
    Calls.made, Calls.asked, Calls.failure = [], [], None
    monkeypatch.setattr(client, "Callers", Calls)
    monkeypatch.chdir(tmp_path)
    for name in ("HOST", "PORT"):
        monkeypatch.delenv(f"CDKTR_PRINCIPAL_{name}", raising=False)


class OfItsOwn(EventListener):
    """As the book has them: its principal set without a word to the base."""

    def __init__(self) -> None:
        self.principal = Principal(host="elsewhere", port=5570)


def test_the_package_gives_what_a_program_needs() -> None:
    assert (cdktr.Principal, cdktr.Result, cdktr.EventListener) == (client.Principal, client.Result, EventListener)
    assert listener.EventListener is EventListener
    with pytest.raises(AttributeError, match="module 'cdktr' has no attribute 'Principle'"):
        cdktr.Principle  # type: ignore[attr-defined]  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Listener' from 'cdktr'"):
        from cdktr import Listener  # type: ignore[attr-defined]  # noqa: F401


def test_a_listener_triggers_through_the_principal_that_it_was_given() -> None:
    own = OfItsOwn()
    assert own.run_workflow("etl") == Result(True, payload={"workflow_instance_id": "r"})
    assert own.run_workflow("etl", {"day": "monday", "n": 1, "x": 0.5, "b": True}, key="mail 7").success
    assert Calls.made == [("elsewhere", 5570)]
    assert Calls.asked == [
        p.Trigger("etl", {}, "listener"),
        p.Trigger("etl", {"day": "monday", "n": 1, "x": 0.5, "b": True}, "listener", key="mail 7"),
    ]


def test_without_one_it_takes_that_of_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    assert EventListener().run_workflow("etl").success
    (tmp_path / ".env").write_text("CDKTR_PRINCIPAL_HOST=alpha\nCDKTR_PRINCIPAL_PRT=1\n")
    monkeypatch.setenv("CDKTR_PRINCIPAL_PORT", "5570")
    other: EventListener = EventListener()
    assert Calls.made == [("127.0.0.1", 5561)], "not before it is needed"
    assert other.principal is other.principal
    assert Calls.made[1:] == [("alpha", 5570)]
    assert "CDKTR_PRINCIPAL_PRT is not a setting" in caplog.text


@pytest.mark.parametrize(("port", "said"), [("x", "CDKTR_PRINCIPAL_PORT is 'x' in the env"), ("0", "is no port to co")])
def test_wrong_settings_are_told(port: str, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CDKTR_PRINCIPAL_PORT", port)
    with pytest.raises(errors.SettingError, match=said.replace("(", r"\(")):
        EventListener().run_workflow("etl")


def test_threads_that_come_at_once_share_one_principal(monkeypatch: pytest.MonkeyPatch) -> None:
    together = threading.Barrier(8)

    def slow() -> Any:
        threading.Event().wait(0.05)
        return settings.load()

    monkeypatch.setattr(listener, "load", slow)
    shared: EventListener = EventListener()

    def look(_: int) -> Principal:
        together.wait()
        return shared.principal

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(look, range(8)))) == 1
    assert len(Calls.made) == 1


@pytest.mark.parametrize("failure", [errors.UnreachableError("Away."), errors.StoreError("Full.")])
def test_what_goes_wrong_is_a_result(failure: Exception) -> None:
    Calls.failure = failure
    assert OfItsOwn().run_workflow("etl") == Result(False, str(failure))


@pytest.mark.parametrize("value", [None, [1], {"a": 1}, b"x", Path("x")])
def test_a_parameter_that_cannot_be_given_is_a_result_too(value: object) -> None:
    kind = type(value).__name__
    said = f"The parameter 'x' of etl is a {kind}; text, numbers, True and False can be given"
    assert OfItsOwn().run_workflow("etl", {"y": "z", "x": value}) == Result(False, said)
    assert Calls.asked == []


def test_type_checkers_see_what_is_answered() -> None:
    class Later(EventListener[list[int]]):
        """With another way to its principal."""

        def run_workflow(self, *_args: Any, **_kwargs: Any) -> list[int]:
            return [1]

    assert_type(OfItsOwn().run_workflow("etl"), Result)
    assert_type(Later().run_workflow("etl"), list[int])


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((b"etl",), "The workflow id is a bytes; expected text"),
        ((None,), "The workflow id is a NoneType; expected text"),
        (("etl", [1, 2]), "The parameters of etl are a list; expected names with their values"),
        (("etl", "x=1"), "The parameters of etl are a str; expected names with their values"),
        (("etl", {b"x": 1}), "The parameter b'x' of etl has a bytes as its name; expected text"),
        (("etl", {"x": float("nan")}), "The parameter 'x' of etl is not a finite number"),
        (("etl", {"x": 2**63}), "The parameter 'x' of etl is a whole number of more than 64 bits"),
        (("etl", {"x": "\ud800"}), "The parameter 'x' of etl is a text that is not Unicode"),
        (("etl", None, 7), "The key for etl is a int; expected text"),
    ],
)
def test_what_the_wire_does_not_carry_is_a_result_too(arguments: Any, said: str) -> None:
    """Nobody looks after a listener: what comes out of a queue or a request may be anything."""
    assert OfItsOwn().run_workflow(*arguments) == Result(False, said)
    assert Calls.asked == []


def test_who_forgets_to_listen_is_told() -> None:
    with pytest.raises(NotImplementedError, match=r"Subclasses must implement start_listening\(\): OfItsOwn does not"):
        OfItsOwn().start_listening()
