"""Whether a failure to send is final for the mail, or may pass.

Final is what the other side says of the mail or its recipient. What it says of us (credentials, a rate that
is exceeded), silence, and whatever is not known here may pass.
"""

from __future__ import annotations

import smtplib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from apps.core import redaction

#: SMTP codes by which a server asks for (other) credentials.
_CREDENTIALS = frozenset({530, 534, 535, 538})
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
    reason = redaction.text(" ".join(_words(exc).split()))
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
        codes = [code for code, _ in exc.recipients.values()]
        return bool(codes) and all(_refuses(code) for code in codes)
    if isinstance(exc, smtplib.SMTPNotSupportedError):
        return True
    # These are about the connection: no mail has been spoken of yet.
    if isinstance(exc, smtplib.SMTPConnectError | smtplib.SMTPHeloError | smtplib.SMTPAuthenticationError):
        return False
    return isinstance(exc, smtplib.SMTPResponseException) and _refuses(exc.smtp_code)


def _refuses(code: int) -> bool:
    return 500 <= code < 600 and code not in _CREDENTIALS


def _words(exc: Exception) -> str:
    if isinstance(exc, smtplib.SMTPRecipientsRefused):
        said = (f"{address}: {code} {_text(text)}" for address, (code, text) in exc.recipients.items())
        return f"the mail server refuses {'; '.join(said)}"
    if isinstance(exc, smtplib.SMTPResponseException):
        return f"the mail server says: {exc.smtp_code} {_text(exc.smtp_error)}"
    return str(exc) if isinstance(exc, NotWritable) else f"{type(exc).__name__}: {exc}"


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
