"""What the README promises exists, and what exists is in the README."""

from __future__ import annotations

import re
from argparse import ArgumentParser, _SubParsersAction
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from django.conf import settings as project
from django.core.management import get_commands, load_command_class
from django.urls import URLPattern, URLResolver, get_resolver

from apps.audit import all_actions
from apps.backtests.engine import STRATEGIES
from apps.backtests.engine.language.reference import reference
from apps.backtests.engine.metrics import metrics_markdown
from apps.backtests.engine.spec import SCHEMA
from apps.candles.models import Gap
from apps.candles.quality import Reason
from apps.candles.timeframes import TIMEFRAMES
from apps.core.problemtypes import PROBLEM_TYPES
from apps.events.registry import all_types
from apps.liveness.states import TRANSITIONS as WORKER_TRANSITIONS
from apps.liveness.states import SessionState
from apps.notifications.kinds import all_kinds
from apps.notifications.states import TRANSITIONS as EMAIL_TRANSITIONS
from apps.orders.reasons import REASONS
from apps.orders.states import FOUND_IN
from apps.orders.states import TRANSITIONS as ORDER_TRANSITIONS
from apps.orders.states import State as OrderState
from apps.tasks import Backoff, DurableTask
from apps.tasks.batchstates import BATCH_TRANSITIONS, BatchState
from apps.tasks.states import TRANSITIONS, State
from apps.webhooks.codes import Layer
from apps.webhooks.formats.tradingview import FIELDS
from project.settings import base

ROOT = Path(project.BASE_DIR)
README = (ROOT / "README.md").read_text()
SETTINGS = "".join(path.read_text() for path in (ROOT / "project" / "settings").glob("*.py"))
PAGES = README + (ROOT / "docker" / "README.md").read_text()
#: Variables of Python's, Django's, boto3's and OpenTelemetry's own, and of the tests.
OTHERS_VARIABLES = re.compile(
    r"OTEL_|REQUESTS_CA_BUNDLE|DJANGO_SETTINGS_MODULE|CELERY_SKIP_CHECKS|TEST_|PG|_"
)


def first_column(heading: str) -> list[str]:
    """The code words in the first column of the table whose header begins with *heading*."""
    table = README.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    return re.findall(r"^\| `([^`]+)`", table, re.MULTILINE)


def rows(heading: str) -> dict[str, list[str]]:
    """The code words of each row of that table after the first column's, by cell; by that word."""
    table = README.split(f"| {heading} |", 1)[1].split("\n\n", 1)[0]
    found = {}
    for line in re.findall(r"^\| `.+", table, re.MULTILINE):
        first, *cells = line.strip("| ").split(" | ")
        found[first.strip("`")] = cells
    return found


def words(cell: str) -> set[str]:
    """The code words of a cell."""
    return set(re.findall(r"`([^`]+)`", cell))


def test_every_environment_variable_is_documented_and_every_documented_one_is_read():
    read = set(re.findall(r'env\.\w+\(\s*"([A-Z0-9_]+)"', SETTINGS))
    assert set(first_column("variable")) == read


def product_code() -> str:
    """All of the product's own, without the embedded stack."""
    return "".join(
        path.read_text()
        for folder in ("apps", "project")
        for path in (ROOT / folder).rglob("*.py")
        if "stack" not in path.parts
    )


def test_every_variable_that_is_read_past_the_settings_is_documented():
    read = set(re.findall(r'os\.environ(?:\.get\(|\.setdefault\(|\[)"([A-Z0-9_]+)"', product_code()))
    assert "WEB_THREADS" in read
    for variable in read:
        assert OTHERS_VARIABLES.match(variable) or re.search(rf"`{variable}[=`]", README), variable


def test_every_event_is_documented():
    # Other tests have registered some of their own meanwhile.
    code = product_code()
    kinds = {kind.name for kind in all_types() if f'"{kind.name}"' in code}
    assert kinds >= {"task.requested", "position.changed"}
    assert {name for name in kinds if f"`{name}`" not in README} == set()


def test_every_state_and_every_event_is_documented():
    assert first_column("state") == [state.value for state in State]
    assert sorted(first_column("event")) == [
        kind.name for kind in all_types() if kind.name.startswith("task.")
    ]


