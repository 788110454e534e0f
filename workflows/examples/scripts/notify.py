"""Call a webhook: POST to an address, as JSON, how a workflow went."""

from __future__ import annotations

import argparse
import json
import os
import urllib.error
import urllib.request

from common import BadInput, run

#: Seconds until the other side has answered.
PATIENCE_S = 20


def post(url: str, message: dict[str, str]) -> int:
    """The status that the other side answers with."""
    body = json.dumps(message).encode()
    try:
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.close()
        raise BadInput(f"{url} answers {error.code} {error.reason}") from None
    except (OSError, ValueError) as error:
        hint = "is it the right --param url, and does somebody listen there? scripts/receiver.py does, to try it"
        raise BadInput(f"{url} cannot be called: {error}; {hint}") from None


def main() -> None:
    """Read the command line and call the address."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--outcome", required=True, help="succeeded or failed")
    parser.add_argument("--text", default="", help="what else to say")
    arguments = parser.parse_args()
    message = {
        "workflow": os.environ.get("CDKTR_WORKFLOW_ID", ""),
        "run": os.environ.get("CDKTR_WORKFLOW_INSTANCE_ID", ""),
        "outcome": arguments.outcome,
        "text": arguments.text,
    }
    print(f"{arguments.url} answers {post(arguments.url, message)}")


if __name__ == "__main__":
    run(main)
