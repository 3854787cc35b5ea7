"""Entries get their places in a chain without holes, once each, whatever comes twice or at once."""

from __future__ import annotations

import dataclasses
import threading
from datetime import UTC, datetime

import pytest
from django.db import DatabaseError, connection, transaction
from django.db.utils import IntegrityError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.audit import canonical, keys
from apps.audit.canonical import ABSENT, Row
from apps.audit.chain import HeadMissing, append, head
from apps.audit.models import Entry
from tests.audit.chaining import KEYS, MOMENT, entry, findings, grow, tamper
from tests.support import forget_audit, wait_until


def sequences() -> list[int]:
    return list(Entry.objects.order_by("sequence").values_list("sequence", flat=True))


def test_entries_follow_each_other_from_one(chain):
    assert head().mark == f"0:{'00' * 32}"
    assert append([entry(1), entry(2)]) == 2
    assert append([entry(3)]) == 1
    rows = list(Entry.objects.order_by("sequence"))
    assert [row.sequence for row in rows] == [1, 2, 3]
    assert bytes(rows[0].previous_hash) == canonical.GENESIS
    assert [bytes(row.previous_hash) for row in rows[1:]] == [bytes(row.hash) for row in rows[:-1]]
    assert head().mark == f"3:{bytes(rows[-1].hash).hex()}"
    assert findings() == []


def test_an_entry_keeps_everything_that_was_said(chain):
    said = entry(
        object_type="orders.order", object_id="o-1", account="a-1", outcome="refused", actor="user:1",
        address="2001:db8::1", user_agent="curl/8", request_id="request-1", before={"a": 1},
        after=[0.5, None], detail="text",
    )  # fmt: skip
    append([said])
    row = Entry.objects.get()
    for field in dataclasses.fields(said):
        expected = "request-1" if field.name == "correlation_id" else getattr(said, field.name)
        assert getattr(row, field.name) == expected, field.name
    assert row.encoding == canonical.VERSION
    assert row.key_id == ""


def test_what_comes_again_leaves_neither_a_row_nor_a_hole(chain):
    first, second, third = entry(1), entry(2), entry(3)
    assert append([first, second, first]) == 2
    before = head()
    assert append([second, first]) == 0
    assert head() == before
    assert append([first, third, second]) == 1
    assert append([]) == 0
    assert sequences() == [1, 2, 3]
    assert findings() == []


def test_two_who_append_at_once_leave_no_hole(committed):
    """The second waits at the head, and sees what the first has appended when it goes on."""
    forget_audit()
    shared = entry(0)
    held, go_on = threading.Event(), threading.Event()

    def holding() -> None:
        with transaction.atomic():
            append([entry(1), shared, entry(2)])
            held.set()
            go_on.wait(60)
        connection.close()

    def following() -> None:
        held.wait(60)
        append([shared, entry(3)])
        connection.close()

    threads = [threading.Thread(target=each) for each in (holding, following)]
    for thread in threads:
        thread.start()
    wait_until(_somebody_waits, what="the second to wait for the head")
    go_on.set()
    for thread in threads:
        thread.join(60)
    assert sequences() == [1, 2, 3, 4]
    assert Entry.objects.filter(id=shared.id).count() == 1
    assert findings() == []


def _somebody_waits() -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
            " AND wait_event_type = 'Lock' AND query LIKE '%%audit_head%%')"
        )
        return bool(cursor.fetchone()[0])


def test_what_is_rolled_back_leaves_no_hole(chain):
    append([entry(1)])
    with pytest.raises(RuntimeError, match="undone"), transaction.atomic():
        append([entry(2)])
        raise RuntimeError("undone")
    append([entry(3)])
    assert sequences() == [1, 2]
    assert findings() == []


