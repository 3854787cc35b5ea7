"""Every kind of mail has text and HTML that say the same, and nobody's words break out of their place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings as configured

from apps.notifications.kinds import Audience, all_kinds, kind_of, register, user_kinds
from apps.notifications.plain import absolute, plain
from apps.notifications.rendering import CannotRender, Rendered, render
from apps.notifications.templatetags.mails import amount, moment

LINK = "https://chandlery.example/notifications/unsubscribe/token"


@pytest.fixture(autouse=True)
def public(settings: Any) -> None:
    settings.PUBLIC_URL = "https://chandlery.example/"


class Page(HTMLParser):
    """What a reader of the HTML sees, piece by piece, and where its links lead."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.pieces: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self._hidden = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._hidden = tag in ("style", "title")
        for name, value in attrs:
            if name == "href":
                self.links.append(value or "")
            if name in ("src", "background", "data", "action", "onclick") or tag in ("script", "link", "img"):
                self.sources.append(f"{tag} {name}={value}")

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden and data.strip():
            self.pieces.append(" ".join(data.split()))


def sample(name: str, **changes: Any) -> dict[str, Any]:
    given = plain({**kind_of(name).sample, **changes})
    given.pop("held_back", None)
    return given


def rendered(name: str, **changes: Any) -> Rendered:
    return render(kind_of(name), sample(name, **changes), held_back=3, unsubscribe_url=LINK)


