"""IP addresses in the one form that they are written in, and in the one that they are counted by."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

#: Where gateways to IPv4 write its addresses (RFC 6052), in the last 32 bits.
_NAT64 = IPv6Network("64:ff9b::/96")
#: Leading bits that make an IPv6 address one that is mapped from IPv4.
_MAPPED = 96


@lru_cache(maxsize=4096)
def usual_form(address: str) -> str:
    """*address* as every part of the product writes it; empty for what is no IP address.

    IPv4 addresses mapped into IPv6 are written as IPv4, and zones (``%eth0``) are left out.
    """
    try:
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        return ""
    mapped = parsed.ipv4_mapped if isinstance(parsed, IPv6Address) else None
    return str(mapped or parsed)


@lru_cache(maxsize=4096)
def bucket_of(address: str, prefix: int = 64) -> str:
    """What limits count *address* by, so that nobody has more than one by writing it in another way.

    IPv4 addresses are counted each, and so are those in IPv6 that stand for one (mapped, 6to4, NAT64). Others
    are counted by their network, whose leading *prefix* bits they share: who has one has all of a ``/64``.
    Empty for what is no IP address. No permission may follow from it: anybody can write any IPv4 address into
    one of IPv6.
    """
    usual = usual_form(address)
    if not usual:
        return ""
    parsed = ip_address(usual)
    if isinstance(parsed, IPv4Address):
        return usual
    embedded = parsed.sixtofour or (IPv4Address(parsed.packed[-4:]) if parsed in _NAT64 else None)
    return str(embedded or ip_network((parsed.packed, prefix), strict=False))


def network_of(entry: str) -> IPv4Network | IPv6Network:
    """The network that *entry* names, that of IPv4 where it is one mapped into IPv6. Raises `ValueError`."""
    if "%" in entry:
        # Python takes zones for a part of the network, of which there would be several spellings.
        raise ValueError(f"{entry!r} has a zone")
    network = ip_network(entry.strip())
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED:
        mapped = network.network_address.ipv4_mapped
        if mapped is not None:
            return IPv4Network((mapped.packed, network.prefixlen - _MAPPED))
    return network
