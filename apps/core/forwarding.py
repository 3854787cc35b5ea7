"""Who a request comes from, and by which scheme, where trusted proxies stand in between.

One header is believed, and only from a connection of a trusted proxy. It is read from the right, where the
nearest proxy has written: what a client writes there itself stands to the left of that and is not reached.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from itertools import islice
from types import MappingProxyType
from typing import Any, NamedTuple

from apps.core.addresses import network_of, usual_form
from apps.core.networks import Networks

#: Entries of a header that are looked at.
HOPS = 16
#: Characters of a header that are looked at: the last ones.
TAIL = 2048

_SIX = r"[0-9A-Fa-f]{0,4}:[0-9A-Fa-f:.]{1,43}"
_ZONE = r"(?:%[A-Za-z0-9._~-]{1,64})?"
_PORT = r"(?::(?:[0-9]{1,5}|_[A-Za-z0-9._-]{1,64}))?"
#: An address with or without a port; a bare IPv6 one has none, as nobody could tell it from the address.
_NODE = re.compile(rf"\[({_SIX}){_ZONE}\]{_PORT}|([0-9.]{{7,15}}){_PORT}|({_SIX}){_ZONE}")

_WORD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
#: A pair of an element of ``Forwarded``, or none, up to the next.
_PAIR = re.compile(rf'[ \t]*+(?:({_WORD})=(?:({_WORD})|"((?:[^"\\]|\\.)*+)")[ \t]*+)?(?:;|\Z)')
_ESCAPED = re.compile(r"\\(.)")


def client_of(meta: Mapping[str, Any], *, trusted: tuple[str, ...], header: str) -> str:
    """The address of the client in its usual form; empty where there is none. Never raises.

    *trusted* are networks of proxies, or ``unix``; what is neither trusts nobody. *header* is one of
    `HEADERS`; with another name no header is believed. The work is bounded, however long the header is.
    """
    peer = usual_form(meta.get("REMOTE_ADDR", ""))
    if not _is_proxy(meta, trusted):
        return peer
    told = meta.get(HEADERS[header], "") if header in HEADERS else ""
    if not told:
        return peer
    # One more than is looked at: it tells that the tail is not all.
    return _last_untrusted(peer, told[-(TAIL + 1) :], trusted, header)


def scheme_of(meta: Mapping[str, Any], *, trusted: tuple[str, ...], header: str) -> str:
    """By which scheme the client came, in lower case; empty where no trusted proxy says so. Never raises.

    Beside ``X-Forwarded-For`` it is told by ``X-Forwarded-Proto``: of several, what the nearest proxy wrote.
    In ``Forwarded`` it stands in the element that is for the client.
    """
    if header not in HEADERS or not _is_proxy(meta, trusted):
        return ""
    if header == "x-forwarded-for":
        return str(meta.get(SCHEME_HEADER, ""))[-TAIL:].rpartition(",")[2].strip().lower()
    found = ""
    for element in islice(_elements(meta.get(HEADERS[header], "")[-(TAIL + 1) :]), HOPS):
        found = _value(element, "proto").lower()
        address = _address(_value(element, "for"))
        if not address or not _trusts(trusted, address):
            break
    return found


def _is_proxy(meta: Mapping[str, Any], trusted: tuple[str, ...]) -> bool:
    """Whether the connection is one of a trusted proxy."""
    given = meta.get("REMOTE_ADDR", "")
    return _trusts(trusted, usual_form(given)) if given else _proxies(trusted).unix


@lru_cache(maxsize=2048)
def _last_untrusted(peer: str, tail: str, trusted: tuple[str, ...], header: str) -> str:
    found = peer
    for entry in islice(_READERS[header](tail), HOPS):
        address = _address(entry)
        if not address:
            # Whom the hop before has it from is not known, so nothing further to the left can be believed.
            return found
        found = address
        if not _trusts(trusted, address):
            return found
    return found


def _address(entry: str) -> str:
    """The address of an entry in its usual form; empty where it has none."""
    node = _NODE.fullmatch(entry)
    return usual_form(node[1] or node[2] or node[3]) if node else ""


def is_unix(entry: str) -> bool:
    """Whether an entry of the trusted proxies stands for connections over a unix socket."""
    return entry.strip().lower() == "unix"


class _Proxies(NamedTuple):
    networks: Networks
    unix: bool


@lru_cache(maxsize=16)
def _proxies(trusted: tuple[str, ...]) -> _Proxies:
    networks = []
    for entry in trusted:
        try:
            networks.append(str(network_of(entry)))
        except ValueError:
            # `unix`, or a mistake, which `manage.py check` tells of. It must not stop every request.
            continue
    return _Proxies(Networks(networks), unix=any(map(is_unix, trusted)))


@lru_cache(maxsize=4096)
def _trusts(trusted: tuple[str, ...], address: str) -> bool:
    return address in _proxies(trusted).networks


def _forwarded_for(tail: str) -> Iterator[str]:
    """The entries of ``X-Forwarded-For``, the last one first, but for one that is cut."""
    end = len(tail)
    while end >= 0:
        comma = tail.rfind(",", 0, end)
        if _cut(tail, comma):
            return
        yield tail[comma + 1 : end].strip(" \t")
        end = comma


def _forwarded(tail: str) -> Iterator[str]:
    """Whom the elements of ``Forwarded`` (RFC 7239) are for, as `_elements` finds them.

    A malformed one is for nobody (empty).
    """
    return (_value(element, "for") for element in _elements(tail))


def _elements(tail: str) -> Iterator[str]:
    """The elements of ``Forwarded``, the last one first, but for one that is cut.

    One that nobody can tell the beginning of is the end.
    Quoted strings are found from the right as well. From the left, a client that opens one and never closes
    it would take in what the proxy has written.
    """
    end = at = len(tail)
    while end >= 0:
        comma, quote = tail.rfind(",", 0, at), tail.rfind('"', 0, at)
        if quote > comma:
            at = _opening(tail, quote)
            if at < 0:
                return
            continue
        if _cut(tail, comma):
            return
        yield tail[comma + 1 : end]
        end = at = comma


def _cut(tail: str, comma: int) -> bool:
    """Whether an entry that begins after *comma* begins before what is looked at."""
    return comma < 0 and len(tail) > TAIL


def _opening(text: str, closing: int) -> int:
    """Where the quoted string begins that ends at *closing*; -1 where nowhere."""
    at = text.rfind('"', 0, closing)
    while at >= 0:
        before = text[:at]
        if (at - len(before.rstrip("\\"))) % 2 == 0:
            return at
        at = text.rfind('"', 0, at)
    return -1


def _value(element: str, wanted: str) -> str:
    """The value of a pair of an element; empty where there is none, or more than one, or it is malformed."""
    found, at = None, 0
    while at < len(element):
        pair = _PAIR.match(element, at)
        if pair is None:
            return ""
        name, token, quoted = pair.groups()
        if name and name.lower() == wanted:
            if found is not None:
                return ""
            found = token or _ESCAPED.sub(r"\1", quoted)
        at = pair.end()
    return found or ""


_READERS: Mapping[str, Callable[[str], Iterator[str]]] = MappingProxyType(
    {"x-forwarded-for": _forwarded_for, "forwarded": _forwarded}
)
#: What tells the scheme beside ``X-Forwarded-For``.
SCHEME_HEADER = "HTTP_X_FORWARDED_PROTO"
#: Name of a header -> the key that a request has it under.
HEADERS: Mapping[str, str] = MappingProxyType(
    {name: f"HTTP_{name.upper().replace('-', '_')}" for name in _READERS}
)
