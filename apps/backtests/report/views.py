"""The pages: a report, one that was shared, and a comparison; and the documents that they show."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from apps.backtests.api.asked import CompareQuerySerializer
from apps.backtests.api.finding import still_there
from apps.backtests.models import Backtest
from apps.backtests.report import access, answers
from apps.backtests.report.document import VERSION
from apps.backtests.report.file import file_policy, module_names, render_file
from apps.backtests.report.sweeps.document import sweep_page_of
from apps.candles import conf as candles_conf
from apps.core.problems import answer, problem


@require_safe
def report(request: HttpRequest, backtest_id: uuid.UUID) -> HttpResponse:
    """The report's page; while the run goes on, how far it is."""
    backtest = _own(request, backtest_id)
    sweep = sweep_page_of(backtest)
    return _page(request, backtest, "backtest-report", [backtest_id], sweep=sweep)


@require_safe
def report_json(request: HttpRequest, backtest_id: uuid.UUID) -> HttpResponse:
    """The report's document; while there is none 202 with the parts of `access.Standing`."""
    return _document(request, _own(request, backtest_id))


@require_safe
def report_trades(request: HttpRequest, backtest_id: uuid.UUID) -> HttpResponse:
    """Trades from ``offset`` on, as columns."""
    return _trades(request, _own(request, backtest_id))


@require_safe
def report_file(request: HttpRequest, backtest_id: uuid.UUID) -> HttpResponse:
    """The report as one file that needs no network."""
    return _file(request, _own(request, backtest_id), str(backtest_id))


@require_safe
def shared(request: HttpRequest, token: str) -> HttpResponse:
    """The page of a report that was shared: for everybody who has the link."""
    return _page(request, _shared(token), "backtest-shared", [token])


@require_safe
def shared_json(request: HttpRequest, token: str) -> HttpResponse:
    """See `report_json`; why a run failed is told to its owner only."""
    return _document(request, _shared(token), told=False)


@require_safe
def shared_trades(request: HttpRequest, token: str) -> HttpResponse:
    """See `report_trades`."""
    return _trades(request, _shared(token))


@require_safe
def shared_file(request: HttpRequest, token: str) -> HttpResponse:
    """See `report_file`."""
    backtest = _shared(token)
    return _file(request, backtest, (access.fingerprint(backtest) or "")[:16])


@require_safe
def compare(request: HttpRequest) -> HttpResponse:
    """The page that compares the backtests of ``ids``, which are separated by commas."""
    found = _compared(request)
    if isinstance(found, HttpResponse):
        return found
    ids = ",".join(str(one.pk) for one in found)
    context = {
        "title": "Comparison",
        "about": f"{len(found)} backtests",
        "source": f"{reverse('backtest-compare-json')}?ids={ids}",
        "modules": module_names(),
    }
    return answers.guarded(render(request, "backtests/compare.html", context))


@require_safe
def compare_json(request: HttpRequest) -> HttpResponse:
    """The comparison's document; 202 as in `report_json` while one of them has no result."""
    found = _compared(request)
    if isinstance(found, HttpResponse):
        return found
    tags = []
    for one in found:
        tag, standing = _tag(one)
        if tag is None:
            return answers.json(request, standing, status=202)
        tags.append(f"{one.pk.hex[-12:]}{tag[:24]}")
    runs = {reverse("backtest-report", args=[one.pk]): one for one in found}
    return answers.tagged(request, f"{VERSION}-{'-'.join(tags)}", lambda: _read(access.comparison, runs))


def _own(request: HttpRequest, backtest_id: uuid.UUID) -> Backtest:
    found = access.visible(user=request.user, backtest_id=backtest_id)
    if found is None:
        raise Http404(f"There is no backtest {backtest_id} of yours.")
    return found


def _shared(token: str) -> Backtest:
    found = access.shared(token=token)
    if found is None:
        raise Http404("This link is not valid, or not any more.")
    return found


def _compared(request: HttpRequest) -> list[Backtest] | HttpResponse:
    """The backtests that were asked for, or what is wrong with the question: as the API sees it."""
    query = CompareQuerySerializer(data={"ids": request.GET.get("ids", "")})
    if not query.is_valid():
        return _refused(request, str(query.errors["ids"][0]))
    return [_own(request, one) for one in query.validated_data["ids"]]


def _refused(request: HttpRequest, message: str, field: str = "ids") -> HttpResponse:
    errors = [{"field": field, "detail": message}]
    return answer(request, problem("invalid-request", 400, f"{field}: {message}", errors))


def _page(
    request: HttpRequest, backtest: Backtest, name: str, key: list[Any], sweep: str | None = None
) -> HttpResponse:
    context = {
        "sweep": sweep,
        "title": access.title(backtest),
        "about": access.about(backtest),
        "source": reverse(f"{name}-json", args=key),
        "trades": reverse(f"{name}-trades", args=key),
        "file": reverse(f"{name}-file", args=key),
        "feed": reverse("udf-config").removesuffix("config"),
        "bars": candles_conf.max_bars(),
        "modules": module_names(),
    }
    return answers.guarded(render(request, "backtests/report.html", context))


def _document(request: HttpRequest, backtest: Backtest, *, told: bool = True) -> HttpResponse:
    tag, standing = _tag(backtest)
    if tag is None:
        return answers.json(request, standing if told else {**standing, "error": None}, status=202)
    # Beside the result it tells whether the stored candles are still those.
    tag = f"{VERSION}-{tag}-{access.data_version(backtest)[:16]}"
    return answers.tagged(request, tag, lambda: _read(access.document, backtest))


def _tag(backtest: Backtest) -> tuple[str | None, dict[str, Any]]:
    """The fingerprint of a result, or how far the run is."""
    tag = access.fingerprint(backtest)
    if tag is not None:
        return tag, {}
    standing = access.standing(backtest)
    # It may have ended between the two questions.
    return access.fingerprint(backtest) if standing.ended else None, asdict(standing)


def _read(make: Callable[..., dict[str, Any]], *given: Any) -> dict[str, Any]:
    """What *make* returns. Raises `Http404` where the result has gone since it was found."""
    with still_there():
        return make(*given)


def _trades(request: HttpRequest, backtest: Backtest) -> HttpResponse:
    text = request.GET.get("offset", "0")
    if not text.isdecimal() or len(text) > 9:
        return _refused(request, "Not a whole number from 0.", "offset")
    tag = access.fingerprint(backtest)
    if tag is None:
        raise Http404("This backtest has no result yet.")
    return answers.tagged(
        request, f"{VERSION}-{tag}-{int(text)}", lambda: _read(access.trades, backtest, int(text))
    )


def _file(request: HttpRequest, backtest: Backtest, name: str) -> HttpResponse:
    if access.fingerprint(backtest) is None:
        raise Http404("This backtest has no result yet.")
    body = render_file(_read(access.document, backtest)).encode()
    response = answers.encoded(request, body, kind="text/html; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="backtest-{name}.html"'
    response["Cache-Control"] = "private, no-store"
    response["Content-Security-Policy"] = f"{file_policy()}; frame-ancestors 'none'"
    return response
