"""The steps of the workflow `examples.news`: headlines from web pages, without doubles, rated, as a digest."""

from __future__ import annotations

import argparse
import re
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urljoin

from common import BadInput, read_json, read_rows, run, write_json, write_text

DATA = Path(__file__).resolve().parent.parent / "data"

#: Bytes of a page that are read at most.
LONGEST_PAGE = 2_000_000


class Headlines(HTMLParser):
    """Collects the links of a page whose class is `mark`, as (title, address)."""

    def __init__(self, mark: str) -> None:
        super().__init__()
        self.found: list[tuple[str, str]] = []
        self._mark = mark
        self._address: str | None = None
        self._text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """The beginning of a link."""
        named = dict(attrs)
        if tag == "a" and self._mark in (named.get("class") or "").split():
            self._address, self._text = named.get("href") or "", ""

    def handle_data(self, data: str) -> None:
        """The text of a link."""
        self._text += data

    def handle_endtag(self, tag: str) -> None:
        """The end of a link."""
        if tag == "a" and self._address is not None:
            self.found.append((" ".join(self._text.split()), self._address))
            self._address = None


class _Pages(SimpleHTTPRequestHandler):
    """Serves files, and does not log each request."""

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def sample_site() -> Iterator[str]:
    """The sample pages on a free port of this host, for as long as they are fetched; its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Pages, directory=str(DATA / "news"))) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def fetch(address: str, proxies: dict[str, str] | None = None) -> str:
    """A page; `proxies` None are those of the environment."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies))
    request = urllib.request.Request(address, headers={"User-Agent": "news-example"})
    try:
        with opener.open(request, timeout=10) as answer:
            charset = answer.headers.get_content_charset() or "utf-8"
            page: bytes = answer.read(LONGEST_PAGE)
            return page.decode(charset, "replace")
    except (OSError, ValueError, LookupError) as error:
        raise BadInput(f"{address} cannot be fetched: {error}") from None


def scrape(site: str, page: str, mark: str, output: Path) -> None:
    """Fetch a page and keep its headlines."""
    kept = output / "scraped" / f"{Path(page).stem}.json"
    if kept.exists():
        # A source that cannot be fetched is to be missing today, and not yesterday's.
        kept.unlink()
    if site:
        address = urljoin(site if site.endswith("/") else f"{site}/", page)
        html = fetch(address)
    else:
        with sample_site() as local:
            address = f"{local}/{page}"
            html = fetch(address, proxies={})
    parser = Headlines(mark)
    parser.feed(html)
    parser.close()
    if not parser.found:
        raise BadInput(f"{address} has no links of the class {mark!r}; has the page changed?")
    found = [
        {"title": title, "link": urljoin(address, link), "source": Path(page).stem} for title, link in parser.found
    ]
    write_json(kept, found)
    print(f"{len(found)} headlines from {address}")


def key_of(title: str) -> str:
    """What two headlines have in common that differ only in case, punctuation and blanks."""
    return re.sub(r"[\W_]+", " ", title).strip().casefold()


def deduplicate(output: Path, sources: Sequence[str]) -> None:
    """All headlines of all sources that were fetched, each once; the first source that has it is named first."""
    kept: dict[str, dict[str, object]] = {}
    total = 0
    for source in sources:
        path = output / "scraped" / f"{source}.json"
        if not path.exists():
            print(f"{source} could not be fetched this time")
            continue
        for headline in read_json(path):
            total += 1
            first = kept.setdefault(key_of(headline["title"]), {**headline, "also": []})
            also = first["also"]
            if first["source"] != source and isinstance(also, list) and source not in also:
                also.append(source)
    if not total:
        raise BadInput(f"none of the sources {', '.join(sources)} could be fetched")
    write_json(output / "headlines.json", list(kept.values()))
    print(f"{total} headlines, {len(kept)} of them different")


def sentiment(output: Path, words: Path) -> None:
    """Rate each headline: the sum of the values of its words."""
    values = {row.text("word").casefold(): row.number("value") for row in read_rows(words, ("word", "value"))}
    headlines = read_json(output / "headlines.json")
    for headline in headlines:
        headline["score"] = sum(values.get(word, 0.0) for word in key_of(headline["title"]).split())
    write_json(output / "rated.json", headlines)
    good = sum(headline["score"] > 0 for headline in headlines)
    bad = sum(headline["score"] < 0 for headline in headlines)
    print(f"{good} good, {bad} bad, {len(headlines) - good - bad} neither")


def digest(output: Path) -> None:
    """The headlines as a text to be mailed, the best news first."""
    headlines = sorted(read_json(output / "rated.json"), key=lambda headline: -headline["score"])
    lines = [f"{len(headlines)} headlines", ""]
    for headline in headlines:
        lines.append(f"{headline['score']:+.0f}  {headline['title']}")
        lines.append(f"    {', '.join([headline['source'], *headline['also']])}: {headline['link']}")
    write_text(output / "digest.txt", "\n".join(lines) + "\n")
    print(f"{output / 'digest.txt'} is written")


def main() -> None:
    """Read the command line and take one step."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("step", choices=["scrape", "deduplicate", "sentiment", "digest"])
    parser.add_argument("--output", type=Path, required=True, help="the folder for what is made")
    parser.add_argument(
        "--site", default="", help="address of the site (scrape); without it the sample pages are served"
    )
    parser.add_argument("--page", default="", help="the page to fetch (scrape)")
    parser.add_argument("--mark", default="headline", help="class of the links to keep (scrape)")
    parser.add_argument("--sources", nargs="+", default=[], help="pages without their ending (deduplicate)")
    parser.add_argument("--words", type=Path, default=DATA / "sentiment.csv", help="what words are worth (sentiment)")
    arguments = parser.parse_args()
    if arguments.step == "scrape":
        scrape(arguments.site, arguments.page, arguments.mark, arguments.output)
    elif arguments.step == "deduplicate":
        deduplicate(arguments.output, arguments.sources)
    elif arguments.step == "sentiment":
        sentiment(arguments.output, arguments.words)
    else:
        digest(arguments.output)


if __name__ == "__main__":
    run(main)
