"""Messages are deleted and given back ten to a request, by a thread that outlives what SQS answers."""

from __future__ import annotations

from collections import Counter

import pytest

from apps.tasks import queues
from apps.tasks.receipts import Receipts
from tests.support import wait_until


@pytest.fixture
def sent(own_queues):
    """Counts requests by action."""
    counts: Counter[str] = Counter()
    queues.client().meta.events.register(
        "before-send.sqs", lambda event_name, **_: counts.update([event_name.rpartition(".")[2]])
    )
    return counts


@pytest.fixture
def receipts(own_queues):
    made = Receipts(queues.client())
    yield made
    made.close()


def received(number: int) -> list[str]:
    """The receipt handles of so many messages that have just been sent and received."""
    client, url = queues.client(), queues.url("default")
    for _ in range(number):
        client.send_message(QueueUrl=url, MessageBody="{}")
    handles: list[str] = []
    while len(handles) < number:
        answer = client.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        handles += [message["ReceiptHandle"] for message in answer.get("Messages", [])]
    return handles


def test_deletions_wait_for_others_to_fill_a_request(sent, receipts):
    url = queues.url("default")
    for handle in received(12):
        receipts.delete(url, handle)
    wait_until(lambda: queues.depth("default").empty, what="all to be deleted")
    assert sent["DeleteMessageBatch"] == 2


def test_what_waits_is_settled_at_the_end(sent, receipts):
    url = queues.url("default")
    one, two, three = received(3)
    receipts.delete(url, one)
    receipts.give_back(url, two)
    receipts.give_back(url, three, after=60)
    receipts.close()
    depth = queues.depth("default")
    assert (depth.visible, depth.in_flight) == (1, 1)
    assert sent["DeleteMessageBatch"] == 1
    assert sent["ChangeMessageVisibilityBatch"] == 2


def test_a_receipt_handle_that_sqs_does_not_know_holds_up_nothing(receipts):
    url = queues.url("default")
    [handle] = received(1)
    receipts.delete(url, "of-no-message")
    receipts.delete(url, handle)
    wait_until(lambda: queues.depth("default").empty, what="the other to be deleted")
