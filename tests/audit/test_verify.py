"""Whatever somebody does to the chain behind the application's back is found, and nothing else is."""

from __future__ import annotations

import json
import logging
from io import StringIO

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.db import connection
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from apps.audit import chain as chaining
from apps.audit import keys, verifying
from apps.audit.models import Entry, Verification
from apps.audit.walking import Anchor
from tests.audit.chaining import KEYS, entry, findings, grow, rehash, sound_up_to, tamper, waiting, written
from tests.support import forget_audit

LENGTH = 5
#: One edit of every column, as SQL.
EDITS = {
    "id": "gen_random_uuid()", "encoding": "2", "occurred_at": "occurred_at + interval '1 microsecond'",
    "recorded_at": "'infinity'", "actor": "'user:8'", "action": "'test.undone'", "object_type": "'other'",
    "object_id": "object_id || ' '", "account": "'a'", "outcome": "'failed'", "address": "'192.0.2.1'",
    "user_agent": "'x'", "request_id": "'x'", "correlation_id": "'x'", "before": "'null'", "after": "'{}'",
    "detail": "detail || '{\"more\": 0.10000000000000000000001}'",
    "key_id": "'new'", "previous_hash": "hash", "hash": "previous_hash",
}  # fmt: skip
PLACES = (1, 3, LENGTH)


@pytest.fixture
def five(chain) -> None:
    grow(LENGTH)


def edit(column: str, sequence: int) -> None:
    tamper(f"UPDATE audit_entry SET {column} = {EDITS[column]} WHERE sequence = %s", [sequence])


def restore(sequence: int, saved: tuple) -> None:
    tamper("DELETE FROM audit_entry WHERE sequence = %s", [sequence])
    tamper(f"INSERT INTO audit_entry VALUES ({', '.join(['%s'] * len(saved))})", saved)


def saved_row(sequence: int) -> tuple:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM audit_entry WHERE sequence = %s", [sequence])
        return cursor.fetchone()


def test_an_edit_of_any_column_is_found_in_the_first_a_middle_and_the_last_row(five):
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM audit_entry LIMIT 0")
        assert {column.name for column in cursor.description} - {"sequence"} == set(EDITS)
    for sequence in PLACES:
        saved = saved_row(sequence)
        for column in EDITS:
            edit(column, sequence)
            found = findings()
            assert found, (column, sequence)
            assert found[0].startswith(f"row {sequence}: "), (column, sequence, found)
            restore(sequence, saved)
            assert findings() == []


def test_numbers_that_floats_cannot_tell_apart_are_told_apart(five):
    tamper("UPDATE audit_entry SET detail = '{\"number\": 3.0000000000000000000001}' WHERE sequence = 3")
    assert findings() == ["row 3: was changed, or hashed under another key"]
    # The same number, written otherwise.
    tamper("UPDATE audit_entry SET detail = '{\"number\": 3.00}' WHERE sequence = 3")
    assert findings() == []


def test_values_that_nobody_can_read_are_findings_and_no_errors(five):
    deep = "[" * 3000 + "]" * 3000
    for value in (deep, "1" * 5000, "1e9000", '{"a": "x", "b": ' + "[" * 500 + "]" * 500 + "}"):
        tamper("UPDATE audit_entry SET detail = %s WHERE sequence = 3", [value])
        found = findings()
        assert len(found) == 1
        assert found[0].startswith("row 3: ")


def test_a_deleted_row_is_found_wherever_it_was(five):
    for sequence, expected in {
        1: "row 2: row 1 is before it missing",
        3: "row 4: row 3 is before it missing",
        LENGTH: "row 5: row 5 is missing at the end",
    }.items():
        saved = saved_row(sequence)
        tamper("DELETE FROM audit_entry WHERE sequence = %s", [sequence])
        assert findings() == [expected]
        restore(sequence, saved)
    tamper("DELETE FROM audit_entry WHERE sequence IN (2, 3)")
    assert findings() == ["row 4: rows 2 to 3 are before it missing"]
    tamper("DELETE FROM audit_entry")
    assert findings() == ["row 5: rows 1 to 5 are missing at the end"]


