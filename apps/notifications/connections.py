"""The connection to the mail server, which several mails in a row use."""

from __future__ import annotations

import os
import smtplib
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from django.conf import settings
from django.core.mail import get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend

from apps.notifications import conf
from apps.notifications.refusals import CannotConnect, Unanswered

#: Mails after which a connection is made anew: servers limit how many one may bring.
MOST = 50
#: Seconds after its last mail for which a connection is kept.
IDLE = 60.0
#: Seconds in which a server may answer the end of a connection.
_GOODBYE = 2.0


class _Kept:
    """One thread's connection."""

    def __init__(self) -> None:
        # Held while a mail is handed over, and by the timer that ends what is idle.
        self.lock = threading.Lock()
        self.backend: EmailBackend | None = None
        self._made_of: tuple[Any, ...] = ()
        self._mails = 0
        self._timer: threading.Timer | None = None

    def standing(self) -> EmailBackend | None:
        """The backend, if one more mail may be handed over by its connection; else that is ended."""
        self._not_idle()
        backend = self.backend
        if backend is None:
            return None
        if self._made_of == _made_of() and self._mails < MOST and _answers(backend):
            return backend
        self.end()
        return None

    def begin(self, backend: EmailBackend) -> None:
        """A connection was made."""
        self.backend, self._made_of, self._mails = backend, _made_of(), 0

    def used(self) -> None:
        """A mail was handed over: without another, the connection ends after a while."""
        self._mails += 1
        self._timer = threading.Timer(IDLE, self._end_idle)
        self._timer.daemon = True
        self._timer.start()

    def end(self) -> None:
        """End the connection, if there is one."""
        self._not_idle()
        backend, self.backend = self.backend, None
        if backend is not None:
            _end(backend)

    def _not_idle(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _end_idle(self) -> None:
        with self.lock:
            # Too late: while it waited here, a mail was handed over.
            if self._timer is threading.current_thread():
                self.end()


class _Local(threading.local):
    def __init__(self) -> None:
        self.kept = _Kept()


_local = _Local()


@contextmanager
def connection() -> Iterator[BaseEmailBackend]:
    """The backend that the settings name.

    If that is SMTP, it is connected, and stays so for the next mail of this thread, for `IDLE` seconds; after
    an error it does not. Whether a connection still stands is asked before it is used: a mail is never handed
    over twice because a server has closed an idle one. A process that was forked has connections of its own.

    Raises `CannotConnect`. Within the block, `Unanswered` is raised for a mail that has left as a whole and
    was not answered: nobody knows whether the server has taken it.
    """
    kept = _local.kept
    with kept.lock:
        backend = kept.standing() or get_connection(**conf.backend_options())
        if not isinstance(backend, EmailBackend):
            yield backend
            return
        if backend is not kept.backend:
            _open(backend)
            kept.begin(backend)
        try:
            yield backend
        except BaseException:
            kept.end()
            raise
        kept.used()


def forget() -> None:
    """End the connection of this thread, if there is one."""
    kept = _local.kept
    with kept.lock:
        kept.end()


def _open(backend: EmailBackend) -> None:
    try:
        backend.open()
    except Exception as exc:
        _end(backend)
        raise CannotConnect from exc
    if isinstance(backend.connection, smtplib.SMTP):
        _tell_silence_apart(backend.connection)


def _tell_silence_apart(smtp: smtplib.SMTP) -> None:
    """Have *smtp* know what became of a mail whose end was sent.

    Where the connection breaks then or is silent, or the answer is none, it raises `Unanswered`. Of an answer
    the first digit counts (RFC 5321, 4.2): all of 2xx say that the mail is taken, and not 250 alone.
    """
    send, data = smtp.send, smtp.data
    last = b""

    def sending(content: Any) -> None:
        nonlocal last
        last = b""
        send(content)
        last = content[-5:] if isinstance(content, bytes) else b""

    def handing(message: Any) -> Any:
        try:
            code, said = data(message)
        except smtplib.SMTPServerDisconnected as exc:
            if last != b"\r\n.\r\n":
                raise
            raise Unanswered(f"the mail server has not said whether it takes the mail: {exc}") from exc
        if not (200 <= code < 300 or 400 <= code < 600):
            text = said.decode("utf-8", "replace")
            raise Unanswered(f"the mail server has not said whether it takes the mail: {code} {text}")
        return (250 if code < 300 else code), said

    vars(smtp).update(send=sending, data=handing)


def _end(backend: EmailBackend) -> None:
    # What is being connected has a name of its own, in the versions of Django that keep it.
    for smtp in (backend.connection, getattr(backend, "_partial_connection", None)):
        if isinstance(smtp, smtplib.SMTP) and smtp.sock is not None:
            with suppress(OSError):
                smtp.sock.settimeout(_GOODBYE)
    # It may be broken already. An SMTPException is an OSError.
    with suppress(OSError):
        backend.close()


def _answers(backend: EmailBackend) -> bool:
    try:
        return backend.connection is not None and backend.connection.noop()[0] == 250
    except OSError:
        return False


def _made_of() -> tuple[Any, ...]:
    """The settings that a connection follows from."""
    names = (
        "BACKEND", "BACKEND_OPTIONS", "HOST", "PORT", "HOST_USER", "HOST_PASSWORD", "USE_TLS", "USE_SSL",
        "TIMEOUT", "SSL_KEYFILE", "SSL_CERTFILE",
    )  # fmt: skip
    return tuple(getattr(settings, f"EMAIL_{name}") for name in names)


def _leave_to_parent() -> None:
    """In a process that was forked: the parent goes on with the connection, nothing is said over it here."""
    backend, _local.kept = _local.kept.backend, _Kept()
    if backend is not None and backend.connection is not None:
        backend.connection.close()


os.register_at_fork(after_in_child=_leave_to_parent)
