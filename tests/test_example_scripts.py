"""What the scripts of workflows/examples reckon, and what they say of data that are wrong."""

import socketserver
import threading
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import common
import mail
import model
import news
import pytest
import report
from common import BadInput, Row

ROW = Row(
    "orders.csv, line 7", {"n": "12", "price": "12.50", "day": "2026-01-31", "text": " a ", "empty": "", "bad": "1e5"}
)

WRONG: dict[str, tuple[Callable[[Row], object], str]] = {
    "empty": (lambda row: row.text("empty"), "empty is '', expected some text"),
    "missing": (lambda row: row.text("missing"), "missing is None, expected some text"),
    "not whole": (lambda row: row.whole("price"), "price is '12.50', expected a whole number, 0 or more"),
    "too small": (lambda row: row.whole("n", least=13), "n is '12', expected a whole number, 13 or more"),
    "no number": (lambda row: row.number("text"), "text is ' a ', expected a number"),
    "no amount": (lambda row: row.cents("day"), "day is '2026-01-31', expected an amount such as 12.50"),
    "no date": (lambda row: row.day("n"), "n is '12', expected a date such as 2026-01-31"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_cell_is_named(case: str) -> None:
    use, sentence = WRONG[case]
    with pytest.raises(BadInput) as caught:
        use(ROW)
    assert str(caught.value) == f"orders.csv, line 7: {sentence}"


def test_cells_that_are_right() -> None:
    assert (ROW.whole("n", least=12), ROW.cents("price"), ROW.cents("n"), ROW.day("day")) == (
        12,
        1250,
        1200,
        "2026-01-31",
    )
    assert (ROW.text("text"), ROW.number("price")) == ("a", 12.5)


@pytest.mark.parametrize("amount", ["-1", "0.001", "NaN", "Infinity", "1,5"])
def test_what_is_no_amount(amount: str) -> None:
    with pytest.raises(BadInput):
        Row("x", {"price": amount}).cents("price")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "orders.csv: the first line names no column a, b"),
        (b"a,c\n", "orders.csv: the first line names no column b"),
        (b"a,b\n1,2\n3\n", "orders.csv, line 3: 1 cells, but the first line names 2 columns"),
        (b"a,b\n\xff,2\n", "orders.csv: this is no UTF-8: invalid start byte"),
        (b'a,b\n"1\n', "orders.csv, line 2: unexpected end of data"),
    ],
)
def test_a_wrong_file_is_named(tmp_path: Path, content: bytes, sentence: str) -> None:
    (tmp_path / "orders.csv").write_bytes(content)
    with pytest.raises(BadInput) as caught:
        list(common.read_rows(tmp_path / "orders.csv", ("a", "b")))
    assert str(caught.value) == f"{tmp_path}/{sentence}"


def test_a_file_of_a_spreadsheet_is_read(tmp_path: Path) -> None:
    path = tmp_path / "orders.csv"
    path.write_bytes(b'\xef\xbb\xbfa,b\r\n"1\n2",3\r\n\r\n4,5\r\n')
    rows = list(common.read_rows(path, ("a", "b")))
    assert [row.cells for row in rows] == [{"a": "1\n2", "b": "3"}, {"a": "4", "b": "5"}]
    assert rows[1].place == f"{path}, line 5"


def test_what_a_person_can_mend_is_one_sentence(tmp_path: Path) -> None:
    def missing() -> None:
        (tmp_path / "none").read_text()

    with pytest.raises(SystemExit) as caught:
        common.run(missing)
    assert caught.value.code == f"{tmp_path}/none: No such file or directory"


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    with common.database(path) as database:
        database.execute("CREATE TABLE t (a UNIQUE)")
    with pytest.raises(BadInput, match=r"a\.db: UNIQUE constraint failed"), common.database(path) as database:
        database.executemany("INSERT INTO t VALUES (?)", [(1,), (2,), (1,)])
    with common.database(path) as database:
        assert database.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_money() -> None:
    assert [common.money(cents) for cents in (0, 5, 123450)] == ["0.00", "0.05", "1,234.50"]


def test_headlines_of_a_page() -> None:
    page = '<a href="/a">no</a><A class="x story" HREF="/b">One &amp;\n <b>two</b></a><a class="story">three</a>'
    parser = news.Headlines("story")
    parser.feed(page)
    assert parser.found == [("One & two", "/b"), ("three", "")]


