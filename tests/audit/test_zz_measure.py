import cProfile
import pstats
import statistics
import time

from django.db import connection, transaction
from django.utils import timezone

from apps.audit import record
from apps.audit.chain import append
from apps.audit.models import Entry
from apps.audit.recording import _FIELDS, _payload
from apps.audit.tasks import write_entries
from apps.core import context
from apps.core.ids import uuid7
from tests.audit.chaining import TESTED, entry

DETAIL = {
    "method": "POST",
    "route": "order-list",
    "path": "/api/v1/orders",
    "status": 201,
    "fields": ["symbol", "side", "quantity"],
}
BEFORE = {"state": "accepted", "quantity": "0.5000", "price": None, "client_order_id": "c-019ac4b6-0000"}
AFTER = {
    "state": "submitted",
    "quantity": "0.5000",
    "price": "23140.48",
    "client_order_id": "c-019ac4b6-0000",
}
F = dict(
    object_id="019ac4b6-0000-7000-8000-000000000001",
    account="019ac4b6-0000-7000-8000-000000000002",
    before=BEFORE,
    after=AFTER,
    detail=DETAIL,
)


def put():
    record(action=TESTED.name, **F)


def sync():
    append([entry(1, **F)])


def orm():
    Entry.objects.create(
        sequence=next(N),
        id=uuid7(),
        encoding=1,
        occurred_at=timezone.now(),
        recorded_at=timezone.now(),
        actor="user:7",
        action="x",
        object_type="test.thing",
        object_id=F["object_id"],
        account=F["account"],
        outcome="succeeded",
        address="192.0.2.1",
        user_agent="curl",
        request_id="r",
        correlation_id="r",
        before=BEFORE,
        after=AFTER,
        detail=DETAIL,
        key_id="",
        previous_hash=b"x" * 32,
        hash=b"x" * 32,
    )


import itertools

N = itertools.count(10**9)


def timed(f, n=400):
    for _ in range(50):
        f()
    t = []
    for _ in range(n):
        a = time.perf_counter()
        f()
        t.append(time.perf_counter() - a)
    return statistics.median(t) * 1e6


def test_m(committed, settings):
    settings.AUDIT_KEYS = ["k:" + "QUFB" * 16]
    with context.bind(
        actor="user:7",
        request_id="request-1",
        correlation_id="request-1",
        address="192.0.2.9",
        user_agent="Mozilla/5.0 (X11; Linux x86_64)",
    ):
        for rnd in range(2):
            with transaction.atomic():
                print("in tx: put %.0f sync %.0f orm %.0f" % (timed(put), timed(sync), timed(orm)))
                transaction.set_rollback(True)
            print(
                "autocommit: put %.0f sync %.0f orm %.0f"
                % (timed(put, 200), timed(sync, 200), timed(orm, 200))
            )
            with connection.cursor() as c:
                c.execute("DELETE FROM tasks_entry")
        p = timed(lambda: _payload(**{**_FIELDS, "occurred_at": None, "action": TESTED.name, **F}), 2000)
        e = timed(
            lambda: write_entries._encode(
                _payload(**{**_FIELDS, "occurred_at": None, "action": TESTED.name, **F})
            ),
            2000,
        )
        print("payload %.1f us, with encode %.1f" % (p, e))
        a = [entry(i, **F) for i in range(500)]
        t = time.perf_counter()
        append(a)
        print("append 500: %.1f ms" % ((time.perf_counter() - t) * 1e3))
        with connection.cursor() as c:
            c.execute("SET chandlery.audit_maintenance='on'")
            c.execute("DELETE FROM audit_entry WHERE sequence>=1000000000")
            c.execute("RESET chandlery.audit_maintenance")
        from apps.audit.integrity import Examination

        t = time.perf_counter()
        x = Examination()
        l = list(x)
        print("verify", x.rows, len(l), "%.1f us/row" % ((time.perf_counter() - t) * 1e6 / x.rows))
        pr = cProfile.Profile()
        pr.enable()
        for _ in range(2000):
            _payload(**{**_FIELDS, "occurred_at": None, "action": TESTED.name, **F})
        pr.disable()
        pstats.Stats(pr).sort_stats("tottime").print_stats(14)