def leaves(value: Any) -> Iterator[str]:
    """The values of a context, as a reader sees them."""
    if isinstance(value, dict | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from leaves(one)
    elif value is not None and value != "":
        text = str(value)
        yield moment(text, "minutes").removesuffix(" UTC") if text.endswith("Z") else text


def test_every_kind_of_the_design_is_there_and_users_can_turn_off_what_is_not_grave():
    assert {kind.name for kind in all_kinds()} == {
        "verification_needed", "order_rejected", "order_needs_review", "daily_limit", "webhook_attack",
        "worker_orphaned", "backtest_finished", "sweep_finished", "dead_letters", "orphans",
    }  # fmt: skip
    assert {kind.name for kind in all_kinds() if not kind.changeable} == {
        "order_needs_review", "dead_letters", "orphans",
    }  # fmt: skip
    assert {kind.name for kind in all_kinds() if kind.audience == Audience.OPERATORS} == {
        "dead_letters", "orphans",
    }  # fmt: skip
    assert not any(kind.audience == Audience.OPERATORS for kind in user_kinds())
    assert {kind.name: kind.throttle for kind in all_kinds() if kind.throttle} == {"webhook_attack": 900}
    with pytest.raises(ValueError, match="already"):
        register(kind_of("orphans"))


def test_text_and_html_of_every_kind_tell_every_fact_and_the_same():
    for kind in all_kinds():
        given = sample(kind.name)
        made = rendered(kind.name)
        page, text = Page(made.html), f"{made.subject}\n{made.body}"
        seen = " ".join(page.pieces)
        for fact in leaves(
            {name: value for name, value in given.items() if name not in ("url", "simulation")}
        ):
            if fact.startswith("/admin/"):
                assert f"https://chandlery.example{fact}" in page.links, (kind.name, fact)
            else:
                assert fact in seen, (kind.name, fact)
            assert fact in text, (kind.name, fact)
        for link in page.links:
            assert link in text, (kind.name, link)
        assert not given["url"] or f"https://chandlery.example{given['url']}" in page.links
        assert made.subject.strip() == made.subject != ""
        assert "3 more like this were held back" in text
        assert "3 more like this were held back" in seen
        assert "{{" not in text + made.html
        assert "{%" not in text + made.html
        user = kind.audience == Audience.USER
        assert (LINK in text, LINK in page.links) == (user, user), kind.name
        tested = render(kind, given, test=True)
        assert tested.subject == f"[Test] {made.subject}"
        assert "This is a test" in tested.body
        assert "This is a test" in tested.html


def test_html_needs_nothing_from_elsewhere_and_has_a_dark_form():
    for kind in all_kinds():
        html = rendered(kind.name).html
        page = Page(html)
        assert page.sources == [], kind.name
        assert "url(" not in html
        assert "@import" not in html
        assert "prefers-color-scheme: dark" in html
        assert '<meta name="color-scheme" content="light dark">' in html
        assert all(re.match(r"https://chandlery\.example/", link) for link in page.links), page.links


def test_html_is_escaped_and_text_is_not():
    made = rendered("order_rejected", reason="<b>a & b</b>", account='"x"')
    assert "Reason: <b>a & b</b>" in made.body
    assert 'Account: "x"' in made.body
    assert "&lt;b&gt;a &amp; b&lt;/b&gt;" in made.html
    assert "<b>" not in made.html


def test_what_others_wrote_cannot_break_out_of_its_place():
    made = rendered(
        "webhook_attack",
        endpoint="a\r\nBcc: eve@example.com\u2028x",
        user_agent="curl\n\nYour password has expired: http://evil\x00\x1b[31m\u202e\ud800" + "x" * 5000,
    )
    assert made.subject == "Attack on your webhook a Bcc: eve@example.com x: The secret is wrong"
    (line,) = [line for line in made.body.splitlines() if "password" in line]
    assert line.startswith(
        "User agent: curl Your password has expired: http://evil\ufffd\ufffd[31m\ufffd\ufffd"
    )
    assert len(line) < 1100
    assert len(rendered("webhook_attack", endpoint="e" * 900).subject) == 200


def test_values_that_are_not_text_are_written_for_people():
    given = plain(
        {
            "at": datetime(2026, 3, 2, 9, 30, tzinfo=UTC),
            "quantity": Decimal("0.250000000000000000"),
            "id": UUID(int=7),
            "url": "/x?y=1",
            "many": [{"url": "http://other.example/"}],
        }
    )
    assert given["url"] == "/x?y=1"
    assert absolute({"many": [given]}, base="https://x") == {"many": [{**given, "url": "https://x/x?y=1"}]}
    assert plain({"url": ""}) == {"url": ""}
    assert given["many"] == [{"url": "http://other.example/"}]
    assert given["id"] == str(UUID(int=7))
    assert moment(given["at"]) == "2026-03-02 09:30:00 UTC"
    assert moment("2026-03-02T11:30:00+02:00", "minutes") == "2026-03-02 09:30 UTC"
    assert amount(given["quantity"]) == "0.25"
    for value, shown in (("100", "100"), ("1E+3", "1000"), ("soon", "soon"), ("NaN", "NaN"), (7, "7")):
        assert amount(value) == shown
    for value in ("soon", "2026-03-02", "2026-03-02T09:30:00"):
        assert moment(value) == value
    for url in ("javascript:alert(1)", "//evil.example/", "https://a b", 'https://a/"x', "x", "ftp://x"):
        with pytest.raises(ValueError, match="not an address"):
            plain({"url": url})
    with pytest.raises(ValueError, match="JSON values only"):
        plain({"x": object()})


def test_operators_replace_templates_by_their_own(settings: Any, tmp_path: Path):
    (tmp_path / "notifications").mkdir()
    theirs = tmp_path / "notifications" / "daily_limit.txt"
    theirs.write_text("Enough, {{ account }}\nOver {{ limit }} & out.\n")
    before = rendered("daily_limit")
    settings.TEMPLATES = [{**configured.TEMPLATES[0], "DIRS": [str(tmp_path)]}]
    made = rendered("daily_limit", account="a<b")
    assert (made.subject, made.body) == ("Enough, a<b", "Over 50 & out.\n")
    assert rendered("daily_limit").html.count("<tr>") == before.html.count("<tr>")
    for broken, said in (
        ("{% if %}", "broken"),
        ("{% include 'none.txt' %}x", "none.txt"),
        ("\nx", "subject"),
    ):
        theirs.write_text(broken)
        settings.TEMPLATES = [{**configured.TEMPLATES[0], "DIRS": [str(tmp_path)]}]
        with pytest.raises(CannotRender, match=said):
            rendered("daily_limit")
