"""The page of the candle store: what is in force and why, sizes, policies, coverage."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, path

from apps.candles import selectors
from apps.candles.admin.pages import CandlesAdmin
from apps.candles.reporting import headlines, size
from apps.candles.storage.status import status

#: Instruments whose coverage is shown.
_SHOWN = 100


class StoreAdmin(CandlesAdmin):
    """Adds the page ``store/``."""

    def get_urls(self) -> list[URLPattern]:
        own = path("store/", self.admin_site.admin_view(self.store_view), name="candles_instrument_store")
        return [own, *super().get_urls()]

    def store_view(self, request: HttpRequest) -> HttpResponse:
        """As ``manage.py candles_status`` shows it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = status()
        before = sum(one.before_bytes or 0 for one in found.relations)
        after = sum(one.after_bytes or 0 for one in found.relations)
        coverage = selectors.coverage_report(limit=_SHOWN)
        shown: dict[str, Any] = {
            "title": "Candle store",
            "headlines": headlines(found),
            "relations": [
                {
                    "one": one,
                    "rows": f"{one.rows:,}",
                    "total": size(one.total_bytes),
                    "before": size(one.before_bytes),
                    "after": size(one.after_bytes),
                }
                for one in found.relations
            ],
            "total": size(sum(one.total_bytes for one in found.relations)),
            "before": size(before or None),
            "after": size(after or None),
            "ratio": before / after if after else None,
            "jobs": found.jobs,
            "coverage": [
                {
                    "one": one,
                    "minutes": f"{one.minutes:,}",
                    "missing": f"{one.missing:,}",
                    "absent": f"{one.absent:,}",
                    "complete": f"{one.complete:.2%}",
                }
                for one in coverage.instruments
            ],
            "more": coverage.more,
        }
        return self.page(request, "admin/candles/instrument/store.html", **shown)
