"""FIFO queues of the benchmark SQS server: order, groups and deduplication."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.benchmarks.sqs_client import bodies, delete, make, receive
from tests.benchmarks.sqs_control import SqsControl


@pytest.fixture
def fifo(sqs: Any, control: SqsControl) -> str:
    return make(sqs, "orders.fifo", FifoQueue="true")


def push(sqs: Any, url: str, body: str, group: str, key: str = "") -> dict[str, Any]:
    return sqs.send_message(
        QueueUrl=url, MessageBody=body, MessageGroupId=group, MessageDeduplicationId=key or body
    )


def test_a_group_keeps_its_order_and_is_closed_while_one_of_it_is_in_flight(sqs, fifo):
    for body in ("a1", "a2", "b1", "a3"):
        push(sqs, fifo, body, body[0])
    first = receive(sqs, fifo, 1)
    assert bodies(first) == ["a1"]
    assert bodies(receive(sqs, fifo)) == ["b1"]
    assert receive(sqs, fifo) == []
    delete(sqs, fifo, *first)
    assert bodies(receive(sqs, fifo)) == ["a2", "a3"]


def test_a_message_that_comes_back_is_the_first_of_its_group_again(sqs, fifo):
    for body in ("a1", "a2", "a3"):
        push(sqs, fifo, body, "a")
    one, two = receive(sqs, fifo, 2, VisibilityTimeout=60)
    for message in (two, one):
        assert receive(sqs, fifo) == []
        sqs.change_message_visibility(
            QueueUrl=fifo, ReceiptHandle=message["ReceiptHandle"], VisibilityTimeout=0
        )
    assert bodies(receive(sqs, fifo)) == ["a1", "a2", "a3"]


def test_a_deletion_wakes_a_poller_of_the_same_group(sqs, fifo):
    push(sqs, fifo, "a1", "a")
    push(sqs, fifo, "a2", "a")
    first = receive(sqs, fifo, 1)
    threading.Timer(0.3, lambda: delete(sqs, fifo, *first)).start()
    assert bodies(receive(sqs, fifo, WaitTimeSeconds=8)) == ["a2"]


def test_a_deduplication_id_is_taken_once_even_after_its_message_is_gone(sqs, fifo):
    first = push(sqs, fifo, "a1", "a", key="k")
    delete(sqs, fifo, *receive(sqs, fifo))
    again = push(sqs, fifo, "a1", "a", key="k")
    assert again["MessageId"] == first["MessageId"]
    assert again["SequenceNumber"] == first["SequenceNumber"]
    assert receive(sqs, fifo) == []


def test_content_makes_the_deduplication_id_where_the_queue_says_so(sqs, control):
    url = make(sqs, "content.fifo", FifoQueue="true", ContentBasedDeduplication="true")
    for body in ("x", "x", "y"):
        sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="g")
    assert bodies(receive(sqs, url)) == ["x", "y"]


def test_what_a_fifo_queue_needs_is_demanded(sqs, fifo):
    for parameters in ({}, {"MessageGroupId": "a"}):
        with pytest.raises(ClientError):
            sqs.send_message(QueueUrl=fifo, MessageBody="a", **parameters)
    push(sqs, fifo, "a1", "a")
    [message] = receive(sqs, fifo, VisibilityTimeout=0)
    with pytest.raises(ClientError, match="has expired"):
        delete(sqs, fifo, message)
    with pytest.raises(ClientError):
        make(sqs, "name-without-suffix", FifoQueue="true")
