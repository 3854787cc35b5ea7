"""Exchanges in the admin: which rest and why, and how old the lists of their markets are."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from apps.candles import conf, requesting
from apps.candles.admin.pages import CandlesAdmin
from apps.candles.models import Exchange, Instrument
from apps.candles.venues import VenueError
from apps.candles.wording import when
from apps.core import context
from apps.core.admin.described import looking, run_link
from apps.tasks import wording

# Markets that cannot be read and are listed.
_LISTED = 200

_FIELDS = ("name", "resting", "resting_reason", "catalogue", "instruments", "unreadable_markets")


def _describe(page: list[Exchange]) -> None:
    """Set how many instruments each of these has."""
    counts = {
        exchange: (total, followed)
        for exchange, total, followed in Instrument.objects.filter(exchange__in=[one.name for one in page])
        .order_by()
        .values("exchange")
        .annotate(total=Count("pk"), followed_now=Count("pk", filter=Q(followed=True, active=True)))
        .values_list("exchange", "total", "followed_now")
    }
    for one in page:
        vars(one)["counts"] = counts.get(one.name, (0, 0))


class _RestingFilter(admin.SimpleListFilter):
    """Those that asked to be left alone, or did not."""

    title = "left alone"
    parameter_name = "resting"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        return [("yes", "yes"), ("no", "no")]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Exchange]) -> QuerySet[Exchange] | None:
        rests = Q(resting_until__gt=timezone.now())
        if self.value() == "yes":
            return queryset.filter(rests)
        return queryset.exclude(rests) if self.value() == "no" else None


@admin.register(Exchange)
class ExchangeAdmin(CandlesAdmin):
    """Exchanges that were asked for something."""

    list_display = ("name", "resting", "catalogue", "instruments", "unreadable_count")
    comes = "An exchange appears here once it was asked for its list of markets."
    list_filter = (_RestingFilter,)
    sortable_by = ()
    fields = readonly_fields = _FIELDS
    search_fields = ("name",)
    actions = ("read_markets",)
    change_list_template = "admin/candles/exchange/change_list.html"
    change_form_template = "admin/candles/exchange/change_form.html"

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(require_POST(self.read_view))
        return [path("read/", view, name="candles_exchange_read"), *super().get_urls()]

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return looking(_describe)

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The list, and the exchanges that were never asked for anything."""
        unasked = set(conf.exchange_urls()) - set(Exchange.objects.values_list("name", flat=True))
        more = {"unasked": sorted(unasked) if self.has_operate_permission(request) else []}
        return super().changelist_view(request, {**(extra_context or {}), **more})

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        more = {"may_operate": self.has_operate_permission(request)}
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), **more})

    def read_view(self, request: HttpRequest) -> HttpResponse:
        """Have one exchange's list of markets read."""
        if not self.has_operate_permission(request):
            raise PermissionDenied
        self._read(request, [request.POST.get("exchange", "")])
        return HttpResponseRedirect(reverse("admin:candles_exchange_changelist"))

    @admin.action(description="Read the list of markets now", permissions=["operate"])
    def read_markets(self, request: HttpRequest, queryset: QuerySet[Exchange]) -> None:
        self._read(request, [one.name for one in queryset])

    def _read(self, request: HttpRequest, names: list[str]) -> None:
        for name in names:
            try:
                with context.bind(actor=f"user:{request.user.pk}"):
                    run = requesting.markets_request(exchange=name)
            except VenueError as exc:
                self.message_user(request, str(exc), messages.WARNING)
                continue
            link = run_link(run, "a task")
            self.message_user(request, format_html("The list of markets of {} is read by {}.", name, link))

    @admin.display(description="left alone until (UTC)")
    def resting(self, exchange: Exchange) -> SafeString | str:
        """Until when it asked to be left alone, with the reason in the tooltip."""
        until = exchange.resting_until
        if until is None or until <= timezone.now():
            return ""
        return format_html(
            '<span class="row-late" title="{}">{}</span>',
            exchange.resting_reason,
            f"{until:%m-%d %H:%M:%S}",
        )

    @admin.display(description="list of markets")
    def catalogue(self, exchange: Exchange) -> str:
        """When it was read, and how long ago that is."""
        at = exchange.catalogue_at
        if at is None:
            return "never read"
        return f"{wording.seconds((timezone.now() - at).total_seconds())} old ({when(at)} UTC)"

    @admin.display(description="instruments")
    def instruments(self, exchange: Exchange) -> str:
        """How many there are and are followed."""
        if "counts" not in vars(exchange):
            _describe([exchange])
        total, followed = vars(exchange)["counts"]
        return f"{total:,}, of which {followed:,} are followed"

    @admin.display(description="unreadable markets")
    def unreadable_count(self, exchange: Exchange) -> str:
        """How many markets of the list cannot be used."""
        return wording.count(len(exchange.unreadable))

    @admin.display(description="unreadable markets")
    def unreadable_markets(self, exchange: Exchange) -> SafeString | str:
        """Which, and why."""
        if not exchange.unreadable:
            return "none"
        rows = format_html_join(
            "",
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            (
                [str(one.get(key, "")) for key in ("symbol", "venue_id", "kind", "reason")]
                for one in exchange.unreadable[:_LISTED]
            ),
        )
        rest = len(exchange.unreadable) - _LISTED
        more = f"and {rest:,} more" if rest > 0 else ""
        head = "<tr><th>symbol</th><th>at the exchange</th><th>kind</th><th>reason</th></tr>"
        return format_html(f'<table class="row-table"><thead>{head}</thead>{{}}</table>{{}}', rows, more)
