"""Log lines: one form for all, with the ids of what they belong to, and without secrets."""

from __future__ import annotations

import json
import logging
import sys

import pytest
from django.conf import settings

from apps.core import context, logs

SECRET = "wJalrXUtnFEMIK7MDENGbPxRfiCYEXAMPLEKEY"


def record(message: str = "hello", *args: object, **attributes: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"name": "a.library", "levelname": "WARNING", "created": 1_700_000_000.25})
    made.msg, made.args = message, args
    vars(made).update(attributes)
    return made


def written(made: logging.LogRecord, form: str = "json") -> str:
    return logs.formatter(form=form, version="1.2").format(made)


def test_a_line_of_any_library_is_one_json_object():
    line = json.loads(written(record("%d of %s", 3, "four\nfive")))
    assert line.pop("pid") > 0
    assert line == {
        "timestamp": "2023-11-14T22:13:20.250Z", "level": "warning", "logger": "a.library",
        "event": "3 of four\nfive", "process": "command", "version": "1.2",
    }  # fmt: skip


def test_a_line_has_the_ids_of_what_it_belongs_to_and_asks_nobody_for_them():
    def nobody_may_ask() -> str:
        raise AssertionError

    with context.actor_from(nobody_may_ask), context.bind(request_id="r1", correlation_id="c1"):
        line = json.loads(written(record()))
    assert (line["request_id"], line["correlation_id"]) == ("r1", "c1")
    assert "actor" not in line
    with context.bind(actor="task:a.b", causation_id="run", attempt="2", worker="w/1", correlation_id="c1"):
        line = json.loads(written(record(**logs.fields(queue="q", nothing=None))))
        shown = written(record(**logs.fields(queue="q")), "console")
    assert line.items() >= {
        "run_id": "run", "task": "a.b", "attempt": "2", "worker": "w/1", "correlation_id": "c1", "queue": "q"
    }.items()  # fmt: skip
    assert "nothing" not in line
    begin, _, ids = shown.partition(" hello ")
    assert begin == "2023-11-14T22:13:20.250Z WARNING a.library:"
    assert ids == "correlation_id=c1 run_id=run task=a.b attempt=2 queue=q"


@pytest.mark.parametrize("form", ["json", "console"])
def test_secrets_are_masked_in_words_fields_and_traces(form: str):
    try:
        raise ValueError(f"api_key={SECRET}")
    except ValueError:
        exc_info = sys.exc_info()
    made = record(
        "password=%s",
        SECRET,
        exc_info=exc_info,
        **logs.fields(token=SECRET, url=f"redis://x:{SECRET}@host/0"),
    )
    text = written(made, form)
    assert SECRET not in text
    assert text.count("***") == 4
    assert "ValueError" in text
    assert text.count("Traceback") == 1


def test_tokens_of_webhooks_are_masked_wherever_a_handler_finds_them(capsys):
    """Whatever handlers there are: the ones of the settings have the filters."""
    address = f"/webhooks/tradingview/{SECRET}"
    handlers = settings.LOGGING["handlers"].values()
    assert all(handler["filters"] == ["paths", "tokens"] for handler in handlers)
    (console,) = (one for one in logging.getLogger().handlers if type(one) is logging.StreamHandler)
    try:
        raise ValueError(address)
    except ValueError:
        made = record(address, exc_info=sys.exc_info(), **logs.fields(path=address))
    assert console.filter(made)
    text = written(made)
    assert SECRET not in text
    assert text.count("/webhooks/tradingview/***") == 3


def test_no_value_begins_a_line_of_its_own_or_commands_a_terminal():
    forged = "/x\n2026-01-01T00:00:00Z ERROR forged\x1b[2Jé"
    text = written(record(**logs.fields(path=forged)), "console")
    assert text.endswith(r"path=/x\n2026-01-01T00:00:00Z ERROR forged\x1b[2Jé")
    assert json.loads(written(record(**logs.fields(path=forged))))["path"] == forged


def test_another_form_is_refused():
    with pytest.raises(ValueError, match="LOG_FORMAT must be json or console, not 'xml'"):
        logs.formatter(form="xml", version="")
