"""Looking for what was done to the chain behind the application's back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from django.db import connection, transaction

from apps.audit import canonical
from apps.audit.audit_actions import AUDIT_PRUNED
from apps.audit.canonical import ABSENT, Row
from apps.audit.chain import Head
from apps.audit.walking import Anchor, Finding, Link, Walker, rows
from apps.core.resources import sql
from apps.events.progress import SILENT, Progress

_FETCH = 2000
#: How many columns of the head stand before those of the row.
_OF_HEAD = 4


class Examination:
    """One look at the chain from the row *first* up to the head, as of one moment.

    Iterating yields what is wrong: rows that were changed, exchanged, put in or are missing, in the middle
    and at both ends; a head that is not that of the last row; hashes other than those of *anchors*. Memory
    does not grow with the number of rows. Behind `first`, the row before is taken as it is.
    """

    def __init__(
        self,
        *,
        first: int = 1,
        anchors: Mapping[int, Anchor] | None = None,
        progress: Progress = SILENT,
    ) -> None:
        self.first = first
        self.rows = 0
        #: As it was found; None before the iteration, or where there is none.
        self.head: Head | None = None
        self._anchors = anchors or {}
        self._progress = progress
        #: The last row that an entry of the chain says was pruned.
        self._told = 0

    def __iter__(self) -> Iterator[Finding]:
        walker: Walker | None = None
        with transaction.atomic(), connection.chunked_cursor() as cursor:
            cursor.execute(sql(__package__, "walk.sql"), {"first": self.first})
            while batch := cursor.fetchmany(_FETCH):
                for found in batch:
                    if self.head is None:
                        self.head = _head(found)
                    if found[_OF_HEAD] is None:
                        continue
                    if walker is None:
                        walker = self._walker(self.head)
                    yield from self._step(walker, self.head, found[_OF_HEAD:])
                self._progress.advance(len(batch))
        if self.head is None:
            yield Finding(sequence=0, what="the head is missing: nothing can be said of the chain's end")
            return
        yield from self._end(walker or self._walker(self.head), self.head)

    def _walker(self, head: Head) -> Walker:
        if self.first <= head.pruned_through + 1:
            return Walker(expected=head.pruned_through + 1, previous=head.pruned_hash, anchors=self._anchors)
        return Walker(expected=self.first, previous=None, anchors=self._anchors)

    def _step(self, walker: Walker, head: Head, columns: Sequence[Any]) -> Iterator[Finding]:
        self.rows += 1
        sequence = int(columns[0])
        if sequence <= head.pruned_through:
            yield Finding(sequence=sequence, what="lies in the part of the chain that was pruned")
            return
        if sequence > head.sequence:
            yield Finding(sequence=sequence, what=f"lies behind the head, which is row {head.sequence}")
            return
        try:
            link = _link(columns)
        except ValueError as exc:
            yield Finding(sequence=sequence, what=f"cannot be read: {exc}")
            walker.expected, walker.previous = sequence + 1, bytes(columns[-2])
            return
        if link.row.action == AUDIT_PRUNED.name and isinstance(link.row.detail, dict):
            through = link.row.detail.get("through")
            self._told = max(self._told, through if isinstance(through, int) else 0)
        yield from walker.step(link)

    def _end(self, walker: Walker, head: Head) -> Iterator[Finding]:
        last = walker.expected - 1
        if last < head.sequence:
            yield Finding(
                sequence=head.sequence, what=f"{rows(walker.expected, head.sequence)} missing at the end"
            )
        elif last == head.sequence and walker.previous not in (None, head.hash):
            yield Finding(sequence=last, what="is not the row that the head names: one of them was replaced")
        if self.first <= head.pruned_through and self._told < head.pruned_through:
            yield Finding(
                sequence=head.pruned_through,
                what="the rows up to this one are gone, and no entry tells of their being pruned",
            )
        for sequence, anchor in self._anchors.items():
            if sequence > head.sequence:
                yield Finding(sequence=sequence, what=f"was there {anchor.source}; the chain is shorter now")
            elif sequence == head.pruned_through and anchor.hash != head.pruned_hash:
                yield Finding(sequence=sequence, what=f"was pruned, and had another hash {anchor.source}")


def _head(found: Sequence[Any]) -> Head:
    return Head(
        sequence=int(found[0]),
        hash=bytes(found[1]),
        pruned_through=int(found[2]),
        pruned_hash=bytes(found[3]),
    )


def _link(columns: Sequence[Any]) -> Link:
    *texts, before, after, detail, key_id, previous_hash, digest, encoding = columns
    return Link(
        row=Row._make([*texts, _json(before), _json(after), _json(detail), key_id, bytes(previous_hash)]),
        hash=bytes(digest),
        encoding=encoding,
    )


def _json(text: str | None) -> Any:
    return ABSENT if text is None else canonical.decode(text)
