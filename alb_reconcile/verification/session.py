"""Runs a verification from checks to a report: finds the address, sends, tallies, judges."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from alb_reconcile.model.errors import InterruptedRun
from alb_reconcile.model.resource import each_of
from alb_reconcile.model.secrets import Headers
from alb_reconcile.model.service import Member, Server
from alb_reconcile.verification.checks import Check, notes_on_groups, plan_checks
from alb_reconcile.verification.client import Client
from alb_reconcile.verification.judge import Finding, Tally, judge
from alb_reconcile.verification.names import NameFinding, verify_names
from alb_reconcile.verification.schedule import send_all
from alb_reconcile.verification.shares import Group, read_targets
from alb_reconcile.verification.site import Site, VerifyError, VerifySettings, drop_unreachable


@dataclass(frozen=True)
class Report:
    """The findings on a stack, in the order of its listeners and rules."""

    stack: str
    region: str
    account: str
    findings: tuple[Finding, ...] = ()
    names: tuple[NameFinding, ...] = ()
    answered: float | None = None
    """When the first request was answered as expected, on the loop's clock."""
    secret_headers: Headers = None
    """The headers of requests that are shown without their values (`model.secrets`)."""

    @property
    def ok(self) -> bool:
        """Whether everything that was expected to answer did so as expected."""
        return all(item.ok for item in self.findings) and all(item.ok for item in self.names)


async def verify_stack(
    site: Site, settings: VerifySettings, stopping: asyncio.Event, say: Callable[[str], None]
) -> Report:
    """Send real requests and judge the answers.

    Raises VerifyError where there is nothing to verify, InterruptedRun as soon as `stopping` is set.
    """
    working = asyncio.ensure_future(_verify(site, settings, say))
    halting = asyncio.ensure_future(stopping.wait())
    try:
        await asyncio.wait({working, halting}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise InterruptedRun("interrupted; nothing is judged")
        return working.result()
    finally:
        for task in (working, halting):
            task.cancel()
        await asyncio.gather(working, halting, return_exceptions=True)


async def _verify(site: Site, settings: VerifySettings, say: Callable[[str], None]) -> Report:
    discovery, where = site.discovery, f"{site.stack} in {site.region} (account {site.discovery.account})"
    if all(item.is_gone for item in discovery.resources):
        raise VerifyError(
            f"nothing of {where} exists, so there is nothing to verify; run apply first, or adopt if it runs already"
        )
    checks = plan_checks(discovery, site.desired, settings.choice)
    if not checks:
        raise VerifyError(f"the spec of {where} has no listeners, so there is nothing to verify")
    checks = await drop_unreachable(checks, site, settings, say)
    groups = await _groups(checks, site)
    # the listeners' ports by the local ports that stand for them
    ports = {item.port: item.listener_port for item in site.endpoints.values()}
    tallies = {
        str(check.address): Tally(check, settings.statuses, ports, provider=site.provider)
        for check in checks
        if check.state == "send"
    }
    answered = await send_all(tallies, site, settings, groups, say)
    after = await _groups(checks, site)
    findings = tuple(
        judge(tally, groups, after, settings.attribution, settings.tolerance)
        if (tally := tallies.get(str(check.address)))
        else _unsent(check)
        for check in checks
    )
    async with Client.opened(settings.attribution, settings.timeout) as client:
        names = await verify_names(site, settings, client, say)
    return Report(site.stack, site.region, discovery.account, findings, names, answered)


def _unsent(check: Check) -> Finding:
    """The finding of a check without requests: a default action for which rules leave nothing is no mistake, a rule that no request can
    reach is one."""
    if check.state == "skipped" or (check.state == "unreachable" and check.is_default):
        return Finding(check, "skipped", notes=(check.reason,))
    state = "unreachable" if check.state == "unreachable" else "failed"
    return Finding(check, state, problems=(check.reason,))


async def _groups(checks: tuple[Check, ...], site: Site) -> dict[str, Group]:
    """The target groups that the checks' forwards name, by ARN, as they are now."""
    arns = sorted(
        {str(item.target_group) for check in checks if check.state == "send" for item in check.action.forward}
    )
    names = {item.id: item.address.name for item in site.discovery.resources if isinstance(item.state, Server)}
    registrations = each_of(site.discovery.resources, Member)
    ids = {item.id: str(state.target) for item, state in registrations}
    notes = notes_on_groups(site.discovery, site.desired)
    healths = await asyncio.gather(*(site.health(arn) for arn in arns))
    groups = {}
    for arn, health in zip(arns, healths, strict=True):
        name, uneven, absent = notes.get(arn, (arn.rpartition(":")[2], "", ()))
        groups[arn] = Group(arn, name, read_targets(health, names, _of_group(arn, ids)), uneven, absent)
    return groups


def _of_group(arn: str, ids: Mapping[str, str]) -> dict[str, str]:
    """The ids of a group's targets, by the names of their registrations in it."""
    return {key.removeprefix(f"{arn}|"): target for key, target in ids.items() if key.startswith(f"{arn}|")}
