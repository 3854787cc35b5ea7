"""What leaves the database can be verified without it, and nothing leaves that cannot."""

from __future__ import annotations

import csv
import gc
import gzip
import json
import os
import resource
from datetime import timedelta
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from apps.audit import chain as chaining
from apps.audit import exporting, files, pruning
from apps.audit.files import FileExamination
from apps.audit.models import Entry
from apps.audit.walking import Anchor
from tests.audit.chaining import KEYS, entry, findings, grow, rehash, tamper
from tests.support import filled

LENGTH = 5


@pytest.fixture
def five(keyed) -> None:
    chaining.append(
        [
            entry(1, actor="=cmd", before={"ü": [0.1, 1e22, None]}, address="2001:db8::1"),
            entry(2, after="line\nbreak", detail={"a": {"b": 1}}),
            *(entry(number) for number in (3, 4, 5)),
        ]
    )


def run(command: str, *arguments: object) -> str:
    output = StringIO()
    call_command(command, *map(str, arguments), stdout=output)
    return output.getvalue()


def wrong(*paths: Path, **options) -> list[str]:
    return [str(finding) for finding in FileExamination(paths, **options)]


def exported(path: Path, *arguments: object) -> list[str]:
    """The lines of a new file."""
    run("audit_export", "--output", path, *arguments)
    return path.read_text().splitlines()


def test_an_export_can_be_verified_offline(five, tmp_path, django_db_blocker):
    path = tmp_path / "audit.jsonl"
    told = run("audit_export", "--output", path)
    assert told == f"{path}: 5 rows, 1 to 5, SHA-256 {files.sha256(path)}\n"
    assert path.stat().st_mode & 0o777 == 0o600
    mark = chaining.head().mark
    with django_db_blocker.block():
        assert wrong(path) == []
    assert run("audit_verify", "--file", path).splitlines() == ["5 rows, nothing wrong", mark]
    assert run("audit_verify", "--file", path, "--expect", mark).splitlines()[0] == "5 rows, nothing wrong"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert lines[0]["audit"]["first"] == 1
    assert lines[1]["before"] == {"ü": [0.1, 1e22, None]}
    assert [line["sequence"] for line in lines[1:]] == [1, 2, 3, 4, 5]
    assert lines[2]["after"] == "line\nbreak"
    with pytest.raises(CommandError, match="is there already"):
        exported(path)
    assert list(tmp_path.iterdir()) == [path]


