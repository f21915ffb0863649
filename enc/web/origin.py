"""From where a request comes, also where proxies stand before us, and what counts as one place. Pure.

Anybody can send X-Forwarded-For, with anything in it. So it is read only if the
connection itself comes from a proxy that the site names, and from its end: each
proxy adds whom it has before it. What stands before the first address that is
no proxy's was said by somebody who is not believed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Network = IPv4Network | IPv6Network

_WITH_PORT = re.compile(r"\[(?P<six>[^\[\]]*:[^\[\]]*)\](?::[0-9]{1,5})?|(?P<four>[^\[\]:]+):[0-9]{1,5}", re.ASCII)


def networks(proxies: Sequence[str]) -> tuple[Network, ...]:
    """Return the proxies that the configuration names."""
    return tuple(ip_network(text, strict=False) for text in proxies)


def client_of(peer: str, forwarded: str, proxies: Sequence[Network]) -> str:
    """Return the client's address: `peer`, or, if that is a proxy, whom it names; empty if it names nobody.

    `forwarded`: the value of X-Forwarded-For, of several headers joined by commas.
    """
    found = _address(peer)
    if found is None or not _in(found, proxies):
        return peer
    for text in reversed(forwarded.split(",")):
        found = _address(_without_port(text.strip()))
        if found is None:
            return ""
        if not _in(found, proxies):
            return str(found)
    return ""


def customer(address: str, proxies: Sequence[Network] = ()) -> str:
    """Return what counts as one place: of IPv6 a /64, which is one customer's.

    Empty for this machine's own addresses and those of `proxies`, which speak for everybody, and for what is none.
    """
    found = _address(address.partition("%")[0])
    if found is None or found.is_loopback or _in(found, proxies):
        return ""
    return str(IPv6Address(int(found) >> 64 << 64)) if isinstance(found, IPv6Address) else str(found)


def _without_port(text: str) -> str:
    """Return `text` without a port, which some proxies tell as well: `192.0.2.1:4711`, `[2001:db8::1]:443`, `[::1]`."""
    found = _WITH_PORT.fullmatch(text)
    return found["six"] or found["four"] if found else text


def _address(text: str) -> IPv4Address | IPv6Address | None:
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return (found.ipv4_mapped or found) if isinstance(found, IPv6Address) else found


def _in(address: IPv4Address | IPv6Address, proxies: Sequence[Network]) -> bool:
    return any(address in network for network in proxies)
