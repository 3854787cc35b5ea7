"""Who is believed about the address of a client, and how much of it."""

from __future__ import annotations

import time
from ipaddress import ip_address
from typing import Any

import pytest
from django.core.checks import ERROR, WARNING
from django.core.management import call_command
from django.core.management.base import SystemCheckError
from django.test import RequestFactory
from hypothesis import example, given
from hypothesis import strategies as st

from apps.core.checks import check_proxies
from apps.core.clients import client_address
from apps.core.forwarding import TAIL, client_of

PROXIES = ("10.0.0.0/8", "2001:db8:ffff::/48")
PROXY, SECOND, CLIENT = "10.0.0.1", "10.0.0.2", "192.0.2.7"
KEYS = {"x-forwarded-for": "HTTP_X_FORWARDED_FOR", "forwarded": "HTTP_FORWARDED"}
BOTH = pytest.mark.parametrize("header", list(KEYS))


def told(text: str, *, header: str = "x-forwarded-for", peer: str = PROXY, trusted: Any = PROXIES) -> str:
    return client_of({"REMOTE_ADDR": peer, KEYS[header]: text}, trusted=trusted, header=header)


def entry(header: str, address: str) -> str:
    """*address* as a proxy adds it to *header*."""
    if header == "forwarded":
        return f'for="[{address}]"' if ":" in address else f"for={address}"
    return address


def chain(header: str, *addresses: str) -> str:
    return ", ".join(entry(header, address) for address in addresses)


@pytest.mark.parametrize("believed", list(KEYS))
@pytest.mark.parametrize("trusted", [[], ["10.0.0.0/8"], ["10.0.0.0/8", "unix"]])
@pytest.mark.parametrize(
    "name", ["X-Forwarded-For", "Forwarded", "X-Real-IP", "CF-Connecting-IP", "True-Client-IP"]
)
def test_who_is_no_trusted_proxy_is_who_connects_whatever_it_writes(settings, believed, trusted, name):
    settings.TRUSTED_PROXIES, settings.FORWARDED_HEADER = trusted, believed
    for number in range(20):
        claimed = f"203.0.113.{number}"
        text = f"for={claimed}" if name == "Forwarded" else claimed
        request = RequestFactory().get("/", REMOTE_ADDR=CLIENT, headers={name: text})
        assert client_address(request) == CLIENT


@BOTH
def test_no_other_header_than_the_one_that_is_named_is_believed(settings, header):
    settings.TRUSTED_PROXIES, settings.FORWARDED_HEADER = ["10.0.0.0/8"], header
    others = {
        "X-Forwarded-For": "203.0.113.1", "Forwarded": "for=203.0.113.2", "X-Real-IP": "203.0.113.3",
        "CF-Connecting-IP": "203.0.113.4", "True-Client-IP": "203.0.113.5",
    }  # fmt: skip
    ours = next(name for name in others if name.lower() == header)
    del others[ours]
    assert client_address(RequestFactory().get("/", REMOTE_ADDR=PROXY, headers=others)) == PROXY
    request = RequestFactory().get(
        "/", REMOTE_ADDR=PROXY, headers={**others, ours: entry(header, CLIENT)}
    )  # fmt: skip
    assert client_address(request) == CLIENT


def test_settings_that_change_count_from_the_next_request_on(settings):
    request = RequestFactory().get(
        "/",
        REMOTE_ADDR=PROXY,
        headers={"X-Forwarded-For": CLIENT, "Forwarded": "for=192.0.2.8", "X-Real-IP": "192.0.2.9"},
    )
    assert client_address(request) == PROXY
    settings.TRUSTED_PROXIES = ["10.0.0.0/8"]
    assert client_address(request) == CLIENT
    settings.FORWARDED_HEADER = "Forwarded"
    assert client_address(request) == "192.0.2.8"
    settings.FORWARDED_HEADER = "x-real-ip"
    assert client_address(request) == PROXY
    settings.TRUSTED_PROXIES = ["172.16.0.0/12"]
    assert client_address(request) == PROXY


