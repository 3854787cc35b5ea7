from __future__ import annotations

from django.urls import path

from apps.candles.udf import views

# None ends in a slash: the adapter asks without, and a redirect would cost every request a second one.
urlpatterns = [
    path("config", views.config, name="udf-config"),
    path("time", views.server_time, name="udf-time"),
    path("symbols", views.symbols, name="udf-symbols"),
    path("search", views.search, name="udf-search"),
    path("history", views.history, name="udf-history"),
    path("quotes", views.quotes, name="udf-quotes"),
]