@pytest.mark.parametrize(
    ("heading", "transitions"),
    [("event", TRANSITIONS), ("batch event", BATCH_TRANSITIONS), ("worker event", WORKER_TRANSITIONS)],
)
def test_every_transition_is_documented(heading, transitions):
    documented = {event: (words(cells[0]), words(cells[1])) for event, cells in rows(heading).items()}
    for event, (found, left) in transitions.items():
        found = found if isinstance(found, tuple) else (found,)
        assert documented.pop(event) == ({state for state in found if state is not None}, {left}), event
    assert documented == {}


def test_every_move_of_orders_and_of_mails_is_documented():
    assert {state: words(cells[0]) for state, cells in rows("order state").items()} == {
        state: set(following) for state, following in ORDER_TRANSITIONS.items() if state
    }
    assert {event: words(cells[0]) for event, cells in rows("order event").items()} == {
        event: set(states) - {""} for event, states in FOUND_IN.items()
    }
    assert {state: words(cells[0]) for state, cells in rows("e-mail state").items()} == {
        state: set(following) for state, following in EMAIL_TRANSITIONS.items()
    }


def test_every_queue_every_periodic_task_and_every_alert_is_documented():
    assert first_column("queue") == [queue for queue in project.TASKS_QUEUES if queue != "ordered.fifo"]
    assert first_column("entry") == list(base.CELERY_BEAT_SCHEDULE)
    alerts = yaml.safe_load((ROOT / "docker" / "prometheus" / "alerts.yml").read_text())
    assert first_column("alert") == [rule["alert"] for group in alerts["groups"] for rule in group["rules"]]


def test_links_lead_somewhere():
    pages = (ROOT / "README.md", ROOT / "docker" / "README.md")
    anchors = {
        page: {
            re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")
            for title in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
        }
        for page in pages
    }
    for page in pages:
        for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()):
            if "://" in link:
                continue
            file, _, anchor = link.partition("#")
            there = (page.parent / file).resolve() if file else page
            assert there.exists(), (page, link)
            assert not anchor or anchor in anchors[there], (page, link)


def test_no_code_breaks_over_lines():
    text = re.sub(r"^```[^`]*?^```", "", PAGES, flags=re.MULTILINE)
    assert [line for line in text.splitlines() if line.count("`") % 2] == []


def test_every_state_and_every_event_of_batches_is_documented():
    assert first_column("batch state") == [state.value for state in BatchState]
    assert sorted(first_column("batch event")) == sorted(BATCH_TRANSITIONS)


def test_every_state_and_every_event_of_workers_is_documented():
    assert first_column("worker state") == [state.value for state in SessionState]
    assert sorted(first_column("worker event")) == sorted(WORKER_TRANSITIONS)


def test_every_state_event_and_code_of_orders_is_documented():
    assert first_column("order state") == [state.value for state in OrderState]
    assert sorted(first_column("order event")) == sorted(FOUND_IN)
    assert first_column("order code") == list(REASONS)
    for code, why in REASONS.items():
        assert f"| `{code}` | {why[0].lower()}{why[1:].removesuffix('.')} |" in README


def test_every_problem_is_documented():
    assert first_column("problem") == list(PROBLEM_TYPES)
    for one in PROBLEM_TYPES.values():
        statuses = ", ".join(map(str, one.statuses))
        assert f"| `{one.name}` | {statuses} | {one.meaning} {one.remedy} |" in README


def test_signals_and_what_refuses_them_are_documented():
    assert first_column("webhook field") == list(FIELDS)
    assert first_column("layer") == [layer.value for layer in Layer]


def test_every_mail_and_every_action_of_the_audit_is_documented():
    assert first_column("mail") == [kind.name for kind in all_kinds()]
    # Tests register some of their own.
    ours = [action.name for action in all_actions() if not action.name.startswith("test.")]
    assert first_column("action") == ours


def test_every_reason_of_the_gate_and_every_cause_of_a_gap_is_documented():
    assert first_column("reason") == [reason.value for reason in Reason]
    assert sorted(first_column("cause")) == sorted(Gap.Cause.values)


def _addresses(patterns: list[URLPattern | URLResolver], prefix: str = "/") -> set[str]:
    found = set()
    for pattern in patterns:
        address = prefix + str(pattern.pattern)
        if isinstance(pattern, URLResolver):
            if not address.startswith("/admin"):
                found |= _addresses(pattern.url_patterns, address)
        else:
            found.add(re.sub(r"<[^>]+>", "<id>", address))
    return found


