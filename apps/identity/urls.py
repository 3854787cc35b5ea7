from __future__ import annotations

from django.urls import path

# The schema finds what it says of credentials once this was imported.
from apps.identity.api import schema  # noqa: F401
from apps.identity.api.keys import KeyDetail, KeyList, KeyRotate
from apps.identity.api.logins import Login, Logout, LogoutAll, Me, Password

_KEY = "auth/keys/<uuid:key_id>"

urlpatterns = [
    path("auth/login", Login.as_view(), name="login"),
    path("auth/logout", Logout.as_view(), name="logout"),
    path("auth/logout-all", LogoutAll.as_view(), name="logout-all"),
    path("auth/me", Me.as_view(), name="me"),
    path("auth/password", Password.as_view(), name="password"),
    path("auth/keys", KeyList.as_view(), name="key-list"),
    path(_KEY, KeyDetail.as_view(), name="key-detail"),
    path(f"{_KEY}/rotate", KeyRotate.as_view(), name="key-rotate"),
]
