"""What can go wrong while a stack is started: every message is meant for the person at the terminal."""

from __future__ import annotations


class StackError(Exception):
    """The stack cannot run; the text says why and, where it can, what to do about it."""


class StartFailed(StackError):
    """A process ended or stayed silent before it was ready.

    *tail* holds the last lines of its log.
    """

    def __init__(self, reason: str, *, name: str = "", tail: tuple[str, ...] = ()) -> None:
        super().__init__(reason)
        self.name = name
        self.tail = tail

    def __str__(self) -> str:
        text = super().__str__()
        if self.tail:
            text += f"\nThe last lines of its log ({self.name}):\n" + "\n".join(
                f"    {line}" for line in self.tail
            )
        return text


class AlreadyRunning(StackError):
    """Another supervisor holds this profile's lock."""