@BOTH
@pytest.mark.parametrize(
    ("addresses", "client"),
    [
        ([CLIENT], CLIENT),
        # What a client has written stands to the left of what the proxy adds.
        (["203.0.113.1", CLIENT], CLIENT),
        (["203.0.113.1", "10.0.0.9", CLIENT], CLIENT),
        (["127.0.0.1", SECOND, CLIENT], CLIENT),
        # Two proxies, and three.
        ([CLIENT, SECOND], CLIENT),
        (["203.0.113.1", CLIENT, SECOND], CLIENT),
        ([CLIENT, "2001:db8:ffff::1", SECOND], CLIENT),
        # All are trusted.
        (["10.0.0.3", SECOND], "10.0.0.3"),
        # IPv6, and IPv4 in it.
        (["203.0.113.1", "2001:db8::1"], "2001:db8::1"),
        (["2001:DB8:0:0::1"], "2001:db8::1"),
        ([CLIENT, "::ffff:10.0.0.2"], CLIENT),
        (["::ffff:192.0.2.7"], CLIENT),
        (["::ffff:c000:208"], "192.0.2.8"),
    ],
)
def test_the_client_is_the_first_from_the_right_that_is_no_trusted_proxy(header, addresses, client):
    assert told(chain(header, *addresses), header=header) == client


@BOTH
def test_without_the_header_it_is_the_proxy_itself(header):
    assert client_of({"REMOTE_ADDR": PROXY}, trusted=PROXIES, header=header) == PROXY
    assert told("", header=header) == PROXY


@BOTH
def test_proxies_connect_from_addresses_in_any_form(header):
    for peer in (PROXY, "::ffff:10.0.0.1", "2001:db8:ffff::1", "2001:DB8:FFFF:0::1%eth0"):
        assert told(entry(header, CLIENT), header=header, peer=peer) == CLIENT, peer
    assert told(entry(header, CLIENT), header=header, peer="::a00:1") == "::a00:1"
    mapped = ("::ffff:10.0.0.0/104",)
    assert told(entry(header, CLIENT), header=header, trusted=mapped) == CLIENT


@BOTH
def test_connections_over_a_unix_socket_are_believed_where_they_are_named(header):
    for trusted, client in (
        (("unix",), CLIENT), ((" UNIX ",), CLIENT), (("10.0.0.0/8", "unix"), CLIENT),
        (("0.0.0.0/0", "::/0"), ""),
    ):  # fmt: skip
        text = entry(header, CLIENT)
        assert told(text, header=header, peer="", trusted=trusted) == client, trusted
        assert client_of({KEYS[header]: text}, trusted=trusted, header=header) == client, trusted
    assert told(chain(header, CLIENT, PROXY), header=header, peer="", trusted=("unix",)) == PROXY
    # Nothing is known of this connection, but that it has a name.
    assert told(entry(header, CLIENT), header=header, peer="localhost", trusted=("unix",)) == ""
    # Nobody further away connects over a socket of ours.
    assert told(entry(header, CLIENT), header=header, peer="192.0.2.1", trusted=("unix",)) == "192.0.2.1"


NODES = {
    "192.0.2.7:4711": CLIENT,
    "192.0.2.7:_port": CLIENT,
    "[2001:db8::1]": "2001:db8::1",
    "[2001:db8::1]:4711": "2001:db8::1",
    "[2001:db8::1%eth0]:4711": "2001:db8::1",
    "[::ffff:192.0.2.7]:4711": CLIENT,
    "2001:db8::1": "2001:db8::1",
    "fe80::1%eth0": "fe80::1",
}
NO_NODES = [
    "unknown", "_hidden", "_", "localhost", "unix:", "-", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4",
    "192.0.2.7:", "192.0.2.7:x", "192.0.2.7:123456", "192.0.2.7%eth0", "192.0.2.7/32", "[192.0.2.7]",
    "[2001:db8::1", "2001:db8::1]", "[2001:db8::1]4711", "[2001:db8::1]:", "[]", "[::1]]", ":::", "::1::",
    "192.0.2.7 192.0.2.8", "http://192.0.2.7", "١٩٢.٠.٢.٧", "192.0.2.7\n", "\x00", "\udcff",
]  # fmt: skip