def test_rows_that_exchanged_their_places_are_found(five):
    for first, second in ((1, 2), (2, 4), (1, LENGTH)):
        swap = "UPDATE audit_entry SET sequence = %s WHERE sequence = %s"
        for new, old in ((99, first), (first, second), (second, 99)):
            tamper(swap, [new, old])
        found = findings()
        assert {line.partition(":")[0] for line in found} >= {f"row {first}", f"row {second}"}
        for new, old in ((99, first), (first, second), (second, 99)):
            tamper(swap, [new, old])
        assert findings() == []


def test_rows_whose_contents_were_exchanged_are_found(five):
    tamper(
        "UPDATE audit_entry AS e SET id = gen_random_uuid(), actor = o.actor, object_id = o.object_id,"
        " detail = o.detail, occurred_at = o.occurred_at"
        " FROM audit_entry AS o WHERE (e.sequence, o.sequence) IN ((2, 4), (4, 2))"
    )
    assert [line.partition(":")[0] for line in findings()] == ["row 2", "row 4"]


def test_an_inserted_row_is_found(five):
    columns = "sequence, id, " + ", ".join(column for column in EDITS if column != "id")
    source = columns.replace("sequence, id", "{}, gen_random_uuid()")
    put_in = f"INSERT INTO audit_entry ({columns}) SELECT {source} FROM audit_entry WHERE sequence = 5"
    tamper(put_in.format(6))
    assert findings() == ["row 6: lies behind the head, which is row 5"]
    tamper("UPDATE audit_head SET sequence = 6")
    assert "row 6: does not follow the row before it: one of the two was replaced" in findings()
    tamper("DELETE FROM audit_entry WHERE sequence = 6; UPDATE audit_head SET sequence = 5")
    # In the middle: the rows behind have to move.
    tamper("UPDATE audit_entry SET sequence = sequence + 100 WHERE sequence > 2")
    tamper("UPDATE audit_entry SET sequence = sequence - 99 WHERE sequence > 100")
    tamper(put_in.replace("sequence = 5", "sequence = 6").format(3))
    tamper("UPDATE audit_head SET sequence = 6")
    assert {"row 3", "row 4", "row 5", "row 6"} <= {line.partition(":")[0] for line in findings()}


def test_a_replaced_or_missing_head_is_found(five):
    end = "row 5: is not the row that the head names: one of them was replaced"
    tamper("UPDATE audit_head SET hash = %s", [bytes(32)])
    assert findings() == [end]
    forget = "UPDATE audit_head SET sequence = %s, hash = (SELECT hash FROM audit_entry WHERE sequence = %s)"
    tamper(forget, [4, 4])
    assert findings() == ["row 5: lies behind the head, which is row 4"]
    tamper("UPDATE audit_head SET sequence = 7")
    assert findings() == ["row 7: rows 6 to 7 are missing at the end"]
    tamper(forget, [5, 5])
    assert findings() == []
    tamper("UPDATE audit_head SET pruned_hash = %s", [b"x" * 32])
    assert findings() == ["row 1: does not follow the row before it: one of the two was replaced"]
    tamper("DELETE FROM audit_head")
    assert findings() == ["row 0: the head is missing: nothing can be said of the chain's end"]


def test_a_beginning_that_was_cut_off_is_found_although_the_head_says_it_was_pruned(five):
    tamper(
        "UPDATE audit_head SET pruned_through = 2,"
        " pruned_hash = (SELECT hash FROM audit_entry WHERE sequence = 2)"
    )
    assert findings() == [
        "row 1: lies in the part of the chain that was pruned",
        "row 2: lies in the part of the chain that was pruned",
        "row 2: the rows up to this one are gone, and no entry tells of their being pruned",
    ]
    tamper("DELETE FROM audit_entry WHERE sequence < 3")
    assert findings() == ["row 2: the rows up to this one are gone, and no entry tells of their being pruned"]


