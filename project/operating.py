"""The site of the admin, and its navigation: by what people do rather than by app."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.conf import settings
from django.contrib.admin import AdminSite
from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse


class Place(NamedTuple):
    """A page that the navigation leads to, for whoever may see the model that it belongs to."""

    label: str
    model: str
    #: The URL's name behind ``admin:``; empty: that of the model's list.
    name: str = ""


#: Sections, each with its pages. Models that are in none of them are found under `_OTHERS`.
SECTIONS: dict[str, tuple[Place, ...]] = {
    "Operations": (
        Place("Task board", "tasks.taskrun"),
        Place("Queues", "tasks.taskrun", "tasks_taskrun_queues"),
        Place("Dead letters", "tasks.deadletter"),
        Place("Batches", "tasks.batch"),
        Place("Bulk operations", "tasks.bulkoperation"),
        Place("Periodic tasks", "tasks.periodictask"),
        Place("Processes", "tasks.process"),
        Place("Workers now", "liveness.workersession", "liveness_workersession_now"),
        Place("Worker sessions", "liveness.workersession"),
        Place("Looks for orphans", "liveness.scan"),
        Place("Events", "events.event"),
        Place("Followers", "events.cursor"),
    ),
    "Market data": (
        Place("Exchanges", "candles.exchange"),
        Place("Instruments", "candles.instrument"),
        Place("Store and coverage", "candles.instrument", "candles_instrument_store"),
        Place("Gaps", "candles.gap"),
        Place("Backfills", "candles.backfill"),
        Place("Quarantine", "candles.quarantinedcandle"),
    ),
    "Backtests": (
        Place("Backtests", "backtests.backtest"),
        Place("Sweeps", "backtests.sweep"),
    ),
    "Trading": (
        Place("Accounts", "orders.account"),
        Place("Orders", "orders.order"),
        Place("Fills", "orders.fill"),
        Place("Positions", "orders.position"),
        Place("Endpoints", "webhooks.endpoint"),
        Place("Deliveries", "webhooks.delivery"),
    ),
    "Protection": (
        Place("Rate limits", "ratelimits.policychange"),
        Place("Top consumers", "ratelimits.policychange", "ratelimits_policychange_consumers"),
        Place("Recent denials", "ratelimits.policychange", "ratelimits_policychange_denials"),
        Place("Look up a subject", "ratelimits.policychange", "ratelimits_policychange_subject"),
        Place("Addresses", "ratelimits.addressrule"),
    ),
    "People": (
        Place("Users", "auth.user"),
        Place("Groups", "auth.group"),
        Place("API keys", "identity.apikey"),
        Place("E-mails", "notifications.email"),
        Place("E-mail templates", "notifications.email", "notifications_email_templates"),
        Place("Preferences", "notifications.preference"),
        Place("Suppressed addresses", "notifications.suppressedaddress"),
    ),
    "Audit": (
        Place("Audit", "audit.entry"),
        Place("Verifications", "audit.verification"),
    ),
}
_OTHERS = "More"


class Site(AdminSite):
    """The admin, as all of its pages are given it."""

    site_header = site_title = "Chandlery"

    def each_context(self, request: HttpRequest) -> dict[str, Any]:
        context = super().each_context(request)
        context["navigation"] = navigation(context["available_apps"], request.path)
        context["here_is_home"] = request.path == reverse("admin:index", current_app=self.name)
        context["version"] = settings.VERSION
        context["environment"] = settings.ENVIRONMENT
        return context


def navigation(apps: list[Any], path: str) -> list[dict[str, Any]]:
    """Sections with what of *apps*, an app list of the admin's, is in them; the page at *path* is marked.

    Each has ``title``, ``here`` and ``places``: ``label``, ``url`` and ``here``.
    """
    urls = {
        f"{app['app_label']}.{model['object_name'].lower()}": (model["name"], model["admin_url"])
        for app in apps
        for model in app["models"]
        if model["admin_url"]
    }
    listed = {place.model for places in SECTIONS.values() for place in places}
    sections = {
        title: [(place.label, _url(place, urls[place.model][1])) for place in places if place.model in urls]
        for title, places in SECTIONS.items()
    }
    sections[_OTHERS] = [urls[label] for label in urls if label not in listed]
    # The page itself, or else the list that it is under: the longest address that it begins with.
    here = max(
        (url for places in sections.values() for _, url in places if url and path.startswith(url)),
        key=len,
        default="",
    )
    return [
        {
            "title": title,
            "here": any(url == here for _, url in places),
            "places": [{"label": label, "url": url, "here": url == here} for label, url in places if url],
        }
        for title, places in sections.items()
        if places
    ]


def _url(place: Place, of_list: str) -> str:
    """Empty where there is no such page."""
    if not place.name:
        return of_list
    try:
        return reverse(f"admin:{place.name}")
    except NoReverseMatch:
        return ""
