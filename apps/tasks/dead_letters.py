"""What lies in the dead-letter queues, and what follows from it.

Two kinds of messages get there: those that the relay sends for dead runs, so that alarms on the depth of the
queue work, and those that SQS moves there because they were received again and again. Of the second kind,
a run that nobody could claim is given up; a message that names no run of ours stays for a person to see.
Messages of runs that need nobody any more are deleted, so that the depth of the queue is what needs one.
"""

from __future__ import annotations

import json
import logging
import threading
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Now

from apps.core import context
from apps.core.ids import uuid7
from apps.core.resources import sql
from apps.tasks import claims, conf, queues, services, sqs
from apps.tasks.models import DeadLetter, TaskRun
from apps.tasks.states import State

if TYPE_CHECKING:
    from mypy_boto3_sqs.type_defs import MessageTypeDef

logger = logging.getLogger(__name__)

_BATCH = 10
#: Seconds for which a message is out of the queue while it is looked at.
_VISIBILITY = 30
#: Characters of a body that are kept.
_BODY_LIMIT = 2_000


@dataclass(frozen=True, kw_only=True)
class Letter:
    """One message, taken apart as far as it can be."""

    message: MessageTypeDef
    run_id: uuid.UUID | None
    task: str
    #: What the relay wrote; empty where SQS moved the message.
    reason: str

    @classmethod
    def of(cls, message: MessageTypeDef) -> Self:
        """Take *message* apart."""
        run_id, task = None, ""
        try:
            headers = json.loads(message["Body"])["headers"]
            task = str(headers["task"])
            run_id = uuid.UUID(headers["id"])
        except (ValueError, TypeError, KeyError, AttributeError):
            pass
        attributes: Mapping[str, Any] = message.get("MessageAttributes", {})
        reason = attributes.get("reason", {}).get("StringValue", "")
        return cls(message=message, run_id=run_id, task=task, reason=reason)

    @property
    def sent_at(self) -> datetime | None:
        """When it was first sent, by SQS's clock."""
        milliseconds = self.message.get("Attributes", {}).get("SentTimestamp")
        return datetime.fromtimestamp(int(milliseconds) / 1000, tz=UTC) if milliseconds else None


@dataclass(frozen=True, kw_only=True)
class Collected:
    """What a look at a dead-letter queue has found."""

    seen: int = 0
    deleted: int = 0
    #: Runs that were given up.
    dead: tuple[uuid.UUID, ...] = ()


def collect(queue: str, *, limit: int = 1000) -> Collected:
    """Look at up to *limit* messages in the dead-letter queue of *queue*, and act on each.

    Messages that stay are visible again afterwards. Several processes may look at once.
    """
    name = queues.dead_letter_name(queue)
    depth = queues.depth(name)
    began = _database_time()
    seen, kept, deleted, dead = 0, list[str](), list[str](), list[uuid.UUID]()
    runs: set[uuid.UUID] = set()
    for message in _received(name, limit):
        seen += 1
        letter = Letter.of(message)
        gave_up = _gave_up(letter)
        if gave_up and letter.run_id:
            dead.append(letter.run_id)
        if _stays(letter, _recorded(queue, letter, gave_up), runs):
            kept.append(message["ReceiptHandle"])
        else:
            deleted.append(message["ReceiptHandle"])
            DeadLetter.objects.filter(queue=queue, message_id=message["MessageId"]).update(gone_at=Now())
    _settle(name, kept, deleted)
    if seen >= depth.visible + depth.in_flight + depth.delayed:
        present(queue).filter(last_seen__lt=began).update(gone_at=Now())
    if dead:
        logger.error("%s: gave up %d runs that nobody could claim", queue, len(dead))
    return Collected(seen=seen, deleted=len(deleted), dead=tuple(dead))


def _database_time() -> datetime:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        moment: datetime = cursor.fetchone()[0]
    return moment


def present(queue: str) -> QuerySet[DeadLetter]:
    """The letters that are in the dead-letter queue of *queue*, as far as is known."""
    return DeadLetter.objects.filter(queue=queue, gone_at=None)


def look() -> int:
    """Look at every dead-letter queue that may hold something new; returns how many messages were seen.

    A queue that holds what is known of, and nothing that should be deleted, costs one request.
    """
    seen = 0
    for queue in conf.queues():
        try:
            if _is_news(queue):
                seen += collect(queue, limit=100).seen
        except sqs.ERRORS as exc:
            logger.warning("could not look at the dead-letter queue of %s: %s", queue, exc)
    return seen


def _is_news(queue: str) -> bool:
    depth = queues.depth(queues.dead_letter_name(queue))
    known = present(queue)
    dead = TaskRun.objects.filter(pk=OuterRef("run_id"), state=State.DEAD)
    ours = TaskRun.objects.filter(pk=OuterRef("run_id"))
    settled = known.filter(Q(discard=True) | (Exists(ours) & ~Exists(dead)))
    return depth.visible + depth.in_flight != known.count() or settled.exists()


