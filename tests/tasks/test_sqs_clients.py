"""What goes wrong with SQS is one kind of error; what goes wrong with us is not taken for it."""

from __future__ import annotations

import pytest

from apps.tasks import queues, sqs
from tests.faults.sqs_proxy import FAULTS


@pytest.mark.parametrize("fault", FAULTS)
def test_whatever_sqs_answers_is_an_error_of_its_own(own_queues, proxy, fault):
    url = queues.url("default")
    proxy.only, proxy.fault = "", fault
    with pytest.raises(sqs.ERRORS):
        queues.client().send_message_batch(QueueUrl=url, Entries=[{"Id": "0", "MessageBody": "{}"}])


def test_an_answer_without_what_was_asked_for_is_none(own_queues, proxy):
    proxy.only, proxy.fault = "", "nothing"
    with pytest.raises(sqs.UnreadableAnswer, match="no QueueUrl"):
        queues.url("default")
    with pytest.raises(sqs.UnreadableAnswer, match="no Attributes"):
        queues.client().get_queue_attributes(QueueUrl="any", AttributeNames=["QueueArn"])
    with pytest.raises(sqs.UnreadableAnswer, match="no Failed or Successful"):
        queues.client().delete_message_batch(QueueUrl="any", Entries=[{"Id": "0", "ReceiptHandle": "h"}])


def test_a_mistake_of_our_own_is_raised_as_what_it_is(own_queues):
    with pytest.raises(TypeError):
        queues.client().send_message(QueueUrl=queues.url("default"), MessageBody=object())
