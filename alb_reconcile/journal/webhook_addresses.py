"""Decides which addresses a webhook may be sent to: no private or local address, unless that is allowed."""

import asyncio
import socket
import threading
from concurrent.futures import Future
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address

_CARRIERS: Final = tuple(IPv6Network(text) for text in ("64:ff9b::/96", "64:ff9b:1::/48", "::/96"))
"""NAT64 and IPv4-compatible addresses: the last 32 bits are an IPv4 address."""
_NEVER: Final = tuple(map(ip_network, ("0.0.0.0/8", "169.254.0.0/16", "fd00:ec2::/32")))
"""This host, link-local, and where AWS serves metadata and credentials to its instances and containers (Amazon EC2 User
Guide, "Access instance metadata"; Amazon EKS User Guide, "EKS Pod Identities")."""
_PUBLIC: Final = IPv6Network("2000::/3")


async def resolve(host: str, port: int) -> list[str]:
    """All addresses of a name. Raises OSError (gaierror). Cancelled, it doesn't wait for a resolver that hangs."""
    answer: Future[list[str]] = Future()
    answer.set_running_or_notify_cancel()  # from now on only `ask` settles the answer, also when no caller waits any more

    def ask() -> None:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
            answer.set_result(list(dict.fromkeys(str(item[4][0]) for item in found)))
        except OSError as error:
            answer.set_exception(error)
        except UnicodeError as error:
            answer.set_exception(OSError(str(error)))

    # no executor: the process would wait for its threads at the end, and a resolver can take minutes
    threading.Thread(target=ask, name="resolve", daemon=True).start()
    return await asyncio.wrap_future(answer)


def refusal(text: str, *, private: bool = False) -> str:
    """Why nothing may be sent to an address, or nothing. `private`: addresses of in-house networks may be used."""
    address = _innermost(ip_address(text))
    never = any(address in network for network in _NEVER)
    if never or address.is_link_local or address.is_multicast or address.is_unspecified:
        return f"{address} is link-local, an address of instance metadata, or not a host"
    public = address.is_global and not address.is_reserved
    if isinstance(address, IPv6Address):
        public = public and address in _PUBLIC
    if public or private:
        return ""
    return f"{address} is an address of a private network or of this machine"


def _innermost(address: Address) -> Address:
    """The IPv4 address that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour or (address.teredo and address.teredo[1])
    if inner:
        return inner
    special = address.is_unspecified or address.is_loopback
    if not special and any(address in network for network in _CARRIERS):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address