def whole_chain() -> list[tuple]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT e::text FROM audit_entry AS e ORDER BY sequence")
        return cursor.fetchall()


_rows = st.integers(1, 8)
_edits = st.tuples(st.sampled_from([*EDITS]), _rows)
_deletions = st.tuples(st.just("delete"), _rows)
_exchanges = st.tuples(st.just("exchange"), st.lists(_rows, min_size=2, max_size=2, unique=True))


@given(deeds=st.lists(_edits | _deletions | _exchanges, min_size=1, max_size=3))
@examples(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_mixture_of_edits_deletions_and_exchanges_is_found(five, deeds):
    forget_audit()
    grow(8)
    before = whole_chain()
    for kind, what in deeds:
        if kind == "delete":
            tamper("DELETE FROM audit_entry WHERE sequence = %s", [what])
        elif kind == "exchange":
            for new, old in ((99, what[0]), (what[0], what[1]), (what[1], 99)):
                tamper("UPDATE audit_entry SET sequence = %s WHERE sequence = %s", [new, old])
        else:
            edit(kind, what)
    # Exchanging twice puts everything back.
    assert bool(findings()) == (whole_chain() != before)


def test_without_keys_only_what_is_known_from_elsewhere_finds_a_chain_that_was_hashed_anew(five):
    known = chaining.head()
    edit("actor", 2)
    rehash(2)
    assert findings() == []
    anchor = {known.sequence: Anchor(hash=known.hash, source="on paper")}
    assert findings(anchors=anchor) == ["row 5: had another hash on paper"]
    # The end cut off, and the head with it.
    forget_audit()
    grow(LENGTH)
    known = chaining.head()
    tamper("DELETE FROM audit_entry WHERE sequence > 3")
    rehash(1)
    assert findings() == []
    anchor = {known.sequence: Anchor(hash=known.hash, source="on paper")}
    assert findings(anchors=anchor) == ["row 5: was there on paper; the chain is shorter now"]


def test_with_a_key_a_chain_that_was_hashed_anew_is_found(keyed):
    grow(LENGTH)
    assert findings() == []
    edit("actor", 2)
    rehash(2)
    assert findings() == [
        f"row {row}: was hashed without a key, unlike a row before it" for row in range(2, 6)
    ]


def test_rows_of_older_keys_and_of_the_time_without_stay_right(chain, settings):
    for listed in ([], [KEYS["old"]], [KEYS["new"], KEYS["old"]]):
        settings.AUDIT_KEYS = listed
        chaining.append([entry(), entry()])
    assert list(Entry.objects.order_by("sequence").values_list("key_id", flat=True)) == [
        "", "", "old", "old", "new", "new"
    ]  # fmt: skip
    assert findings() == []
    settings.AUDIT_KEYS = [KEYS["new"]]
    assert findings() == [f"row {row}: cannot be verified: AUDIT_KEYS has no key 'old'" for row in (3, 4)]
    settings.AUDIT_KEYS = [KEYS["new"], KEYS["new"].replace("new:", "old:")]
    assert findings() == [f"row {row}: was changed, or hashed under another key" for row in (3, 4)]


def test_keys_that_are_none_are_refused(settings):
    for listed in (["new"], ["new:c2hvcnQ="], ["a b:" + KEYS["new"][4:]], ["new:***"], [KEYS["new"]] * 2):
        settings.AUDIT_KEYS = listed
        with pytest.raises(ImproperlyConfigured, match="AUDIT_KEYS"):
            keys.current()
    settings.AUDIT_KEYS = []
    assert keys.current() == keys.NO_KEY


def test_only_the_new_part_is_looked_at_and_the_end_of_the_old(five, caplog):
    done = verifying.verify_new()
    assert (done.first, done.rows, done.findings, done.through) == (1, 5, 0, 5)
    grow(2)
    done = verifying.verify_new()
    assert (done.first, done.rows, done.findings, done.through) == (5, 3, 0, 7)
    assert sound_up_to() == 7
    assert verifying.verify_new().rows == 1
    edit("actor", 2)
    assert verifying.verify_new().findings == 0
    edit("hash", 7)
    with caplog.at_level(logging.ERROR):
        done = verifying.verify_new()
    assert done.findings
    assert "the audit's chain is broken" in caplog.text
    assert sound_up_to() == 7
    (told,) = [one for one in waiting() if one["action"] == "audit.broken"]
    assert told["detail"]["findings"] == done.findings
    assert told["detail"]["shown"] == done.shown


def test_heads_of_earlier_looks_give_a_chain_that_was_hashed_anew_away(five):
    verifying.verify()
    grow(2)
    edit("actor", 2)
    rehash(2)
    (finding,) = verifying.verify().shown
    assert finding.startswith("row 5: had another hash when it was verified on ")
    tamper("DELETE FROM audit_entry WHERE sequence > 3")
    rehash(3)
    (finding,) = verifying.verify_new().shown
    assert finding.startswith("row 5: was there when it was verified on ")


def test_a_broken_chain_that_was_looked_into_can_be_accepted(five):
    edit("actor", 2)
    broken = verifying.verify()
    assert broken.findings == 1
    assert verifying.verify_new().findings == 1
    with pytest.raises(ValueError, match="say why"):
        verifying.accept(verified=broken, reason=" ")
    verifying.accept(verified=broken, reason="a restored backup")
    (told,) = [one for one in waiting() if one["action"] == "audit.accepted"]
    assert told["detail"]["reason"] == "a restored backup"
    assert told["detail"]["shown"] == broken.shown
    grow(1)
    done = verifying.verify_new()
    assert (done.first, done.findings) == (5, 0)
    assert sound_up_to() == 6
    # Looked at as a whole, it is what it is.
    assert verifying.verify().findings == 1


def test_a_look_that_leaves_something_out_is_not_remembered(five):
    verifying.verify()
    grow(3)
    verifying.verify(first=7)
    assert sound_up_to() == 5
    assert Verification.objects.count() == 1
    verifying.verify(first=6)
    assert sound_up_to() == 8


def test_the_task_verifies(five):
    from apps.audit.tasks import verify

    verify.delay()
    written()
    assert sound_up_to() == 5


def verified(*arguments: str) -> str:
    output = StringIO()
    call_command("audit_verify", *arguments, stdout=output)
    return output.getvalue()


def test_the_command_prints_the_head_for_keeping_and_takes_it_back(five):
    mark = chaining.head().mark
    assert verified().splitlines() == ["5 rows, nothing wrong", mark]
    assert verified("--since", "4").splitlines() == ["2 rows, nothing wrong", mark]
    assert json.loads(verified("--json")) == {"rows": 5, "findings": 0, "shown": [], "head": mark}
    grow(1)
    assert verified("--expect", mark).splitlines()[0] == "6 rows, nothing wrong"
    edit("actor", 5)
    rehash(5)
    with pytest.raises(CommandError, match="findings in 6 rows"):
        verified("--expect", mark)


def test_the_command_prints_twenty_findings_and_ends_with_an_error(chain):
    grow(30)
    tamper("UPDATE audit_entry SET actor = 'user:8'")
    output = StringIO()
    with pytest.raises(CommandError, match="30 findings in 30 rows"):
        call_command("audit_verify", stdout=output)
    lines = output.getvalue().splitlines()
    assert lines[0] == "row 1: was changed, or hashed under another key"
    assert lines[20:] == ["and 10 more", chaining.head().mark]
    output = StringIO()
    call_command("audit_verify", "--accept", "a drill", stdout=output)
    assert sound_up_to() == 30
    assert written(action="audit.accepted")[0].actor.startswith("cli:")


def test_the_command_refuses_what_makes_no_sense(five):
    for arguments in (
        ["--expect", "5:abc"], ["--expect", "x"], ["--since", "0"], ["--accept", " "],
        ["--file", "x", "--accept", "y"], ["--file", "x", "--since", "3"],
    ):  # fmt: skip
        with pytest.raises(CommandError):
            verified(*arguments)