def test_every_address_is_documented():
    documented = {address.split()[1] for address in first_column("address")}
    assert documented | {"/api/docs", "/api/schema"} == _addresses(get_resolver().url_patterns)


def test_every_command_is_documented():
    ours = {path.stem for path in ROOT.glob("apps/*/management/commands/[a-z]*.py")}
    assert {command.split()[0] for command in first_column("command")} == ours


def _options(parser: ArgumentParser, words: list[str]) -> set[str]:
    """The options that *parser* takes: with the subcommand that *words* begin with, or with any."""
    found = set(parser._option_string_actions)
    for action in parser._actions:
        if isinstance(action, _SubParsersAction):
            chosen = {name: each for name, each in action.choices.items() if name in words[:1]}
            for each in (chosen or action.choices).values():
                found |= _options(each, words[1:])
    return found


def _typed() -> Iterator[list[str]]:
    """The words of every command line that the pages show, from the command's name on."""
    fenced = re.findall(r"^```[^`]*?^```", PAGES, re.MULTILINE)
    spans = re.findall(r"`([^`\n]+)`", re.sub(r"^```[^`]*?^```", "", PAGES, flags=re.MULTILINE))
    ours = {path.stem for path in ROOT.glob("apps/*/management/commands/[a-z]*.py")}
    for line in (line for block in [*fenced, *spans] for line in block.splitlines()):
        before, found, after = line.partition("manage.py ")
        words = re.split(r"[\s)]+", after if found else before)
        if words[0] in ours:
            yield words


def test_commands_that_are_shown_can_be_typed():
    shown = [words for words in _typed() if any(word.startswith("--") for word in words)]
    assert len(shown) > 20
    for name, *words in shown:
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        asked = {re.match(r"[a-z-]+", word).group() for word in words if word.startswith("--")}  # type: ignore[union-attr]
        assert asked <= _options(parser, words), (name, words)


def test_options_of_the_table_of_commands_are_those_of_the_commands():
    table = README.split("| command |", 1)[1].split("\n\n", 1)[0]
    for line in re.findall(r"^\| `.+", table, re.MULTILINE):
        name = line.split("`")[1].split()[0]
        if name == "bench":  # hands everything over to another program
            continue
        parser = load_command_class(get_commands()[name], name).create_parser("manage.py", name)
        assert set(re.findall(r"(?<![\w-])--[a-z-]+", line)) <= _options(parser, []), line


def test_every_timeframe_is_documented():
    listed = re.search(r"bars of an instrument: (.*) \|", README)
    assert listed is not None
    assert listed.group(1).split(", ") == list(TIMEFRAMES)


def test_the_readmes_task_takes_the_options_that_are_shown():
    options = re.search(r"@shared_task\(base=DurableTask, (.*)\)\n", README)
    assert options is not None
    given = eval(f"dict({options.group(1)})", {"Backoff": Backoff, "dict": dict})
    for name in given:
        assert name == "queue" or hasattr(DurableTask, name)


@pytest.mark.parametrize("file", ["base.txt", "dev.txt", "prod.txt", "bench.txt", "otel.txt"])
def test_every_requirement_has_a_range_and_a_reason(file):
    for line in (ROOT / "requirements" / file).read_text().splitlines():
        if line and not line.startswith(("#", "-r")):
            assert re.fullmatch(r"[\w\[\],.-]+>=[\d.]+(\.post\d|b\d)?,<[\d.]+ +# \S.*", line), line


def test_every_metric_is_defined_with_its_source():
    assert metrics_markdown().strip() in README


def test_every_built_in_strategy_and_the_whole_language_are_documented():
    assert first_column("strategy") == list(STRATEGIES)
    assert reference().strip() in README


def test_every_setting_of_a_backtest_is_documented():
    settings = []
    for name, rule in SCHEMA["properties"].items():
        settings += [f"{name}.{inner}" for inner in rule["properties"]] if "properties" in rule else [name]
    table = README.split("| setting | default |", 1)[1].split("\n\n", 1)[0]
    documented = [
        name
        for line in table.splitlines()
        for name in re.findall(r"`([a-z_.]+)`", line.split("|")[1] if "|" in line else "")
    ]
    assert documented == settings
