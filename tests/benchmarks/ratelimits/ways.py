"""Ways to come to a decision: ours and the peers'. What is not everywhere is imported by who needs it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import redis
from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest
from django.test import RequestFactory
from rest_framework.throttling import AnonRateThrottle, UserRateThrottle

from apps.ratelimits.limiter import Limiter, connect
from tests.benchmarks.experiment import Failed
from tests.benchmarks.ratelimits.clients import Clients, charges


class Way(ABC):
    """Something that can be asked again and again."""

    #: The module that it needs and that may be absent.
    module: ClassVar[str] = ""

    @abstractmethod
    def renew(self) -> None:
        """Go on with clients of whom nothing was counted."""

    @abstractmethod
    def decide(self) -> None:
        """Decide on the next request. Raises `Failed` where that is denied."""


class Ping(Way):
    """One round trip in which nothing is decided."""

    def __init__(self) -> None:
        self._client = redis.Redis.from_url(settings.REDIS_URL)

    def renew(self) -> None:
        """It is about nobody."""

    def decide(self) -> None:
        self._client.ping()


class _Charging(Way):
    """Charges every request to all of its limits, of which none is ever reached."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        self._clients = Clients()

    def decide(self) -> None:
        if not self._allowed(*self._clients.next()):
            raise Failed(f"{type(self).__name__} denied what is below every limit")

    @abstractmethod
    def _allowed(self, address: str, user: str, group: str) -> bool:
        """Whether all have room."""


class Ours(_Charging):
    """One `Limiter.hit`."""

    def __init__(self) -> None:
        super().__init__()
        self._limiter = Limiter(connect(settings.REDIS_URL, timeout=5), prefix="bench")

    def _allowed(self, address: str, user: str, group: str) -> bool:
        return self._limiter.hit(charges(address, user, group)).allowed


class Limits(_Charging):
    """Three hits of a moving window of the package ``limits``; with *stats*, what headers need besides."""

    module = "limits"

    def __init__(self, *, stats: bool = False) -> None:
        from limits import parse
        from limits.storage import storage_from_string
        from limits.strategies import MovingWindowRateLimiter

        super().__init__()
        self._limiter = MovingWindowRateLimiter(storage_from_string(_for_limits(settings.REDIS_URL)))
        self._address, self._user, self._group = map(parse, ("60/minute", "1000/hour", "600/minute"))
        self._stats = stats

    def _allowed(self, address: str, user: str, group: str) -> bool:
        limiter = self._limiter
        asked = ((self._address, address), (self._user, user), (self._group, group))
        allowed = all(limiter.hit(item, name) for item, name in asked)
        if self._stats:
            for item, name in asked:
                limiter.get_window_stats(item, name)
        return allowed


def _for_limits(url: str) -> str:
    return f"redis+{url}" if url.startswith("unix:") else url


class DjangoRatelimit(_Charging):
    """Three calls of ``is_ratelimited``, which counts in fixed windows in Django's cache."""

    module = "django_ratelimit"

    def __init__(self) -> None:
        from django_ratelimit.core import is_ratelimited

        super().__init__()
        self._is_ratelimited = is_ratelimited
        self._request = RequestFactory().get("/")
        self._limits = (
            ("address", "ip", "60/m"),
            ("user", _meta("user"), "1000/h"),
            ("group", _meta("group"), "600/m"),
        )

    def _allowed(self, address: str, user: str, group: str) -> bool:
        request = self._request
        request.META |= {"REMOTE_ADDR": address, "user": user, "group": group}
        limited = [
            self._is_ratelimited(request, group=name, key=key, rate=rate, increment=True)
            for name, key, rate in self._limits
        ]
        return not any(limited)


def _meta(name: str) -> Callable[[str, HttpRequest], str]:
    return lambda group, request: request.META[name]


class _Anonymous(AnonRateThrottle):
    rate = "60/m"


class _User(UserRateThrottle):
    rate = "1000/h"


class Drf(_Charging):
    """Two throttles of DRF, which keep their times in Django's cache. They know no groups."""

    def __init__(self) -> None:
        super().__init__()
        self._request: Any = RequestFactory().get("/")
        self._request.user = AnonymousUser()

    def _allowed(self, address: str, user: str, group: str) -> bool:
        self._request.META["REMOTE_ADDR"] = address
        # A view makes them for each request.
        throttles: tuple[Any, ...] = (_Anonymous(), _User())
        return all(throttle.allow_request(self._request, None) for throttle in throttles)
