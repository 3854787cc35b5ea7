from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from apps.backtests.models import Backtest


@admin.register(Backtest)
class BacktestAdmin(admin.ModelAdmin[Backtest]):
    """Backtests, to be looked at."""

    list_display = ("id", "__str__", "owner", "start", "end", "created_at", "task_run")
    list_select_related = ("owner",)
    search_fields = ("instrument", "spec_hash", "task_run")

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Backtest | None = None) -> bool:
        return False