@pytest.mark.parametrize("node", NODES)
def test_entries_may_have_ports_brackets_and_zones(node):
    for text in (node, f"  {node}\t", f"203.0.113.1, {node}", f"203.0.113.1,{node} ,\t{SECOND}"):
        assert told(text) == NODES[node], text
    for text in (f'for="{node}"', f'proto=http;For="{node}"; by=_x', f'for="{node}",for="10.0.0.2:80"'):
        assert told(text, header="forwarded") == NODES[node], text


@pytest.mark.parametrize("node", ["", " ", *NO_NODES])
def test_an_entry_that_is_no_address_leaves_the_last_proxy_that_was_believed(node):
    assert told(f"203.0.113.1, {node}") == PROXY
    assert told(f"203.0.113.1, {node}, {SECOND}") == SECOND
    assert told(f'for=203.0.113.1, for="{node}"', header="forwarded") == PROXY
    assert told(f'for=203.0.113.1, for="{node}", for={SECOND}', header="forwarded") == SECOND


@pytest.mark.parametrize(
    ("element", "client"),
    [
        ("for=192.0.2.7", CLIENT),
        ("FOR=192.0.2.7", CLIENT),
        ('for="192.0.2.7"', CLIENT),
        (r'for="19\2.0\.2.7"', CLIENT),
        ("for=192.0.2.7;proto=https;by=203.0.113.43", CLIENT),
        ("by=_x;for=192.0.2.7;", CLIENT),
        (";;for=192.0.2.7", CLIENT),
        ('host="a,b;for=203.0.113.1";for=192.0.2.7', CLIENT),
        (r'host="\",for=203.0.113.1,\\";for=192.0.2.7', CLIENT),
        (r'for=192.0.2.7;host="\\\","', CLIENT),
        ("", PROXY),
        ("proto=https", PROXY),
        ("192.0.2.7", PROXY),
        ("for", PROXY),
        ("for=", PROXY),
        ("=192.0.2.7", PROXY),
        ("for =192.0.2.7", PROXY),
        ("for= 192.0.2.7", PROXY),
        ("for=192.0.2.7:80", PROXY),
        ("for=[2001:db8::1]", PROXY),
        ("for=192.0.2.7;for=203.0.113.1", PROXY),
        ('for="";for=203.0.113.1', PROXY),
        ("forr=192.0.2.7", PROXY),
        ('for="192.0.2.7', PROXY),
        ('for=192.0.2.7"', PROXY),
        ('for="192.0.2.7"x', PROXY),
        (r'for="192.0.2.7\"', PROXY),
        ('for="192.0.2.7";"x"', PROXY),
        ("for='192.0.2.7'", PROXY),
        ("for=unknown", PROXY),
        ("for=_hidden", PROXY),
    ],
)
def test_elements_of_forwarded_are_read_as_the_standard_has_them(element, client):
    assert told(element, header="forwarded") == client
    assert told(f"for=203.0.113.1,{element}", header="forwarded") == client
    expected = SECOND if client == PROXY else client
    assert told(f"for=203.0.113.1, {element} , for={SECOND}", header="forwarded") == expected


@given(header=st.sampled_from(list(KEYS)), claimed=st.text(), client=st.ip_addresses(network="192.0.2.0/24"))
@example("forwarded", 'for="', ip_address(CLIENT))
@example("forwarded", 'for=203.0.113.1, for="\\', ip_address(CLIENT))
@example("forwarded", 'for=203.0.113.1;host="', ip_address("2001:db8::1"))
def test_nothing_that_a_client_writes_hides_what_the_proxy_adds(header, claimed, client):
    for joint in (",", ", "):
        assert told(f"{claimed}{joint}{entry(header, str(client))}", header=header) == str(client)


