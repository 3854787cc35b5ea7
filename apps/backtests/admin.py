from __future__ import annotations

from contextlib import suppress
from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.backtests import selectors
from apps.backtests.announcing import page_of
from apps.backtests.models import Backtest
from apps.backtests.report.sweeps.document import sweep_page_of
from apps.backtests.requested import RequestedAdmin
from apps.backtests.services import Ended, backtest_cancel, backtest_delete
from apps.backtests.sweeps import admin as _sweeps  # noqa: F401  (of this app, which Django does not look for)
from apps.candles.timeframes import TIMEFRAMES
from apps.candles.wording import when
from apps.core.admin.described import Subject, answered, chosen, looking, run_link
from apps.core.admin.filters import aged, among, yes_or_no
from apps.tasks.admin.shown import run_badge
from apps.tasks.states import State

_FIELDS = (
    "id", "owner", "title", "instruments", "timeframe", "start", "end", "strategy", "state", "done", "error",
    "pages", "runs", "missing", "reused", "shared_at", "created_at", "metrics", "bounds", "spec",
    "fingerprints", "timings",
)  # fmt: skip


class StateFilter(admin.SimpleListFilter):
    """Backtests that stand so."""

    title = parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [(state.value, state.value) for state in State]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any] | None:
        value = self.value()
        return selectors.in_state(queryset, value) if value in State.values else None


def _describe(page: list[Backtest]) -> None:
    """Set how each of these backtests stands."""
    statuses = selectors.statuses(page)
    for one in page:
        vars(one)["status"] = statuses[one.pk]


def _status(backtest: Backtest) -> selectors.Status:
    if "status" not in vars(backtest):
        _describe([backtest])
    status: selectors.Status = vars(backtest)["status"]
    return status


def _table(values: dict[str, Any] | None) -> SafeString | str:
    """Names and values, one under the other."""
    if not values:
        return ""
    rows = format_html_join("", "<tr><th>{}</th><td>{}</td></tr>", values.items())
    return format_html("<table>{}</table>", rows)


