"""The benchmark SQS server keeps SQS's rules, as boto3 sees them."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError, ReadTimeoutError

from tests.benchmarks.sqs_client import bodies, code, delete, depth, make, receive
from tests.benchmarks.sqs_control import BenchmarkSqs


def test_a_message_is_hidden_while_in_flight_and_comes_back(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="a")
    [first] = receive(sqs, queue, VisibilityTimeout=1, MessageSystemAttributeNames=["All"])
    assert first["Attributes"]["ApproximateReceiveCount"] == "1"
    assert receive(sqs, queue) == []
    [second] = receive(sqs, queue, WaitTimeSeconds=5, MessageSystemAttributeNames=["All"])
    assert second["MessageId"] == first["MessageId"]
    assert second["ReceiptHandle"] != first["ReceiptHandle"]
    assert second["Attributes"]["ApproximateReceiveCount"] == "2"
    delete(sqs, queue, first)
    assert depth(sqs, queue) == (0, 1, 0), "an old receipt handle deletes nothing"
    delete(sqs, queue, second, second)
    assert depth(sqs, queue) == (0, 0, 0)


def test_visibility_can_be_changed(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="a")
    [message] = receive(sqs, queue, VisibilityTimeout=1)
    handle = message["ReceiptHandle"]
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=60)
    time.sleep(1.2)
    assert receive(sqs, queue) == []
    sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=0)
    assert bodies(receive(sqs, queue)) == ["a"]
    with pytest.raises(sqs.exceptions.MessageNotInflight):
        sqs.change_message_visibility(QueueUrl=queue, ReceiptHandle=handle, VisibilityTimeout=1)


def test_a_delayed_message_wakes_a_poll_when_it_is_due(sqs, queue):
    began = time.monotonic()
    sqs.send_message(QueueUrl=queue, MessageBody="a", DelaySeconds=1)
    assert depth(sqs, queue) == (0, 0, 1)
    assert bodies(receive(sqs, queue, WaitTimeSeconds=8)) == ["a"]
    assert 0.9 < time.monotonic() - began < 5


def test_a_long_poll_is_answered_by_a_send(sqs, queue):
    answers: list[list[str]] = []
    pollers = [
        threading.Thread(target=lambda: answers.append(bodies(receive(sqs, queue, WaitTimeSeconds=8))))
        for _ in range(2)
    ]
    for poller in pollers:
        poller.start()
    time.sleep(0.3)
    began = time.monotonic()
    sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": str(n), "MessageBody": f"m{n}"} for n in range(3)])
    sqs.send_message(QueueUrl=queue, MessageBody="late")
    for poller in pollers:
        poller.join()
    assert time.monotonic() - began < 3
    assert sorted(answers) == [["late"], ["m0", "m1", "m2"]]


def test_a_poller_that_hangs_up_gets_nothing(sqs, server, queue):
    hasty = boto3.client(
        "sqs",
        endpoint_url=server.url,
        region_name="us-east-1",
        aws_access_key_id="any",
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, read_timeout=0.5),
    )
    with pytest.raises(ReadTimeoutError):
        receive(hasty, queue, WaitTimeSeconds=8)
    hasty.close()
    # The server learns of it a moment later; before that the message would be lost to the poller for a while.
    time.sleep(0.5)
    sqs.send_message(QueueUrl=queue, MessageBody="a")
    assert bodies(receive(sqs, queue)) == ["a"]


def test_a_poll_ends_empty_after_its_time(sqs, queue, control):
    began = time.monotonic()
    assert receive(sqs, queue, WaitTimeSeconds=1) == []
    assert time.monotonic() - began >= 0.99
    assert control.messages("plain")["empty receipts"] == 1


def test_batches_fail_by_entry_and_as_a_whole(sqs, queue):
    answer = sqs.send_message_batch(
        QueueUrl=queue,
        Entries=[{"Id": "a", "MessageBody": "x"}, {"Id": "b", "MessageBody": "y", "DelaySeconds": 901}],
    )
    assert [done["Id"] for done in answer["Successful"]] == ["a"]
    assert [(failure["Id"], failure["SenderFault"]) for failure in answer["Failed"]] == [("b", True)]
    with pytest.raises(sqs.exceptions.EmptyBatchRequest):
        sqs.send_message_batch(QueueUrl=queue, Entries=[])
    with pytest.raises(sqs.exceptions.TooManyEntriesInBatchRequest):
        sqs.send_message_batch(
            QueueUrl=queue, Entries=[{"Id": str(n), "MessageBody": "x"} for n in range(11)]
        )
    with pytest.raises(sqs.exceptions.BatchEntryIdsNotDistinct):
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": "a", "MessageBody": "x"}] * 2)
    with pytest.raises(sqs.exceptions.BatchRequestTooLong):
        sqs.send_message_batch(
            QueueUrl=queue, Entries=[{"Id": str(n), "MessageBody": "x" * 600_000} for n in range(2)]
        )
    [message] = receive(sqs, queue)
    answer = sqs.delete_message_batch(
        QueueUrl=queue,
        Entries=[
            {"Id": "good", "ReceiptHandle": message["ReceiptHandle"]},
            {"Id": "bad", "ReceiptHandle": "rubbish"},
        ],
    )
    assert [done["Id"] for done in answer["Successful"]] == ["good"]
    assert [(failure["Id"], failure["Code"]) for failure in answer["Failed"]] == [
        ("bad", "ReceiptHandleIsInvalid")
    ]


def test_visibility_is_changed_in_batches(sqs, queue):
    for body in "ab":
        sqs.send_message(QueueUrl=queue, MessageBody=body)
    held = receive(sqs, queue)
    sqs.change_message_visibility_batch(
        QueueUrl=queue,
        Entries=[
            {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"], "VisibilityTimeout": 0}
            for index, message in enumerate(held)
        ],
    )
    assert sorted(bodies(receive(sqs, queue))) == ["a", "b"]


def test_a_large_message_passes_and_a_larger_one_does_not(sqs, queue):
    sqs.send_message(QueueUrl=queue, MessageBody="x" * 1_048_576)
    assert len(receive(sqs, queue)[0]["Body"]) == 1_048_576
    with pytest.raises(ClientError) as error:
        sqs.send_message(QueueUrl=queue, MessageBody="x" * 1_048_577)
    assert code(error) == "InvalidParameterValue"


def test_message_attributes_are_returned_when_asked_for(sqs, queue):
    attributes = {
        "reason": {"DataType": "String", "StringValue": "why"},
        "other": {"DataType": "Number", "StringValue": "1"},
    }
    sqs.send_message(QueueUrl=queue, MessageBody="a", MessageAttributes=attributes, MessageGroupId="user-1")
    [message] = receive(
        sqs,
        queue,
        MessageAttributeNames=["reason"],
        MessageSystemAttributeNames=["MessageGroupId", "SentTimestamp"],
    )
    assert message["MessageAttributes"] == {"reason": attributes["reason"]}
    assert message["Attributes"]["MessageGroupId"] == "user-1"
    assert abs(int(message["Attributes"]["SentTimestamp"]) / 1000 - time.time()) < 60


# Dead letters ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["", ".fifo"])
def test_what_was_received_too_often_goes_to_the_dead_letter_queue(sqs, control, suffix):
    kind = {"FifoQueue": "true"} if suffix else {}
    dead = make(sqs, f"dead{suffix}", **kind)
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    policy = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": 2})
    url = make(sqs, f"live{suffix}", RedrivePolicy=policy, VisibilityTimeout="0", **kind)
    extra = {"MessageGroupId": "g", "MessageDeduplicationId": "1"} if suffix else {}
    sqs.send_message(QueueUrl=url, MessageBody="poison", **extra)
    assert [bodies(receive(sqs, url)) for _ in range(4)] == [["poison"], ["poison"], [], []]
    assert depth(sqs, url) == (0, 0, 0)
    [message] = receive(sqs, dead, MessageSystemAttributeNames=["DeadLetterQueueSourceArn"])
    assert message["Body"] == "poison"
    assert message["Attributes"]["DeadLetterQueueSourceArn"].endswith(f":live{suffix}")


# Queues ------------------------------------------------------------------------------------------


def test_queues_are_made_found_listed_purged_and_deleted(sqs, queue):
    assert sqs.get_queue_url(QueueName="plain")["QueueUrl"] == queue
    make(sqs, "planet")
    assert len(sqs.list_queues(QueueNamePrefix="pla")["QueueUrls"]) == 2
    assert "QueueUrls" not in sqs.list_queues(QueueNamePrefix="none")
    assert make(sqs, "plain") == queue
    with pytest.raises(sqs.exceptions.QueueNameExists):
        make(sqs, "plain", VisibilityTimeout="77")
    sqs.set_queue_attributes(QueueUrl=queue, Attributes={"VisibilityTimeout": "77"})
    found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
    assert found["VisibilityTimeout"] == "77"
    sqs.send_message(QueueUrl=queue, MessageBody="a")
    sqs.purge_queue(QueueUrl=queue)
    assert receive(sqs, queue) == []
    sqs.delete_queue(QueueUrl=queue)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        sqs.get_queue_url(QueueName="plain")


def test_a_queue_that_is_not_there_is_refused_as_boto3_knows_it(sqs, control, server):
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        receive(sqs, f"{server.url}/123456789012/nowhere")
    with pytest.raises(ClientError) as error:
        sqs.send_message(QueueUrl=f"{server.url}/123456789012/nowhere", MessageBody="a")
    assert code(error) == "AWS.SimpleQueueService.NonExistentQueue"


def test_actions_and_values_that_it_does_not_know_are_refused(sqs, queue):
    with pytest.raises(ClientError, match="has no TagQueue"):
        sqs.tag_queue(QueueUrl=queue, Tags={"a": "b"})
    with pytest.raises(ClientError, match="MaxNumberOfMessages"):
        receive(sqs, queue, 11)
    with pytest.raises(ClientError):
        delete(sqs, queue, {"ReceiptHandle": "rubbish"})


# Control -----------------------------------------------------------------------------------------


def test_requests_are_counted_by_action_and_queue(sqs, queue, control):
    control.reset_counters()
    other = make(sqs, "other")
    sqs.send_message(QueueUrl=other, MessageBody="a")
    for _ in range(3):
        sqs.send_message_batch(QueueUrl=queue, Entries=[{"Id": "a", "MessageBody": "x"}] * 1)
    delete(sqs, queue, *receive(sqs, queue))
    assert control.requests("plain") == Counter(SendMessageBatch=3, ReceiveMessage=1, DeleteMessage=3)
    assert control.messages("plain") == Counter(sent=3, received=3, deleted=3)
    assert control.requests()["CreateQueue"] == 1
    control.reset_counters()
    assert not control.requests()


def test_latency_is_added_to_every_call(sqs, queue, control):
    control.set_latency(200)
    began = time.monotonic()
    sqs.send_message(QueueUrl=queue, MessageBody="a")
    assert time.monotonic() - began >= 0.2
    control.set_latency(0)
    began = time.monotonic()
    receive(sqs, queue)
    assert time.monotonic() - began < 0.2


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("internal error", "InternalError"),
        ("unavailable", "503"),
        ("bad gateway", "502"),
        ("throttled", "RequestThrottled"),
        ("forbidden", "AccessDeniedException"),
    ],
)
def test_requests_are_refused_on_demand(sqs, queue, control, kind, expected):
    with control.faulty(kind, action="Send"):
        with pytest.raises(ClientError) as error:
            sqs.send_message(QueueUrl=queue, MessageBody="a")
        assert code(error) == expected
        assert receive(sqs, queue) == []
    sqs.send_message(QueueUrl=queue, MessageBody="a")
    assert control.broken() == Counter({kind: 1})


def test_connections_are_reset_before_or_after_the_work(sqs, queue, control):
    for kind, left in (("reset", 0), ("lost answer", 1)):
        with control.faulty(kind), pytest.raises(ConnectionClosedError):
            sqs.send_message(QueueUrl=queue, MessageBody="a")
        assert depth(sqs, queue)[0] == left


def test_faults_have_a_rate_and_a_number_of_times(sqs, queue, control):
    control.fault("throttled", action="SendMessage", times=2)
    outcomes = []
    for _ in range(4):
        try:
            outcomes.append(bool(sqs.send_message(QueueUrl=queue, MessageBody="a")))
        except ClientError:
            outcomes.append(False)
    assert outcomes == [False, False, True, True]
    control.seed(1)
    control.fault("throttled", rate=0.5, queue="pl")
    refused = 0
    for _ in range(100):
        try:
            sqs.send_message(QueueUrl=queue, MessageBody="a")
        except ClientError:
            refused += 1
    assert 30 < refused < 70
    assert control.broken()["throttled"] == refused + 2


def test_an_unknown_fault_is_refused(control):
    with pytest.raises(ValueError, match="there is no fault 'tea'"):
        control.fault("tea")


def test_deliveries_are_duplicated_and_reordered_on_demand(sqs, queue, control):
    for number in range(50):
        sqs.send_message(QueueUrl=queue, MessageBody=f"{number:02}")
    control.fault("duplicate", rate=0.5)
    control.fault("reorder")
    seen = []
    while messages := receive(sqs, queue):
        seen += messages
        delete(sqs, queue, *messages)
    counts = Counter(bodies(seen))
    assert set(counts) == {f"{number:02}" for number in range(50)}
    assert 10 < sum(count > 1 for count in counts.values()) < 45
    assert bodies(seen) != sorted(bodies(seen))
    ids = {(message["Body"], message["MessageId"]) for message in seen}
    assert len(ids) == 50, "a duplicate has the id of its original"


def test_contents_and_queues_are_lost_on_demand(sqs, queue, control):
    for body in "abc":
        sqs.send_message(QueueUrl=queue, MessageBody=body)
    receive(sqs, queue, 1)
    assert control.depths()["plain"] == {"visible": 2, "in_flight": 1, "delayed": 0}
    assert control.lose() == 3
    assert receive(sqs, queue) == []
    control.lose(queues=True)
    with pytest.raises(sqs.exceptions.QueueDoesNotExist):
        receive(sqs, queue)


def test_deliveries_are_held_back_and_released(sqs, queue, control):
    control.hold("plain")
    sqs.send_message(QueueUrl=queue, MessageBody="a")
    assert receive(sqs, queue) == []
    threading.Timer(0.3, lambda: control.release("plain")).start()
    assert bodies(receive(sqs, queue, WaitTimeSeconds=8)) == ["a"]


def test_a_killed_server_comes_back_empty_on_the_same_port():
    with BenchmarkSqs() as server:
        client = boto3.client(
            "sqs",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id="any",
            aws_secret_access_key="any",
        )
        url = make(client, "q")
        server.kill()
        server.start()
        with pytest.raises(client.exceptions.QueueDoesNotExist):
            receive(client, url)
        assert make(client, "q") == url
        client.close()


def test_thousands_of_messages_are_each_delivered_once_to_many_consumers(sqs, queue, control):
    seen: list[str] = []

    def consume() -> None:
        while messages := receive(sqs, queue, WaitTimeSeconds=1):
            seen.extend(bodies(messages))
            sqs.delete_message_batch(
                QueueUrl=queue,
                Entries=[
                    {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                    for index, message in enumerate(messages)
                ],
            )

    consumers = [threading.Thread(target=consume) for _ in range(4)]
    for consumer in consumers:
        consumer.start()
    for start in range(0, 2000, 10):
        sqs.send_message_batch(
            QueueUrl=queue,
            Entries=[{"Id": str(n), "MessageBody": str(start + n)} for n in range(10)],
        )
    for consumer in consumers:
        consumer.join()
    assert sorted(map(int, seen)) == list(range(2000))
    assert depth(sqs, queue) == (0, 0, 0)
