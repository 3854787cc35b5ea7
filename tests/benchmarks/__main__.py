"""``python -m tests.benchmarks AREA``, as which ``manage.py bench`` goes on: one run on a private stack."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from apps.stack import environment
from apps.stack.errors import StackError
from apps.stack.private import PrivateStack
from project.installers import InstallFailed
from tests.benchmarks import every, peers, report
from tests.benchmarks.areas import AREAS, PEERS, experiments
from tests.benchmarks.experiment import Bench, Experiment, Failed
from tests.benchmarks.figures import Row, missed
from tests.benchmarks.sqs_control import BenchmarkSqs

_MISSED, _BROKEN, _INTERRUPTED = 1, 2, 130
_began = time.monotonic()


def say(text: str) -> None:
    """A progress line with the seconds since the start."""
    print(f"[bench {time.monotonic() - _began:6.1f} s] {text}", file=sys.stderr, flush=True)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog="manage.py bench",
        description="Measures the product and its peers side by side in one run on a private stack. "
        "Ends with status 1 when a goal is missed.",
    )
    parser.add_argument("area", nargs="?", choices=sorted(AREAS), help="one area (default: all of them)")
    parser.add_argument(
        "--output", type=Path, metavar="FILE", help="write the figures there, too: Markdown, or JSON (.json)"
    )
    parser.add_argument("--json", action="store_true", help="the outcome for machines, with every sample")
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="NAME",
        help="only the figures whose names begin so; may be repeated",
    )
    parser.add_argument("--repeat", type=int, default=5, metavar="N", help="repetitions (default: 5)")
    parser.add_argument(
        "--settle",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="let each measurement wait so long at most for a moment in which nothing else runs",
    )
    parser.add_argument("--quick", action="store_true", help="small numbers: shows that it works, no more")
    parser.add_argument(
        "--no-install",
        dest="install",
        action="store_false",
        help="do not install what is compared with; figures whose peer is absent are left out",
    )
    options = parser.parse_args(arguments)
    if options.repeat < 1:
        parser.error("--repeat must be at least 1")
    if options.only and options.area is None:
        parser.error("--only needs an area")
    return options


def chosen(area: str, only: Sequence[str]) -> list[tuple[type[Experiment], list[str]]]:
    """The experiments that measure any of the figures asked for, with the names of those."""
    found = []
    for experiment in experiments(area):
        names = [
            figure.name
            for figure in experiment.figures
            if not only or any(figure.name.startswith(start) for start in only)
        ]
        if names:
            found.append((experiment, names))
    if not found:
        known = [figure.name for experiment in experiments(area) for figure in experiment.figures]
        raise Failed(f"no figure of {area} begins with {' or '.join(only)}; there are {', '.join(known)}")
    return found


def measure(bench: Bench, area: str, only: Sequence[str], repeat: int) -> tuple[list[Row], dict[str, str]]:
    """Run the experiments one after another. Raises `Failed`.

    The second part says of the figures that cannot be measured here why.
    """
    rows: list[Row] = []
    left_out: dict[str, str] = {}
    with bench.closing:
        for make, names in chosen(area, only):
            experiment = make(bench)
            own = {figure.name: Row(figure=figure) for figure in make.figures if figure.name in names}
            if (obstacle := experiment.obstacle()) is not None:
                bench.say(f"{', '.join(own)}: left out: {obstacle}")
                left_out |= dict.fromkeys(own, obstacle)
                continue
            bench.say(f"{', '.join(own)}: preparing")
            experiment.prepare()
            for turn in range(repeat):
                for name, (ours, peer) in experiment.measure(turn).items():
                    if name in own:
                        own[name].add(ours, peer)
                bench.say(f"{turn + 1} of {repeat}: " + "; ".join(_latest(row) for row in own.values()))
            for name, row in own.items():
                row.remark = experiment.remarks.get(name, "")
            rows += own.values()
    return rows, left_out


def _latest(row: Row) -> str:
    return f"{row.figure.name} {report.number(row.ours[-1])} / {report.number(row.peer[-1])}"


def run(options: argparse.Namespace) -> int:
    """One whole run; its exit status."""
    if options.install:
        peers.ensure(say, only=PEERS[options.area])
    # Neither the caller's servers nor moto: what is measured is the same everywhere.
    given = {"SQS_ENDPOINT_URL": "started below"}
    with (
        PrivateStack(queues=(), given=given, durable=True) as stack,
        BenchmarkSqs(stack.folder / "sqs") as sqs,
    ):
        stack.keep_logs = True
        own = {
            **stack.environ,
            **sqs.environ,
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
            "SQS_QUEUE_PREFIX": "bench-",
        }
        os.environ.update(own)
        _set_up()
        say("the private stack is up")
        bench = Bench(
            sqs=sqs.control,
            sqs_pid=sqs.pid,
            environ=environment.inherited(**own),
            folder=stack.folder,
            quick=options.quick,
            settle=options.settle,
            say=say,
        )
        found = report.machine()
        rows, left_out = measure(bench, options.area, options.only, options.repeat)
        _tear_down()
        stack.keep_logs = False
    document = {
        "area": options.area,
        "quick": options.quick,
        "repeat": options.repeat,
        "machine": found,
        "rows": [row.as_json() for row in rows],
        "missed": missed(rows),
        "left_out": left_out,
    }
    if options.output is not None:
        write(options.output, every.together([document]))
    if options.json:
        print(json.dumps(document, indent=2))
    else:
        print(f"{report.conditions(found)}; medians of {options.repeat}\n")
        print(f"{report.table(rows)}\n\n{report.legend(rows)}")
        if left_out:
            print(f"\n{report.omissions(left_out)}")
    return _MISSED if missed(rows) else 0


def run_all(options: argparse.Namespace) -> int:
    """All areas, and one table of their figures; the exit status."""
    arguments = [f"--repeat={options.repeat}", f"--settle={options.settle}"]
    arguments += ["--quick"] * options.quick + ["--no-install"] * (not options.install)

    def keep(so_far: Mapping[str, Any]) -> None:
        if options.output is not None:
            write(options.output, so_far)

    document, status = every.run(sorted(AREAS), arguments, say, keep)
    print(json.dumps(document, indent=2) if options.json else every.markdown(document))
    return status


def write(file: Path, document: Mapping[str, Any]) -> None:
    """Write the document of areas to *file*: as JSON, or as a table of Markdown."""
    text = json.dumps(document, indent=2) + "\n" if file.suffix == ".json" else every.markdown(document)
    file.write_text(text, encoding="utf-8")


def _set_up() -> None:
    """Django on the private stack, with its tables, and an empty copy of them."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.db import connection

    from tests.benchmarks import database

    call_command("migrate", run_syncdb=True, verbosity=0)
    connection.close()
    database.copy(database.PRISTINE, of=connection.settings_dict["NAME"])


def _tear_down() -> None:
    from django.db import connections

    from apps.ratelimits.engine import engine

    # Its thread would go on asking for servers that are about to end.
    engine().keeper.stop()
    connections.close_all()


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str]) -> int:
    """The command's exit status: 0, 1 (a goal is missed), 2 (it could not be measured)."""
    options = parse(arguments)
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        return run_all(options) if options.area is None else run(options)
    except (StackError, InstallFailed, Failed) as error:
        say(f"failed: {error}")
        return _BROKEN
    except KeyboardInterrupt:
        return _INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
