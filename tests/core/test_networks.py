"""Sets of networks, as proxies, webhooks and limits look into them."""

from __future__ import annotations

import pytest

from apps.core.networks import Networks


def test_networks_know_what_is_in_them():
    networks = Networks(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::ffff:198.51.100.0/120"])
    for address in ("10.255.0.1", "192.0.2.7", "2001:db8:1::1", "198.51.100.200"):
        assert address in networks
    for address in ("11.0.0.1", "192.0.2.8", "2001:db9::1", "198.51.101.1", "", "nonsense"):
        assert address not in networks
    assert networks
    assert not Networks([])
    for nonsense in ("10.0.0.1/8", "host", "", "10.0.0.0/64"):
        with pytest.raises(ValueError, match=r"\S"):
            Networks([nonsense])
