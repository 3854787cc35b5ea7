"""Dead letters in the admin: to be looked at, redriven and deleted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from apps.core.admin.described import Subject, Tone, answered, badge, chosen, moment, run_link, stacked
from apps.core.admin.filters import aged, yes_or_no
from apps.tasks import dead_letters, services, sqs
from apps.tasks.admin.shown import QUEUE, TASK, OfRunsAdmin, acting
from apps.tasks.models import DeadLetter, TaskRun


@admin.register(DeadLetter)
class DeadLetterAdmin(OfRunsAdmin):
    """The messages in SQS's dead-letter queues."""

    comes = "Messages that SQS or the platform gave up appear here within a minute."
    id_fields = ("pk", "run_id")
    list_display = ("message", "task_on_queue", "there", "reason", "receives", "run", "times")
    list_filter = (
        yes_or_no("gone", "gone", gone_at__isnull=False),
        QUEUE,
        TASK,
        aged("first_seen", "first seen in the last"),
    )
    sortable_by = ()
    search_fields = ("=message_id", "task", "reason")
    search_help_text = "A message's or a run's id, part of a task's name or of a reason"
    ordering = ("-last_seen",)
    actions = ("redrive", "delete_message")

    @admin.display(description="Message")
    def message(self, letter: DeadLetter) -> SafeString:
        """The part of SQS's id that tells messages apart."""
        return format_html('<code title="{}">…{}</code>', letter.message_id, letter.message_id[-12:])

    @admin.display(description="Task")
    def task_on_queue(self, letter: DeadLetter) -> SafeString:
        """The task, and under it the queue."""
        return stacked(letter.task or "a stranger", letter.queue)

    @admin.display(description="State")
    def there(self, letter: DeadLetter) -> SafeString:
        """Whether the message is still there."""
        if letter.gone_at is not None:
            return badge("gone", Tone.OVER, "It was deleted, or is not there any more")
        return badge("there", Tone.BAD, "It waits for somebody to decide")

    @admin.display(description="Run")
    def run(self, letter: DeadLetter) -> SafeString | str:
        """A link to the run."""
        return "" if letter.run_id is None else run_link(letter.run_id, f"…{str(letter.run_id)[-12:]}")

    @admin.display(description="Sent, seen last (UTC)")
    def times(self, letter: DeadLetter) -> SafeString:
        """When."""
        return stacked(moment(letter.sent_at), moment(letter.last_seen))

    @admin.action(description="Redrive: run again, and delete the messages …", permissions=["operate"])
    def redrive(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        return self._each(
            request,
            queryset,
            lambda letter: dead_letters.redrive(letter, actor=acting(request)),
            action="redrive",
            title="Redrive",
            consequence="Their runs are due at once, with new attempts, and the messages are deleted.",
            done="redriven",
        )

    @admin.action(description="Delete the messages …", permissions=["operate"])
    def delete_message(self, request: HttpRequest, queryset: QuerySet[DeadLetter]) -> HttpResponse | None:
        return self._each(
            request,
            queryset,
            dead_letters.discard,
            action="delete_message",
            title="Delete",
            consequence="The messages are gone for good. Runs that they are about stay as they are.",
            done="deleted",
            grave=True,
        )

    def _each(
        self,
        request: HttpRequest,
        queryset: QuerySet[DeadLetter],
        service: Callable[[DeadLetter], Any],
        *,
        action: str,
        title: str,
        consequence: str,
        done: str,
        grave: bool = False,
    ) -> HttpResponse | None:
        """Do it to each, after a question."""
        letters = chosen(queryset)
        if not answered(request):
            return self.ask(
                request,
                [Subject(one.pk, f"{one.queue}: {one.task or 'a stranger'}", one.reason) for one in letters],
                action=action,
                title=f"{title} {len(letters)} message{'' if len(letters) == 1 else 's'}",
                consequence=consequence,
                button=f"{title} them",
                grave=grave,
            )
        refused = []
        for letter in letters:
            try:
                service(letter)
            except (services.WrongState, TaskRun.DoesNotExist, *sqs.ERRORS) as exc:
                refused.append(f"{letter}: {exc}")
        if len(refused) < len(letters):
            self.message_user(request, f"{len(letters) - len(refused)} {done}.")
        self.tell_each(request, refused)
        return None
