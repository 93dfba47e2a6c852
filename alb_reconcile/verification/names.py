"""Checks whether DNS names lead where the spec says: looks them up, then requests over HTTPS, and on port 80 for the redirect."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import each_of
from alb_reconcile.model.secrets import hide_query
from alb_reconcile.model.service import DnsName, Entrance, Frontend
from alb_reconcile.verification.client import ERRORS, Client, Endpoint, Shot
from alb_reconcile.verification.matching import Request
from alb_reconcile.verification.site import LookUp, Site, VerifySettings
from alb_reconcile.verification.tls import Tls

_POLL: Final = 2.0
_HOST: Final = "verify"
"""The label in place of a wildcard's star."""
_ROUTED: Final = "one of several answers, by weight or failover"


@dataclass(frozen=True)
class NameFinding:
    """What was found of one record. `values` are the values that the name server answered."""

    address: Address
    name: str
    type: str
    state: Literal["ok", "failed", "skipped"] = "ok"
    values: tuple[str, ...] = ()
    tls: Tls | None = None
    redirects: bool | None = None
    """Whether port 80 redirects to HTTPS; None where it isn't meant to."""
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the name leads where it should."""
        return self.state != "failed"


async def verify_names(
    site: Site, settings: VerifySettings, client: Client, say: Callable[[str], None]
) -> tuple[NameFinding, ...]:
    """A finding for each record of the spec, in its order."""
    if site.look_up is None:
        return ()
    there = {item.address for item in site.discovery.resources if not item.is_gone}
    names = [
        _verify(site, settings, client, say, item.address, state, there)
        for item, state in each_of(site.desired.values(), DnsName)
    ]
    return tuple(await asyncio.gather(*names))


async def _verify(
    site: Site,
    settings: VerifySettings,
    client: Client,
    say: Callable[[str], None],
    address: Address,
    wanted: DnsName,
    there: set[Address],
) -> NameFinding:
    name = wanted.name.replace("*", _HOST, 1)
    if address not in there:
        return NameFinding(
            address, name, wanted.type, "failed", problems=(f"{address} doesn't exist; run apply first",)
        )
    if wanted.zone.endswith("/private") and not site.sees_private:
        note = "it is in a private zone; look it up inside of its VPC"
        return NameFinding(address, name, wanted.type, "skipped", notes=(note,))
    values, problem = await _resolved(site, settings, say, name, wanted)
    if problem:
        return NameFinding(address, name, wanted.type, "failed", values, problems=(problem,))
    tls, redirects, problems = None, None, []
    if isinstance(wanted.alias, Address) and wanted.type == "A":
        for listener, endpoint in _listeners(site, wanted.alias):
            if listener.protocol == "HTTPS":
                tls, problem = await _ask_https(client, name, endpoint)
            elif _sends_to_https(site, listener):
                redirects, problem = await _ask_http(client, name, endpoint)
            problems += [problem] if problem else []
            problem = ""
    state: Literal["ok", "failed"] = "failed" if problems else "ok"
    notes = (_ROUTED,) if wanted.set_identifier else ()
    return NameFinding(address, name, wanted.type, state, values, tls, redirects, tuple(problems), notes)


async def _resolved(
    site: Site, settings: VerifySettings, say: Callable[[str], None], name: str, wanted: DnsName
) -> tuple[tuple[str, ...], str]:
    """The values of a name, and what is wrong with them, after waiting as long as resolvers may not know the name yet."""
    loop = asyncio.get_running_loop()
    deadline, said = loop.time() + settings.dns_timeout, False
    while True:
        values = await look(site, name, wanted.type)
        problem = await _misled(site, name, wanted, values)
        if not problem or loop.time() >= deadline:
            return values, problem
        if not said:
            say(f"waiting up to {settings.dns_timeout:.0f} s for {name} to resolve")
            said = True
        await asyncio.sleep(min(_POLL, max(0.0, deadline - loop.time())))


async def look(site: Site, name: str, kind: str) -> tuple[str, ...]:
    """The values of a name; none where there are none, or no name server answers."""
    if site.look_up is None:
        return ()
    return tuple(sorted(await site.look_up(name, kind)))


async def _misled(site: Site, name: str, wanted: DnsName, values: tuple[str, ...]) -> str:
    if not values:
        return f"{name} has no {wanted.type} record; check that the domain's name servers are those of its hosted zone"
    if isinstance(wanted.alias, Address):
        balancer = next((item for item in site.discovery.resources if item.address == wanted.alias), None)
        dns = balancer.detail(Entrance).dns_name if balancer else ""
        right = await look(site, dns, wanted.type) if dns else ()
        if not set(values) & set(right):
            return f"{name} leads to {', '.join(values)} instead of {wanted.alias} ({', '.join(right) or 'which has no address'})"
        return ""
    if wanted.resource_records is not None and not wanted.set_identifier:
        right = tuple(sorted(wanted.resource_records))
        if tuple(sorted(item.lower().removesuffix(".") for item in values)) != tuple(
            sorted(item.lower().removesuffix(".") for item in right)
        ):
            return f"{name} has {', '.join(values)} instead of {', '.join(right)}"
    return ""


def _listeners(site: Site, balancer: Address) -> Iterator[tuple[Frontend, Endpoint]]:
    ids = {item.address: item.id for item in site.discovery.resources if not item.is_gone}
    for item, state in each_of(site.desired.values(), Frontend):
        endpoint = site.endpoints.get(ids.get(item.address, ""))
        if state.load_balancer == balancer and endpoint is not None:
            usual = {"HTTPS": 443, "HTTP": 80}[state.protocol]
            if state.port == usual:
                yield state, endpoint


def _sends_to_https(site: Site, listener: Frontend) -> bool:
    return dict(listener.default_action.redirect).get("protocol") == "HTTPS"


async def _ask_https(client: Client, name: str, endpoint: Endpoint) -> tuple[Tls | None, str]:
    reply = await client.fire(Shot(name, endpoint, Request(name)))
    if reply.error:
        detail = f" ({reply.detail})" if reply.detail else ""
        return reply.tls, f"https://{name}/: {ERRORS.get(reply.error, reply.error)}{detail}"
    return reply.tls, ""


async def _ask_http(client: Client, name: str, endpoint: Endpoint) -> tuple[bool, str]:
    reply = await client.fire(Shot(name, endpoint, Request(name)))
    if reply.error:
        return False, f"http://{name}/: {ERRORS.get(reply.error, reply.error)}"
    location = reply.headers.get("location", "")
    try:
        target = urlsplit(location)
        is_there = (target.scheme, target.hostname) == ("https", name)
    except ValueError:
        is_there = False
    if reply.status not in (301, 302) or not is_there:
        return (
            False,
            f"http://{name}/ answers {reply.status} and leads to {hide_query(location) or 'nowhere'} instead of https://{name}/",
        )
    return True, ""


def asking(host: str | None = None, port: int = 53) -> LookUp:
    """A function that looks names up by this machine's resolver, or by a name server."""
    import dns.asyncquery
    import dns.asyncresolver
    import dns.exception

    resolver = dns.asyncresolver.Resolver(configure=host is None)
    if host is not None:
        resolver.nameservers, resolver.port = [host], port
    resolver.lifetime = 10.0

    async def look_up(name: str, kind: str) -> tuple[str, ...]:
        try:
            answer = await resolver.resolve(name, kind, search=False)
        except (dns.exception.DNSException, OSError):
            return ()
        return tuple(_text(row) for row in answer)

    return look_up


def _text(row: Any) -> str:
    return str(row.to_text())


def names_json(found: NameFinding) -> Mapping[str, Any]:
    """The documented form of a finding."""
    return {
        "address": str(found.address),
        "name": found.name,
        "type": found.type,
        "state": found.state,
        "ok": found.ok,
        "values": list(found.values),
        "tls_version": found.tls.version if found.tls else "",
        "redirects": found.redirects,
        "problems": list(found.problems),
        "notes": list(found.notes),
    }
