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
#: What an answer is worth nothing without.
_ESSENTIAL = {"GetQueueUrl": "QueueUrl", "CreateQueue": "QueueUrl", "GetQueueAttributes": "Attributes"}


class UnreadableAnswer(BotoCoreError):
    """An answer was received that is none of SQS's: a proxy's error page, for one."""

    fmt = "{operation} was answered with what is no answer to it: {reason}"


class _Guarded:
    """A base of the client's class. Botocore lets its parsers' own errors through, of any type."""

    def _make_api_call(self, operation: str, parameters: dict[str, Any]) -> Any:
        try:
            answer = super()._make_api_call(operation, parameters)  # type: ignore[misc]
        except ERRORS:
            raise
        except Exception as exc:
            raise UnreadableAnswer(operation=operation, reason=f"{type(exc).__name__}: {exc}") from exc
        if (essential := _ESSENTIAL.get(operation)) and essential not in answer:
            raise UnreadableAnswer(operation=operation, reason=f"no {essential}")
        return answer


def _add_base(base_classes: list[type], **_: Any) -> None:
    base_classes.insert(0, _Guarded)


def make_client(session: Session, **options: Any) -> SQSClient:
    """A client made by *session*, usable from several threads."""
    # boto3's own way to extend a client.
    session.events.register("creating-client-class.sqs", _add_base)
    made = session.client("sqs", **options)
    usage.watch(made)
    return made
