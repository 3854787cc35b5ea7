"""The relay: takes runs that are due from the database to SQS.

Any number of relays may run. Each takes rows that no other holds, sends them, and records what SQS
took; a relay that dies between sending and recording leaves a message too many, which the claim
makes harmless.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent import futures
from typing import Any

import psycopg
from django.db import DatabaseError, InterfaceError, close_old_connections, connection, transaction
from prometheus_client import Counter, Histogram

from apps.core import tracing
from apps.core.database import execute, perform
from apps.core.instruments import Instrument
from apps.core.pulse import Pulse
from apps.core.resources import sql
from apps.tasks import claims, conf, dead_letters, microbatches, publishing, queues, sqs
from apps.tasks.models import Process, TaskRun
from apps.tasks.processes import Report
from apps.tasks.publishing import Wakeup
from apps.tasks.states import State
from apps.tasks.usage import usage

logger = logging.getLogger(__name__)

_BATCH = 100
#: How many batches of a queue are published at most before the other queues have their turn.
_TURN = 20
#: How many keys are looked at at a time.
_GATES = 500
_META = json.dumps({"actor": "relay"})
#: Seconds between attempts while the database, SQS or one queue is away: doubled from the first to the last.
_BACKOFF = (0.5, 15.0)
_SHORTEST_SLEEP = 0.02
PUBLISHED = Instrument(Counter, "chandlery_relay_published", "Messages that SQS took from the relay", "queue")
BATCHES = Instrument(
    Histogram,
    "chandlery_relay_batch_size",
    "Runs that were due in one look at a queue",
    "queue",
    buckets=(1, 2, 5, 10, 20, 50, 100),
)
LAG = Instrument(
    Histogram,
    "chandlery_relay_publish_lag_seconds",
    "How late the first run of a batch was published",
    "queue",
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 5, 15, 60, 300, 3600),
)
ROUNDS = Instrument(
    Counter,
    "chandlery_relay_rounds",
    "Looks at all queues: done, or failed without database or SQS",
    "outcome",
)
#: What stands for all dead-letter queues among the queues' names.
_DEAD_LETTERS = "*-dlq"


def publish_due(*, queue: str, limit: int = _BATCH) -> tuple[int, int]:
    """Publish at most *limit* runs of *queue* that are due and that no key holds back.

    Returns how many were due and were sent.
    """
    with transaction.atomic():
        rows = execute(sql(__package__, "due.sql"), {"queue": queue, "limit": limit}).fetchall()
        _measure_lag(queue, rows)
        return len(rows), _publish([_wakeup(row) for row in rows], reason="due")


class GatedRuns:
    """Publishes the due runs of one queue that wait for keys, as far as these let them through.

    Runs of one key may be many, and keys may be many: each look takes a number of keys, where the one
    before ended.
    """

    def __init__(self, queue: str) -> None:
        self._queue = queue
        self._after = ""

    def start_over(self) -> None:
        """Begin with the first key again."""
        self._after = ""

    def publish(self, *, limit: int = _BATCH) -> tuple[int, int]:
        """Publish at most *limit* runs. Returns how many could be and were sent.

        One process at a time does this for a queue: two would let through twice as many, which the claims
        would only send back.
        """
        parameters = {
            "queue": self._queue, "after": self._after, "gates": _GATES, "each": limit, "limit": limit,
        }  # fmt: skip
        with transaction.atomic():
            if not _try_lock(f"gated:{self._queue}"):
                return 0, 0
            rows = _rows("due_gated.sql", parameters)
            last, more = rows[0][-2:]
            self._after = last if more else ""
            wakeups = [_wakeup(row[:-2]) for row in rows if row[0] is not None]
            due, sent = len(wakeups), _publish(wakeups, reason="due")
        return due, sent


def _more_due() -> set[str]:
    """The queues that have runs which wait for keys, and `_DEAD_LETTERS` where some are to be sent."""
    parameters = {"queues": conf.queues(), "dead_letters": _DEAD_LETTERS}
    return {name for (name,) in execute(sql(__package__, "more_due.sql"), parameters)}


def _try_lock(name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(hashtextextended(%s, 0))", [name])
        return bool(cursor.fetchone()[0])


def publish_lost(*, queue: str, before: Any, limit: int = _BATCH) -> int:
    """Publish again at most *limit* queued runs of *queue* that were published before a moment.

    Only right when the queue is known to hold no messages for them.
    """
    with transaction.atomic():
        rows = _rows("lost.sql", {"queue": queue, "before": before, "limit": limit})
        return _publish([_wakeup(row) for row in rows], reason="lost")


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, statement), parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
    return rows


def _wakeup(row: Sequence[Any]) -> Wakeup:
    id_, task, queue, group_key, version, _ = row
    return Wakeup(run_id=id_, task=task, queue=queue, group_key=group_key, version=version)


def _measure_lag(queue: str, rows: Sequence[Sequence[Any]]) -> None:
    """Report for how long the run had been due that waited longest."""
    if rows:
        lag = max(row[-1] for row in rows)
        usage.measure("lag", lag)
        LAG.of(queue).observe(max(lag, 0.0))


def _publish(wakeups: Sequence[Wakeup], *, reason: str) -> int:
    if not wakeups:
        return 0
    # They are of one queue, and of many traces: the span is of none of these.
    queue = wakeups[0].queue
    with tracing.span(
        f"publish {queue}",
        kind="PRODUCER",
        messaging__destination__name=queue,
        messaging__batch__message_count=len(wakeups),
    ):
        sent = publishing.send(wakeups)
    usage.count("published", len(sent))
    BATCHES.of(queue).observe(len(wakeups))
    PUBLISHED.of(queue).inc(len(sent))
    if sent:
        message_ids = json.dumps({str(run_id): message_id for run_id, message_id in sent.items()})
        perform(sql(__package__, "published.sql"), {"sent": message_ids, "reason": reason, "meta": _META})
    return len(sent)


def publish_dead_letters(*, limit: int = _BATCH) -> tuple[int, int]:
    """Send the messages of at most *limit* dead runs to the dead-letter queues.

    Returns how many were to be sent, and how many were; the first that SQS does not take ends it.
    """
    sent = []
    with transaction.atomic():
        runs = TaskRun.objects.filter(dead_letter_due=True).select_for_update(skip_locked=True)[:limit]
        for run in runs:
            error = run.error or {}
            wakeup = Wakeup(
                run_id=run.pk,
                task=run.task,
                queue=run.queue,
                group_key=run.group_key,
                version=run.version,
            )
            if not publishing.send_dead_letter(wakeup, f"{error.get('type')}: {error.get('message')}"):
                break
            sent.append(run.pk)
        TaskRun.objects.filter(pk__in=sent).update(dead_letter_due=False)
    return len(runs), len(sent)


class LostMessages:
    """Finds queues that lost their messages, and publishes what was in them again.

    Age alone proves nothing: in a backlog every run waits long. So a queue counts as having lost its
    messages when SQS reported it empty at two looks, `conf.lost_after` seconds apart and with no
    message between them, while runs published before the first look still wait.
    """

    def __init__(self, beat: Callable[[], object] = lambda: None) -> None:
        #: Called with each batch, of which there may be many.
        self._beat = beat
        self._empty_since: dict[str, tuple[float, Any]] = {}

    def look(self) -> int:
        """Look at every queue once; returns how many runs were published again."""
        return sum(self._look_at(queue) for queue in conf.queues())

    def _look_at(self, queue: str) -> int:
        waiting = TaskRun.objects.filter(state=State.QUEUED, queue=queue).order_by("published_at")
        oldest = waiting.values_list("published_at", flat=True).first()
        if oldest is None or not _is_empty(queue):
            self._empty_since.pop(queue, None)
            return 0
        now = time.monotonic()
        since, before = self._empty_since.setdefault(queue, (now, _database_time()))
        if now - since < conf.lost_after() or oldest >= before:
            return 0
        # What is in the dead-letter queue was not lost.
        dead_letters.collect(queue)
        found = 0
        while count := publish_lost(queue=queue, before=before):
            found += count
            self._beat()
        if found:
            logger.warning("queue %s had lost its messages: published %d runs again", queue, found)
        self._empty_since.pop(queue, None)
        return found


def _is_empty(queue: str) -> bool:
    """Whether SQS holds no message of *queue*. A queue that is gone holds none, and is made again."""
    try:
        return queues.depth(queue).empty
    except queues.client().exceptions.QueueDoesNotExist:
        queues.ensure()
        return True


def _database_time() -> Any:
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


class _Pauses:
    """Which queues are left alone for now, because SQS took nothing for them."""

    def __init__(self) -> None:
        self._until: dict[str, tuple[float, float]] = {}

    def over(self, queue: str) -> bool:
        """Whether *queue* may be tried."""
        return time.monotonic() >= self._until.get(queue, (0.0, 0.0))[0]

    def longer(self, queue: str) -> None:
        """Leave *queue* alone for twice as long as the last time."""
        wait = min(self._until.get(queue, (0.0, _BACKOFF[0] / 2))[1] * 2, _BACKOFF[1])
        self._until[queue] = (time.monotonic() + wait, wait)

    def end(self, queue: str) -> None:
        """SQS took something for *queue*, or there was nothing to take."""
        self._until.pop(queue, None)

    def __bool__(self) -> bool:
        return bool(self._until)


class Relay:
    """The loop of `manage.py relay`."""

    def __init__(self) -> None:
        #: Beats with every round and every batch, also while the database or SQS is away: each request that
        #: SQS hangs with may take half a minute.
        self.pulse = Pulse(conf.poll_watchdog())
        self._hindrance = "it has not looked yet"
        self._stop = threading.Event()
        self._lost = LostMessages(self.pulse.beat)
        self._gated = {queue: GatedRuns(queue) for queue in conf.queues()}
        self._pauses = _Pauses()
        self._entries = microbatches.Collector()
        self._second = futures.ThreadPoolExecutor(max_workers=1, thread_name_prefix="relay")
        self._listener: psycopg.Connection[Any] | None = None
        self._next_look = 0.0

    def trouble(self) -> str:
        """Why it should be started anew; empty while it looks."""
        return self.pulse.trouble()

    def hindrance(self) -> str:
        """Why it publishes nothing now, or not everything; empty while it does."""
        return self._hindrance or ("SQS does not take everything" if self._pauses else "")

    def stop(self, *_: Any) -> None:
        """End the loop after what is being sent; fit to be a signal handler."""
        self._stop.set()

    def run(self) -> None:
        """Publish until stopped. Outages of the database and of SQS are waited out."""
        report = Report(Process.Kind.RELAY, queues=conf.queues()).start()
        collector = dead_letters.Collector().start()
        try:
            self._run()
        finally:
            collector.stop()
            report.stop()

    def _run(self) -> None:
        wait, ready = _BACKOFF[0], False
        while not self._stop.is_set():
            self.pulse.beat()
            try:
                close_old_connections()
                if not ready:
                    queues.ensure()
                    self._listen()
                    logger.info("relay ready.")
                    ready = True
                busy = self._round()
                ROUNDS.of("done").inc()
                self._hindrance = ""
                if not busy:
                    self._sleep()
                wait = _BACKOFF[0]
            except (DatabaseError, InterfaceError, psycopg.Error, *sqs.ERRORS) as exc:
                logger.warning("relay: %s: %s; next attempt in %.1f s", type(exc).__name__, exc, wait)
                self._unlisten()
                connection.close()
                ROUNDS.of("failed").inc()
                self._hindrance = "SQS is away" if isinstance(exc, sqs.ERRORS) else "the database is away"
                ready = False
                self._stop.wait(wait)
                wait = min(wait * 2, _BACKOFF[1])
        self._unlisten()

    def _round(self) -> bool:
        """Publish a batch of every queue. Returns whether there may be more to do at once.

        A queue that SQS takes nothing for is tried again after a growing pause; the others go on.
        """
        busy = self._entries.collect()
        found = {queue: self._publish(queue) for queue in conf.queues() if self._pauses.over(queue)}
        more = _more_due()
        for queue, (due, sent) in found.items():
            if queue in more:
                self.pulse.beat()
                let_through, sent_too = self._gated[queue].publish()
                due, sent = due + let_through, sent + sent_too
            else:
                self._gated[queue].start_over()
            busy = self._note(queue, due, sent) or busy
        if _DEAD_LETTERS in more and self._pauses.over(_DEAD_LETTERS):
            busy = self._note(_DEAD_LETTERS, *publish_dead_letters()) or busy
        if time.monotonic() >= self._next_look:
            self._next_look = time.monotonic() + max(conf.lost_after() / 2, conf.relay_poll())
            while claims.expire():
                self.pulse.beat()
            self._lost.look()
        return busy

    def _publish(self, queue: str) -> tuple[int, int]:
        """Publish a batch of *queue*, and where there are more, go on in two threads.

        One waits for the database while the other talks to SQS. Not so on FIFO queues: two would mix up
        the order of a group. Returns how many of the last batches were due and sent.
        """
        self.pulse.beat()
        due, sent = publish_due(queue=queue)
        if sent < _BATCH:
            return due, sent
        if queues.is_fifo(queue):
            return self._go_on(queue)
        second = self._second.submit(self._go_on_beside, queue)
        try:
            ours = self._go_on(queue)
        finally:
            futures.wait([second])
        return max(ours, second.result())

    def _go_on(self, queue: str) -> tuple[int, int]:
        """Publish batches until one is not full, or others have their turn. Returns the last's figures."""
        due = sent = 0
        for _ in range(_TURN):
            self.pulse.beat()
            due, sent = publish_due(queue=queue)
            if sent < _BATCH or self._stop.is_set():
                break
        return due, sent

    def _go_on_beside(self, queue: str) -> tuple[int, int]:
        """The same in a thread and on a connection of its own."""
        close_old_connections()
        try:
            return self._go_on(queue)
        except Exception:
            connection.close()
            raise

    def _note(self, queue: str, due: int, sent: int) -> bool:
        """Keep what became of a batch. Returns whether there may be more of it."""
        if due and not sent:
            self._pauses.longer(queue)
            queues.ensure()
        else:
            self._pauses.end(queue)
        return sent >= _BATCH

    def _listen(self) -> None:
        """A connection of its own for LISTEN: psycopg wakes it the moment a request commits."""
        self._unlisten()
        parameters = connection.get_connection_params()
        parameters.pop("cursor_factory", None)
        parameters.pop("context", None)
        self._listener = psycopg.connect(**parameters, autocommit=True)
        self._listener.execute(f"LISTEN tasks_due; LISTEN {microbatches.CHANNEL}")

    def _unlisten(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _sleep(self) -> None:
        """Wait for a notification, for the next run to fall due, for entries, or for the poll interval."""
        assert self._listener is not None
        timeout = conf.relay_poll()
        if not self._pauses:
            # The lower bound is for runs that are due and in another relay's hands.
            timeout = min(timeout, max(_seconds_until_due(), _SHORTEST_SLEEP))
        self._entries.wait(self._listener, timeout)


def _seconds_until_due() -> float:
    with connection.cursor() as cursor:
        cursor.execute(sql(__package__, "next_due.sql"))
        seconds = cursor.fetchone()[0]
    return float("inf") if seconds is None else float(seconds)
