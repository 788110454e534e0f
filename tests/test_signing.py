"""What a signature is worth."""

import hmac
from hashlib import sha256

import pytest

from cdktr.signing import WINDOW_S, Signed, has_signature, sign, verify

SECRET = b"a secret of some length"
NOW = 1_800_000_000
BODY = b'{"params": {}}'


def ours(
    timestamp: str = str(NOW), workflow_id: str = "etl", body: bytes = BODY, secret: bytes = SECRET
) -> dict[str, str]:
    return {"x-cdktr-timestamp": timestamp, "x-cdktr-signature": sign(secret, timestamp, workflow_id, body)}


FORGE = {"x-hub-signature-256": "sha256=" + hmac.new(SECRET, BODY, sha256).hexdigest()}


def test_what_is_signed_stands_in_the_documentation() -> None:
    expected = hmac.new(SECRET, b"17.etl.daily.{}", sha256).hexdigest()
    assert sign(SECRET, "17", "etl.daily", b"{}") == f"sha256={expected}"


def test_the_example_that_github_documents() -> None:
    value = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
    headers = {"x-hub-signature-256": value}
    assert verify(b"It's a Secret to Everybody", headers, "x", b"Hello, World!", NOW, forge=True) is Signed.FORGE


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (ours(), Signed.OURS),
        ({name: value.upper().replace("SHA", "sha") for name, value in ours().items()}, Signed.OURS),
        (ours(str(NOW - WINDOW_S)), Signed.OURS),
        (ours(str(NOW + WINDOW_S)), Signed.OURS),
        (ours(str(NOW - WINDOW_S - 1)), Signed.LATE),
        (ours(str(NOW + WINDOW_S + 1)), Signed.LATE),
        (ours() | {"x-cdktr-timestamp": str(NOW + 1)}, Signed.NOT),
        (ours(workflow_id="other"), Signed.NOT),
        (ours(body=b"{}"), Signed.NOT),
        (ours(secret=b"another secret, as long"), Signed.NOT),
        (ours("soon"), Signed.NOT),
        (ours(f"{NOW} "), Signed.NOT),
        (ours("-1"), Signed.NOT),
        ({}, Signed.NOT),
        ({"x-cdktr-signature": ours()["x-cdktr-signature"]}, Signed.NOT),
        ({"x-cdktr-timestamp": str(NOW), "x-cdktr-signature": ""}, Signed.NOT),
        ({"x-cdktr-timestamp": str(NOW), "x-cdktr-signature": "sha256=" + "é" * 64}, Signed.NOT),
        (ours() | {"x-cdktr-signature": ours()["x-cdktr-signature"].removeprefix("sha256=")}, Signed.NOT),
        (FORGE, Signed.NOT),
        (FORGE | ours(), Signed.OURS),
    ],
)
def test_ours(headers: dict[str, str], expected: Signed) -> None:
    assert verify(SECRET, headers, "etl", BODY, NOW) is expected


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (FORGE, Signed.FORGE),
        ({name: value.upper().replace("SHA", "sha") for name, value in FORGE.items()}, Signed.FORGE),
        (FORGE | ours(secret=b"another secret, as long"), Signed.FORGE),
        ({"x-hub-signature-256": FORGE["x-hub-signature-256"][:-1] + "x"}, Signed.NOT),
        ({}, Signed.NOT),
        (ours(), Signed.NOT),
    ],
)
def test_that_of_a_forge(headers: dict[str, str], expected: Signed) -> None:
    assert verify(SECRET, headers, "etl", BODY, NOW, forge=True) is expected


def test_what_one_of_ours_covers_is_no_event_of_a_forge_and_the_other_way_round() -> None:
    """Also where the same secret is given to both."""
    made = ours(str(NOW))
    covered = f"{NOW}.etl.".encode() + BODY
    as_forge = {"x-hub-signature-256": made["x-cdktr-signature"]}
    for forge in (False, True):
        assert verify(SECRET, as_forge, "etl", covered, NOW, forge) is Signed.NOT
    # Without a time, and a workflow without a name.
    empty = {"x-hub-signature-256": sign(SECRET, "", "", BODY)}
    assert verify(SECRET, empty, "etl", b".." + BODY, NOW, forge=True) is Signed.NOT
    event = {"x-cdktr-timestamp": str(NOW), "x-cdktr-signature": FORGE["x-hub-signature-256"]}
    for forge in (False, True):
        assert verify(SECRET, event, "etl", BODY, NOW, forge) is Signed.NOT


def test_what_looks_like_a_signature() -> None:
    for headers in (ours(), ours(body=b"another")):
        assert [has_signature(headers, forge) for forge in (False, True)] == [True, False]
    assert [has_signature(FORGE, forge) for forge in (False, True)] == [False, True]
    for value in ("", "sha256=", "0" * 64, "sha256=" + "é" * 64, ours()["x-cdktr-signature"] + "0"):
        assert not has_signature({"x-cdktr-signature": value})
