"""Settings that several apps read."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings


def public_url() -> str:
    """Where people, and senders of signals, reach this installation, without a slash at the end.

    It is what ``PUBLIC_URL`` says, whether or not that is an address: see `public_url_fault`.
    """
    return str(settings.PUBLIC_URL).rstrip("/")


def trusted_proxies() -> tuple[str, ...]:
    """Networks of proxies that may say whom they stand for; ``unix`` among them: whoever has no address."""
    return tuple(settings.TRUSTED_PROXIES)


def forwarded_header() -> str:
    """The one header that they are believed to say it in, in lower case."""
    return str(settings.FORWARDED_HEADER).lower()


def public_url_fault() -> str:
    """Why nothing can link to `public_url`; empty where it is an address of the web."""
    url = public_url()
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        sound = False
    if not sound or any(one in url for one in " \t\r\n<>\"'?#"):
        return f"PUBLIC_URL has to be an address that begins with http:// or https://, not {url[:200]!r}"
    return ""


def idempotency_hours() -> float:
    """Hours for which answers to requests with an ``Idempotency-Key`` are given again."""
    return float(settings.IDEMPOTENCY_HOURS)