def test_headlines_that_are_the_same() -> None:
    assert news.key_of("STORM damage – closes_the ferry!") == news.key_of("Storm damage closes the  ferry")
    assert news.key_of("Storm damage") != news.key_of("Storm damages")


def test_a_model_learns_a_line() -> None:
    samples = [model.Sample([float(x)], int(x > 0)) for x in range(-10, 11)]
    weights = [0.0, 0.0]
    before = model.loss(weights, samples)
    assert before == pytest.approx(0.6931, abs=1e-4)
    for _ in range(50):
        weights = model.learn(weights, samples)
    assert model.loss(weights, samples) < before / 2
    assert model.accuracy(weights, samples) >= 20 / 21
    assert model.probability([1000.0, 0.0], [1000.0]) == pytest.approx(1)


def test_the_slope_is_that_of_the_loss() -> None:
    """Against the loss itself, a little to either side."""
    samples = [model.Sample([0.3, -1.0], 1), model.Sample([-2.0, 0.5], 0), model.Sample([1.0, 1.0], 0)]
    weights = [0.2, -0.4, 0.1]
    moved = model.learn(weights, samples)
    for index, weight in enumerate(weights):
        around = [[*weights[:index], weight + step, *weights[index + 1 :]] for step in (1e-5, -1e-5)]
        slope = (model.loss(around[0], samples) - model.loss(around[1], samples)) / 2e-5
        assert weight - moved[index] == pytest.approx(model.LEARNING_RATE * slope, rel=1e-4)


def test_too_few_samples(tmp_path: Path) -> None:
    model.write_samples(tmp_path / "samples.csv", [model.Sample([1.0] * 5, 1)] * 8)
    with pytest.raises(BadInput, match="too few to learn from"):
        model.preprocess(1, tmp_path)


def test_a_model_that_was_not_evaluated_is_not_deployed(tmp_path: Path) -> None:
    (tmp_path / "model.json").write_text("{}")
    common.write_json(tmp_path / "evaluation.json", {"accuracy": 1.0, "model_sha256": "of another"})
    with pytest.raises(BadInput, match="is not the model that was evaluated"):
        model.deploy(0.5, tmp_path)
    assert not (tmp_path / "production").exists()


def test_a_chart_of_anything_is_a_picture() -> None:
    for bars in ([], [("<&>", 0)], [("a", 100), ("b", 50), ("c", 0)]):
        svg = ElementTree.fromstring(report.bar_chart("Sales & more", bars))
        widths = [float(bar.attrib["width"]) for bar in svg if bar.tag.endswith("rect")]
        assert widths == [cents * max(widths) / 100 for _, cents in bars]


def test_what_cannot_stand_in_a_mail() -> None:
    for to, subject in (("nobody", "x"), ("", "x"), ("a@b.example", "x\nBcc: c@d.example")):
        with pytest.raises(BadInput):
            mail.compose("me@here.example", to, subject, "text", [])


class _MailServer(socketserver.StreamRequestHandler):
    """As much of SMTP as takes one mail."""

    heard: bytes

    def handle(self) -> None:
        self.wfile.write(b"220 ready\r\n")
        for line in self.rfile:
            if line.upper().startswith(b"DATA"):
                self.wfile.write(b"354 go on\r\n")
                type(self).heard = b"".join(iter(self.rfile.readline, b".\r\n"))
            self.wfile.write(b"221 bye\r\n" if line.upper().startswith(b"QUIT") else b"250 ok\r\n")


def test_mail_through_a_server(capsys: pytest.CaptureFixture[str]) -> None:
    message = mail.compose("me@here.example", "a@b.example, c@d.example", "Grüße", "Hello", [])
    with socketserver.TCPServer(("127.0.0.1", 0), _MailServer) as server:
        serving = threading.Thread(target=server.handle_request)
        serving.start()
        mail.post(message, f"127.0.0.1:{server.server_address[1]}")
        serving.join()
    assert b"\r\nHello\r\n" in _MailServer.heard
    assert b"To: a@b.example, c@d.example\r\n" in _MailServer.heard
    assert capsys.readouterr().out.startswith("sent to a@b.example, c@d.example through 127.0.0.1:")


def test_a_mail_server_that_is_not_there() -> None:
    message = mail.compose("me@here.example", "a@b.example", "x", "y", [])
    with pytest.raises(BadInput, match=r"the mail server 127\.0\.0\.1:1 does not take the mail: "):
        mail.post(message, "127.0.0.1:1")
    with pytest.raises(BadInput, match="is no mail server"):
        mail.post(message, "host:port")
