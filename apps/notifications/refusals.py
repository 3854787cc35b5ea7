"""Whether a failure to send is final for the mail, or may pass.

Final is what the other side says of the mail or its recipient. What it says of us (our sender, our network,
credentials, a rate that is exceeded), silence, and whatever is not known here may pass.
"""

from __future__ import annotations

import smtplib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.core import redaction
from apps.notifications import statuses
from apps.notifications.plain import one_line
from apps.notifications.statuses import Meaning

#: Characters of a reason that are kept.
_REASON = 2000
#: What servers say of content that they have seen: statuses, and a code without one. Before that, the same is
#: said of us.
_CONTENT = frozenset({"5.7.0", "5.7.1", "554"})
#: HTTP statuses of a provider that say nothing of the mail.
_PASSING_STATUS = frozenset({401, 402, 403, 407, 408, 409, 421, 423, 425, 429})
#: Errors of django-anymail by name: the package need not be there.
_ANYMAIL_FINAL = frozenset(
    {
        "AnymailRecipientsRefused",
        "AnymailInvalidAddress",
        "AnymailUnsupportedFeature",
        "AnymailSerializationError",
    }
)
#: Error codes of Amazon SES that are about the mail.
_SES_FINAL = frozenset(
    {"MessageRejected", "InvalidParameterValue", "BadRequestException", "NotFoundException"}
)


class NotWritable(Exception):
    """What was asked for cannot be a mail: its recipient or a header of it is not fit for one."""


class CannotConnect(Exception):
    """The mail server could not be reached, or would not have us: no mail has been spoken of."""


class Unanswered(Exception):
    """The mail server was given the whole of a mail, and has not said whether it takes it."""


class NothingSent(Exception):
    """The backend has sent nothing, and does not say why."""


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What to make of a failure."""

    final: bool
    #: In one line, without secrets.
    reason: str
    #: Seconds after which the other side wants to be asked again, where it says so.
    retry_after: float | None = None


def judge(exc: Exception) -> Verdict:
    """What *exc*, raised while a mail was written or handed over, means for it."""
    reason = redaction.text(one_line(_words(exc), _REASON))
    if isinstance(exc, smtplib.SMTPException):
        return Verdict(final=_smtp_final(exc), reason=reason)
    if _known_as(exc, _ANYMAIL_FINAL):
        return Verdict(final=True, reason=reason)
    status = getattr(exc, "status_code", None)
    if isinstance(status, int):
        final = 400 <= status < 500 and status not in _PASSING_STATUS
        return Verdict(final=final, reason=reason, retry_after=None if final else _retry_after(exc))
    code = _aws_code(exc)
    if code:
        return Verdict(final=code in _SES_FINAL, reason=reason)
    return Verdict(final=isinstance(exc, NotWritable), reason=reason)


def _smtp_final(exc: smtplib.SMTPException) -> bool:
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        meanings = [statuses.of_reply(code, _text(said)) for code, said in exc.recipients.values()]
        return bool(meanings) and Meaning.PASSING not in meanings
    if isinstance(exc, smtplib.SMTPSenderRefused):
        # Of all that is said of a sender, the length of the mail alone is not about us.
        return statuses.of_reply(exc.smtp_code, _text(exc.smtp_error)) is Meaning.MAIL
    if isinstance(exc, smtplib.SMTPDataError):
        said = _text(exc.smtp_error)
        if statuses.of_reply(exc.smtp_code, said) is not Meaning.PASSING:
            return True
        return 500 <= exc.smtp_code < 600 and (statuses.status_of(said) or str(exc.smtp_code)) in _CONTENT
    # Of a mail that the server has no means for. What is missing while connecting is `CannotConnect`.
    return isinstance(exc, smtplib.SMTPNotSupportedError)


def _words(exc: BaseException) -> str:
    if isinstance(exc, CannotConnect) and exc.__cause__ is not None:
        return f"no connection to the mail server: {_words(exc.__cause__)}"
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        said = (f"{address}: {code} {_text(text)}" for address, (code, text) in exc.recipients.items())
        return f"the mail server refuses {'; '.join(said)}"
    if isinstance(exc, smtplib.SMTPResponseException):
        return f"the mail server says: {exc.smtp_code} {_text(exc.smtp_error)}"
    return str(exc) if isinstance(exc, NotWritable | Unanswered) else f"{type(exc).__name__}: {exc}"


def _text(value: bytes | str) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def _known_as(exc: Exception, names: frozenset[str]) -> bool:
    return any(kind.__name__ in names for kind in type(exc).__mro__)


def _aws_code(exc: Exception) -> str:
    response = getattr(exc, "response", None)
    error = response.get("Error") if isinstance(response, Mapping) else None
    return str(error.get("Code", "")) if isinstance(error, Mapping) else ""


def _retry_after(exc: Exception) -> float | None:
    given: Any = getattr(getattr(exc, "response", None), "headers", None) or {}
    try:
        return max(0.0, float(given.get("Retry-After")))
    except (TypeError, ValueError):
        return None
