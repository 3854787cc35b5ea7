"""Following a chain row by row, wherever its rows come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from apps.audit import canonical, keys
from apps.audit.canonical import Row


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something wrong with the chain at one place."""

    sequence: int
    what: str

    def __str__(self) -> str:
        return f"row {self.sequence}: {self.what}"


@dataclass(frozen=True, kw_only=True)
class Anchor:
    """A row's hash as it is known from elsewhere."""

    hash: bytes
    #: From where, as ``on 2026-11-27``.
    source: str


@dataclass(frozen=True, kw_only=True)
class Link:
    """A row as it was found, with the hash that stands in it."""

    row: Row
    hash: bytes
    encoding: int


class Walker:
    """Sees whether each row is what it was when it was appended, and follows the one before it."""

    def __init__(
        self,
        *,
        expected: int,
        previous: bytes | None,
        anchors: Mapping[int, Anchor] | None = None,
        keyed: bool = False,
    ) -> None:
        """*expected* is the first row's sequence; *previous* the hash before it, None where nobody knows.

        *keyed* says that a row before it was hashed under a key.
        """
        self.expected = expected
        self.previous = previous
        #: Whether a row was hashed under a key: all that follow have to be.
        self.keyed = keyed
        self._anchors = anchors or {}

    def step(self, link: Link) -> Iterator[Finding]:
        """What is wrong with the next row."""
        sequence = link.row.sequence
        for what in (*self._place(link), *self._content(link)):
            yield Finding(sequence=sequence, what=what)
        self.expected = max(self.expected, sequence + 1)
        self.previous = link.hash

    def _place(self, link: Link) -> Iterator[str]:
        sequence = link.row.sequence
        if sequence > self.expected:
            yield f"{rows(self.expected, sequence - 1)} before it missing"
        elif sequence < self.expected:
            yield "comes again, or behind a later one"
        elif self.previous is not None and link.row.previous_hash != self.previous:
            yield "does not follow the row before it: one of the two was replaced"

    def _content(self, link: Link) -> Iterator[str]:
        row = link.row
        if link.encoding != canonical.VERSION:
            yield f"has encoding {link.encoding}, which is not known here"
            return
        try:
            is_own = keys.digest(row.key_id, canonical.encode(row)) == link.hash
        except keys.UnknownKey as exc:
            yield f"cannot be verified: {exc}"
        except (TypeError, AttributeError, RecursionError):
            yield "holds what no row can hold"
        else:
            if not is_own:
                yield "was changed, or hashed under another key"
        if row.key_id == keys.NO_KEY and self.keyed:
            yield "was hashed without a key, unlike a row before it"
        self.keyed = self.keyed or row.key_id != keys.NO_KEY
        anchor = self._anchors.get(row.sequence)
        if anchor is not None and anchor.hash != link.hash:
            yield f"had another hash {anchor.source}"


def rows(first: int, last: int) -> str:
    """A range in words, with its verb."""
    return f"row {first} is" if first == last else f"rows {first} to {last} are"
