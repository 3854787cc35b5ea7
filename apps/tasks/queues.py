"""The SQS queues: their names and addresses, making them, and how full they are."""

from __future__ import annotations

import json
import string
import threading
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

from django.conf import settings

from apps.core import aws
from apps.tasks import conf, sqs

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_DEAD_LETTER_SUFFIX = "-dlq"
_FIFO_SUFFIX = ".fifo"
#: What kombu writes for characters that names of SQS queues cannot have.
_CHARACTERS = str.maketrans({**dict.fromkeys(set(string.punctuation) - set("-_."), "_"), ".": "-"})
_MAX_RETENTION = 14 * 86_400

_lock = threading.Lock()
_urls: dict[str, str] = {}


@dataclass(frozen=True, kw_only=True)
class Depth:
    """How many messages SQS says a queue holds. AWS keeps these counts up to date to about a minute."""

    visible: int
    in_flight: int
    delayed: int

    @property
    def empty(self) -> bool:
        """No message of any kind."""
        return not (self.visible or self.in_flight or self.delayed)


def client() -> SQSClient:
    """The process's SQS client, whose requests are counted. Usable from several threads."""
    return _client(settings.SQS_REGION, settings.SQS_ENDPOINT_URL)


@lru_cache(maxsize=4)  # one, where settings do not change
def _client(region: str, endpoint_url: str | None) -> SQSClient:
    # Seldom needed by a process that only requests runs, and slow to import.
    from botocore.config import Config

    return sqs.make_client(
        aws.session(),
        region_name=region,
        endpoint_url=endpoint_url,
        config=Config(
            connect_timeout=3,
            read_timeout=10,
            retries={"total_max_attempts": 2},
            # The parameters are all ours; what is wrong with one is said by SQS.
            parameter_validation=False,
        ),
    )


def physical_name(queue: str) -> str:
    """The name on SQS of a logical queue: what kombu's `canonical_queue_name` makes of it."""
    stem = f"{settings.SQS_QUEUE_PREFIX}{queue}".removesuffix(_FIFO_SUFFIX)
    return stem.translate(_CHARACTERS) + (_FIFO_SUFFIX if is_fifo(queue) else "")


def dead_letter_name(queue: str) -> str:
    """The logical name of a queue's dead-letter queue; of a FIFO queue it is one too, as SQS wants it."""
    if is_fifo(queue):
        return f"{queue.removesuffix(_FIFO_SUFFIX)}{_DEAD_LETTER_SUFFIX}{_FIFO_SUFFIX}"
    return f"{queue}{_DEAD_LETTER_SUFFIX}"


def is_fifo(queue: str) -> bool:
    """Whether a queue keeps order: its name says so, on SQS too."""
    return queue.endswith(_FIFO_SUFFIX)


def url(queue: str) -> str:
    """The address of a logical queue. Raises the client's QueueDoesNotExist."""
    with _lock:
        known = _urls.get(queue)
    if known is None:
        known = client().get_queue_url(QueueName=physical_name(queue))["QueueUrl"]
        with _lock:
            _urls[queue] = known
    return known


def forget_urls() -> None:
    """Look addresses up again: the server may have been replaced."""
    with _lock:
        _urls.clear()


def ensure() -> None:
    """Make every queue that is missing, each with its dead-letter queue and a redrive policy.

    Without a redrive policy SQS transports *delete* what no worker can handle. Queues that exist are
    left as they are. Does nothing where the process may not create queues.
    """
    if not settings.SQS_CREATE_QUEUES:
        return
    forget_urls()
    for queue in conf.queues():
        dead_letter_arn = _ensure_one(
            dead_letter_name(queue), {**_kind(queue), "MessageRetentionPeriod": str(_MAX_RETENTION)}
        )
        policy = {"deadLetterTargetArn": dead_letter_arn, "maxReceiveCount": settings.SQS_MAX_RECEIVES}
        _ensure_one(
            queue,
            {
                **_kind(queue),
                "VisibilityTimeout": str(settings.SQS_VISIBILITY_TIMEOUT),
                "MessageRetentionPeriod": str(_MAX_RETENTION),
                "RedrivePolicy": json.dumps(policy),
            },
        )


def _kind(queue: str) -> dict[str, str]:
    """What makes a FIFO queue one. Messages are told apart by ids that the relay gives them."""
    return {"FifoQueue": "true", "ContentBasedDeduplication": "false"} if is_fifo(queue) else {}


def _ensure_one(queue: str, attributes: dict[str, str]) -> str:
    """Make the queue unless it exists; returns its ARN."""
    made = client()
    try:
        address = url(queue)
    except made.exceptions.QueueDoesNotExist:
        address = made.create_queue(QueueName=physical_name(queue), Attributes=attributes)["QueueUrl"]  # type: ignore[arg-type]
    found = made.get_queue_attributes(QueueUrl=address, AttributeNames=["QueueArn"])
    return found["Attributes"]["QueueArn"]


def ping() -> None:
    """Raises where SQS gives no answer, or has not even the first queue."""
    client().get_queue_attributes(QueueUrl=url(conf.queues()[0]), AttributeNames=["QueueArn"])


def depth(queue: str) -> Depth:
    """How full a queue is."""
    attributes = client().get_queue_attributes(
        QueueUrl=url(queue),
        AttributeNames=[
            "ApproximateNumberOfMessages",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesDelayed",
        ],
    )["Attributes"]
    return Depth(
        visible=int(attributes["ApproximateNumberOfMessages"]),
        in_flight=int(attributes["ApproximateNumberOfMessagesNotVisible"]),
        delayed=int(attributes["ApproximateNumberOfMessagesDelayed"]),
    )
