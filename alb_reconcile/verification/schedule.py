"""Plans which requests are sent for which check, and in which order."""

import asyncio
import itertools
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final

from alb_reconcile.verification.checks import Check, plan_checks
from alb_reconcile.verification.client import Client, Shot, Trust
from alb_reconcile.verification.judge import Tally
from alb_reconcile.verification.load import send
from alb_reconcile.verification.shares import Group
from alb_reconcile.verification.sign_in import SignInError, Visitor, check_keys, with_headers
from alb_reconcile.verification.site import Site, VerifyError, VerifySettings
from alb_reconcile.verification.websocket import try_websocket

FEW: Final = 3
"""Requests for an action that isn't a forward: its answers don't vary."""
_FRESH: Final = 10
"""Each so many-th request over HTTP/1.1 has a connection of its own."""


async def send_all(
    tallies: Mapping[str, Tally],
    site: Site,
    settings: VerifySettings,
    groups: Mapping[str, Group],
    say: Callable[[str], None],
) -> float | None:
    """Send all requests of all checks, and tally their answers. Returns when the first answer was as expected, on the loop's clock.
    Raises VerifyError if a --ca-file can't be used."""
    answered = None
    planned = sum(_amount(tally.check, settings, groups) for tally in tallies.values())
    if tallies:
        length = settings.duration or planned / settings.rate
        say(f"sends requests for about {max(1, round(length))} s, {settings.rate:g} per second")
    async with Client.opened(settings.attribution, settings.timeout) as client:
        _prepare(client, site)
        await _sign_in(tallies, site, settings, client)
        rounds = [_shots(tally, site, settings, groups) for tally in tallies.values()]
        answers = send(
            mix(rounds, random.Random()),  # noqa: S311  # no secret depends on it
            client,
            rate=settings.rate,
            concurrency=settings.concurrency,
            duration=settings.duration,
        )
        async for answer in answers:
            if tallies[answer.shot.key].add(answer) and answered is None:
                answered = asyncio.get_running_loop().time()
        if settings.websocket:
            await _try_websockets(tallies, site, settings, client)
        await _come_as_stranger(tallies, site, client)
    return answered


def _prepare(client: Client, site: Site) -> None:
    """Raises VerifyError for a file of certificates that can't be read, before anything is sent."""
    for trust in {item.tls for item in site.endpoints.values() if item.tls is not None}:
        for option, file, part in (
            ("--ca-file", trust.ca_file, replace(trust, client_certificate=None)),
            ("--client-certificate", trust.client_certificate, trust),
        ):
            try:
                client.context(part, "1.1", check_name=True)
            except OSError as error:
                what = "certificates" if option == "--ca-file" else "a certificate and its key, which has no password"
                raise VerifyError(
                    f"{file} can't be used as {option}: {error.strerror or error}; name a file (PEM) of {what}"
                ) from None


async def _sign_in(tallies: Mapping[str, Tally], site: Site, settings: VerifySettings, client: Client) -> None:
    """Log in where rules ask for it, in the sandbox; elsewhere only check the keys that would verify tokens."""
    guarded = {place: tally for place, tally in tallies.items() if tally.check.keeps_out}
    if site.provider is None:
        await _look_at_keys(guarded, site)
        return
    visitor = Visitor(client, site.provider)
    # rules that deny clients without login don't send them to log in: other rules have to come first
    for tally in sorted(guarded.values(), key=lambda item: _denies(item.check)):
        shot = replace(_shot(tally.check, site), http=_versions(tally.check, settings)[0])
        try:
            tally.login = await visitor.sign_in(tally.check, shot)
        except SignInError as error:
            tally.problems.append(str(error))
        else:
            if tally.login is None:
                tally.notes.append(
                    "denies strangers, and no rule lets its users log in, so what is behind it isn't checked"
                )


def _denies(check: Check) -> bool:
    asked = check.action.authentication
    return asked is not None and dict(asked.settings).get("on_unauthenticated_request") == "deny"