@given(
    header=st.sampled_from(list(KEYS)),
    text=st.text(st.sampled_from('for=,;"\\ []:.%_0123456789abx\t')) | st.text(),
    peer=st.sampled_from([PROXY, CLIENT, "2001:db8:ffff::1", "", "localhost"]),
)
def test_whatever_stands_in_the_header_there_is_an_address_or_none(header, text, peer):
    found = told(text, header=header, peer=peer, trusted=(*PROXIES, "unix"))
    if found:
        assert str(ip_address(found)) == found
    else:
        assert peer in ("", "localhost")


@BOTH
def test_sixteen_hops_are_looked_at(header):
    proxies = [f"10.0.1.{number}" for number in range(16)]
    assert told(chain(header, CLIENT, *proxies[1:]), header=header) == CLIENT
    assert told(chain(header, CLIENT, *proxies), header=header) == proxies[0]


@BOTH
def test_so_many_characters_are_looked_at_and_an_entry_that_is_cut_is_none(header):
    client, proxy = entry(header, CLIENT), entry(header, SECOND)
    room = TAIL - len(client) - len(proxy) - 1
    for spaces, expected in ((room, CLIENT), (room + 1, SECOND)):
        assert told(f"{client},{' ' * spaces}{proxy}", header=header) == expected
    # With an entry before it, its comma stands right before what is looked at.
    for spaces, expected in ((room, CLIENT), (room + 1, SECOND)):
        assert told(f"{proxy},{client},{' ' * spaces}{proxy}", header=header) == expected


@BOTH
@pytest.mark.parametrize(
    "pattern", ["x", ",", '"', "\\", '\\"', ' "\\', ";", "for=10.0.0.9,", "10.0.0.9, ", "[", ":", " ", "é"]
)
def test_a_header_of_a_megabyte_costs_little_and_hides_nobody(header, pattern):
    flood = pattern * (2**20 // len(pattern))
    before = time.thread_time()
    assert told(f"{flood},{entry(header, CLIENT)}", header=header) == CLIENT
    told(flood, header=header)
    told(f'{flood}"', header=header)
    told(f'for="{flood}"', header=header)
    # Reading all of it would take a multiple of that for each, even where nothing is kept.
    assert time.thread_time() - before < 0.05


def test_entries_that_are_no_networks_trust_nobody_and_keep_nobody_from_trusting_others():
    assert told(CLIENT, trusted=("proxy.example", "10.0.0.1/8", "")) == PROXY
    assert told(CLIENT, trusted=("proxy.example", " 10.0.0.0/8 ")) == CLIENT


def test_proxies_and_headers_that_cannot_be_are_found_before_a_request_comes(settings):
    for trusted, header in (
        ([], "x-forwarded-for"), (["10.0.0.0/8", "::1", " unix "], "Forwarded"), (["0.0.0.0/1"], "forwarded"),
    ):  # fmt: skip
        settings.TRUSTED_PROXIES, settings.FORWARDED_HEADER = trusted, header
        assert check_proxies(app_configs=None) == []
    settings.TRUSTED_PROXIES = ["10.0.0.0/8", "proxy.example", "10.0.0.1/8", ""]
    found = check_proxies(app_configs=None)
    assert [(one.id, one.level) for one in found] == [("core.E003", ERROR)] * 3
    for one, wrong in zip(found, settings.TRUSTED_PROXIES[1:], strict=True):
        assert one.msg.startswith(f"TRUSTED_PROXIES has {wrong!r}, ")
    with pytest.raises(SystemCheckError, match=r"core\.E003"):
        call_command("check")
    settings.TRUSTED_PROXIES = []
    for header in ("", "x-real-ip", "x-forwarded-for,forwarded"):
        settings.FORWARDED_HEADER = header
        (found,) = check_proxies(app_configs=None)
        assert (found.id, found.level) == ("core.E004", ERROR)
        assert found.msg.endswith(f"not {header!r}.")


def test_who_trusts_everybody_is_warned(settings):
    for everybody in ("0.0.0.0/0", "::/0", "::ffff:0:0/96"):
        settings.TRUSTED_PROXIES = ["10.0.0.0/8", everybody]
        (found,) = check_proxies(app_configs=None)
        assert (found.id, found.level) == ("core.W001", WARNING)
        assert repr(everybody) in found.msg
