"""By which name a worker claims runs."""

from __future__ import annotations

import os

_identity = ""


def assume_identity(hostname: str) -> str:
    """Name this worker. Called before the pool forks: its processes share the name."""
    global _identity
    _identity = f"{hostname}/{os.getpid()}"
    return _identity


def identity(hostname: str | None) -> str:
    """Who claims runs here: the worker's node name and the number of its main process.

    The node name alone would let a worker that was started again renew what it held before.
    """
    return _identity or f"{hostname}/{os.getpid()}"
