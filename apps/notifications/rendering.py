"""From a kind and its context to subject, text and HTML."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from django.template import Context, Template, TemplateDoesNotExist, TemplateSyntaxError
from django.template.loader import get_template

from apps.core import conf
from apps.notifications.kinds import Audience, Kind
from apps.notifications.plain import absolute, one_line

#: Characters of a subject; what is longer is cut.
_SUBJECT = 200


class CannotRender(Exception):
    """A template of the kind is missing or broken, or links would lead nowhere."""


@dataclass(frozen=True, kw_only=True)
class Rendered:
    """What is sent."""

    #: One line.
    subject: str
    body: str
    html: str


def render(
    kind: Kind,
    context: Mapping[str, Any],
    *,
    held_back: int = 0,
    unsubscribe_url: str = "",
    test: bool = False,
) -> Rendered:
    """The mail of a kind; *context* is plain (`apps.notifications.plain`).

    Beside the context, templates are given ``mail``: its ``kind``, ``held_back``, ``unsubscribe_url`` (empty
    where there is none), ``site``, ``for_operators`` and ``test``; and the HTML its ``subject``. Paths under
    ``url`` are made absolute. In text nothing is escaped, in HTML everything is.

    Raises `CannotRender`.
    """
    if fault := conf.public_url_fault():
        raise CannotRender(fault)
    given: dict[str, Any] = {
        **absolute(dict(context), base=conf.public_url()),
        "mail": {
            "kind": kind.label,
            "held_back": held_back,
            "unsubscribe_url": unsubscribe_url,
            "site": conf.public_url(),
            "for_operators": kind.audience == Audience.OPERATORS,
            "test": test,
        },
    }
    try:
        text = _render(f"notifications/{kind.name}.txt", given, autoescape=False)
        subject, _, body = text.partition("\n")
        subject = one_line(f"[Test] {subject}" if test else subject, _SUBJECT)
        html = _render(f"notifications/{kind.name}.html", {**given, "subject": subject}, autoescape=True)
    except TemplateDoesNotExist as exc:
        raise CannotRender(f"there is no template {exc}") from exc
    except TemplateSyntaxError as exc:
        raise CannotRender(f"a template of {kind.name} is broken: {exc}") from exc
    except Exception as exc:
        # Filters and tags of a template raise what they like.
        raise CannotRender(f"a template of {kind.name} fails: {type(exc).__name__}: {exc}") from exc
    if not subject or subject == "[Test]":
        raise CannotRender(f"notifications/{kind.name}.txt begins with an empty line: there is no subject")
    return Rendered(subject=subject, body=body.strip() + "\n", html=html.strip() + "\n")


def _render(name: str, context: Mapping[str, Any], *, autoescape: bool) -> str:
    # Of Django's own engine: only its templates can be told whether to escape.
    template = cast("Template", get_template(name).template)  # type: ignore[attr-defined]
    return template.render(Context(dict(context), autoescape=autoescape))
