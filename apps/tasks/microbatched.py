"""The Celery task class whose work comes in many small entries."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NoReturn

from django.core.serializers.json import DjangoJSONEncoder

from apps.core import context
from apps.core.database import perform
from apps.core.ids import uuid7
from apps.core.resources import sql
from apps.tasks import conf
from apps.tasks.newrun import NewRun
from apps.tasks.run import current_run
from apps.tasks.task import DurableTask

#: NUL as JSON writes it, which jsonb does not take: an odd number of backslashes stands before it.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")
_LARGEST_BATCH = 10_000

_encoder = DjangoJSONEncoder(allow_nan=False, ensure_ascii=False)


def _meta() -> str:
    return json.dumps(context.current().as_meta())


class MicroBatchedTask(DurableTask):
    """A task for much small work: entries are put one by one and handled many at a time.

        @shared_task(base=MicroBatchedTask, queue="audit", batch_size=500, linger=0.2)
        def write_audit(entries: list[Entry]) -> None:
            Audit.objects.bulk_create([...], ignore_conflicts=True)

        write_audit.put(user=7, action="login")

    An entry is one row, written in the caller's transaction: rolled back with it, never lost after its
    commit. It has no events and no message of its own: the relay collects what was committed into runs
    of at most *batch_size* entries, *linger* seconds after the first of them. The handler gets the entries
    in the order in which they were put, in one transaction with the run's success and the entries' deletion:
    what it writes to the database, it writes exactly once for each entry.

    Where the handler raises, the entries are tried again in ever smaller parts. What can be written is
    written; each entry that cannot gets a run of its own, with the task's attempts, and ends dead with
    its reason if these fail too. The handler may therefore be called several times in one transaction, each
    call in a savepoint: effects outside of the database do not belong in it. Locks that it takes in an order
    of its own are then taken in several such orders, and two runs may wait for each other: the database
    ends one of them, which is tried again.

    Ids make entries unique: one that is put again while it waits is ignored. One that is put again
    after it was written comes to the handler again; where the handler inserts rows under the entries' ids
    with ON CONFLICT DO NOTHING (``ignore_conflicts=True``), the second time changes nothing.
    """

    abstract = True

    #: How many entries a run has at most.
    batch_size: int = 500
    #: Seconds that an entry waits for others.
    linger: float = 0.2

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if not 1 <= cls.batch_size <= _LARGEST_BATCH:
            raise ValueError(f"batch_size must be between 1 and {_LARGEST_BATCH}, not {cls.batch_size}")
        if cls.linger < 0:
            raise ValueError(f"linger must not be negative, as {cls.linger} is")
        if not cls.atomic:
            raise ValueError("micro-batched tasks are atomic: their entries go with what the handler writes")

    def put(self, /, *, id: uuid.UUID | None = None, **payload: Any) -> uuid.UUID:  # noqa: A002
        """Put one entry, in the caller's transaction if there is one. Returns its id.

        Nothing happens where an entry of this *id* waits already. Raises `TypeError` for a payload that is
        not JSON, and `ValueError` for one that is larger than ``TASKS_ENTRY_LIMIT``.
        """
        entry_id = id or uuid7()
        parameters = {"task": self.name, "id": entry_id, "payload": self._encode(payload), "meta": _meta()}
        perform(sql(__package__, "put.sql"), parameters)
        return entry_id

    def put_many(
        self, payloads: Iterable[Mapping[str, Any]], *, ids: Sequence[uuid.UUID] | None = None
    ) -> list[uuid.UUID]:
        """Put many entries in one statement: all of them or none. Otherwise like `put`."""
        encoded = [self._encode(payload) for payload in payloads]
        if not encoded:
            return []
        given = [uuid7() for _ in encoded] if ids is None else list(ids)
        if len(given) != len(encoded):
            raise ValueError(f"{self.name}: {len(encoded)} payloads and {len(given)} ids")
        parameters = {"task": self.name, "ids": given, "payloads": encoded, "meta": _meta()}
        perform(sql(__package__, "put_many.sql"), parameters)
        return given

    def _encode(self, payload: Mapping[str, Any]) -> str:
        try:
            encoded = _encoder.encode(payload)
            encoded.encode()
        except (TypeError, ValueError) as exc:
            raise TypeError(f"{self.name}: the payload is not JSON: {exc}") from None
        if "\\u0000" in encoded and _NUL.search(encoded):
            raise TypeError(f"{self.name}: the payload is not JSON that the database takes: it holds a NUL")
        if len(encoded) > conf.entry_limit():
            raise ValueError(
                f"{self.name}: the payload is {len(encoded):,} characters of JSON, the limit is"
                f" {conf.entry_limit():,}: store it elsewhere and put where it is"
            )
        return encoded

    def apply_async(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Not for this kind of task."""
        raise TypeError(f"{self.name} is micro-batched: its entries are put, with put() and put_many()")

    def run_of(self, count: int, **options: Any) -> NewRun:
        """A run for *count* entries, not requested yet."""
        return self.new_run(kwargs={"entries": count}, **options)

    def _json_arguments(
        self, args: Sequence[Any], kwargs: Mapping[str, Any]
    ) -> tuple[list[Any], dict[str, Any]]:
        """What a run records of its entries is their number."""
        return [], {"entries": int(kwargs["entries"])}

    def arguments_of(self, claimed: Any) -> tuple[list[Any], dict[str, Any]]:
        """Nothing: the entries are loaded in the transaction in which they are handled."""
        return [], {}

    def handle(self, args: list[Any], kwargs: dict[str, Any]) -> dict[str, int]:
        """Handle the entries of the current run."""
        from apps.tasks.entries import write

        return write(task=self, run=current_run())
