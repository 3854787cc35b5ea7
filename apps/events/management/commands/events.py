"""The upkeep of the event store: archive, restore, verify, followers, rebase-cursors."""

from __future__ import annotations

from argparse import ArgumentTypeError, RawDescriptionHelpFormatter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from apps.events import conf, followers, integrity, projections, rebasing, selectors
from apps.events.archive.export import Archived, archive, preview
from apps.events.archive.files import Archive, ArchiveError
from apps.events.archive.restoring import restore
from apps.events.maintenance import Busy
from apps.events.models import Cursor
from apps.events.progress import Progress
from apps.events.registry import UnknownEventType

_SHOWN = 100

_ARCHIVE = """\
Move streams that finished longer ago than --older-than (or EVENTS_ARCHIVE_AFTER) into compressed files
in --to (or EVENTS_ARCHIVE_DIR), and delete their events and state rows. A stream is deleted when it lies
whole in a file that has reached the disk and was read back. Streams that are not finished, or that a
follower has not read, stay. A run that was killed is finished by the next one. Nothing runs this by itself.
"""
_RESTORE = """\
Bring archived streams back: the same positions, versions, times and data, and their state rows. What is
there already stays as it is, so restoring twice does no harm. A damaged file is refused. Followers that
have read on do not see the events again; a new follower sees each once.
"""
_VERIFY = """\
Look at every event: names of streams, versions without holes, positions and times in order, types that are
registered, data that can be read and is complete. Ends with status 1 when something is wrong.
"""
_REBASE = """\
Use it once, after a dump of the database (pg_dump) was loaded into another server and before workers, the
relay and followers are started there. Events carry the numbers of their transactions, and those count
anew on another server: without this step followers would wait, or miss what is recorded from then on.
Not needed, and harmless, after starting from a physical copy (pg_basebackup, a snapshot of the disk,
point-in-time recovery), which takes the counter along. Rewrites the event table once; VACUUM it afterwards.
"""


