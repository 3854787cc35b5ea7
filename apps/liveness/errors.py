"""What workers are told by exceptions."""

from __future__ import annotations


class Fenced(Exception):
    """The worker's token is not its user's any more: stop. What was written under guard is rolled back."""