@admin.register(Backtest)
class BacktestAdmin(RequestedAdmin):
    """Backtests: how they stand, and what came of them."""

    comes = "Users request backtests over the API and on the command line."
    list_display = ("__str__", "owner", "span", "created", "state", "done", "figures", "pages")
    list_filter = (
        StateFilter,
        among("timeframe", lambda: [(name, name) for name in TIMEFRAMES]),
        aged("id", "requested in the last"),
        yes_or_no("shared", "shared", share_hash__isnull=False),
        "missing",
        "reused",
    )
    id_fields = ("pk", "task_run", "fetch_run")
    search_fields = ("instruments", "strategy", "title", "owner__username", "=spec_hash")
    search_help_text = (
        "The id of a backtest or its run; part of an instrument, a strategy, a title, an owner's name"
    )
    fields = readonly_fields = _FIELDS
    actions = ("cancel", "remove")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Backtest]:
        return selectors.with_results(super().get_queryset(request)).select_related("owner", "picked")

    def delete_model(self, request: HttpRequest, obj: Backtest) -> None:
        # What somebody else has deleted meanwhile is gone as well.
        with suppress(Backtest.DoesNotExist):
            backtest_delete(backtest=obj, actor=f"user:{request.user.pk}")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return looking(_describe)

    @admin.display(description="state")
    def state(self, backtest: Backtest) -> SafeString | str:
        """Of its run."""
        return run_badge(_status(backtest).state)

    @admin.display(description="progress")
    def done(self, backtest: Backtest) -> str:
        """The phase, and how far it is."""
        status = _status(backtest)
        return f"{status.phase} {status.done:,} of {status.total:,}" if status.phase else ""

    @admin.display(description="why it failed")
    def error(self, backtest: Backtest) -> str:
        """The last attempt's error."""
        error = _status(backtest).error
        return f"{error['type']}: {error['message']}" if error else ""

    @admin.display(description="return, trades")
    def figures(self, backtest: Backtest) -> str:
        """What came of it, in short."""
        result = backtest.result
        if result is None:
            return ""
        gain = result.metrics.get("return_pct")
        return f"{'' if gain is None else f'{gain:,.2f} %, '}{result.trade_count:,}"

    @admin.display(description="report")
    def pages(self, backtest: Backtest) -> SafeString:
        """The page for its owner."""
        addresses = [page_of(backtest), sweep_page_of(backtest)]
        links = zip(filter(None, addresses), ("report", "sweep"), strict=False)
        return format_html_join(" of ", '<a href="{}">{}</a>', links)

    @admin.display(description="runs")
    def runs(self, backtest: Backtest) -> SafeString:
        """What fetches its candles, and what computes it."""
        named = (("fetching", backtest.fetch_run), ("computing", backtest.task_run))
        return format_html_join(", ", "{}", ((run_link(run, name),) for name, run in named if run))

    @admin.display(description="metrics")
    def metrics(self, backtest: Backtest) -> SafeString | str:
        """All of them."""
        return _table(backtest.result.metrics if backtest.result else None)

    @admin.display(description="ambiguous bars")
    def bounds(self, backtest: Backtest) -> SafeString | str:
        """How many there are, and the figures of both readings."""
        if backtest.result is None:
            return ""
        return _table({"bars": backtest.result.ambiguous, **(backtest.result.bounds or {})})

    @admin.display(description="identity")
    def fingerprints(self, backtest: Backtest) -> SafeString | str:
        """What the result is of."""
        result = backtest.result
        if result is None:
            return ""
        names = ("fingerprint", "data_fingerprint", "spec_hash", "engine_version")
        return _table({name: getattr(result, name) for name in names})

    @admin.display(description="timings (ms)")
    def timings(self, backtest: Backtest) -> SafeString | str:
        """Of the run that made the result."""
        return _table(backtest.result.timings if backtest.result else None)

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Backtest]) -> HttpResponse | None:
        """End what runs or waits, after a question."""
        backtests = chosen(queryset)
        if not answered(request):
            return self._ask(request, backtests, "cancel", "What runs ends within moments.", "Cancel them")
        done = 0
        for one in backtests:
            try:
                backtest_cancel(backtest=one, actor=f"user:{request.user.pk}")
                done += 1
            except Ended:
                self.tell_each(request, [f"{one} has ended already."])
            except Backtest.DoesNotExist:
                self.tell_each(request, [f"{one} was deleted meanwhile."])
        self.message_user(request, f"{done} cancelled.", messages.SUCCESS)
        return None

    @admin.action(description="Delete", permissions=["operate"])
    def remove(self, request: HttpRequest, queryset: QuerySet[Backtest]) -> HttpResponse | None:
        """Delete backtests with what only they have, after a question."""
        backtests = chosen(queryset)
        if not answered(request):
            return self._ask(
                request, backtests, "remove", "Their results go with the last that has them.", "Delete them"
            )
        for one in backtests:
            # What somebody else has deleted meanwhile is gone as well.
            with suppress(Backtest.DoesNotExist):
                backtest_delete(backtest=one, actor=f"user:{request.user.pk}")
        self.message_user(request, f"{len(backtests)} deleted.", messages.SUCCESS)
        return None

    def _ask(
        self, request: HttpRequest, backtests: list[Backtest], action: str, consequence: str, button: str
    ) -> HttpResponse:
        subjects = [
            Subject(
                pk=one.pk,
                label=str(one),
                detail=f"{one.owner.get_username()}, {when(one.start)} to {when(one.end)}",
            )
            for one in backtests
        ]
        return self.ask(
            request,
            subjects,
            action=action,
            title=f"{button}?",
            consequence=consequence,
            button=button,
            grave=action == "remove",
        )
