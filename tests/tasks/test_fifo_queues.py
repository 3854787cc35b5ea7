"""FIFO queues: made as such, named as kombu names them, and one message for each publication."""

from __future__ import annotations

import json
import uuid

import pytest
from kombu.transport import SQS

from apps.core.ids import uuid7
from apps.tasks import publishing, queues
from apps.tasks.publishing import Wakeup


@pytest.mark.parametrize("prefix", ["", "chandlery-", "a.b/c-"])
@pytest.mark.parametrize("queue", ["default", "ordered.fifo", "some.queue", "some.queue.fifo", "ä b"])
def test_queues_are_named_as_kombu_names_them(settings, prefix, queue):
    settings.SQS_QUEUE_PREFIX = prefix
    assert queues.physical_name(queue) == SQS.Channel.entity_name(None, prefix + queue)


def test_a_fifo_queue_is_made_with_a_fifo_dead_letter_queue(own_queues):
    for queue in ("ordered.fifo", "ordered-dlq.fifo"):
        attributes = queues.client().get_queue_attributes(QueueUrl=queues.url(queue), AttributeNames=["All"])[
            "Attributes"
        ]
        assert attributes["FifoQueue"] == "true"
        assert attributes["ContentBasedDeduplication"] == "false"
    assert queues.dead_letter_name("ordered.fifo") == "ordered-dlq.fifo"
    policy = json.loads(
        queues.client().get_queue_attributes(
            QueueUrl=queues.url("ordered.fifo"), AttributeNames=["RedrivePolicy"]
        )["Attributes"]["RedrivePolicy"]
    )
    assert policy["deadLetterTargetArn"].endswith("ordered-dlq.fifo")


def wakeup(run_id: uuid.UUID, version: int, group: str = "") -> Wakeup:
    return Wakeup(run_id=run_id, task="workload.note", queue="ordered.fifo", group_key=group, version=version)


def test_a_publication_that_is_sent_again_is_one_message_and_the_next_is_another(own_queues):
    run_id = uuid7()
    for version in (2, 2, 5):
        assert list(publishing.send([wakeup(run_id, version)])) == [run_id]
    assert queues.depth("ordered.fifo").visible == 2


def test_messages_are_grouped_by_their_key_or_each_alone(own_queues):
    runs = [uuid7() for _ in range(3)]
    publishing.send([wakeup(runs[0], 1, "g"), wakeup(runs[1], 1, "g"), wakeup(runs[2], 1)])
    received = queues.client().receive_message(
        QueueUrl=queues.url("ordered.fifo"),
        MaxNumberOfMessages=10,
        MessageSystemAttributeNames=["MessageGroupId"],
    )["Messages"]
    groups = [message["Attributes"]["MessageGroupId"] for message in received]
    assert sorted(groups) == sorted(["g", "g", str(runs[2])])


def test_a_dead_letter_of_a_fifo_queue_arrives(own_queues):
    assert publishing.send_dead_letter(wakeup(uuid7(), 4, "g"), "no use")
    assert queues.depth("ordered-dlq.fifo").visible == 1
