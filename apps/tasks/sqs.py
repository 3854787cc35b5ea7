"""Clients of SQS: their requests are counted, and whatever goes wrong is one of `ERRORS`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from apps.tasks.usage import usage

if TYPE_CHECKING:
    from boto3 import Session
    from mypy_boto3_sqs import SQSClient

#: All that a request raises: it was not sent, was not answered, or the answer is an error or none at all.
ERRORS = (BotoCoreError, ClientError)
#: What an answer has at least one of. An empty one would pass for "nothing failed".
_ENTRIES = {"Successful", "Failed"}
_ESSENTIAL = {
    "GetQueueUrl": {"QueueUrl"},
    "CreateQueue": {"QueueUrl"},
    "GetQueueAttributes": {"Attributes"},
    "SendMessage": {"MessageId"},
    "SendMessageBatch": _ENTRIES,
    "DeleteMessageBatch": _ENTRIES,
    "ChangeMessageVisibilityBatch": _ENTRIES,
}


class UnreadableAnswer(BotoCoreError):
    """An answer was received that is none of SQS's: a proxy's error page, for one."""

    fmt = "{operation} was answered with what is no answer to it: {reason}"


class _Guarded:
    """A base of the client's class. Botocore lets its parsers' own errors through, of any type.

    What goes wrong before anything is sent is our own mistake, and raised as what it is.
    """

    def _make_request(self, operation: Any, request: dict[str, Any], context: dict[str, Any]) -> Any:
        try:
            response, answer = super()._make_request(operation, request, context)  # type: ignore[misc]
        except ERRORS:
            raise
        except Exception as exc:
            raise UnreadableAnswer(operation=operation.name, reason=f"{type(exc).__name__}: {exc}") from exc
        essential = _ESSENTIAL.get(operation.name)
        if essential and response.status_code < 300 and essential.isdisjoint(answer):
            raise UnreadableAnswer(operation=operation.name, reason=f"no {' or '.join(sorted(essential))}")
        return response, answer


def _add_base(base_classes: list[type], **_: Any) -> None:
    base_classes.insert(0, _Guarded)


def make_client(session: Session, **options: Any) -> SQSClient:
    """A client made by *session*, usable from several threads."""
    # Slow to import, and not needed by a process that only requests runs.
    from apps.tasks import curl

    # boto3's own way to extend a client.
    session.events.register("creating-client-class.sqs", _add_base)
    made = session.client("sqs", **options)
    usage.watch(made)
    timeouts: Any = made.meta.config
    sender: Any = curl.Sender(connect_timeout=timeouts.connect_timeout, read_timeout=timeouts.read_timeout)
    made.meta.events.register("before-send.sqs", sender)
    return made
