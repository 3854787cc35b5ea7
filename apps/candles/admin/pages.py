"""What the pages of candles have in common."""

from __future__ import annotations

from apps.core.admin.described import DescribedAdmin


class CandlesAdmin(DescribedAdmin):
    """Rows of candles, in lists with many figures."""

    class Media:
        css = {"all": ("candles/admin.css",)}