def _days(text: str) -> timedelta:
    try:
        days = float(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no number of days") from None
    if not 0 <= days < 1e6:
        raise ArgumentTypeError(f"{text} days make no sense")
    return timedelta(days=days)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ArgumentTypeError(f"{text!r} is no number above 0")
    return int(text)


class Command(BaseCommand):
    help = "The upkeep of the event store."

    def add_arguments(self, parser: CommandParser) -> None:
        actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

        def action(name: str, summary: str, description: str) -> CommandParser:
            made: CommandParser = actions.add_parser(
                name, help=summary, description=description, formatter_class=RawDescriptionHelpFormatter
            )
            return made

        one = action("archive", "move finished streams into files", _ARCHIVE)
        one.add_argument("--older-than", type=_days, metavar="DAYS", default=conf.archive_after())
        one.add_argument("--to", type=Path, metavar="DIR", default=conf.archive_dir())
        one.add_argument("--limit", type=_count, metavar="N", help="at most N streams")
        one.add_argument("--projection", choices=projections.names(), help="only its streams")
        one.add_argument("--dry-run", action="store_true", help="only say what would be archived")

        one = action("restore", "bring archived streams back", _RESTORE)
        one.add_argument("file", type=Path, nargs="+", help="an archive file, or its manifest")
        one.add_argument("--check", action="store_true", help="only see whether the files are undamaged")

        one = action("verify", "look for events that cannot be right", _VERIFY)
        one.add_argument("--prefix", default="", help="only streams whose names begin so, as task:")
        one.add_argument(
            "--clock-tolerance", type=float, default=5.0, metavar="SECONDS",
            help="how far time may go back within a stream (default 5)",
        )  # fmt: skip

        one = action("followers", "how far behind each follower is", "How far behind each follower is.")
        one.add_argument("--restart", metavar="FOLLOWER", help="let it begin again at the first event")

        one = action("rebase-cursors", "after loading a dump into another server", _REBASE)
        one.add_argument("--check", action="store_true", help="only say whether it is needed")
        one.add_argument(
            "--restart", action="append", default=[], metavar="FOLLOWER",
            help="let this follower begin again at the first event; may be repeated",
        )  # fmt: skip

    def handle(self, *args: Any, **options: Any) -> None:
        actions: dict[str, Callable[..., None]] = {
            "archive": self._archive,
            "restore": self._restore,
            "verify": self._verify,
            "followers": self._followers,
            "rebase-cursors": self._rebase,
        }
        actions[options["action"]](options)

    def _archive(self, options: dict[str, Any]) -> None:
        older_than, folder, limit = options["older_than"], options["to"], options["limit"]
        if older_than is None:
            raise CommandError("say what is old: --older-than DAYS, or EVENTS_ARCHIVE_AFTER")
        if folder is None and not options["dry_run"]:
            raise CommandError("say where to: --to DIR, or EVENTS_ARCHIVE_DIR")
        names = [options["projection"]] if options["projection"] else projections.names()
        for name in names:
            if options["dry_run"]:
                self._preview(name, older_than, limit)
                continue
            if limit == 0:
                break
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            try:
                done = archive(
                    projections.projection(name), older_than=older_than, folder=folder, limit=limit,
                    progress=Progress(self.stderr.write, f"{name}: events written"),
                )  # fmt: skip
            except (ArchiveError, Busy, OSError) as exc:
                raise CommandError(str(exc)) from exc
            self._report(name, done)
            limit = None if limit is None else max(limit - done.streams - done.kept, 0)

    def _preview(self, name: str, older_than: timedelta, limit: int | None) -> None:
        found = preview(projections.projection(name), older_than=older_than)
        self.stdout.write(f"{name}: {found.streams} streams with {found.events} events could be archived")
        if found.first_finished_at and found.last_finished_at:
            self.stdout.write(
                f"  finished from {found.first_finished_at:%Y-%m-%d %H:%M:%S}"
                f" to {found.last_finished_at:%Y-%m-%d %H:%M:%S} UTC"
            )
        if limit is not None and found.streams > limit:
            self.stdout.write(f"  of which --limit lets {limit} go")
        if found.unread:
            self.stdout.write(f"  {found.unread} more are old enough, but a follower has not read them")

    def _report(self, name: str, done: Archived) -> None:
        for file in done.files:
            self.stdout.write(str(file))
        self.stdout.write(f"{name}: {done.streams} streams with {done.events} events archived")
        if done.kept:
            self.stdout.write(f"  {done.kept} went on while they were written, and stay")

    def _restore(self, options: dict[str, Any]) -> None:
        for path in options["file"]:
            try:
                if options["check"]:
                    file = Archive(path)
                    file.verify()
                    held = file.manifest
                    self.stdout.write(f"{path}: undamaged, {held.streams} streams with {held.events} events")
                    continue
                back = restore(path, progress=Progress(self.stderr.write, f"{path.name}: events read"))
            except (ArchiveError, UnknownEventType, OSError) as exc:
                raise CommandError(str(exc)) from exc
            self.stdout.write(
                f"{path}: {back.streams} streams, {back.events} events restored, {back.present} were there,"
                f" {back.rows} state rows made"
            )

    def _verify(self, options: dict[str, Any]) -> None:
        progress = Progress(self.stderr.write, "events", total=selectors.estimated_events())
        found = 0
        for finding in integrity.verify(
            prefix=options["prefix"], clock_tolerance=options["clock_tolerance"], progress=progress
        ):
            found += 1
            if found <= _SHOWN:
                self.stdout.write(str(finding))
        if found:
            more = f", of which {_SHOWN} are shown" if found > _SHOWN else ""
            raise CommandError(f"{found} findings{more} in {progress.count} events")
        self.stdout.write(f"{progress.count} events, nothing wrong")

    def _followers(self, options: dict[str, Any]) -> None:
        if options["restart"]:
            try:
                followers.restart(options["restart"])
            except Cursor.DoesNotExist as exc:
                raise CommandError(str(exc)) from exc
        for lag in selectors.lags():
            more = " or more" if lag.more else ""
            self.stdout.write(
                f"{lag.follower}: {lag.events}{more} events and {lag.seconds:.1f} s behind,"
                f" last moved {lag.updated_at:%Y-%m-%d %H:%M:%S} UTC"
            )
        self.stdout.write(f"the oldest writer began {selectors.oldest_writer_age():.1f} s ago")

    def _rebase(self, options: dict[str, Any]) -> None:
        if not rebasing.needed():
            self.stdout.write("events and cursors fit this server")
            return
        if options["check"]:
            raise CommandError("events or cursors are ahead of this server: they have to be re-based")
        try:
            done = rebasing.rebase(restart=tuple(options["restart"]))
        except rebasing.CannotRebase as exc:
            raise CommandError(f"{exc} Use --restart.") from exc
        self.stdout.write(f"{done.events} events and {done.followers} followers re-based")
