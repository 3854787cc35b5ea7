from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import EndpointConnectionError

from apps.stack import sqs_server
from apps.stack.testing import SqsServer


def _client(server: SqsServer, **config: Any) -> Any:
    return boto3.client(
        "sqs",
        endpoint_url=server.environ["SQS_ENDPOINT_URL"],
        region_name=server.environ["AWS_REGION"],
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, **config),
    )


def _url(client: Any, name: str = "work") -> str:
    url: str = client.get_queue_url(QueueName=name)["QueueUrl"]
    return url


@pytest.fixture(scope="module")
def shared() -> Iterator[SqsServer]:
    with SqsServer(("work", "poll", "busy", "orders.fifo"), visibility=33, max_receive_count=2) as server:
        yield server


def test_queues_are_declared_with_their_dead_letter_queues_before_it_answers(shared: SqsServer) -> None:
    client = _client(shared)
    for queue, dead in (("work", "work-dlq"), ("orders.fifo", "orders-dlq.fifo")):
        attributes = client.get_queue_attributes(QueueUrl=_url(client, queue), AttributeNames=["All"])
        wanted = client.get_queue_attributes(QueueUrl=_url(client, dead), AttributeNames=["QueueArn"])
        policy = json.loads(attributes["Attributes"]["RedrivePolicy"])
        assert policy == {"deadLetterTargetArn": wanted["Attributes"]["QueueArn"], "maxReceiveCount": 2}
        assert attributes["Attributes"]["VisibilityTimeout"] == "33"


def test_a_declared_queue_may_be_created_again_by_the_product(shared: SqsServer) -> None:
    client = _client(shared)
    assert client.create_queue(QueueName="work")["QueueUrl"] == _url(client)
    again = client.create_queue(QueueName="work", Attributes={"VisibilityTimeout": "33"})
    assert again["QueueUrl"] == _url(client)


def test_a_message_received_too_often_goes_to_the_dead_letter_queue(shared: SqsServer) -> None:
    client = _client(shared)
    client.send_message(QueueUrl=_url(client), MessageBody="poison")
    for _ in range(2):
        received = client.receive_message(QueueUrl=_url(client), VisibilityTimeout=0)["Messages"]
        assert [message["Body"] for message in received] == ["poison"]
    assert "Messages" not in client.receive_message(QueueUrl=_url(client))
    dead = client.receive_message(QueueUrl=_url(client, "work-dlq"))["Messages"]
    assert [message["Body"] for message in dead] == ["poison"]


def test_a_long_poll_ends_with_the_message_it_waits_for(shared: SqsServer) -> None:
    client = _client(shared)
    url = _url(client, "poll")
    received: list[dict[str, Any]] = []
    poll = threading.Thread(
        target=lambda: received.append(client.receive_message(QueueUrl=url, WaitTimeSeconds=20))
    )
    poll.start()
    # While one request polls, others must get through.
    _client(shared).send_message(QueueUrl=url, MessageBody="at last")
    poll.join(15)
    assert not poll.is_alive(), "the poll went on although the message was there"
    assert [message["Body"] for message in received[0]["Messages"]] == ["at last"]


class _Counting:
    """A backend that notices when two requests are inside it at once; `receive_message` finds one message
    after the first `send_message`."""

    def __init__(self) -> None:
        self.inside, self.overlaps, self.messages = 0, 0, 0

    def visit(self, *_: object, **__: object) -> None:
        self.inside += 1
        self.overlaps += self.inside > 1
        time.sleep(0.002)
        self.inside -= 1

    def send_message(self) -> None:
        self.visit()
        self.messages += 1

    def receive_message(self, queue: str, count: int, wait: int) -> list[str]:
        assert wait == 0, "the server itself must never wait inside the lock"
        self.visit()
        return ["message"] if self.messages else []


for _name in set(sqs_server._LOCKED) - {"send_message"}:
    setattr(_Counting, _name, _Counting.visit)


def test_requests_take_turns_and_a_poll_lets_others_in() -> None:
    sqs_server.serialise(_Counting)  # type: ignore[arg-type]
    backend: Any = _Counting()
    polled: list[list[str]] = []
    poll = threading.Thread(target=lambda: polled.append(backend.receive_message("work", 1, 20)))
    poll.start()
    others = [
        threading.Thread(target=lambda name=name: [getattr(backend, name)() for _ in range(5)])
        for name in sqs_server._LOCKED
    ]
    for thread in others:
        thread.start()
    for thread in (*others, poll):
        thread.join(15)
    assert polled == [["message"]]
    assert backend.overlaps == 0


def test_receivers_at_the_same_time_never_share_a_message(shared: SqsServer) -> None:
    client = _client(shared, max_pool_connections=10)
    url = _url(client, "busy")
    sent = [str(number) for number in range(120)]
    bodies: list[str] = []
    ready = threading.Barrier(6)

    def receive() -> None:
        ready.wait(30)
        while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=3).get("Messages"):
            for message in messages:
                bodies.append(message["Body"])
                client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])

    for start in range(0, len(sent), 10):
        entries = [{"Id": body, "MessageBody": body} for body in sent[start : start + 10]]
        assert len(client.send_message_batch(QueueUrl=url, Entries=entries)["Successful"]) == 10
    threads = [threading.Thread(target=receive) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(bodies, key=int) == sent


def test_a_killed_server_comes_back_on_its_port_with_its_queues_and_without_messages() -> None:
    with SqsServer(("work",)) as server:
        client = _client(server)
        url, port = _url(client), server.port
        client.send_message(QueueUrl=url, MessageBody="lost")
        server.kill()
        server.start()
        assert server.port == port
        assert "Messages" not in client.receive_message(QueueUrl=url)
        client.send_message(QueueUrl=url, MessageBody="kept")
        assert client.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "kept"


def test_while_it_is_away_clients_wait_or_are_refused_as_asked() -> None:
    with SqsServer(("work",)) as server:
        client = _client(server)
        url = _url(client)
        server.kill()
        answers: list[Any] = []
        waiting = threading.Thread(
            target=lambda: answers.append(_client(server).send_message(QueueUrl=url, MessageBody="waited"))
        )
        waiting.start()
        server.start()
        waiting.join(60)
        assert answers
        assert client.receive_message(QueueUrl=url)["Messages"][0]["Body"] == "waited"
        server.kill(refuse=True)
        with pytest.raises(EndpointConnectionError):
            _client(server).send_message(QueueUrl=url, MessageBody="refused")
        server.start()
        _client(server).send_message(QueueUrl=url, MessageBody="again")