def _received(name: str, limit: int) -> Iterator[MessageTypeDef]:
    """The queue's messages, each once, until none is left or *limit* is reached."""
    client, address = queues.client(), queues.url(name)
    seen: set[str] = set()
    while len(seen) < limit:
        answer = client.receive_message(
            QueueUrl=address,
            MaxNumberOfMessages=_BATCH,
            VisibilityTimeout=_VISIBILITY,
            # Asks all of SQS's servers; without waiting at all, some are left out.
            WaitTimeSeconds=1,
            MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
            MessageAttributeNames=["reason"],
        )
        fresh = [one for one in answer.get("Messages", []) if one["MessageId"] not in seen]
        if not fresh:
            return
        seen.update(one["MessageId"] for one in fresh)
        yield from fresh


def _gave_up(letter: Letter) -> str:
    """Give the letter's run up if SQS moved the message of its last publication here. Returns the reason."""
    if letter.run_id is None or letter.reason:
        return ""
    reason = (
        f"its message was received {settings.SQS_MAX_RECEIVES} times and the run was never claimed:"
        " it may be what ends the workers that receive it"
    )
    done = claims.give_up(run_id=letter.run_id, message_id=letter.message["MessageId"], reason=reason)
    return reason if done else ""


def _recorded(queue: str, letter: Letter, gave_up: str) -> bool:
    """Record the letter; returns whether somebody has asked to have it deleted."""
    message = letter.message
    parameters: dict[str, Any] = {
        "id": uuid7(),
        "message_id": message["MessageId"],
        "queue": queue,
        "run_id": letter.run_id,
        "task": letter.task.replace("\x00", ""),
        "body": message["Body"][:_BODY_LIMIT].replace("\x00", ""),
        "reason": letter.reason or gave_up or _moved(letter),
        "receives": int(message.get("Attributes", {}).get("ApproximateReceiveCount", 0)),
        "sent_at": letter.sent_at,
    }
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "letter.sql"), parameters)
        return bool(cursor.fetchone()[1])


def _moved(letter: Letter) -> str:
    if letter.run_id is None:
        return "SQS moved it here: it was received too often, and is no message of a run"
    return "SQS moved it here: it was received too often"


def _stays(letter: Letter, discard: bool, runs: set[uuid.UUID]) -> bool:
    """Whether a person should see the message: it is a stranger's, or the only one here of a dead run."""
    if discard:
        return False
    if letter.run_id is None:
        return True
    state = TaskRun.objects.filter(pk=letter.run_id).values_list("state", flat=True).first()
    first = letter.run_id not in runs
    runs.add(letter.run_id)
    return state is None or (state == State.DEAD and first)


def _settle(name: str, kept: list[str], deleted: list[str]) -> None:
    client, address = queues.client(), queues.url(name)
    for start in range(0, len(deleted), _BATCH):
        handles = deleted[start : start + _BATCH]
        client.delete_message_batch(
            QueueUrl=address,
            Entries=[{"Id": str(index), "ReceiptHandle": handle} for index, handle in enumerate(handles)],
        )
    for start in range(0, len(kept), _BATCH):
        handles = kept[start : start + _BATCH]
        client.change_message_visibility_batch(
            QueueUrl=address,
            Entries=[
                {"Id": str(index), "ReceiptHandle": handle, "VisibilityTimeout": 0}
                for index, handle in enumerate(handles)
            ],
        )


def redrive(letter: DeadLetter, *, actor: str = "") -> None:
    """Run the letter's run again, and delete the message.

    Raises `services.WrongState` and `TaskRun.DoesNotExist` as `services.redrive` does.
    """
    if letter.run_id is None:
        raise services.WrongState("the message is of no run: it can only be deleted")
    services.redrive(run_id=letter.run_id, actor=actor)
    collect(letter.queue)


def discard(letter: DeadLetter) -> bool:
    """Delete the message. False: it could not be received now, and is deleted when it is."""
    DeadLetter.objects.filter(pk=letter.pk).update(discard=True)
    collect(letter.queue)
    return DeadLetter.objects.filter(pk=letter.pk, gone_at__isnull=False).exists()


class Collector:
    """A thread that looks at the dead-letter queues now and then."""

    def __init__(self) -> None:
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="dead-letters", daemon=True)

    def start(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def stop(self, timeout: float = 5.0) -> None:
        """Look no more."""
        self._stop.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        with context.bind(actor="relay"):
            while not self._stop.wait(conf.dead_letters_every()):
                try:
                    look()
                except (DatabaseError, InterfaceError) as exc:
                    logger.warning("could not look at the dead-letter queues: %s", exc)
                    connection.close()
        connection.close()
