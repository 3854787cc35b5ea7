"""What the engine refuses, and how it says so."""

from __future__ import annotations


class SpecError(ValueError):
    """A specification that cannot be run.

    ``field`` is the dotted path of the offending value as the caller wrote it (``commission``,
    ``params.fast``); ``message`` completes the sentence "<field> …". For an expression, ``position`` is the
    column in it where the error is, counted from 1, and ``suggestion`` the name that was probably meant.
    """

    def __init__(
        self, field: str, message: str, *, position: int | None = None, suggestion: str | None = None
    ) -> None:
        super().__init__(field, message)
        self.field = field
        self.message = message
        self.position = position
        self.suggestion = suggestion

    def __str__(self) -> str:
        return f"{self.field} {self.message}"


class BarsError(ValueError):
    """Bars that cannot be simulated; the text names the column and the first bad row."""
