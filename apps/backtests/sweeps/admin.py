from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from apps.backtests.requested import RequestedAdmin
from apps.backtests.sweeps import selectors
from apps.backtests.sweeps.announcing import page_of
from apps.backtests.sweeps.ending import Ended, sweep_cancel, sweep_delete
from apps.backtests.sweeps.models import Sweep
from apps.candles.timeframes import TIMEFRAMES
from apps.candles.wording import when
from apps.core.admin.described import Subject, answered, chosen, looking, run_link
from apps.core.admin.filters import aged, among, yes_or_no
from apps.tasks.admin.shown import run_badge


@admin.register(Sweep)
class SweepAdmin(RequestedAdmin):
    """Sweeps: how they stand, and what they found."""

    comes = "Users request sweeps over the API and on the command line."
    list_display = ("__str__", "owner", "span", "created", "state", "done", "chunks_shown", "pages")
    list_filter = (
        "method",
        among("timeframe", lambda: [(name, name) for name in TIMEFRAMES]),
        aged("id", "requested in the last"),
        yes_or_no("finished", "finished", finished_at__isnull=False),
    )
    list_select_related = ("owner",)
    id_fields = ("pk", "finish_run")
    search_fields = ("instruments", "strategy", "owner__username")
    search_help_text = "A sweep's id, or part of an instrument, a strategy or an owner's name"
    fields = (
        "id", "owner", "instruments", "timeframe", "start", "end", "strategy", "state", "done",
        "chunks_shown", "end_run", "method", "samples", "seed", "space", "metric", "walk_forward",
        "combinations", "refused", "repeated", "pages", "created_at", "finished_at", "cancelled_at",
        "best", "overfit", "notes", "spec",
    )  # fmt: skip
    readonly_fields = fields
    actions = ("cancel",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return looking(_describe)

    def delete_model(self, request: HttpRequest, obj: Sweep) -> None:
        sweep_delete(sweep=obj, actor=f"user:{request.user.pk}")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        found: QuerySet[Any] = super().get_queryset(request)
        matched = request.resolver_match
        listed = matched is not None and str(matched.url_name).endswith("changelist")
        return found.defer("summary") if listed else found

    @admin.display(description="state")
    def state(self, sweep: Sweep) -> SafeString | str:
        """How it stands."""
        return run_badge(_status(sweep).state)

    @admin.display(description="done")
    def done(self, sweep: Sweep) -> str:
        """Combinations."""
        return f"{_status(sweep).done:,} of {sweep.combinations:,}"

    @admin.display(description="chunks")
    def chunks_shown(self, sweep: Sweep) -> str:
        """Done, failed, all."""
        found = _status(sweep)
        failed = f", {found.chunks_failed} failed" if found.chunks_failed else ""
        return f"{found.chunks_done} of {found.chunks}{failed}"

    @admin.display(description="report")
    def pages(self, sweep: Sweep) -> SafeString:
        """The page for its owner."""
        return format_html('<a href="{}">report</a>', page_of(sweep))

    @admin.display(description="run of the end")
    def end_run(self, sweep: Sweep) -> SafeString:
        """What judges it."""
        return run_link(sweep.finish_run, "judging")

    @admin.display(description="best")
    def best(self, sweep: Sweep) -> SafeString | str:
        """Parameters and the metric."""
        rows = (sweep.summary or {}).get("best") or []
        lines = ((row["number"], str(row["params"]), row["metrics"][sweep.metric]) for row in rows)
        return format_html(
            "<table><tr><th>number</th><th>params</th><th>{}</th></tr>{}</table>",
            sweep.metric,
            format_html_join("", "<tr><td>{}</td><td>{}</td><td>{}</td></tr>", lines),
        )

    @admin.display(description="overfit measures")
    def overfit(self, sweep: Sweep) -> SafeString | str:
        """As they are stored."""
        found = (sweep.summary or {}).get("overfit") or {}
        return format_html_join("", "<p>{}: {}</p>", found.items())

    @admin.display(description="notes")
    def notes(self, sweep: Sweep) -> SafeString | str:
        """What the judgement had to leave out."""
        return format_html_join("", "<p>{}</p>", ((note,) for note in selectors.notes_of(sweep)))

    @admin.action(description="Cancel", permissions=["operate"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Sweep]) -> HttpResponse | None:
        """End what has not been computed, after a question."""
        sweeps = chosen(queryset)
        if not answered(request):
            subjects = [
                Subject(pk=one.pk, label=str(one), detail=f"{when(one.start)} to {when(one.end)}")
                for one in sweeps
            ]
            return self.ask(
                request,
                subjects,
                action="cancel",
                title="Cancel them?",
                consequence="What was found stays.",
                button="Cancel them",
            )
        done = 0
        for one in sweeps:
            try:
                sweep_cancel(sweep=one, actor=f"user:{request.user.pk}")
                done += 1
            except Ended:
                self.tell_each(request, [f"{one} has ended already."])
            except Sweep.DoesNotExist:
                self.tell_each(request, [f"{one} was deleted meanwhile."])
        self.message_user(request, f"{done} cancelled.", messages.SUCCESS)
        return None


def _describe(page: list[Sweep]) -> None:
    """Set how each of these sweeps stands."""
    statuses = selectors.statuses(page)
    for one in page:
        vars(one)["status"] = statuses[one.pk]


def _status(sweep: Sweep) -> selectors.Status:
    if "status" not in vars(sweep):
        _describe([sweep])
    found: selectors.Status = vars(sweep)["status"]
    return found