async def _look_at_keys(guarded: Mapping[str, Tally], site: Site) -> None:
    endpoints: dict[str, str] = {}
    trust = Trust()
    for name, tally in guarded.items():
        tally.notes.append("verify has no login here, so what is behind it isn't checked")
        asked = tally.check.action.authentication
        if asked and asked.type == "jwt-validation":
            endpoints[name] = dict(asked.settings)["jwks_endpoint"]
            trust = site.endpoints[tally.check.listener].tls or trust
    problems = await check_keys(endpoints.values(), trust) if endpoints else {}
    for name, url in endpoints.items():
        if url in problems:
            wanted = site.desired[guarded[name].check.address]
            place = wanted.at(f"{wanted.state.action_field}.jwt_validation")
            guarded[name].problems.append(f"{place}: {problems[url]}")


def _amount(check: Check, settings: VerifySettings, groups: Mapping[str, Group]) -> int:
    """How many requests a check gets. A forward without targets varies as little as a redirect."""
    served = any(groups[str(item.target_group)].serving for item in check.action.forward)
    return settings.requests if served else min(FEW, settings.requests)


def _shots(tally: Tally, site: Site, settings: VerifySettings, groups: Mapping[str, Group]) -> Iterator[Shot]:
    """A check's requests, for as long as it makes sense to send more."""
    check = tally.check
    amount = _amount(check, settings, groups)
    versions = _versions(check, settings)
    if check.keeps_out:
        for number in range(max(min(FEW, settings.requests), len(versions))):
            yield replace(_shot(check, site), http=versions[number % len(versions)], anonymous=True)
        if tally.login is None:
            return
    endless = settings.duration is not None and amount > FEW
    for number in itertools.count() if endless else range(max(amount, len(versions))):
        if tally.is_given_up:
            return
        yield replace(
            with_headers(_shot(check, site), tally.login or ()),
            http=versions[number % len(versions)],
            fresh=number % _FRESH >= _FRESH - len(versions),
        )


def _shot(check: Check, site: Site) -> Shot:
    if check.request is None:
        raise AssertionError("a check without a request was sent")
    return Shot(
        str(check.address),
        site.endpoints[check.listener],
        check.request,
        check_name=check.exact_host,
        keep_body=not check.action.forward or bool(check.transforms),
    )


def _versions(check: Check, settings: VerifySettings) -> list[str]:
    if check.scheme != "https":
        return ["1.1"]
    if settings.http == "both":
        return ["1.1", "2"] if check.http2 else ["1.1"]
    return [settings.http]


def mix(rounds: list[Iterator[Shot]], dice: random.Random) -> Iterator[Shot]:
    """All shots, each round's in its order, but the rounds at random.

    If rounds took turns, two rules that share a target group would each meet only every second of its targets.
    """
    while rounds:
        item = dice.choice(rounds)
        shot = next(item, None)
        if shot is None:
            rounds.remove(item)
        else:
            yield shot


async def _try_websockets(tallies: Mapping[str, Tally], site: Site, settings: VerifySettings, client: Client) -> None:
    """Try one WebSocket through each forward that takes the path and answers at all."""
    choice = replace(settings.choice, path=settings.websocket or "/")
    others = {item.address: item for item in plan_checks(site.discovery, site.desired, choice)}
    for tally in tallies.values():
        check = others[tally.check.address]
        if not check.action.forward or tally.is_given_up or (check.keeps_out and tally.login is None):
            continue
        if check.request is None or check.request.path != settings.websocket or check.request.method != "GET":
            tally.notes.append(f"{settings.websocket} isn't a path that comes here, so no WebSocket was tried")
            continue
        tally.websocket = await try_websocket(with_headers(_shot(check, site), tally.login or ()), client)


async def _come_as_stranger(tallies: Mapping[str, Tally], site: Site, client: Client) -> None:
    """Send one request without a certificate to each rule of a listener that requires one: it must not be answered."""
    for tally in tallies.values():
        if not tally.check.wants_certificate or not tally.seen:
            continue
        shot = _shot(tally.check, site)
        tls = replace(shot.endpoint.tls, client_certificate=None) if shot.endpoint.tls else None
        reply = await client.fire(replace(shot, endpoint=replace(shot.endpoint, tls=tls)))
        if reply.status is not None:
            text = f"a client without a certificate is answered {reply.status}, though the listener verifies clients"
            tally.problems.append(text)
