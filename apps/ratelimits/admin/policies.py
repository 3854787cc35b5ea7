"""The rules in force in the admin, and what operators change of them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.utils.safestring import SafeString

from apps.core.admin.described import moment, stacked
from apps.core.admin.filters import among, yes_or_no
from apps.ratelimits import conf, services
from apps.ratelimits.admin.operated import actor
from apps.ratelimits.admin.pages import PagesAdmin
from apps.ratelimits.engine import engine
from apps.ratelimits.faults import check_policy_change, rule_of
from apps.ratelimits.models import PolicyChange
from apps.ratelimits.overview import overview, rate_text
from apps.ratelimits.rules import Rule

#: What says which rule it is about, and does not change afterwards.
_WHICH = ("group", "rule", "plan")
_WHAT = ("limit", "window", "mode", "unlimited", "note")


class PolicyChangeForm(forms.ModelForm[PolicyChange]):
    """What differs from the settings. Whatever is wrong with it is said beside its field."""

    #: The group that the admin's own pages are in.
    own_group = ""

    class Meta:
        model = PolicyChange
        fields = (*_WHICH, *_WHAT)

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        groups = [group for group in engine().groups if group.rules]
        if "group" in self.fields:
            names = [group.name for group in groups]
            rules = list(dict.fromkeys(rule.name for group in groups for rule in group.rules))
            for field, values in (("group", names), ("rule", rules)):
                self.fields[field] = forms.ChoiceField(
                    choices=[("", "---------"), *((one, one) for one in values)],
                    help_text=self.fields[field].help_text,
                )

    def _post_clean(self) -> None:
        super()._post_clean()  # type: ignore[misc]
        if self.errors:
            return
        try:
            check_policy_change(self.instance, engine().groups)
        except ValidationError as exc:
            for field, errors in exc.update_error_dict({}).items():
                self.add_error(field if field in self.fields else None, errors)
        if self.instance.limit == 0 and not self.instance.plan and self.instance.group == self.own_group:
            self.add_error("limit", "These pages are in this group: nobody could undo it here.")


@admin.register(PolicyChange)
class PolicyChangeAdmin(PagesAdmin):
    """Above the rows the rules in force; below them what operators changed."""

    comes = "The rules above are as the settings have them until somebody changes one here."
    form = PolicyChangeForm
    list_display = ("which", "what", "in_settings", "note", "changed")
    list_display_links = ("which",)
    list_filter = (
        among("group", lambda: [(one.name, one.name) for one in engine().groups if one.rules]),
        "mode",
        yes_or_no("plan", "of a plan", plan__gt=""),
    )
    search_fields = ("group", "rule", "plan", "note")
    search_help_text = "Part of a group's, a rule's or a plan's name, or of a note"
    change_list_template = "admin/ratelimits/policychange/change_list.html"
    readonly_fields = ("in_settings", "in_force")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """All groups with their rules, then the rows."""
        context = {
            **(extra_context or {}),
            "title": "Rate limits",
            "overview": overview(),
            "enabled": conf.enabled(),
            "may_operate": self.has_operate_permission(request),
        }
        return super().changelist_view(request, context)

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        title = "Change a rule" if object_id is None else "Change of a rule"
        return super().changeform_view(
            request, object_id, form_url, {"title": title, **(extra_context or {})}
        )

    def get_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return (*_WHICH, *_WHAT) if obj is None else (*_WHICH, "in_settings", "in_force", *_WHAT)

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return () if obj is None else (*_WHICH, "in_settings", "in_force")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        own = engine().rules().match(request)
        return type(form.__name__, (form,), {"own_group": own.name if own is not None else ""})

    def save_model(self, request: HttpRequest, obj: PolicyChange, form: Any, change: bool) -> None:
        """By the service, which tells the audit and every process."""
        values = {name: getattr(obj, name) for name in (*_WHICH, *_WHAT)}
        obj.pk = services.policy_change_save(**values, by=actor(request)).pk

    def delete_model(self, request: HttpRequest, obj: PolicyChange) -> None:
        services.policy_change_delete(change=obj, by=actor(request))

    @admin.display(description="rule")
    def which(self, row: PolicyChange) -> SafeString | str:
        """The rule, and under it whether there is none any more."""
        return str(row) if _rule(row) is not None else stacked(row, "not in the settings any more")

    @admin.display(description="changed to")
    def what(self, row: PolicyChange) -> str:
        """What differs."""
        parts = []
        if row.unlimited:
            parts.append("no limit")
        if row.limit is not None:
            parts.append(f"{row.limit:,} units")
        if row.window is not None:
            parts.append(f"in {row.window:,} s")
        if row.mode:
            parts.append(row.mode)
        return ", ".join(parts)

    @admin.display(description="in the settings")
    def in_settings(self, row: PolicyChange) -> str:
        """The rate and mode that the settings have."""
        rule = _rule(row)
        return _described(rule, row.plan) if rule is not None else "not any more: this row changes nothing"

    @admin.display(description="in force")
    def in_force(self, row: PolicyChange) -> str:
        """The rate and mode that decide now."""
        if _rule(row) is None:
            return "nothing"
        return _described(engine().rules().rule(f"{row.group}/{row.rule}"), row.plan)

    @admin.display(description="changed (UTC)")
    def changed(self, row: PolicyChange) -> SafeString | str:
        """When it was last."""
        return moment(row.changed_at)


def _rule(row: PolicyChange) -> Rule | None:
    return rule_of(engine().groups, row)


def _described(rule: Rule, plan: str) -> str:
    return f"{rate_text(rule.rate_of(plan))}, {rule.mode.value}"
