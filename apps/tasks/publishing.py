"""Sending wake-ups to SQS, in batches of ten on a few threads."""

from __future__ import annotations

import json
import logging
import uuid
from collections import defaultdict
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from apps.tasks import queues, sqs

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import SendMessageBatchRequestEntryTypeDef

logger = logging.getLogger(__name__)

#: What one SendMessageBatch takes.
_BATCH = 10
_THREADS = 4
#: JSON, whose blanks are the task, the run's id twice, the queue, and the id again.
_BODY = (
    '{"body":"[[],{},{}]","content-type":"application/json","content-encoding":"utf-8",'
    '"headers":{"lang":"py","task":%s,"id":"%s","root_id":"%s"},'
    '"properties":{"delivery_info":{"exchange":"","routing_key":%s},"delivery_tag":"%s"}}'
)
#: Names recur.
_quoted = lru_cache(maxsize=1000)(json.dumps)


@dataclass(frozen=True, kw_only=True)
class Wakeup:
    """A message that makes a worker look at a run."""

    run_id: uuid.UUID
    task: str
    queue: str
    group_key: str = ""
    #: The version of the run that the message is about: on FIFO queues a publication is one message.
    version: int = 0


def body(wakeup: Wakeup) -> str:
    """A minimal Celery message (protocol 2): the task's name and the run's id, no arguments.

    The arguments stay in the database: messages have no size limit then, and hold no secrets.
    """
    run_id = str(wakeup.run_id)
    return _BODY % (_quoted(wakeup.task), run_id, run_id, _quoted(wakeup.queue), run_id)


def _delivery(wakeup: Wakeup) -> dict[str, str]:
    """The message's group and, on a FIFO queue, the id by which SQS knows that it has the message already.

    A publication that is sent again because its answer was lost is the same message; the next publication
    of the run, for its next attempt, is another.
    """
    if queues.is_fifo(wakeup.queue):
        run_id = str(wakeup.run_id)
        return {
            "MessageGroupId": wakeup.group_key or run_id,
            "MessageDeduplicationId": f"{run_id}-{wakeup.version}",
        }
    return {"MessageGroupId": wakeup.group_key} if wakeup.group_key else {}


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(max_workers=_THREADS, thread_name_prefix="sqs-send")


def send(wakeups: Sequence[Wakeup]) -> dict[uuid.UUID, str]:
    """Send *wakeups*; returns the SQS message id of each that SQS took.

    What is missing from the answer was not sent, or not certainly: it is to be sent again. Errors
    are logged, not raised.
    """
    by_queue: dict[str, list[Wakeup]] = defaultdict(list)
    for wakeup in wakeups:
        by_queue[wakeup.queue].append(wakeup)
    batches = [
        (queue, members[start : start + _BATCH])
        for queue, members in by_queue.items()
        for start in range(0, len(members), _BATCH)
    ]
    if len(batches) == 1:
        return _send_batch(*batches[0])
    sent: dict[uuid.UUID, str] = {}
    pieces = [batches[start::_THREADS] for start in range(min(_THREADS, len(batches)))]
    for part in _pool().map(_send_batches, pieces):
        sent.update(part)
    return sent


def _send_batches(batches: Iterable[tuple[str, list[Wakeup]]]) -> dict[uuid.UUID, str]:
    sent: dict[uuid.UUID, str] = {}
    for queue, members in batches:
        sent.update(_send_batch(queue, members))
    return sent


def _send_batch(queue: str, wakeups: list[Wakeup]) -> dict[uuid.UUID, str]:
    entries: list[SendMessageBatchRequestEntryTypeDef] = []
    for index, wakeup in enumerate(wakeups):
        entries.append({"Id": str(index), "MessageBody": body(wakeup), **_delivery(wakeup)})  # type: ignore[typeddict-item]
    client = queues.client()
    try:
        answer = client.send_message_batch(QueueUrl=queues.url(queue), Entries=entries)
    except client.exceptions.QueueDoesNotExist:
        logger.warning("queue %s does not exist", queues.physical_name(queue))
        queues.forget_urls()
        return {}
    except sqs.ERRORS as exc:
        logger.warning("could not send %d messages to %s: %s", len(entries), queue, exc)
        return {}
    for failure in answer.get("Failed", []):
        logger.warning("SQS refused a message to %s: %s", queue, failure.get("Message", failure["Code"]))
    return {wakeups[int(done["Id"])].run_id: done["MessageId"] for done in answer.get("Successful", [])}


def send_dead_letter(wakeup: Wakeup, reason: str) -> bool:
    """Put a dead run's message into its queue's dead-letter queue, for alarms on its depth."""
    client = queues.client()
    try:
        client.send_message(
            QueueUrl=queues.url(queues.dead_letter_name(wakeup.queue)),
            MessageBody=body(wakeup),
            MessageAttributes={"reason": {"DataType": "String", "StringValue": reason[:1000] or "unknown"}},
            **(_delivery(wakeup) if queues.is_fifo(wakeup.queue) else {}),  # type: ignore[arg-type]
        )
    except sqs.ERRORS as exc:
        logger.warning("could not send run %s to the dead-letter queue: %s", wakeup.run_id, exc)
        return False
    return True
