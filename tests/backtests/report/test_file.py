"""The report as one file: it needs nothing else, and no text in it can become more than text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from apps.backtests.report.document import report_document
from apps.backtests.report.file import render_file
from tests.backtests.report.running import SPEC, outcome, walk
from tests.browser import Visit, needs_chromium, visiting

HOSTILE = [
    "</script><script>window.broken = 1</script>",
    "<!--<script>",
    '"><img src=x onerror="window.broken = 1">',
    "</title><svg onload='window.broken = 1'>",
    "\u2028window.broken = 1\u2029",
    "]]> {{ title }} {% now 'Y' %} &lt;b&gt;",
    "\\u003c/script\\u003e",
]


def hostile_document(text: str) -> dict[str, Any]:
    """A report in which every text that others can choose is this one."""
    bars = walk(400)
    made = report_document(
        bars={text: bars},
        outcome=outcome(bars),
        spec={**SPEC.as_dict(), "params": {text: text}, "strategy": f"{text}\n"},
        timeframe="1m",
        title=text,
        strategy={"name": text, "title": text, "description": text, "text": text},
        notes=(text,),
    )
    made["trades"]["reasons"] = [text] * len(made["trades"]["reasons"])
    made["exits"][0]["reason"] = text
    return made


def data_of(page: str) -> Any:
    found = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return json.loads(found[1])


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_text_in_the_markup(text: str) -> None:
    document = hostile_document(text)
    page = render_file(document)
    assert data_of(page) == document
    tame = render_file(hostile_document("tame"))
    for mark in ("<script", "</script", "<img", "<svg", "<!--", "<title", "</title"):
        assert page.count(mark) == tame.count(mark), mark


def test_nothing_is_loaded(year_document: dict[str, Any]) -> None:
    page = render_file(year_document)
    policy = re.search(r'http-equiv="Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert policy[1].startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy[1]
    assert not re.search(r'<(?:script|img|link)[^>]+(?:src|href)="(?!data:)', page)


@pytest.fixture
def visit() -> Iterator[Visit]:
    with visiting("about:blank", viewport={"width": 1280, "height": 900}, offline=True) as visit:
        yield visit


@needs_chromium
def test_hostile_text_is_text_in_the_browser(visit: Visit, tmp_path: Path) -> None:
    for text in HOSTILE:
        (tmp_path / "report.html").write_text(render_file(hostile_document(text)))
        visit.page.goto((tmp_path / "report.html").as_uri())
        expect(visit.page.locator("#report")).to_have_attribute("data-state", "ready")
        assert visit.page.locator("h1").text_content() == text
        assert visit.page.evaluate("window.broken") is None
    assert visit.errors == []


@needs_chromium
def test_a_year_of_minutes_is_shown_without_a_network(
    visit: Visit, tmp_path: Path, year_document: dict[str, Any]
) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_file(year_document))
    visit.page.goto(path.as_uri())
    chart = visit.page.locator('[data-part="chart"]')
    expect(chart).to_have_attribute("data-bars", str(len(year_document["prices"][0]["ts"])))
    expect(visit.page.locator('[data-part="trades"] tbody tr')).to_have_count(50)
    # Looking closer shows the same bars: there are no others.
    visit.page.locator('[data-part="trades"] tbody tr').nth(7).click()
    expect(chart).to_have_attribute("data-trade", "7")
    expect(chart).to_have_attribute("data-bars", str(len(year_document["prices"][0]["ts"])))
    assert visit.errors == []
    assert [url for url in visit.requests if not url.startswith(("data:", "file:"))] == []
