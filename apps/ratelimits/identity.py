"""Who makes a request: the address it comes from, and the user or key that has been verified.

What a client says of itself is never an identity. A credential is one once something has verified it, and for
a short while after that.
"""

from __future__ import annotations

import hashlib
import time
from base64 import b64decode
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Any, NamedTuple

from django.conf import settings
from django.http import HttpRequest
from django.utils.functional import LazyObject

from apps.ratelimits.limiter import subject

#: Credentials that a process remembers.
_MOST = 10_000


class Identity(NamedTuple):
    """Whom rules by user, key and plan are about. All of it is empty where nobody has been verified."""

    #: Subjects of the limiter.
    user: str = ""
    key: str = ""
    plan: str = ""


#: Of whom nothing has been verified.
ANONYMOUS = Identity()


def identity_of(user: Any, auth: Any, plan_of: Callable[[Any], str] | None) -> Identity:
    """The identity of a user, and what verified them (as DRF's `request.user` and `request.auth`)."""
    if user is None or not user.is_authenticated or user.pk is None:
        return ANONYMOUS
    key = getattr(auth, "pk", None)
    return Identity(
        user=subject("user", str(user.pk)),
        # A key's row may be known by a secret, or by a digest of it.
        key=subject("key", _digest(f"{type(auth).__qualname__}:{key}")) if key is not None else "",
        plan=(plan_of(user) or "") if plan_of is not None else "",
    )


def is_nobody(request: HttpRequest) -> bool:
    """Whether it has turned out that nobody is signed in; not so where nothing has looked."""
    user = request.__dict__.get("user")
    if isinstance(user, LazyObject):
        # Django's, which asks the database only when somebody wants to know.
        user = request.__dict__.get("_cached_user") or request.__dict__.get("_acached_user")
    return user is not None and not user.is_authenticated


def credential_of(request: HttpRequest) -> str:
    """A digest of what the request proves its user with; empty where it brings nothing of the kind.

    One credential written in several ways has one digest.
    """
    # Most requests of programs have no cookies, of which nothing need be read then.
    cookies = request.COOKIES if "HTTP_COOKIE" in request.META else {}
    session = cookies.get(settings.SESSION_COOKIE_NAME, "") if cookies else ""
    header = request.META.get("HTTP_AUTHORIZATION", "")
    if not session and not header:
        return ""
    scheme, _, rest = header.strip().partition(" ")
    scheme, rest = scheme.lower(), rest.strip()
    if scheme == "basic":
        with suppress(ValueError):
            rest = b64decode(rest).decode("latin-1")
    return _digest(f"{len(session)}:{session}{scheme} {rest}")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


class Verified:
    """Credentials that were verified in this process a moment ago, and whose they are.

    Only who was verified is remembered: another part of the product may accept what one has refused.
    """

    def __init__(
        self, *, trust_for: float, most: int = _MOST, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._trust_for = trust_for
        self._most = most
        self._clock = clock
        self._lock = Lock()
        self._known: OrderedDict[str, tuple[float, Identity]] = OrderedDict()

    def find(self, credential: str) -> Identity | None:
        """Whose it is; null where that has to be found out."""
        found = self._known.get(credential)
        if found is None or found[0] <= self._clock():
            return None
        return found[1]

    def learn(self, credential: str, identity: Identity) -> None:
        """It was verified just now to be *identity*'s. Nothing is learned of one that is nobody's."""
        if not identity.user:
            return
        with self._lock:
            self._known[credential] = (self._clock() + self._trust_for, identity)
            self._known.move_to_end(credential)
            while len(self._known) > self._most:
                self._known.popitem(last=False)

    def forget(self, credential: str) -> None:
        """It is nobody's any more."""
        with self._lock:
            self._known.pop(credential, None)
