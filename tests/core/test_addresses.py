"""One address has one form, however it is written, and limits count by what one client cannot change."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core.addresses import bucket_of, network_of, usual_form


@pytest.mark.parametrize(
    ("written", "usual"),
    [
        *((mapped, "1.2.3.4") for mapped in (
            "1.2.3.4", "::ffff:1.2.3.4", "::ffff:102:304", "::FFFF:0102:0304", "0:0:0:0:0:ffff:102:304",
            "0000:0000:0000:0000:0000:ffff:0102:0304", "::ffff:1.2.3.4%eth0",
        )),
        *((six, "2001:db8::1") for six in (
            "2001:db8::1", "2001:DB8::1", "2001:db8:0:0:0:0:0:1", "2001:0db8::0:0001", "2001:db8::1%eth0",
        )),
        # These are addresses of their own, for which no list of IPv4 addresses was made.
        ("64:ff9b::1.2.3.4", "64:ff9b::102:304"),
        ("2002:102:304::1", "2002:102:304::1"),
        ("::1.2.3.4", "::102:304"),
        *((none, "") for none in ("", "unix:", "localhost", "1.2.3.4/24", "1.2.3", "01.2.3.4", "1.2.3.4:80")),
    ],
)  # fmt: skip
def test_the_usual_form_follows_from_the_bits_and_not_from_the_notation(written: str, usual: str):
    assert usual_form(written) == usual


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("1.2.3.4", "1.2.3.4"),
        ("::ffff:102:304", "1.2.3.4"),
        ("64:ff9b::102:304", "1.2.3.4"),
        ("64:ff9b::1.2.3.4%eth0", "1.2.3.4"),
        ("2002:102:304::1", "1.2.3.4"),
        ("2002:102:304:ffff::", "1.2.3.4"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        # The ends of these networks, and what is beside them.
        ("64:ff9b::", "0.0.0.0"),
        ("64:ff9b::ffff:ffff", "255.255.255.255"),
        ("64:ff9b::1:0:0", "64:ff9b::/64"),
        ("2003::", "2003::/64"),
        ("2001:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "2001:ffff:ffff:ffff::/64"),
        ("", ""),
        ("localhost", ""),
    ],
)
def test_a_bucket_is_an_ipv4_address_or_a_network_of_ipv6_ones(address: str, bucket: str):
    assert bucket_of(address) == bucket


def test_mapped_clients_are_counted_one_by_one():
    assert bucket_of("::ffff:192.0.2.1") != bucket_of("::ffff:192.0.2.2")


@given(st.ip_addresses(v=6, network="2001:db8:1:2::/64"))
def test_who_rotates_in_a_network_stays_in_its_bucket(address: IPv6Address):
    assert bucket_of(str(address)) == bucket_of(address.exploded) == "2001:db8:1:2::/64"


def test_the_network_may_be_another():
    assert bucket_of("2001:db8:1:2::3", 48) == "2001:db8:1::/48"
    assert bucket_of("2001:db8:1:2::3", 128) == "2001:db8:1:2::3/128"
    assert bucket_of("192.0.2.7", 24) == "192.0.2.7"


def test_networks_are_those_of_usual_forms():
    for entry, network in {
        "10.0.0.0/8": "10.0.0.0/8", " 10.0.0.1 ": "10.0.0.1/32", "::ffff:10.0.0.0/104": "10.0.0.0/8",
        "::ffff:0:0/96": "0.0.0.0/0", "2001:DB8::/32": "2001:db8::/32", "::/0": "::/0",
        "2001:db8::1": "2001:db8::1/128",
    }.items():  # fmt: skip
        assert str(network_of(entry)) == network
    for entry in ("", "proxy.example", "10.0.0.1/8", "10.0.0.0/33", "unix", "fe80::1%eth0", "fe80::%eth0/64"):
        with pytest.raises(ValueError):
            network_of(entry)
    assert IPv4Address("10.1.2.3") in network_of("::ffff:10.0.0.0/104")
