"""Who acts where somebody runs a command."""

from __future__ import annotations

import getpass
from contextlib import AbstractContextManager

from apps.core import context
from apps.core.context import Context


def acting() -> AbstractContextManager[Context]:
    """Name the user of the machine as who acts."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return context.bind(actor=f"cli:{user}")
