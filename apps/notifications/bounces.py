"""Reading delivery status notifications (RFC 3464): what a mail server says of a mail that it had taken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.parser import HeaderParser

_DELIVERY = "message/delivery-status"
_STATUS = re.compile(r"\b([245])\.(\d{1,3})\.(\d{1,3})\b")
#: Of failures that are permanent for the mail, those that say nothing of the address (RFC 3463): a full
#: mailbox, a mail that is too long, the state of systems, content and policy.
_NOT_THE_ADDRESS = re.compile(r"5\.(?:2\.[23]|[3567]\.\d+)")


class NotAReport(ValueError):
    """The message is no delivery status notification."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One recipient that a mail did not reach."""

    #: To whom it was sent, as far as the report says.
    recipient: str
    #: Of the mail; empty where the report does not say.
    message_id: str
    #: Whether no mail will reach the address.
    permanent: bool
    #: In one line.
    reason: str


def failures(raw: bytes) -> list[Failure]:
    """The recipients that the report *raw* gives up. Empty: it tells of delays or of deliveries only.

    Raises `NotAReport`.
    """
    report = message_from_bytes(raw)
    status = next((part for part in report.walk() if part.get_content_type() == _DELIVERY), None)
    blocks = status.get_payload() if status is not None else None
    if not isinstance(blocks, list):
        raise NotAReport("The message has no part message/delivery-status (RFC 3464).")
    recipients = [block for block in blocks if isinstance(block, Message) and "Action" in block]
    if not recipients:
        raise NotAReport("The report names no recipient with an action (RFC 3464).")
    message_id = next(_message_ids(report), "")
    return [
        _failure(block, message_id)
        for block in recipients
        if _header(block, "Action").split(" ")[0].lower() == "failed"
    ]


def _failure(block: Message, message_id: str) -> Failure:
    status = _STATUS.search(_header(block, "Status"))
    code = status[0] if status else ""
    said = _header(block, "Diagnostic-Code").partition(";")
    address = _header(block, "Original-Recipient") or _header(block, "Final-Recipient")
    return Failure(
        recipient=address.rpartition(";")[2].strip(),
        message_id=message_id,
        # Where there is no status, the server has given the address up without saying why.
        permanent=not code or (code.startswith("5") and _NOT_THE_ADDRESS.fullmatch(code) is None),
        reason=(said[2] or said[0]).strip() or code or "no reason was given",
    )


def _message_ids(report: Message) -> Iterator[str]:
    """Where a report says of which mail it is, the likeliest place first."""
    for part in report.walk():
        payload = part.get_payload()
        if part.get_content_type() == "message/rfc822" and isinstance(payload, list) and payload:
            original = payload[0]
        elif part.get_content_type() == "text/rfc822-headers":
            content = part.get_payload(decode=True)
            original = HeaderParser().parsestr(
                content.decode("utf-8", "replace") if isinstance(content, bytes) else ""
            )
        else:
            continue
        if isinstance(original, Message) and _header(original, "Message-ID"):
            yield _header(original, "Message-ID")
    for name in ("In-Reply-To", "References"):
        yield from _header(report, name).split()[-1:]


def _header(message: Message, name: str) -> str:
    return " ".join(str(message.get(name, "")).split())
