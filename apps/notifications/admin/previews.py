"""Every kind of mail as it looks, from its sample."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from csp.constants import UNSAFE_HASHES
from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core import context, csp
from apps.core.admin.described import DescribedAdmin
from apps.notifications import rendering
from apps.notifications.kinds import Kind, all_kinds, kind_of
from apps.notifications.plain import plain
from apps.notifications.services import email_test
from apps.notifications.unsubscribing import unsubscribe_url

_DARK = re.compile(r"@media\s*\(\s*prefers-color-scheme:\s*dark\s*\)")
_KIND = "admin:notifications_email_template"


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A mail as it looks, or why it cannot be written."""

    subject: str = ""
    body: str = ""
    html: str = ""
    error: str = ""


def preview_of(kind: Kind) -> Preview:
    """The mail made of the kind's sample."""
    given = plain(kind.sample)
    held_back = given.pop("held_back", 0)
    try:
        made = rendering.render(
            kind, given, held_back=held_back, unsubscribe_url=unsubscribe_url(user_id=0, kind=kind)
        )
    except rendering.CannotRender as exc:
        return Preview(error=str(exc))
    return Preview(subject=made.subject, body=made.body, html=made.html)


def frames(html: str) -> SafeString | str:
    """HTML of a mail, light and dark beside each other; nothing in it can do anything to this page."""
    if not html:
        return ""
    return format_html(
        '<div class="mail-frames"><iframe sandbox srcdoc="{}" class="mail-light" title="Light"></iframe>'
        '<iframe sandbox srcdoc="{}" class="mail-dark" title="Dark"></iframe></div>',
        *_schemes(html),
    )


def styled_by(response: HttpResponse, html: str) -> HttpResponse:
    """Let a page with `frames` of this HTML draw it: with exactly the styles inside it, and nothing else."""
    return csp.update(response, style_src=[UNSAFE_HASHES, *csp.styles_of(*_schemes(html))])


def _schemes(html: str) -> tuple[str, str]:
    """The HTML in light and in dark, whatever the scheme of whoever looks is."""
    return _DARK.sub("@media not all", html), _DARK.sub("@media all", html)


class PreviewAdmin(DescribedAdmin):
    """Adds the pages ``templates/`` and, below it, one for every kind."""

    def get_urls(self) -> list[URLPattern]:
        pages: list[tuple[str, Callable[..., HttpResponse], str]] = [
            ("templates/", self.templates_view, "templates"),
            ("templates/<str:name>/", self.template_view, "template"),
        ]
        own = [
            path(where, self.admin_site.admin_view(view), name=f"notifications_email_{name}")
            for where, view, name in pages
        ]
        return [*own, *super().get_urls()]

    def templates_view(self, request: HttpRequest) -> HttpResponse:
        """All kinds."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        kinds = [(kind, preview_of(kind)) for kind in all_kinds()]
        return self.page(request, "admin/notifications/email/templates.html", title="Templates", kinds=kinds)

    def template_view(self, request: HttpRequest, name: str) -> HttpResponse:
        """GET: one kind, made of its sample. POST: send that to whoever asks."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        try:
            kind = kind_of(name)
        except LookupError as exc:
            raise Http404(str(exc)) from None
        if request.method == "POST":
            self._send_test(request, kind)
            return HttpResponseRedirect(reverse(_KIND, args=[name]))
        shown = preview_of(kind)
        page = self.page(
            request,
            "admin/notifications/email/template.html",
            title=kind.label,
            kind=kind,
            preview=shown,
            frames=frames(shown.html),
            may_operate=self.has_operate_permission(request),
        )
        return styled_by(page, shown.html)

    def _send_test(self, request: HttpRequest, kind: Kind) -> None:
        if not self.has_operate_permission(request):
            raise PermissionDenied
        address = getattr(request.user, "email", "")
        if not address:
            self.message_user(request, "Your account has no e-mail address.", messages.ERROR)
            return
        with context.bind(actor=f"user:{request.user.pk}"):
            email_test(kind=kind.name, recipient=address)
        self.message_user(request, f"A test is on its way to {address}.", messages.SUCCESS)
