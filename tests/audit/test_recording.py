"""An entry says who, what, when and from where, keeps no secret, and stays as small as it may be."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from uuid import UUID

import pytest
from django.contrib.auth import get_user_model
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from apps.audit import Action, Changes, Level, all_actions, record, record_many, recording, register, values
from apps.audit.changes import fields_of
from apps.audit.entries import new_entry
from apps.audit.models import Entry
from apps.core import context
from apps.core.ids import moment_of, uuid7
from apps.tasks.models import Entry as Waiting
from tests.audit.chaining import MOMENT, TESTED, findings, waiting, written

pytestmark = pytest.mark.usefixtures("chain")


def test_an_entry_takes_from_the_context_what_it_is_not_told():
    with context.bind(
        actor="user:7",
        request_id="request-1",
        correlation_id="cause-1",
        address="192.0.2.9",
        user_agent="curl/8",
    ):
        made = record(action=TESTED.name, object_id=12, account=UUID(int=1), detail={"n": 1})
        record(action=TESTED.name, actor="cli:ann", address="2001:DB8::1", user_agent="x", request_id="r-2")
    record(action=TESTED.name, outcome="failed")
    first, second, third = written()
    assert first.id == made
    assert abs((first.occurred_at - moment_of(made)).total_seconds()) < 60
    assert first.recorded_at >= first.occurred_at
    assert (first.actor, first.address, first.user_agent) == ("user:7", "192.0.2.9", "curl/8")
    assert (first.request_id, first.correlation_id) == ("request-1", "cause-1")
    assert (first.object_type, first.object_id, first.account) == ("test.thing", "12", str(UUID(int=1)))
    assert (first.outcome, first.detail, first.before, first.after) == ("succeeded", {"n": 1}, None, None)
    assert (second.actor, second.address, second.request_id) == ("cli:ann", "2001:db8::1", "r-2")
    assert (third.actor, third.address, third.outcome) == ("", None, "failed")
    assert findings() == []


def test_address_and_user_agent_are_not_part_of_the_meta_of_events():
    with context.bind(actor="user:7", address="192.0.2.9", user_agent="curl/8") as bound:
        assert bound.as_meta() == {"actor": "user:7"}


def test_an_entry_is_one_statement_in_the_callers_transaction_and_goes_with_it():
    with CaptureQueriesContext(connection) as queries:
        record(action=TESTED.name, before={"a": 1}, after={"a": 2})
        record_many([{"action": TESTED.name}, {"action": TESTED.name, "object_id": 2}])
    # Prepared statements of our own pass by the log of Django's.
    assert len(queries) == 0
    assert len(waiting()) == 3
    with pytest.raises(RuntimeError), transaction.atomic():
        record(action=TESTED.name)
        raise RuntimeError
    assert len(waiting()) == 3
    assert [row.object_id for row in written()] == ["", "", "2"]
    assert written() == list(Entry.objects.order_by("sequence"))


def test_the_same_id_is_one_row_whether_it_waits_or_is_written():
    same, others = uuid7(), [uuid7(), uuid7()]
    assert record(action=TESTED.name, id=same) == same
    record(action=TESTED.name, id=same)
    assert len(waiting()) == 1
    written()
    record(action=TESTED.name, id=same)
    record_many([{"action": TESTED.name}] * 2, ids=others)
    record_many([{"action": TESTED.name}] * 2, ids=others)
    assert [row.id for row in written()] == [same, *others]
    assert findings() == []


def test_the_time_may_be_told():
    record(action=TESTED.name, occurred_at=datetime.fromisoformat("2026-01-02T03:04:05.000006+02:00"))
    assert written()[0].occurred_at == datetime(2026, 1, 2, 1, 4, 5, 6, tzinfo=UTC)


def test_what_cannot_be_an_entry_is_refused_and_nothing_is_put():
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    for error, fields in (
        (LookupError, {"action": "test.unknown"}),
        (ValueError, {"action": TESTED.name, "outcome": "done"}),
        (ValueError, {"action": TESTED.name, "address": "localhost"}),
        (ValueError, {"action": TESTED.name, "occurred_at": naive}),
        (TypeError, {"action": TESTED.name, "detail": object()}),
        (TypeError, {"action": TESTED.name, "before": {"x": [object()]}}),
    ):
        with pytest.raises(error):
            record(**fields)
        with pytest.raises(error):
            record_many([{"action": TESTED.name}, fields])
        with pytest.raises(error):
            new_entry(**{"id": uuid7(), "occurred_at": MOMENT, **fields})
    assert waiting() == []


def test_actions_are_registered_once_with_well_formed_names():
    assert register(Action(name="test.done", label="Tested", object_type="test.thing")) == TESTED
    with pytest.raises(ValueError, match="registered already"):
        register(Action(name="test.done", label="Something else"))
    for name in ("Test.done", "test..done", "test.", "", "test done"):
        with pytest.raises(ValueError, match="no dotted name"):
            register(Action(name=name, label="x"))
    listed = {action.name: action for action in all_actions()}
    assert list(listed) == sorted(listed)
    assert listed["audit.broken"].level is Level.WARNING
    assert {"login.succeeded", "login.failed", "logout", "api.write", "admin.write", "test.done"} <= set(
        listed
    )


def test_no_secret_rests_anywhere_not_even_on_its_way():
    secret = "s3cr3t-VALUE"
    record(
        action=TESTED.name,
        before={"api_key": secret, "name": "main"},
        after={"nested": [{"password": secret}], "url": f"https://ann:{secret}@example.com/"},
        detail=f"token={secret}",
    )
    stored = json.dumps([row.payload for row in Waiting.objects.all()])
    assert "main" in stored
    assert secret not in stored
    (row,) = written()
    assert row.before == {"api_key": "***", "name": "main"}
    assert row.after == {"nested": [{"password": "***"}], "url": "https://ann:***@example.com/"}
    assert row.detail == "token=***"


class Colour(StrEnum):
    RED = "red"


def test_values_of_python_become_json_and_what_the_database_cannot_hold_is_replaced():
    given = {
        "decimal": Decimal("1.50"), "time": datetime(2026, 1, 1, tzinfo=UTC), "date": date(2026, 1, 1),
        "uuid": UUID(int=5), "enum": Colour.RED, "tuple": (1, 2), "set": {"b", "a"}, "nan": float("nan"),
        "infinity": float("-inf"), "nul": "a\0b", "half": "a\ud800b", "lines": "a\nb\u2028", 7: True,
        "none": None,
    }  # fmt: skip
    expected = {
        "decimal": "1.50", "time": "2026-01-01T00:00:00Z", "date": "2026-01-01", "uuid": str(UUID(int=5)),
        "enum": "red", "tuple": [1, 2], "set": ["a", "b"], "nan": "nan", "infinity": "-inf",
        "nul": "a\ufffdb", "half": "a?b", "lines": "a\nb\u2028", "7": True, "none": None,
    }  # fmt: skip
    record(action=TESTED.name, object_id="x\0y\ud800", actor="a\0", detail=given)
    (row,) = written()
    assert row.detail == expected
    assert (row.object_id, row.actor) == ("x\ufffdy?", "a\ufffd")
    assert findings() == []


def test_values_are_cut_to_the_limit_and_say_so(settings):
    settings.AUDIT_VALUE_LIMIT = 300
    for value, beginning in (
        ({"a": "x" * 1000, "b": 1}, '{"a": "xxx'),
        ("y" * 1000, '"yyy'),
        ("\n\u0001" * 500, '"\\n\\u0001'),
        (list(range(1000)), "[0, 1, 2"),
        ({f"key{number}": number for number in range(200)}, '{"key0": 0'),
        ({"k" * 400: 1}, ""),
        ([{"deep": ["z" * 500, 1]}, 2], '[{"deep": ["zzz'),
    ):
        kept = json.dumps(values.kept(value, 300), ensure_ascii=False)
        assert len(kept) <= 300
        assert kept.startswith(beginning)
        assert values.CUT in kept
        if beginning:
            assert len(kept) > 200
    short = {"a": "x" * 200, "b": [1, 2, {"c": None}]}
    assert values.kept(short, 300) == short
    nested: list = []
    for _ in range(100):
        nested = [nested]
    assert values.CUT in json.dumps(values.kept(nested, 10_000), ensure_ascii=False)


def test_three_values_of_any_size_fit_on_their_way(settings):
    settings.AUDIT_VALUE_LIMIT = 10**9
    huge = {"text": "x" * 100_000}
    record(
        action=TESTED.name, before=huge, after=huge, detail=huge, object_id="o" * 10_000, actor="a" * 10_000,
        account="c" * 1000, user_agent="u" * 10_000, request_id="r" * 1000,
    )  # fmt: skip
    (row,) = written()
    assert len(row.object_id) == values.TEXT_LIMIT
    assert len(row.user_agent) == 256
    assert 10_000 < len(row.before["text"]) < 20_000


def test_changes_are_the_fields_that_differ():
    changes = Changes({"a": 1, "b": 2, "c": None}, {"a": 1, "b": 3, "c": 0, "d": 4})
    assert (changes.before, changes.after) == ({"b": 2, "c": None}, {"b": 3, "c": 0, "d": 4})
    assert changes
    assert not Changes({"a": [1]}, {"a": [1]})
    user = get_user_model()(pk=7, username="ann", is_staff=False)
    before = fields_of(user, ["username", "is_staff"])
    user.is_staff = True
    changes = Changes(before, fields_of(user, ["username", "is_staff"]))
    assert (changes.before, changes.after) == ({"is_staff": False}, {"is_staff": True})


def test_what_cannot_be_recorded_afterwards_is_logged_whole_and_without_secrets(caplog):
    count = recording.UNRECORDED.metric._value.get()
    with context.bind(actor="user:7", address="192.0.2.9"):
        recording.record_afterwards(action="test.unknown", object_id="o-1", detail={"password": "s3cr3t"})
    assert recording.UNRECORDED.metric._value.get() == count + 1
    (logged,) = [one for one in caplog.records if one.levelname == "ERROR"]
    for part in ("test.unknown", "o-1", "user:7", "192.0.2.9"):
        assert part in logged.getMessage()
    assert "s3cr3t" not in caplog.text
    assert logged.exc_info is not None
