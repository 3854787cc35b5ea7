"""Periodic tasks in the admin: entries of the settings to be seen and switched, others to be edited."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin.described import moment, run_link, stacked
from apps.core.admin.filters import yes_or_no
from apps.tasks import conf
from apps.tasks.models import PeriodicTask
from apps.tasks.models.periodic import Origin
from apps.tasks.periodic import definitions, selectors, services, validation

_STANDING = (
    "origin", "retired_at", "last_tick_at", "last_run_link", "next_tick_at", "left_out", "last_error",
    "last_error_at",
)  # fmt: skip
_DEFINITION = ("name", *definitions.FIELDS)


class PeriodicTaskForm(forms.ModelForm[PeriodicTask]):
    """An entry as it is edited: refused with the field at fault unless beat could request its runs."""

    task = forms.ChoiceField()
    queue = forms.ChoiceField(required=False, help_text=PeriodicTask._meta.get_field("queue").help_text)

    class Meta:
        model = PeriodicTask
        fields = ("enabled", *_DEFINITION)
        widgets = {
            "name": forms.TextInput(attrs={"size": 60}),
            "crontab": forms.TextInput(attrs={"size": 40}),
            "timezone": forms.TextInput(attrs={"size": 40}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        task, queue = self.fields.get("task"), self.fields.get("queue")
        if isinstance(task, forms.ChoiceField) and isinstance(queue, forms.ChoiceField):
            names = validation.durable_tasks().keys() | {self.instance.task} - {""}
            task.choices = [("", "---------"), *((name, name) for name in sorted(names))]
            queue.choices = [("", "the task's own"), *((name, name) for name in conf.queues())]

    def clean_args(self) -> Any:
        """An empty field is an empty list."""
        return [] if self.cleaned_data["args"] is None else self.cleaned_data["args"]

    def clean_kwargs(self) -> Any:
        """An empty field is an empty object."""
        return {} if self.cleaned_data["kwargs"] is None else self.cleaned_data["kwargs"]

    def clean_options(self) -> Any:
        """An empty field is an empty object."""
        return {} if self.cleaned_data["options"] is None else self.cleaned_data["options"]

    def clean_crontab(self) -> str:
        """Fields with one space between them."""
        return " ".join(self.cleaned_data["crontab"].split())

    def clean_name(self) -> str:
        """A name that no entry of the settings has, whether beat has seen it yet or not."""
        name: str = self.cleaned_data["name"]
        if name in validation.names_of_settings():
            raise ValidationError("An entry of the settings has this name.")
        return name

    def clean(self) -> dict[str, Any]:
        """Check what the fields say together, where there are fields: not for entries of the settings."""
        cleaned: dict[str, Any] = super().clean() or self.cleaned_data
        if not self.errors and "task" in self.fields:
            entry = PeriodicTask(**{field: cleaned[field] for field in definitions.FIELDS})
            for field, message in validation.problems(entry).items():
                self.add_error(field, message)
        return cleaned


@admin.register(PeriodicTask)
class PeriodicTaskAdmin(admin.ModelAdmin[PeriodicTask]):
    """All entries with their last and next ticks. Edits are kept in Django's admin log."""

    form = PeriodicTaskForm
    comes = "Entries of CELERY_BEAT_SCHEDULE appear here when beat has read them; others are added here."
    show_facets = admin.ShowFacets.NEVER
    list_display = (
        "name_and_task",
        "schedule_and_misfire",
        "enabled",
        "origin_name",
        "last",
        "next",
        "trouble",
    )
    list_filter = (
        "enabled",
        "origin",
        "misfire",
        yes_or_no("failing", "cannot be requested", last_error__gt=""),
        yes_or_no("gone", "gone from the settings", retired_at__isnull=False),
    )
    sortable_by = ("name_and_task", "next")
    search_fields = ("name", "task")
    search_help_text = "Name or task"
    ordering = ("name",)
    actions = ("run_now", "enable", "disable")
    readonly_fields = _STANDING
    fieldsets = (
        (None, {"fields": ("name", "enabled")}),
        ("What", {"fields": ("task", "args", "kwargs", "queue", "priority", "options")}),
        ("When", {"fields": ("interval", "crontab", "timezone")}),
        ("After a failure of beat", {"fields": ("misfire", "misfire_grace")}),
        ("Where it stands", {"fields": _STANDING}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[PeriodicTask]:
        return selectors.entries()

    def get_readonly_fields(self, request: HttpRequest, obj: PeriodicTask | None = None) -> tuple[str, ...]:
        """What the settings define is edited there; a name is part of the ids of runs, and stays."""
        if obj is None:
            return _STANDING
        return (*_DEFINITION, *_STANDING) if obj.origin == Origin.SETTINGS else ("name", *_STANDING)

    def has_delete_permission(self, request: HttpRequest, obj: PeriodicTask | None = None) -> bool:
        """Entries of the settings are deleted there; then their rows can be."""
        if obj is not None and obj.origin == Origin.SETTINGS and obj.retired_at is None:
            return False
        return super().has_delete_permission(request, obj)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Without deleting many at once, which would take entries of the settings along."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def save_model(
        self, request: HttpRequest, obj: PeriodicTask, form: forms.ModelForm[PeriodicTask], change: bool
    ) -> None:
        if obj.origin == Origin.SETTINGS:
            services.switch(entry=obj, enabled=obj.enabled)
        else:
            services.save(entry=obj)

    @admin.display(description="Name, task", ordering="name")
    def name_and_task(self, entry: PeriodicTask) -> SafeString:
        """What it is called, and under it what it requests."""
        return stacked(entry.name, entry.task)

    @admin.display(description="Schedule, misfire")
    def schedule_and_misfire(self, entry: PeriodicTask) -> SafeString:
        """When, and under it what is done about ticks that were missed."""
        return stacked(entry.schedule_text, entry.misfire)

    @admin.display(description="Last tick (UTC), run")
    def last(self, entry: PeriodicTask) -> SafeString:
        """When it was, and under it the run that was requested."""
        return stacked(moment(entry.last_tick_at), self.last_run_link(entry))

    @admin.display(description="Next tick (UTC)", ordering="next_tick_at")
    def next(self, entry: PeriodicTask) -> SafeString | str:
        """When it will be."""
        return moment(entry.next_tick_at)

    @admin.display(description="Origin", ordering="origin")
    def origin_name(self, entry: PeriodicTask) -> str:
        return f"{entry.origin} (gone)" if entry.retired_at else entry.origin

    @admin.display(description="Last run")
    def last_run_link(self, entry: PeriodicTask) -> SafeString | str:
        """The run that was requested last and its state."""
        if entry.last_run is None:
            return "-"
        state = getattr(entry, "last_run_state", None)
        if state is None:
            return f"{entry.last_run} (not kept)"
        return run_link(entry.last_run, state)

    @admin.display(description="Trouble")
    def trouble(self, entry: PeriodicTask) -> SafeString | str:
        """Why no run can be requested, in short."""
        if not entry.last_error:
            return ""
        return format_html('<span class="row-bad">{}</span>', entry.last_error[:120])

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may use the actions."""
        return request.user.has_perm("tasks.change_periodictask")

    @admin.action(description="Run now, apart from the schedule", permissions=["operate"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        def run(entry: PeriodicTask) -> str:
            run_id = services.run_now(entry=entry, actor=f"user:{request.user.pk}")
            return f"Run {run_id} requested."

        self._each(request, queryset, run, "runs requested")

    @admin.action(description="Enable the selected periodic tasks", permissions=["operate"])
    def enable(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        self._each(request, queryset, _switched(True), "periodic tasks enabled")

    @admin.action(description="Disable the selected periodic tasks", permissions=["operate"])
    def disable(self, request: HttpRequest, queryset: QuerySet[PeriodicTask]) -> None:
        self._each(request, queryset, _switched(False), "periodic tasks disabled")

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[PeriodicTask],
        act: Callable[[PeriodicTask], str],
        done: str,
    ) -> None:
        """Act on each entry; what *act* says it did, if anything, goes to the admin log."""
        count = 0
        for entry in queryset:
            try:
                change = act(entry)
            except (LookupError, TypeError, ValueError) as exc:
                self.message_user(request, f"Periodic task {entry.name}: {exc}", messages.ERROR)
                continue
            if change:
                self.log_change(request, entry, change)
                count += 1
        self.message_user(request, f"{count} {done}.")


def _switched(enabled: bool) -> Callable[[PeriodicTask], str]:
    def switch(entry: PeriodicTask) -> str:
        changed = services.switch(entry=entry, enabled=enabled)
        return ("Enabled." if enabled else "Disabled.") if changed else ""

    return switch
