"""Dead letters in the admin: to be looked at, redriven and deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html

from apps.tasks import dead_letters, services, sqs
from apps.tasks.models import DeadLetter, TaskRun


@admin.register(DeadLetter)
class DeadLetterAdmin(admin.ModelAdmin[DeadLetter]):
    """The messages in SQS's dead-letter queues."""

    list_display = (
        "message_id",
        "queue",
        "task",
        "run",
        "reason",
        "receives",
        "sent_at",
        "last_seen",
        "gone_at",
    )
    list_filter = (("gone_at", admin.EmptyFieldListFilter), "queue", "task")
    search_fields = ("message_id", "run_id", "task", "reason")
    ordering = ("-last_seen",)
    actions = ("redrive", "delete_message")

    @admin.display(description="Run")
    def run(self, letter: DeadLetter) -> str:
        """A link to the run."""
        if letter.run_id is None:
            return ""
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:tasks_taskrun_change", args=[letter.run_id]), letter.run_id
        )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: DeadLetter | None = None) -> bool:
        """Rows follow from messages; the actions below are what may be done to them."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: DeadLetter | None = None) -> bool:
        return False

    def has_operate_permission(self, request: HttpRequest) -> bool:
        """Who may redrive and delete messages."""
        return request.user.has_perm("tasks.change_taskrun")

    @admin.action(description="Redrive: run again, and delete the message", permissions=["operate"])
    def redrive(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        actor = f"user:{request.user.pk}"
        self._each(request, queryset, lambda letter: dead_letters.redrive(letter, actor=actor), "redriven")

    @admin.action(description="Delete the messages", permissions=["operate"])
    def delete_message(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> None:
        self._each(request, queryset, dead_letters.discard, "deleted")

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[DeadLetter],
        service: Callable[[DeadLetter], Any],
        done: str,
    ) -> None:
        count = 0
        for letter in queryset:
            try:
                service(letter)
            except (services.WrongState, TaskRun.DoesNotExist, *sqs.ERRORS) as exc:
                self.message_user(request, f"{letter}: {exc}", messages.WARNING)
            else:
                count += 1
        if count:
            self.message_user(request, f"{count} {done}.")
