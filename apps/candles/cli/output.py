"""What a command says: results on stdout, and how far it is on stderr."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, cast

from django.core.management.base import OutputWrapper
from django.core.serializers.json import DjangoJSONEncoder
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.text import Text

# Seconds between two lines of progress of one piece of work, where no terminal shows a bar.
_EVERY = 10.0


class Bar:
    """How far one piece of work is: a bar on a terminal, else a line now and then and one at the end."""

    def __init__(self, output: Output, live: Progress | None, label: str, total: int | None) -> None:
        self._output = output
        self._live = live
        self._label = label = _printable(label)
        self._total = total
        self._done = 0
        self._note = ""
        self._told_at = time.monotonic()
        self._task: TaskID | None = None
        if live is not None:
            self._task = live.add_task("", total=total, label=Text(label), note=Text(""))

    def __call__(self, done: int, total: int | None = None, note: str = "") -> None:
        """*done* of *total* now; without one the total stays."""
        self._done, self._note = done, note
        if total is not None:
            self._total = total
        if self._live is not None and self._task is not None:
            self._live.update(self._task, completed=done, total=self._total, note=Text(note))
        elif time.monotonic() - self._told_at >= _EVERY:
            self._tell()

    def at(self, done: int, what: object) -> None:
        """*done* by now, and this comes next."""
        self(done, note=str(what))

    def end(self, note: str = "") -> None:
        """It is over, whether it went well or not."""
        self._note = note
        if self._live is not None and self._task is not None:
            self._live.update(self._task, note=Text(note))
            self._live.stop_task(self._task)
        else:
            self._tell()

    def _tell(self) -> None:
        self._told_at = time.monotonic()
        share = ""
        if self._total is not None:
            percent = f", {self._done / self._total:.0%}" if self._total else ""
            share = f" {self._done:,} of {self._total:,}{percent}"
        self._output.aside(
            f"{self._label}:{share}{', ' if share and self._note else ' '}{self._note}".rstrip()
        )


class Output:
    """What the commands write to."""

    def __init__(self, stdout: OutputWrapper, stderr: OutputWrapper, *, quiet: bool) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.quiet = quiet
        self._console: Console | None = None
        self._held: list[str] = []

    def line(self, text: str) -> None:
        """A line of the result. Where bars are shown it waits for their end, lest they overwrite it."""
        if self._console is not None:
            self._held.append(_printable(text))
        else:
            self.stdout.write(_printable(text))

    def json(self, value: Any) -> None:
        """The result for a script."""
        self.stdout.write(json.dumps(value, cls=DjangoJSONEncoder, indent=2))

    def aside(self, text: str) -> None:
        """What is no result; nothing with ``--quiet``."""
        if not self.quiet:
            self._say(text)

    def trouble(self, text: str) -> None:
        """What went wrong while the rest goes on."""
        self._say(text)

    def _say(self, text: str) -> None:
        text = _printable(text)
        if self._console is not None:
            # Above the bars.
            self._console.print(Text(text), soft_wrap=True)
        else:
            # Plain: Django makes all that is written there red.
            self.stderr.write(text, style_func=str)

    @contextmanager
    def bars(self) -> Iterator[Bars]:
        """Room for bars, until the block ends."""
        if self.quiet or not self.stderr.isatty():
            yield Bars(self, None)
            return
        self._console = Console(file=cast("IO[str]", self.stderr._out), highlight=False)
        columns = (
            TextColumn("{task.fields[label]}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
        )
        try:
            with Progress(*columns, console=self._console) as live:
                yield Bars(self, live)
        finally:
            self._console = None
            for line in self._held:
                self.stdout.write(line)
            self._held.clear()


def _printable(text: str) -> str:
    """Names of files need not be UTF-8, and what is written must."""
    return text.encode(errors="surrogateescape").decode(errors="replace")


class Bars:
    """Makes a `Bar` for each piece of work."""

    def __init__(self, output: Output, live: Progress | None) -> None:
        self._output = output
        self._live = live

    def add(self, label: str, total: int | None = None) -> Bar:
        """A new bar; without a total it only says that something goes on."""
        return Bar(self._output, self._live, label, total)
