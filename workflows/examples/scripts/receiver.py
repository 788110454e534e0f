"""Something to call, to try `examples.webhook` with: prints what is POSTed to it, until Ctrl-C."""

from __future__ import annotations

import argparse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from common import run

#: Bytes of a body that are read at most.
LONGEST_BODY = 100_000


class Receiver(BaseHTTPRequestHandler):
    """Prints the body of each POST."""

    def do_POST(self) -> None:
        """Print the body, and answer that all is well."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > LONGEST_BODY:
            self.send_error(413)
            return
        print(self.rfile.read(int(length)).decode("utf-8", "replace"), flush=True)
        self.send_response(204)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Print nothing but the bodies."""


def main() -> None:
    """Read the command line and listen."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--port", type=int, default=8099)
    with ThreadingHTTPServer(("127.0.0.1", parser.parse_args().port), Receiver) as server:
        print(f"listening at http://127.0.0.1:{server.server_port}/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print("stopped")


if __name__ == "__main__":
    run(main)
