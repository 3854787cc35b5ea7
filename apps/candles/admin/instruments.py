"""Instruments in the admin: which there are, how much is stored of them, and which are followed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.models import CHANGE, LogEntry
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.candles import conf, requesting, selectors, services
from apps.candles.admin.store import StoreAdmin
from apps.candles.models import Instrument
from apps.candles.sources import Span
from apps.candles.venues import VenueError
from apps.candles.wording import count, when
from apps.core import context
from apps.core.admin.described import MOST, LeadingAdmin, Place, Subject, answered, chosen, looking
from apps.tasks import wording

#: A followed instrument whose newest minute is older than this is late.
_LATE = timedelta(minutes=10)

_FIELDS = (
    "text", "venue_id", "kind", "base", "quote", "settle", "contract_size", "price_scale", "volume_scale",
    "listed_at", "active", "stored", "chart", "elsewhere", "followed",
)  # fmt: skip


class InstrumentForm(forms.ModelForm[Instrument]):
    """Whether an instrument is followed."""

    class Meta:
        model = Instrument
        fields = ("followed",)

    def clean_followed(self) -> bool:
        """Only what can be fetched can be followed."""
        followed: bool = self.cleaned_data["followed"]
        if followed and self.instance.exchange not in conf.exchange_urls():
            raise ValidationError(f"Nothing is fetched from {self.instance.exchange} here.")
        return followed


class BackfillForm(forms.Form):
    """What a backfill is to fetch."""

    start = forms.DateTimeField(
        label="From (UTC)", widget=forms.DateTimeInput(attrs={"type": "datetime-local", "autofocus": True})
    )
    end = forms.DateTimeField(
        label="To (UTC, not included; empty: now)",
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
    )


class RepairForm(forms.Form):
    """What a repair is to ask for."""

    again = forms.BooleanField(label="Also ask for what the exchange did not have before", required=False)


def _describe(page: list[Instrument]) -> None:
    """Set what is stored of each of these instruments."""
    spans = selectors.coverage([one.pk for one in page])
    for one in page:
        vars(one)["span"] = spans.get(one.pk)


def _span(instrument: Instrument) -> Span | None:
    if "span" not in vars(instrument):
        _describe([instrument])
    span: Span | None = vars(instrument)["span"]
    return span


@admin.register(Instrument)
class InstrumentAdmin(LeadingAdmin, StoreAdmin):
    """Instruments come from exchanges; whether to follow one is decided here."""

    form = InstrumentForm
    comes = "Instruments come with an exchange's list of markets, and with candles that are imported."
    list_display = ("exchange", "symbol", "what", "followed", "active", "span", "lag")
    list_display_links = ("symbol",)
    list_filter = ("followed", "active", "exchange", "kind")
    sortable_by = ()
    search_fields = ("symbol", "venue_id", "base")
    search_help_text = "Part of a symbol, of the exchange's own name for it, or of a base currency"
    fields = _FIELDS
    readonly_fields = _FIELDS[:-1]
    actions = ("follow", "unfollow", "repair_gaps", "backfill")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.has_operate_permission(request)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return looking(_describe)

    def save_model(self, request: HttpRequest, obj: Instrument, form: Any, change: bool) -> None:
        """Whether it is followed, and nothing else: its scales may have grown meanwhile."""
        obj.save(update_fields=["followed"])

    # What is shown --------------------------------------------------------------------------------

    @admin.display(description="kind", ordering="kind")
    def what(self, instrument: Instrument) -> str:
        """In one word."""
        return instrument.kind

    @admin.display(description="first, last stored (UTC)")
    def span(self, instrument: Instrument) -> SafeString | str:
        """Its first minute, and under it its newest."""
        span = _span(instrument)
        return format_html("{}<br>{}", when(span.first), when(span.last)) if span else ""

    @admin.display(description="lag")
    def lag(self, instrument: Instrument) -> SafeString | str:
        """For how long nothing came after the newest minute."""
        span = _span(instrument)
        if span is None:
            return ""
        lag = timezone.now() - span.last - timedelta(minutes=1)
        late = instrument.followed and instrument.active and lag > _LATE
        text = wording.seconds(max(0.0, lag.total_seconds()))
        return format_html('<span class="row-late">{}</span>', text) if late else text

    @admin.display(description="stored minutes")
    def stored(self, instrument: Instrument) -> str:
        """From the first to the last."""
        span = _span(instrument)
        return f"{when(span.first)} to {when(span.last)} UTC" if span else "none"

    def places(self, row: Any) -> Sequence[Place]:
        """What is missing of it, and what was refused."""
        of = {"instrument__id__exact": row.pk}
        return (Place("candles_gap", "gaps", of), Place("candles_quarantinedcandle", "quarantine", of))

    @admin.display(description="chart")
    def chart(self, instrument: Instrument) -> SafeString:
        """The page that everybody may see."""
        return format_html(
            '<a href="{}">{}</a>', reverse("chart", args=[instrument.exchange, instrument.symbol]), instrument
        )

    # What can be done -----------------------------------------------------------------------------

    @admin.action(description="Follow the selected instruments", permissions=["operate"])
    def follow(self, request: HttpRequest, queryset: QuerySet[Instrument]) -> None:
        unknown = queryset.exclude(exchange__in=conf.exchange_urls())
        self.tell_each(
            request,
            [f"Not followed: {one}: nothing is fetched from {one.exchange} here." for one in unknown[:MOST]],
        )
        self._switch(request, queryset.filter(exchange__in=conf.exchange_urls()), followed=True)

    @admin.action(description="Do not follow the selected instruments any more", permissions=["operate"])
    def unfollow(self, request: HttpRequest, queryset: QuerySet[Instrument]) -> None:
        self._switch(request, queryset, followed=False)

    @transaction.atomic
    def _switch(self, request: HttpRequest, queryset: QuerySet[Instrument], *, followed: bool) -> None:
        changed = list(queryset.filter(followed=not followed))
        Instrument.objects.filter(pk__in=[one.pk for one in changed]).update(followed=followed)
        said = "Followed." if followed else "Not followed any more."
        if changed:
            LogEntry.objects.log_actions(request.user.pk, changed, CHANGE, said)  # type: ignore[arg-type]
        done = "followed now" if followed else "not followed any more"
        self.message_user(request, f"{count(len(changed), 'instrument')} {done}.")

    @admin.action(description="Repair the gaps of the selected instruments …", permissions=["operate"])
    def repair_gaps(self, request: HttpRequest, queryset: QuerySet[Instrument]) -> HttpResponse | None:
        instruments = chosen(queryset)
        form = RepairForm(request.POST if answered(request) else None)
        if form.is_valid():
            asked, refused = 0, []
            with context.bind(actor=f"user:{request.user.pk}"):
                for one in instruments:
                    try:
                        requesting.repair_request(instrument=one, again=form.cleaned_data["again"])
                        asked += 1
                    except VenueError as exc:
                        refused.append(f"Not repaired: {one}: {exc}.")
            self.message_user(request, f"Gaps of {count(asked, 'instrument')} are being repaired by tasks.")
            self.tell_each(request, refused)
            return None
        return self.ask(
            request,
            _subjects(instruments),
            action="repair_gaps",
            title="Repair gaps",
            consequence="Of each of these, the exchange is asked for the minutes that are missing between the"
            " first and the last stored one. What it has is stored; what it does not have is noted.",
            button="Repair",
            form=form,
        )

    @admin.action(description="Backfill the selected instruments …", permissions=["operate"])
    def backfill(self, request: HttpRequest, queryset: QuerySet[Instrument]) -> HttpResponse | None:
        instruments = chosen(queryset)
        form = BackfillForm(request.POST if answered(request) else None)
        if form.is_valid() and self._backfill(request, instruments, form):
            return HttpResponseRedirect(reverse("admin:candles_backfill_changelist"))
        return self.ask(
            request,
            _subjects(instruments),
            action="backfill",
            title="Backfill",
            consequence="Of each of these, the minutes that open in this range are fetched and stored by"
            " tasks. What is stored already is brought in line with the exchange.",
            button="Backfill",
            form=form,
        )

    def _backfill(self, request: HttpRequest, instruments: list[Instrument], form: BackfillForm) -> bool:
        """Ask for all backfills or, with the reason in the form, for none."""
        actor = f"user:{request.user.pk}"
        end = form.cleaned_data["end"] or timezone.now()
        try:
            with context.bind(actor=actor), transaction.atomic():
                asked = [
                    backfill
                    for one in instruments
                    for backfill in requesting.backfills_request(
                        instrument_id_text=one.text, start=form.cleaned_data["start"], end=end, actor=actor
                    )
                ]
        except services.InvalidBackfill as exc:
            form.add_error(exc.field if exc.field in form.fields else None, str(exc))
            return False
        self.message_user(request, f"{count(len(asked), 'backfill')} asked for.", messages.SUCCESS)
        return True


def _subjects(instruments: list[Instrument]) -> list[Subject]:
    return [Subject(one.pk, one.text, "followed" if one.followed else "") for one in instruments]
