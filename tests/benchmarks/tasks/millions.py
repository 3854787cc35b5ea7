"""What a table of a million finished runs costs those who work with a few."""

from __future__ import annotations

import time
from collections.abc import Sequence
from statistics import median
from typing import Any

from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test import Client

from apps.operations import snapshot
from apps.tasks import claims, queues, relay
from apps.tasks.tally import FOLLOWER
from tests.benchmarks import database
from tests.benchmarks.experiment import Experiment, Failed, Samples
from tests.benchmarks.figures import Figure, Goal, Kind
from tests.benchmarks.workload.tasks import note

_GOAL = Goal(kind=Kind.RATIO_AT_MOST, value=1.5)
_FEW, _MANY = "runs_few", "runs_many"
#: Pages that operators find runs on: the dashboard; by a state, a queue, a task, an error, a time, words; and
#: both boards.
_DASHBOARD = "/admin/"
_BOARD = "/admin/tasks/taskrun/"
_PAGES = (
    _BOARD,
    f"{_BOARD}?state=dead",
    f"{_BOARD}?queue=email",
    f"{_BOARD}?task=benchmarks.task7",
    f"{_BOARD}?error_type=Broken",
    f"{_BOARD}?requested=24h",
    f"{_BOARD}?q=benchmarks.task7",
    f"{_BOARD}?q=nothing",
    f"{_BOARD}queues/",
    "/admin/events/event/",
    "/admin/events/event/?type=task.started",
    _DASHBOARD,
)
#: Finished over the last thirty days, of several tasks and queues, some of them dead.
_OWN = {
    "id": "uuidv7(interval '-30 days' + interval '30 days' * n / %(count)s)",
    "task": "'benchmarks.task' || n %% 20",
    "queue": "(ARRAY['default', 'email', 'ingest', 'backtests'])[1 + n %% 4]",
    "state": "CASE WHEN n %% 50 = 0 THEN 'dead' WHEN n %% 97 = 0 THEN 'cancelled' ELSE 'succeeded' END",
    "error": "CASE WHEN n %% 50 = 0 THEN jsonb_build_object('type', 'Broken', 'message', 'no ' || n) END",
    "requested_at": "now() - interval '30 days' + interval '30 days' * n / %(count)s",
    "due_at": "now() - interval '30 days' + interval '30 days' * n / %(count)s",
    "published_at": "now() - interval '30 days' + interval '30 days' * n / %(count)s",
    "started_at": "now() - interval '30 days' + interval '30 days' * n / %(count)s",
    "finished_at": "now() - interval '30 days' + interval '30 days' * n / %(count)s",
}


def _names(cost: str, what: str, unit: str) -> Figure:
    return Figure(
        name=f"million-{cost}",
        what=f"{what} beside 1,000,000 finished runs",
        unit=unit,
        peer="the same beside 10,000",
        goal=_GOAL,
    )