def test_on_a_full_disk_nothing_is_left(tmp_path):
    """A limit stands for the disk's: it is met again when the file is closed."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    for compress in (False, True):
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
        try:
            with pytest.raises(OSError), files.NewFile(tmp_path / "a", compress=compress) as new:
                for _ in range(50):
                    new.file.write(os.urandom(1000))
                new.finish()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        gc.collect()
        assert list(tmp_path.iterdir()) == []


def test_compressed_and_to_the_output(five, tmp_path, capsysbinary):
    plain, zipped = tmp_path / "a.jsonl", tmp_path / "a.jsonl.gz"
    lines = exported(plain)
    run("audit_export", "--output", zipped, "--gzip")
    assert gzip.decompress(zipped.read_bytes()).decode().splitlines()[1:] == lines[1:]
    assert wrong(zipped) == []
    run("audit_export", "--output", "-")
    assert capsysbinary.readouterr().out.decode().splitlines()[1:] == lines[1:]
    for arguments in (["--output", "-", "--gzip"], ["--output", tmp_path / "no" / "folder"]):
        with pytest.raises(CommandError):
            run("audit_export", *arguments)


def test_csv_is_for_people(five, tmp_path):
    path = tmp_path / "audit.csv"
    run("audit_export", "--output", path, "--format", "csv")
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["sequence"] for row in rows] == ["1", "2", "3", "4", "5"]
    # Not a formula to a spreadsheet.
    assert rows[0]["actor"] == "'=cmd"
    assert json.loads(rows[1]["detail"]) == {"a": {"b": 1}}
    assert rows[4]["hash"] == chaining.head().hash.hex()
    assert list(rows[0]) == list(exporting.COLUMNS)


def test_a_part_is_chosen_by_when_it_was_appended(five, tmp_path):
    now = timezone.now()
    age("sequence <= 2", days=10)
    age("sequence = 3", days=5)
    day = (now - timedelta(days=7)).isoformat()
    assert exporting.part(since=now - timedelta(days=7)) == exporting.Part(first=3, last=5)
    assert exporting.part(until=now - timedelta(days=1)) == exporting.Part(first=1, last=3)
    assert exporting.part(since=now - timedelta(days=7), until=now - timedelta(days=1)).count == 1
    for arguments in (["--since", now + timedelta(days=1)], ["--until", now - timedelta(days=20)]):
        with pytest.raises(CommandError, match="no entries were appended then"):
            exported(tmp_path / "none", *arguments)
    with pytest.raises(CommandError, match="no date"):
        exported(tmp_path / "none", "--since", "soon")
    run("audit_export", "--output", tmp_path / "some", "--until", day)
    assert len((tmp_path / "some").read_text().splitlines()) == 3


def age(condition: str, *, days: int) -> None:
    """Let rows have been appended so many days ago, as if the chain had been made then."""
    tamper(f"UPDATE audit_entry SET recorded_at = recorded_at - interval '{days} days' WHERE {condition}")


def test_every_tampering_with_a_file_is_found(five, tmp_path):
    good = exported(tmp_path / "good")
    header, rows = good[0], good[1:]
    edited = [json.loads(row) for row in rows]

    def verified(lines: list[str]) -> list[str]:
        path = tmp_path / "bad"
        path.write_text("".join(line + "\n" for line in lines))
        return wrong(path)

    assert verified(good) == []
    for place in (0, 2, 4):
        for column, value in edited[place].items():
            other = {"x": 1} if column in ("before", "after", "detail") else 77
            other = "x" if isinstance(value, str) else other
            changed = json.dumps({**edited[place], column: other})
            assert verified([header, *rows[:place], changed, *rows[place + 1 :]]), (place, column)
            less = {name: kept for name, kept in edited[place].items() if name != column}
            assert verified([header, *rows[:place], json.dumps(less), *rows[place + 1 :]]), (place, column)
        assert verified([header, *rows[:place], *rows[place + 1 :]])
        assert verified([header, *rows[: place + 1], *rows[place:]])
        assert verified([header, *rows[:place], "{not json", *rows[place + 1 :]])
        assert verified([header, *rows[:place], "[1]", *rows[place + 1 :]])
        # A second value of a key, which one reader takes and another does not.
        doubled = rows[place].replace('"actor":', '"actor":"eve","actor":', 1)
        assert verified([header, *rows[:place], doubled, *rows[place + 1 :]])
    assert verified([header, rows[1], rows[0], *rows[2:]])
    assert verified(rows)
    assert verified([])
    assert verified(['{"audit": 7}', *rows])
    told = json.loads(header)["audit"]
    for name, value in {
        "format": "x", "first": 0, "last": 4, "previous_hash": "11" * 32, "hash": "11" * 32,
        "written_at": "x", "key_id": "other", "seal": "x",
    }.items():  # fmt: skip
        assert verified([json.dumps({"audit": {**told, name: value}}), *rows]), name
    # Shortened as a whole, with a header to match: without the key nobody can seal it.
    shorter = {**told, "last": 4, "hash": edited[3]["hash"][2:]}
    assert verified([json.dumps({"audit": shorter}), *rows[:4]]) == [
        "row 1: the header of its file was changed"
    ]


def test_whatever_stands_in_a_file_is_a_finding_and_no_crash(five, tmp_path):
    good = exported(tmp_path / "good")
    told = json.loads(good[0])["audit"]
    path = tmp_path / "bad"
    for name in ("written_at", "hash", "seal", "key_id", "previous_hash", "format"):
        path.write_text(json.dumps({"audit": {**told, name: 1.5}}) + "\n")
        (finding,) = wrong(path)
        assert "the first line is no header" in finding, name
    # Without an exponent, these would not fit into the memory.
    for number in ("1e99999999999999999999", "1e9999999999", "-1E+9999999999", "1e-9999999999"):
        row = good[5].replace('"number": 5', f'"number": {number}')
        assert row != good[5]
        path.write_text("\n".join([*good[:5], row, ""]))
        assert wrong(path)[0].startswith("row 5: line 6 is no row: a number is too large"), number


def test_without_the_key_nobody_shortens_a_file_or_writes_the_next_one(five, tmp_path, settings):
    """A seal, and rows, that need no key are not taken where rows were hashed under one."""
    until = Entry.objects.get(sequence=3)
    good = exported(tmp_path / "good")
    settings.AUDIT_KEYS = []
    shorter = files.Header.sealed(
        first=1, last=3, previous_hash=bytes(32), digest=bytes(until.hash), now=timezone.now()
    )
    rehash(4)
    with (tmp_path / "next").open("wb") as file:
        exporting.write_jsonl(file, exporting.Part(first=4, last=5))
    settings.AUDIT_KEYS = [KEYS["new"]]
    with (tmp_path / "shorter").open("wb") as file:
        assert files.write(file, shorter, good[1:4]) == 3
    told = "row 1: the header of its file was sealed without a key, unlike the rows"
    assert wrong(tmp_path / "shorter") == [told]
    # By itself a part that was written before there was a key is sound.
    assert wrong(tmp_path / "next") == []
    assert wrong(tmp_path / "shorter", tmp_path / "next") == [
        told,
        "row 4: was hashed without a key, unlike a row before it",
        "row 5: was hashed without a key, unlike a row before it",
        "row 4: the header of its file was sealed without a key, unlike the rows",
    ]


def test_files_that_cannot_be_read_are_findings(five, tmp_path):
    path = tmp_path / "a.gz"
    run("audit_export", "--output", path, "--gzip")
    (tmp_path / "cut").write_bytes(path.read_bytes()[:-20])
    (tmp_path / "latin").write_bytes(gzip.decompress(path.read_bytes()).partition(b"\n")[0] + b"\n\xff\xfe\n")
    for name in ("cut", "latin", "absent"):
        (finding,) = wrong(tmp_path / name)
        assert "cannot be read on" in finding
    with pytest.raises(CommandError, match="1 findings"):
        run("audit_verify", "--file", tmp_path / "absent")


def test_what_is_pruned_is_in_a_file_and_the_chain_goes_on(five, tmp_path):
    before = {row.sequence: bytes(row.hash) for row in Entry.objects.all()}
    young = chaining.head()
    path = tmp_path / "old.jsonl.gz"
    assert run("audit_prune", "--older-than", "0", "--dry-run") == "5 rows could be moved (1 to 5)\n"
    assert Entry.objects.count() == 5
    told = run("audit_prune", "--older-than", "0", "--output", path)
    assert told == f"{path}: 5 rows, 1 to 5, SHA-256 {files.sha256(path)}\n"
    (row,) = Entry.objects.all()
    assert (row.sequence, row.action, bytes(row.previous_hash)) == (6, "audit.pruned", before[5])
    assert row.detail == {"file": str(path), "first": 1, "through": 5, "sha256": files.sha256(path)}
    assert row.actor.startswith("cli:")
    assert chaining.head().pruned_through == 5
    assert findings() == []
    assert wrong(path, anchors={5: Anchor(hash=before[5], source="then")}) == []
    assert run("audit_verify", "--file", path, "--expect", young.mark).startswith("5 rows, nothing wrong")
    run("audit_verify", "--expect", young.mark)
    with pytest.raises(CommandError, match="was pruned: look at the file"):
        run("audit_verify", "--expect", f"2:{'0' * 64}")
    # And once more: the files follow each other.
    grow(2)
    again = tmp_path / "again"
    run("audit_prune", "--older-than", "0", "--output", again)
    assert chaining.head().pruned_through == 8
    assert findings() == []
    assert wrong(path, again) == []
    assert run("audit_verify", "--file", path, again).startswith("8 rows, nothing wrong")
    assert wrong(again, path)
    assert wrong(path, anchors={8: Anchor(hash=bytes(32), source="then")}) == [
        "row 8: is in none of the files"
    ]


def test_only_what_is_old_is_pruned(chain, tmp_path, settings):
    """Without keys, so that rows can be made old."""
    grow(LENGTH)
    age("sequence <= 3", days=10)
    rehash(1)
    settings.AUDIT_RETENTION_DAYS = 0.0
    for arguments in ([], ["--older-than", "7"], ["--older-than", "-1"]):
        with pytest.raises(CommandError):
            run("audit_prune", *arguments)
    settings.AUDIT_RETENTION_DAYS = 7.0
    run("audit_prune", "--output", tmp_path / "a")
    assert chaining.head().pruned_through == 3
    assert findings() == []
    assert run("audit_prune", "--output", tmp_path / "b") == "nothing is that old\n"
    assert not (tmp_path / "b").exists()


def test_rows_are_deleted_in_batches_and_who_was_killed_begins_anew(five, tmp_path, monkeypatch):
    monkeypatch.setattr(pruning, "BATCH", 2)
    deleted = pruning._delete_batch

    def killed(pruned: pruning.Pruned) -> None:
        deleted(pruned)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(pruning, "_delete_batch", killed)
        with pytest.raises(KeyboardInterrupt):
            run("audit_prune", "--older-than", "0", "--output", tmp_path / "a")
    assert chaining.head().pruned_through == 2
    assert findings() == []
    run("audit_prune", "--older-than", "0", "--output", tmp_path / "b")
    assert chaining.head().pruned_through == 6
    assert [row.action for row in Entry.objects.all()] == ["audit.pruned"]
    assert findings() == []
    assert wrong(tmp_path / "a") == wrong(tmp_path / "b") == []
    # Together they are the whole, although rows 3 to 5 are in both.
    assert wrong(tmp_path / "a", tmp_path / "b") == []
    assert wrong(tmp_path / "a", tmp_path / "a") == [
        "row 1: begins a file, and the one before ends with row 5"
    ]


def test_of_two_files_with_the_same_rows_none_may_tell_another_story(five, tmp_path, settings):
    """Without a key everybody can hash rows anew, and yet not both files."""
    settings.AUDIT_KEYS = []
    rehash(1)
    for name, part in (("a", exporting.Part(first=1, last=3)), ("b", exporting.Part(first=1, last=5))):
        with (tmp_path / name).open("wb") as file:
            exporting.write_jsonl(file, part)
    assert wrong(tmp_path / "a", tmp_path / "b") == []
    for changed, first, told in (
        (3, 3, "row 3: had another hash in the file before"),
        (2, 3, "row 3: does not follow the row before it in another file"),
    ):
        tamper("UPDATE audit_entry SET actor = 'eve' WHERE sequence = %s", [changed])
        rehash(changed)
        with (tmp_path / f"other{changed}").open("wb") as file:
            exporting.write_jsonl(file, exporting.Part(first=first, last=5))
        assert told in wrong(tmp_path / "a", tmp_path / f"other{changed}")


def test_nothing_broken_is_pruned(five, tmp_path):
    tamper("UPDATE audit_entry SET actor = 'eve' WHERE sequence = 3")
    with pytest.raises(CommandError, match=r"nothing was deleted: the rows .* row 3: was changed"):
        run("audit_prune", "--older-than", "0", "--output", tmp_path / "a")
    tamper("DELETE FROM audit_entry WHERE sequence = 3")
    with pytest.raises(CommandError, match="1 are missing"):
        run("audit_prune", "--older-than", "0", "--output", tmp_path / "b")
    tamper("DELETE FROM audit_entry WHERE sequence = 1")
    with pytest.raises(CommandError, match="not all there"):
        run("audit_prune", "--older-than", "0", "--output", tmp_path / "c")
    assert Entry.objects.count() == 3
    assert not (tmp_path / "c").exists()


def test_what_does_not_follow_what_was_pruned_before_is_not_pruned(five, tmp_path):
    tamper("UPDATE audit_head SET pruned_hash = %s", [b"x" * 32])
    with pytest.raises(CommandError, match="does not follow what was pruned before"):
        run("audit_prune", "--older-than", "0", "--output", tmp_path / "a")
    assert filled("audit_entry")


def test_a_file_of_another_key_says_so(five, tmp_path, settings):
    path = tmp_path / "a"
    exported(path)
    settings.AUDIT_KEYS = [KEYS["old"]]
    found = wrong(path)
    assert "header of its file cannot be verified: AUDIT_KEYS has no key 'new'" in found[0]
    assert len(found) == 1 + LENGTH
