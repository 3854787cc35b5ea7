"""The connection to the mail server, which several mails in a row use."""

from __future__ import annotations

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

#: Mails after which a connection is made anew: servers limit how many one may bring.
_MOST = 50


class _Kept(threading.local):
    backend: EmailBackend | None = None
    made_of: tuple[Any, ...] = ()
    mails = 0


_kept = _Kept()


@contextmanager
def connection() -> Iterator[BaseEmailBackend]:
    """The backend that the settings name.

    If that is SMTP, it is connected, and stays so for the next mail of this thread; after an error it does
    not. Whether a connection still stands is asked before it is used: a mail is never handed over twice
    because a server has closed an idle one.
    """
    backend = _standing() or get_connection(**conf.backend_options())
    if not isinstance(backend, EmailBackend):
        yield backend
        return
    if backend is not _kept.backend:
        backend.open()
        _kept.backend, _kept.made_of, _kept.mails = backend, _made_of(), 0
    try:
        yield backend
    except BaseException:
        forget()
        raise
    _kept.mails += 1


def forget() -> None:
    """End the connection of this thread, if there is one."""
    backend, _kept.backend = _kept.backend, None
    if backend is None:
        return
    # It may be broken already.
    with suppress(smtplib.SMTPException, OSError):
        backend.close()


def _standing() -> EmailBackend | None:
    backend = _kept.backend
    if backend is None:
        return None
    if _kept.made_of == _made_of() and _kept.mails < _MOST and _answers(backend):
        return backend
    forget()
    return None


def _answers(backend: EmailBackend) -> bool:
    try:
        return backend.connection is not None and backend.connection.noop()[0] == 250
    except (smtplib.SMTPException, OSError):
        return False


def _made_of() -> tuple[Any, ...]:
    """The settings that a connection follows from."""
    names = (
        "BACKEND", "BACKEND_OPTIONS", "HOST", "PORT", "HOST_USER", "HOST_PASSWORD", "USE_TLS", "USE_SSL",
        "TIMEOUT", "SSL_KEYFILE", "SSL_CERTFILE",
    )  # fmt: skip
    return tuple(getattr(settings, f"EMAIL_{name}") for name in names)
