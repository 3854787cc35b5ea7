"""The helpers for tests under Django's own class, whose transaction is never committed."""

from __future__ import annotations

from django.db import transaction
from django.test import TestCase

from apps.tasks.states import State
from apps.tasks.testing import assert_requested, inline, run_pending
from tests.workload import tasks as work
from tests.workload.models import Effect


class TheHelpersInATestCase(TestCase):
    """Each method runs in a transaction that is rolled back."""

    def test_requests_run_inline(self) -> None:
        with inline(), transaction.atomic():
            work.note.delay("a")
            assert not Effect.objects.exists()
        assert Effect.objects.get().name == "a"
        assert_requested(work.note, args=["a"], count=1, state=State.SUCCEEDED)

    def test_requests_run_when_asked(self) -> None:
        work.note.delay("a")
        assert len(run_pending()) == 1
        assert Effect.objects.get().name == "a"