class Millions(Experiment):
    """Claims, publishing and the admin's pages in two databases that differ in the number of runs."""

    figures = (
        _names("claim", "one claim", "ms"),
        _names("publish", "publishing 100 runs", "ms"),
        _names("list", "the admin's list of runs", "ms"),
        _names("pages", "the dashboard and the admin's pages on runs and events, each once,", "ms"),
    )

    def prepare(self) -> None:
        queues.ensure()
        self.bench.sqs.hold(queues.physical_name("default"))
        self._clients: dict[str, Client] = {}
        for name, count in ((_FEW, self.bench.size(10_000, 100)), (_MANY, self.bench.size(1_000_000, 1000))):
            began = time.perf_counter()
            database.drop(name)
            database.copy(name)
            with database.using(name):
                self._load(count)
                self._sign_in(name)
                self._round(name)
            self.bench.say(f"{count:,} finished runs made in {time.perf_counter() - began:.1f} s")

    def _load(self, count: int) -> None:
        """One run lived through, and copies of it and of its events."""
        self._request(1)
        relay.publish_due(queue="default")
        [claimed] = self._claims()
        claims.succeed(claimed, None)
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT column_name FROM information_schema.columns WHERE table_name = 'tasks_taskrun'"
                " AND column_default IS NULL AND is_identity = 'NO' AND is_generated = 'NEVER'"
            )
            columns = [name for (name,) in cursor.fetchall()]
        values = [_OWN.get(name, f'one."{name}"') for name in columns]
        listed = ", ".join(f'"{name}"' for name in columns)
        with transaction.atomic():
            database.execute("SET LOCAL synchronous_commit = off")
            database.execute(
                f"INSERT INTO tasks_taskrun ({listed}) SELECT {', '.join(values)}"
                " FROM tasks_taskrun AS one, generate_series(1, %(count)s) AS n",
                {"count": count},
            )
            database.execute(
                "INSERT INTO events_event (stream, version, type, schema_version, data, meta, recorded_at)"
                " SELECT 'task:' || run.id, event.version, event.type, event.schema_version, event.data,"
                " event.meta, run.requested_at"
                " FROM tasks_taskrun AS run, (SELECT * FROM events_event) AS event"
                " WHERE run.id <> %s ORDER BY run.id, event.version",
                [claimed.run_id],
            )
        # The figures of the boards are up to date: followers have read all of these.
        database.execute(
            "INSERT INTO events_cursor (follower, xid, position, updated_at)"
            " SELECT %s, xid::text::numeric, position, now() FROM events_event"
            " ORDER BY xid DESC, position DESC LIMIT 1"
            " ON CONFLICT (follower) DO UPDATE SET xid = excluded.xid, position = excluded.position",
            [FOLLOWER],
        )
        database.execute("VACUUM ANALYZE")
        database.execute("CHECKPOINT")

    def _sign_in(self, name: str) -> None:
        user = get_user_model()._default_manager.create_superuser("bench", "bench@example.com", "bench")
        self._clients[name] = Client(raise_request_exception=True)
        self._clients[name].force_login(user)

    def _request(self, count: int) -> None:
        with transaction.atomic():
            for number in range(count):
                note.delay("million", number, 0.0)

    def _claims(self, times: list[float] | None = None) -> Sequence[Any]:
        with connection.cursor() as cursor:
            cursor.execute("SELECT id FROM tasks_taskrun WHERE state = 'queued' ORDER BY id")
            ids = [id_ for (id_,) in cursor.fetchall()]
        found = []
        for id_ in ids:
            began = time.perf_counter()
            claimed = claims.claim(run_id=id_, worker="benchmark")
            if times is not None:
                times.append(time.perf_counter() - began)
            if claimed is None:
                raise Failed(f"run {id_} could not be claimed")
            found.append(claimed)
        return found

    def _round(self, name: str) -> tuple[float, ...]:
        """Median milliseconds of a claim, of publishing a hundred, of the list, and of all pages."""
        batches = self.bench.size(3, 1)
        self._request(100 * batches)
        publishing = []
        for _ in range(batches):
            began = time.perf_counter()
            due, sent = relay.publish_due(queue="default", limit=100)
            publishing.append(time.perf_counter() - began)
            if (due, sent) != (100, 100):
                raise Failed(f"of 100 runs {due} were due and {sent} were sent")
        claiming: list[float] = []
        for claimed in self._claims(claiming):
            claims.succeed(claimed, None)
        self.bench.sqs.purge(queues.physical_name("default"))
        pages = [self._page(name, address) for address in _PAGES]
        return median(claiming) * 1000, median(publishing) * 1000, pages[0], sum(pages)

    def _page(self, name: str, address: str) -> float:
        """Median milliseconds of a page of the admin."""
        times = []
        for _ in range(self.bench.size(5, 1)):
            # Kept for a moment, of whichever database.
            snapshot.forget()
            began = time.perf_counter()
            answer = self._clients[name].get(address)
            times.append(time.perf_counter() - began)
            if answer.status_code != 200:
                raise Failed(f"{address} answers {answer.status_code}")
        return median(times) * 1000

    def _in(self, name: str) -> tuple[float, ...]:
        with database.using(name):
            self._round(name)
            return self._round(name)

    def measure(self, turn: int) -> Samples:
        many, few = self.in_turns(turn, lambda: self._in(_MANY), lambda: self._in(_FEW))
        return dict(
            zip(
                ("million-claim", "million-publish", "million-list", "million-pages"),
                zip(many, few, strict=True),
                strict=True,
            )
        )