def test_the_database_refuses_every_change(chain):
    grow(2)
    for statement in (
        "UPDATE audit_entry SET actor = 'user:8' WHERE sequence = 1",
        "DELETE FROM audit_entry WHERE sequence = 2",
        "TRUNCATE audit_entry",
        "DELETE FROM audit_head",
        "TRUNCATE audit_head",
        "INSERT INTO audit_head SELECT false, sequence, hash, pruned_through, pruned_hash FROM audit_head",
    ):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            connection.cursor().execute(statement)
    with pytest.raises(IntegrityError, match="audit_head_only_row"), transaction.atomic():
        tamper("INSERT INTO audit_head SELECT false, 9, hash, 0, hash FROM audit_head")
    assert findings() == []


def test_without_a_head_nothing_is_appended(chain):
    tamper("DELETE FROM audit_head")
    with pytest.raises(HeadMissing):
        append([entry()])
    with pytest.raises(HeadMissing):
        head()


def row(**fields: object) -> Row:
    return Row(
        **{
            "sequence": 7, "id": "019ac4b6-0000-7000-8000-000000000001",
            "occurred_at": canonical.microseconds(MOMENT), "recorded_at": canonical.microseconds(MOMENT),
            "actor": "user:7", "action": "test.done", "object_type": "test.thing", "object_id": "ä\n",
            "account": "", "outcome": "succeeded", "address": "::ffff:192.0.2.1", "user_agent": "",
            "request_id": "", "correlation_id": "", "before": ABSENT, "after": None,
            "detail": {"b": 1.5, "a": [1e22, -0.0, True], "😀": "x"}, "key_id": "new",
            "previous_hash": canonical.GENESIS, **fields,
        }
    )  # fmt: skip


def test_the_encoding_is_what_its_description_says(settings):
    """Hashes that were made under it stay right only as long as nobody changes it."""
    settings.AUDIT_KEYS = [KEYS["new"]]
    assert canonical.encode(row()) == (
        b'["chandlery-audit/1",7,"019ac4b6-0000-7000-8000-000000000001",1795768215123456,1795768215123456,'
        b'"user:7","test.done","test.thing","\\u00e4\\n","","succeeded","192.0.2.1","","","",[],[null],'
        b'[{"a":[10000000000000000000000,0,true],"b":1.5,"\\ud83d\\ude00":"x"}],"new","' + b"00" * 32 + b'"]'
    )
    assert keys.digest("new", b"abc").hex() == (
        "b54ebf600825c4be8f745370c63c82537e6b91f31b267b89353a20c26a965925"
    )
    with pytest.raises(TypeError):
        canonical.encode(row(detail={"n": {1}}))


def test_columns_do_not_run_into_each_other():
    alike = [
        row(actor="a", action="b"), row(actor="ab", action=""), row(actor='a","b', action=""),
        row(before=ABSENT, after=None), row(before=None, after=ABSENT), row(detail={"n": "1.5"}),
        row(detail={"n": 1.5}), row(detail={"n": True}), row(detail={"n": 1}), row(detail=[]),
        row(detail=ABSENT), row(detail=None), row(address=None), row(address=""), row(sequence=8),
    ]  # fmt: skip
    assert len({canonical.encode(one) for one in alike}) == len(alike)


_scalars = (
    st.none() | st.booleans() | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
)  # fmt: skip
_keys = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
_json = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_keys, inner, max_size=4),
    max_leaves=8,
)


@given(values=st.lists(_json, min_size=1, max_size=20))
@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_has_the_same_hash_when_it_comes_back_from_the_database(chain, values):
    new = [
        dataclasses.replace(entry(number), before=value, after={"v": value}, detail=None)
        for number, value in enumerate(values)
    ]
    last = head().sequence
    append(new)
    assert findings(first=last + 1) == []


def test_times_are_kept_to_the_microsecond(chain):
    moments = [
        datetime(2026, 1, 1, 0, 0, 0, 1, tzinfo=UTC), datetime(1999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC),
        datetime(2026, 6, 1, tzinfo=UTC), datetime.fromisoformat("2026-06-01T02:00:00.000003+02:00"),
    ]  # fmt: skip
    append([entry(number, occurred_at=moment) for number, moment in enumerate(moments)])
    assert list(Entry.objects.order_by("sequence").values_list("occurred_at", flat=True)) == moments
    assert findings() == []
