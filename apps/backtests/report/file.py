"""A report as one file: page, style, scripts and data in one, for a browser without a network."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from django.contrib.staticfiles import finders
from django.template.loader import render_to_string
from django.utils.safestring import mark_safe

from apps.backtests.report.bundle import bundled
from apps.core.csp import hash_of

_FOLDER = "backtests/report"
_DRAWING = "candles/vendor/lightweight-charts/lightweight-charts.standalone.production.mjs"
#: What could end the element that holds data or begin a comment in it, and line ends of old parsers.
_UNSAFE = {ord(one): f"\\u{ord(one):04x}" for one in "<>&\u2028\u2029"}


def render_file(document: Mapping[str, Any]) -> str:
    """A report's *document* as a complete HTML page that loads nothing.

    No text of the document can become markup or script: it stands as JSON without a ``<`` in an element
    that browsers do not run, and the page's policy allows its own script and style only, by their hashes.
    """
    data = orjson.dumps(document).decode().translate(_UNSAFE)
    safe = {"policy": file_policy(), "style": _style(), "script": _script(), "data": data}
    context = {name: mark_safe(text) for name, text in safe.items()}  # noqa: S308
    return render_to_string("backtests/report_file.html", {**context, "title": str(document["title"])})


@cache
def file_policy() -> str:
    """The policy of such a page: exactly its own script and style, and nothing from anywhere."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {hash_of(_script())}",
            f"style-src {hash_of(_style())}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


@cache
def module_names() -> tuple[str, ...]:
    """The static files of the page's modules, and of what they draw with."""
    folder = Path(_found(f"{_FOLDER}/main.js")).parent
    return (*(f"{_FOLDER}/{path.name}" for path in sorted(folder.glob("*.js"))), _DRAWING)


@cache
def _script() -> str:
    """All modules as one script."""
    return bundled({Path(name).name: _text(name) for name in module_names()}, "main.js")


@cache
def _style() -> str:
    return _text(f"{_FOLDER}/report.css")


def _text(name: str) -> str:
    return Path(_found(name)).read_text()


def _found(name: str) -> str:
    path = finders.find(name)
    assert isinstance(path, str), name
    return path
