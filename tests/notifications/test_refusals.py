"""What a failure to send means for the mail."""

from __future__ import annotations

import smtplib
import ssl

from apps.notifications.refusals import CannotConnect, NothingSent, NotWritable, Unanswered, judge


class AnymailError(Exception):
    """As django-anymail's: an answer over HTTP."""

    def __init__(self, status_code: int | None = None, **headers: str) -> None:
        super().__init__(f"answered {status_code}")
        self.status_code = status_code
        self.response = type("Response", (), {"headers": headers})()


class AnymailRecipientsRefused(AnymailError):
    pass


class AnymailInvalidAddress(AnymailError, ValueError):
    pass


class ClientError(Exception):
    """As botocore's."""

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.response = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": 400}}


TO = "a@example.com"

#: What was raised, and whether that is final.
CASES: list[tuple[Exception, bool]] = [
    (smtplib.SMTPRecipientsRefused({TO: (550, b"5.1.1 unknown")}), True),
    (smtplib.SMTPRecipientsRefused({TO: (450, b"4.2.0 greylisted")}), False),
    (smtplib.SMTPRecipientsRefused({TO: (550, b"no"), "b@example.com": (451, b"later")}), False),
    (smtplib.SMTPRecipientsRefused({}), False),
    (smtplib.SMTPDataError(554, b"never"), True),
    (smtplib.SMTPDataError(451, b"later"), False),
    (smtplib.SMTPDataError(554, b"5.7.1 looks like spam"), True),
    (smtplib.SMTPDataError(550, b"5.6.0 malformed"), True),
    (smtplib.SMTPDataError(552, b"5.3.4 too long"), True),
    (smtplib.SMTPSenderRefused(552, b"5.3.4 too long", "us@example.com"), True),
    (smtplib.SMTPSenderRefused(452, b"full", "us@example.com"), False),
    *(
        (smtplib.SMTPRecipientsRefused({TO: (550, said)}), True)
        for said in (b"5.1.10 null MX", b"5.2.1 disabled", b"5.0.0 no", b"5.4.4 no such domain", b"5.1.1.2 x")
    ),
    (smtplib.SMTPRecipientsRefused({TO: (553, b"no such mailbox")}), True),
    # About us or the server, not about the mail.
    *(
        (smtplib.SMTPRecipientsRefused({TO: (550, said)}), False)
        for said in (
            b"5.7.1 relaying denied",
            b"5.7.26 unauthenticated",
            b"5.4.1 access denied",
            b"5.4.6 loop",
            b"5.2.2 mailbox full",
            b"5.3.2 not now",
            b"5.1.8 bad sender",
            b"5.5.1 what?",
            b"4.2.0 odd",
        )
    ),
    (smtplib.SMTPRecipientsRefused({TO: (552, b"over quota")}), False),
    (smtplib.SMTPRecipientsRefused({TO: (554, b"relay access denied")}), False),
    (smtplib.SMTPDataError(550, b"5.7.26 no DMARC"), False),
    (smtplib.SMTPDataError(451, b"5.7.1 odd"), False),
    (smtplib.SMTPSenderRefused(553, b"not you", "us@example.com"), False),
    (smtplib.SMTPSenderRefused(550, b"5.1.0 not you", "us@example.com"), False),
    (smtplib.SMTPSenderRefused(554, b"poor reputation", "us@example.com"), False),
    (smtplib.SMTPSenderRefused(530, b"authenticate first", "us@example.com"), False),
    (smtplib.SMTPAuthenticationError(535, b"wrong"), False),
    (smtplib.SMTPConnectError(554, b"no service"), False),
    (smtplib.SMTPHeloError(501, b"who?"), False),
    (smtplib.SMTPNotSupportedError("SMTPUTF8"), True),
    (CannotConnect(), False),
    (Unanswered("the mail server has not said"), False),
    (smtplib.SMTPServerDisconnected("gone"), False),
    (smtplib.SMTPException("odd"), False),
    (ConnectionRefusedError("nobody listens"), False),
    (TimeoutError("timed out"), False),
    (ssl.SSLCertVerificationError("self-signed"), False),
    (NothingSent("nothing"), False),
    (NotWritable("'x' is not an e-mail address"), True),
    (ValueError("EMAIL_USE_TLS and EMAIL_USE_SSL are mutually exclusive"), False),
    (RuntimeError("a bug of a backend"), False),
    (AnymailRecipientsRefused(), True),
    (AnymailInvalidAddress(), True),
    *((AnymailError(status), True) for status in (400, 404, 413, 422)),
    *((AnymailError(status), False) for status in (None, 401, 403, 408, 429, 500, 502, 503)),
    (ClientError("MessageRejected"), True),
    (ClientError("Throttling"), False),
    (ClientError("ExpiredToken"), False),
]


def test_final_is_what_is_said_of_the_mail_and_anything_else_may_pass():
    for exc, final in CASES:
        assert judge(exc).final is final, repr(exc)


def test_the_reason_is_one_line_in_the_servers_words_without_secrets():
    for exc, reason in (
        (CASES[0][0], "the mail server refuses a@example.com: 550 5.1.1 unknown"),
        (
            smtplib.SMTPDataError(554, b"5.7.1 spam\r\n5.7.1 really \xff"),
            "554 5.7.1 spam 5.7.1 really \ufffd",
        ),
        (smtplib.SMTPDataError(554, b"a\x00b" + b"c" * 5000), f"554 a\ufffdb{'c' * (1999 - 29)}…"),
        (TimeoutError("timed out"), "TimeoutError: timed out"),
        (RuntimeError("https://user:secret@mail.example"), "RuntimeError: https://user:***@mail.example"),
        (NotWritable("'x' is no address"), "'x' is no address"),
    ):
        assert judge(exc).reason.endswith(reason), judge(exc).reason


def test_the_time_that_a_provider_asks_for_is_kept_where_it_may_pass():
    for status, headers, seconds in (
        (429, {"Retry-After": "30"}, 30.0),
        (503, {"Retry-After": "-1"}, 0.0),
        (503, {"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, None),
        (503, {}, None),
        (400, {"Retry-After": "30"}, None),
    ):
        assert judge(AnymailError(status, **headers)).retry_after == seconds
