"""Reading delivery status notifications (RFC 3464): what a mail server says of a mail that it had taken."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from email.parser import HeaderParser

from apps.notifications import statuses
from apps.notifications.plain import one_line
from apps.notifications.statuses import Meaning

_DELIVERY = "message/delivery-status"
#: Parts of a report, those of the mail that it quotes included. Reading takes time by their depth.
_PARTS = 25
_PART = re.compile(rb"(?:^|[\r\n])content-type:", re.IGNORECASE)
#: Recipients that a report names: a mail of ours has one, which may be an alias of some others.
_RECIPIENTS = 50
#: Characters of a header.
_LONGEST = 998


class NotAReport(ValueError):
    """The message is no delivery status notification."""


@dataclass(frozen=True, kw_only=True)
class Failure:
    """One recipient that a mail did not reach."""

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
    if len(_PART.findall(raw)) > _PARTS:
        raise NotAReport(f"The message has more than {_PARTS} parts.")
    report = message_from_bytes(raw)
    status = next((part for part in report.walk() if part.get_content_type() == _DELIVERY), None)
    blocks = status.get_payload() if status is not None else None
    if not isinstance(blocks, list):
        raise NotAReport("The message has no part message/delivery-status (RFC 3464).")
    recipients = [block for block in blocks if isinstance(block, Message) and "Action" in block]
    if not recipients:
        raise NotAReport("The report names no recipient with an action (RFC 3464).")
    if len(recipients) > _RECIPIENTS:
        raise NotAReport(f"The report names more than {_RECIPIENTS} recipients.")
    message_id = next(_message_ids(report), "")
    return [
        _failure(block, message_id)
        for block in recipients
        if _header(block, "Action").split(" ")[0].lower() == "failed"
    ]


def _failure(block: Message, message_id: str) -> Failure:
    status = statuses.status_of(_header(block, "Status"))
    said = _header(block, "Diagnostic-Code").partition(";")
    return Failure(
        message_id=message_id,
        # Where there is no status, the server has given the address up without saying why.
        permanent=not status or statuses.of_status(status) is Meaning.ADDRESS,
        reason=(said[2] or said[0]).strip() or status or "no reason was given",
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
    return one_line(str(message.get(name, "")), _LONGEST)
