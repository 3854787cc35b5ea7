"""What a handler raises to say how its failure is to be treated.

Any other exception is retried with back-off until the attempts are used up. An exception with an
attribute ``retry_after`` (seconds) is retried after that time.
"""

from __future__ import annotations


class PermanentError(Exception):
    """Trying again cannot help: the run is dead at once."""


class ResultTooLarge(PermanentError):
    """What the handler returned is larger than a run may keep."""


class IncompatibleArguments(PermanentError):
    """The arguments were recorded for another version of the handler, and cannot be made to fit."""


class UnknownTask(Exception):
    """A worker received a run whose task it does not know."""


class RetryLater(Exception):
    """Try again after *retry_after* seconds. Counts as an attempt."""

    def __init__(self, retry_after: float, reason: str = "") -> None:
        super().__init__(reason or f"asked to be tried again after {retry_after:g} s")
        self.retry_after = retry_after


class Cancelled(Exception):
    """Raised inside a handler at a progress report when somebody asked to cancel the run."""


class Fenced(Exception):
    """The run was taken from this worker; what its handler wrote has been rolled back."""
