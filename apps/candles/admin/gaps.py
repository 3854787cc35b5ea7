"""Gaps in the admin: minutes that an exchange does not have, and why."""

from __future__ import annotations

from datetime import timedelta

from django.contrib import admin
from django.db.models import ExpressionWrapper, F, QuerySet
from django.db.models import fields as columns
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.candles import requesting
from apps.candles.admin.filters import ExchangeFilter
from apps.candles.admin.pages import CandlesAdmin
from apps.candles.models import Gap
from apps.candles.venues import VenueError
from apps.candles.wording import count, when
from apps.core import context
from apps.core.admin.described import Subject, Tone, answered, badge, chosen, row_link, stacked
from apps.core.admin.filters import aged

_FIELDS = ("instrument", "start", "end", "length", "cause", "asked_at")

_TONES = {
    Gap.Cause.OUTAGE: Tone.LATE,
    Gap.Cause.NO_TRADES: Tone.OVER,
    Gap.Cause.EXPIRED: Tone.LATE,
    Gap.Cause.UNEXPLAINED: Tone.BAD,
}


@admin.register(Gap)
class GapAdmin(CandlesAdmin):
    """Gaps that were asked for again, with nothing there."""

    comes = "Minutes that an exchange was asked for again, and does not have, are listed here with the cause."
    list_display = ("instrument_text", "range", "length", "why")
    list_display_links = ("range",)
    list_filter = ("cause", ExchangeFilter, aged("start", "begun in the last"))
    list_select_related = ("instrument",)
    search_fields = ("instrument__symbol", "=instrument__exchange")
    search_help_text = "Part of a symbol, or an exchange"
    ordering = ("-start", "instrument")
    sortable_by = ("range", "length")
    fields = readonly_fields = _FIELDS
    actions = ("ask_again",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Gap]:
        """With the length, to sort by."""
        length = ExpressionWrapper(F("end") - F("start"), output_field=columns.DurationField())
        gaps: QuerySet[Gap] = super().get_queryset(request)
        return gaps.annotate(span=length)

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest) -> bool:
        """Also those of one instrument, where its page leads."""
        return lookup == "instrument__id__exact" or super().lookup_allowed(lookup, value, request)

    @admin.display(description="instrument", ordering="instrument")
    def instrument_text(self, gap: Gap) -> SafeString | str:
        """Whose minutes are missing."""
        return row_link("candles_instrument", gap.instrument_id, gap.instrument.text)

    @admin.display(description="from, to (UTC)", ordering="start")
    def range(self, gap: Gap) -> SafeString:
        """The first minute that is missing, and under it the first that is there again."""
        return format_html("{}<br>{}", when(gap.start), when(gap.end))

    @admin.display(description="length", ordering="span")
    def length(self, gap: Gap) -> str:
        """In minutes."""
        return count((gap.end - gap.start) // timedelta(minutes=1), "minute")

    @admin.display(description="cause, asked last (UTC)")
    def why(self, gap: Gap) -> SafeString:
        """The cause with its meaning in the tooltip, and under it when the exchange was asked for it last."""
        cause = Gap.Cause(gap.cause)
        return stacked(badge(cause.value, _TONES[cause], cause.label), when(gap.asked_at))

    @admin.action(description="Ask the exchange again …", permissions=["operate"])
    def ask_again(self, request: HttpRequest, queryset: QuerySet[Gap]) -> HttpResponse | None:
        gaps = chosen(queryset)
        if not answered(request):
            return self.ask(
                request,
                [
                    Subject(one.pk, one.instrument.text, f"{when(one.start)} to {when(one.end)} UTC")
                    for one in gaps
                ],
                action="ask_again",
                title=f"Ask again for {count(len(gaps), 'gap')}",
                consequence="The exchange is asked for these minutes once more, by a task for each gap. What"
                " it has by now is stored; for the rest the cause is told anew.",
                button="Ask again",
            )
        asked, refused = 0, []
        with context.bind(actor=f"user:{request.user.pk}"):
            for one in gaps:
                try:
                    requesting.repair_request(
                        instrument=one.instrument, start=one.start, end=one.end, again=True
                    )
                    asked += 1
                except VenueError as exc:
                    refused.append(f"Not asked for: {one}: {exc}.")
        self.message_user(request, f"{count(asked, 'gap')} being asked for again by tasks.")
        self.tell_each(request, refused)
        return None
