"""What a test does inside a network namespace: each step is a process of its own, which can be there.

    python -m tests.integration.within NAME JSON

The JSON is the list of the arguments of the function; what it returns comes as JSON too.
"""

import json
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from cdktr import protocol as p
from cdktr.client import Principal
from tests.integration.cluster import PATIENCE_S

#: Where the queue's name stands in the listener.
QUEUE = "cdktr-workflows"


def post(workflow_id: str, count: int = 1) -> list[tuple[int, Any]]:
    """So many requests to the webhook at once: status and body of each answer."""
    url = f"http://localhost:8080/trigger/{workflow_id}"

    def one(number: int) -> tuple[int, Any]:
        body = json.dumps({"number": number}).encode()
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            with error:
                return error.code, json.load(error)

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(one, range(count)))


def publish(workflow_id: str, count: int = 1) -> None:
    """So many durable messages; on return the broker has them."""
    import pika

    with pika.BlockingConnection(pika.ConnectionParameters("localhost")) as connection:
        channel = connection.channel()
        channel.queue_declare(QUEUE, durable=True)
        channel.confirm_delivery()
        durable = pika.BasicProperties(delivery_mode=pika.DeliveryMode.Persistent)
        for _ in range(count):
            channel.basic_publish("", QUEUE, json.dumps({"workflow_id": workflow_id}).encode(), durable)


def delivered() -> bool:
    """Whether the listener has acknowledged every message.

    It has one at a time, and gets the next when that is acknowledged. The one published here names no workflow, and
    never is.
    """
    publish("")
    return waiting(0) == 0


def waiting(count: int) -> int:
    """How many messages are in the queue and with no listener, once it is `count` or after a long while."""
    import pika

    deadline = time.monotonic() + PATIENCE_S
    with pika.BlockingConnection(pika.ConnectionParameters("localhost")) as connection:
        channel = connection.channel()
        while True:
            found: int = channel.queue_declare(QUEUE, durable=True).method.message_count
            if found == count or time.monotonic() > deadline:
                return found
            time.sleep(0.02)


def purge() -> int:
    """Empty the queue, in which there is something or will be soon; how many messages there were."""
    import pika

    waiting(1)
    with pika.BlockingConnection(pika.ConnectionParameters("localhost")) as connection:
        count: int = connection.channel().queue_purge(QUEUE).method.message_count
    return count


def runs(workflow_id: str, count: int) -> list[dict[str, Any]]:
    """All runs of the workflow, once so many have ended or after a long while."""
    deadline = time.monotonic() + PATIENCE_S
    with Principal("localhost", 5561) as principal:
        while True:
            found: list[dict[str, Any]] = principal.ask(p.ListRuns(workflow_id))
            ended = [run for run in found if run["ended_ms"] is not None]
            if len(ended) >= count or time.monotonic() > deadline:
                return found
            time.sleep(0.02)


if __name__ == "__main__":
    json.dump(globals()[sys.argv[1]](*json.loads(sys.argv[2])), sys.stdout)
