"""The environment that the stack's processes get."""

from __future__ import annotations

import os
from collections.abc import Mapping

#: The last: without bytecode each of our processes would compile some thousand files anew.
_PYTHON = ("PYTHONPATH", "PYTHONHOME", "PYTHONSAFEPATH", "PYTHONSTARTUP", "PYTHONDONTWRITEBYTECODE")


def inherited(**added: str) -> dict[str, str]:
    """Our own environment without what would lead Python astray or slow it down, and with *added*."""
    environ = {key: value for key, value in os.environ.items() if key not in _PYTHON}
    environ["PYTHONUNBUFFERED"] = "1"
    return environ | added


def for_postgres() -> dict[str, str]:
    """Our own environment without locale and libpq settings: the server must not depend on the caller's."""
    environ = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("PG", "LC_", "LD_")) and key not in {"LANG", "LANGUAGE", *_PYTHON}
    }
    return environ | {"LC_ALL": "C", "TZ": "UTC"}


def aws(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Region and credentials for the embedded SQS server, which accepts any; what is set already stays."""
    environ = os.environ if environ is None else environ
    return {
        "AWS_REGION": environ.get("AWS_REGION", "us-east-1"),
        "AWS_ACCESS_KEY_ID": environ.get("AWS_ACCESS_KEY_ID", "embedded"),
        "AWS_SECRET_ACCESS_KEY": environ.get("AWS_SECRET_ACCESS_KEY", "embedded"),
    }
