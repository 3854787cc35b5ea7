"""Addresses that are let through or shut out, in the admin."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.safestring import SafeString

from apps.core.admin.described import Tone, badge, moment, stacked
from apps.core.admin.filters import yes_or_no
from apps.core.clients import client_address
from apps.core.networks import Networks
from apps.ratelimits import services
from apps.ratelimits.admin.operated import OperatedAdmin, actor
from apps.ratelimits.engine import engine
from apps.ratelimits.faults import check_address_rule
from apps.ratelimits.models import AddressRule

_FIELDS = ("network", "verdict", "until", "note")


class AddressRuleForm(forms.ModelForm[AddressRule]):
    """Whatever is wrong with it is said beside its field."""

    #: Where the operator is.
    address = ""

    class Meta:
        model = AddressRule
        fields = _FIELDS

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            check_address_rule(self.instance)
        except ValidationError as exc:
            for field, errors in exc.update_error_dict({}).items():
                self.add_error(field if field in self.fields else None, errors)
            return
        row = self.instance
        if row.verdict == AddressRule.Verdict.DENY and self.address in Networks([row.network]):
            self.add_error(
                "verdict", f"You are at {self.address}, which is in it: you would shut yourself out."
            )


@admin.register(AddressRule)
class AddressRuleAdmin(OperatedAdmin):
    """Networks, each with its verdict."""

    comes = "Nobody is let through or shut out beside what the settings say, until somebody is added here."
    form = AddressRuleForm
    list_display = ("network", "shown_verdict", "ends", "note", "created")
    list_display_links = ("network",)
    list_filter = ("verdict", yes_or_no("ends", "for a time", until__isnull=False))
    search_fields = ("network", "note")
    search_help_text = "Part of a network or of a note"
    change_list_template = "admin/ratelimits/addressrule/change_list.html"

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The rows, and above them what the settings have beside those."""
        config = engine().config
        context = {
            **(extra_context or {}),
            "title": "Addresses",
            "allowed": config.allowed,
            "denied": config.denied,
            "own_address": client_address(request),
        }
        return super().changelist_view(request, context)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return _FIELDS

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else ("network",)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        return type(form.__name__, (form,), {"address": client_address(request)})

    def save_model(self, request: HttpRequest, obj: AddressRule, form: Any, change: bool) -> None:
        """By the service, which tells the audit and every process."""
        values = {name: getattr(obj, name) for name in _FIELDS}
        obj.pk = services.address_rule_save(**values, by=actor(request)).pk

    def delete_model(self, request: HttpRequest, obj: AddressRule) -> None:
        services.address_rule_delete(rule=obj, by=actor(request))

    @admin.display(description="verdict", ordering="verdict")
    def shown_verdict(self, row: AddressRule) -> SafeString:
        """What follows for requests from there."""
        tone = Tone.GOOD if row.verdict == AddressRule.Verdict.ALLOW else Tone.BAD
        return badge(row.verdict, Tone.OVER if _is_over(row) else tone, row.get_verdict_display())

    @admin.display(description="until (UTC)")
    def ends(self, row: AddressRule) -> SafeString | str:
        """When it ends, and whether it has."""
        if row.until is None:
            return "until it is deleted"
        until = moment(row.until)
        return stacked(until, "over: it changes nothing") if _is_over(row) else until

    @admin.display(description="made (UTC)")
    def created(self, row: AddressRule) -> SafeString | str:
        """When."""
        return moment(row.created_at)


def _is_over(row: AddressRule) -> bool:
    return row.until is not None and row.until <= timezone.now()
