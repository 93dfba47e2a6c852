"""Writes and reads the tags of a stack's resources that say which spec was applied (EC2 CreateTags, ELBv2 AddTags)."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from alb_reconcile.aws.client import Aws, batches
from alb_reconcile.aws.hints import DENIED
from alb_reconcile.aws.tagging import TaggedService, service_of
from alb_reconcile.kinds import load_kinds
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import extra_tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.plan import Plan
from alb_reconcile.model.resource import Desired, Observed, references
from alb_reconcile.model.service import Balancer, Pool, Server


async def write_applied_tags(aws: Aws, stack: str, desired: Mapping[Address, Desired], discovery: Discovery) -> str:
    """Write the tags that say that this spec is applied: each entry's digest, for an instance also more of its entry, and the digest of the
    whole spec.

    The stack must be as the spec wants it. Makes no call for resources that have the tags already. Returns a warning if the identity may
    not tag; raises AwsError for any other error.
    """
    return await _write(aws, find_unrecorded(stack, desired, discovery), "sync can't tell drift from a changed spec")


def find_unrecorded(stack: str, desired: Mapping[Address, Desired], discovery: Discovery) -> dict[str, dict[str, str]]:
    """The tags to write so that all resources say that this spec is applied, by id."""
    own = _own(stack, discovery)
    wanted: dict[str, dict[str, str]] = {}
    for item in own:
        entry = desired.get(item.address)
        new = {tags.SPEC: tags.spec_tag(entry), **extra_tags(entry.state, item.tags)} if entry else {}
        is_launched_so = tags.USER_DATA in item.tags  # what was adopted with other user data has other values
        names = {name for name in new if name in (tags.SPEC, tags.ATTRIBUTES)}
        names |= {name for name in new if name.startswith(tags.VALUE) and is_launched_so}
        if changed := {name: new[name] for name in sorted(names) if new[name] != item.tags.get(name)}:
            wanted[item.id] = changed
    applied, zones = tags.applied_tags(desired), tags.zones_tag(desired)
    anchors = {item.id for item in find_anchors(own)}
    values = tags.value_tags(desired)
    for item in own:
        if item.id in anchors and item.state.carries_applied:
            stale = {key: "" for key in item.tags if key.startswith(tags.VALUE)}
            changed = {key: text for key, text in (stale | values).items() if text != item.tags.get(key, "")}
            wanted.setdefault(item.id, {}).update(changed)
        # a resource keeps these tags if it got them when the stack had fewer resources to carry them
        if not applied.items() <= item.tags.items() and (tags.APPLIED in item.tags or item.id in anchors):
            wanted.setdefault(item.id, {}).update(applied)
        told = item.tags.get(tags.ZONES)
        if told != zones and (told is not None or (zones and item.id in anchors)):
            wanted.setdefault(item.id, {})[tags.ZONES] = zones
    return {key: found for key, found in wanted.items() if found}


async def begin_destroying(aws: Aws, stack: str, discovery: Discovery) -> str:
    """Write the tag that says that the stack is being destroyed, so that `sync` doesn't take resources for drift that are missing from then
    on.

    Returns a warning if the identity may not tag; raises AwsError for anything else.
    """
    found = find_anchors(_own(stack, discovery))
    wanted = {item.id: {tags.APPLIED: tags.DESTROYING} for item in found}
    return await _write(aws, wanted, "if this destroy stops half-way, sync may take what it deleted for drift")


async def begin_making(
    aws: Aws, stack: str, plan: Plan, desired: Mapping[Address, Desired], discovery: Discovery
) -> str:
    """Write tags that no longer say that a spec is applied, before a resource of a rare kind (`is_rare`) is made: resources of such a kind
    are only looked for while the tags don't say that the spec at hand is applied. So after an interrupted run the earlier spec finds what
    was made.

    Makes no call if no tag needs to change. Returns a warning if the identity may not tag; raises AwsError for any other error.
    """
    kinds = load_kinds()
    if not any(step.action == "create" and kinds[step.address.kind].is_rare for step in plan.steps):
        return ""
    wanted: dict[str, dict[str, str]] = {}
    for item in find_anchors(_own(stack, discovery)):
        before = item.tags.get(tags.ZONES, "")
        if (zones := tags.zones_tag(desired, before)) != before:
            wanted[item.id] = {tags.ZONES: zones}
        whole, _, codes = item.tags.get(tags.APPLIED, "").partition(" ")
        if whole not in ("", tags.DESTROYING, tags.UNFINISHED, tags.spec_digest_of(desired)):
            wanted.setdefault(item.id, {})[tags.APPLIED] = f"{tags.UNFINISHED} {codes}".strip()
    return await _write(aws, wanted, "if this run stops half-way, an earlier spec may not find what it has made")


async def _write(aws: Aws, wanted: Mapping[str, dict[str, str]], what_then: str) -> str:
    """Write tags. Returns a warning if that is denied, since a run can do without these tags."""
    results = await asyncio.gather(*_calls(aws, wanted), return_exceptions=True)
    denied = ""
    for result in results:
        if isinstance(result, AwsError) and result.code in DENIED:
            denied = f"tags couldn't be written, so {what_then}: allow ec2:CreateTags and elasticloadbalancing:AddTags ({result})"
        elif result is not None:
            raise result
    return denied


def _own(stack: str, discovery: Discovery) -> list[Observed]:
    return [
        item
        for item in discovery.resources
        if item.owner == stack and item.state.service and not item.is_gone and not item.is_leaving
    ]


def find_anchors(own: Iterable[Observed]) -> list[Observed]:
    """The resources that carry the digest of the whole spec: several, so that the digest isn't lost with one of them. If at most one is of
    a kind meant for that, load balancers and instances carry the digest as well, or else target groups."""
    own = list(own)
    found = [item for item in own if item.state.carries_applied]
    if len(found) > 1:
        return found
    found += (item for item in own if isinstance(item.state, Balancer | Server))
    return found or [item for item in own if isinstance(item.state, Pool)]


def find_lost(stack: str, desired: Mapping[Address, Desired], discovery: Discovery) -> dict[Address, bool]:
    """The missing entries that the applied spec had, by the tags; each with whether this spec's entry is the same as the applied one."""
    own = _own(stack, discovery)
    there, whole = {item.address: item for item in own}, tags.spec_digest_of(desired)
    members = {item.address for item in discovery.resources if not (item.is_gone or item.is_leaving)}
    said = [(item.tags.get(tags.APPLIED, ""), item.tags.get(tags.ENTRIES, "")) for item in find_anchors(own)]
    lost: dict[Address, bool] = {}
    for address, wanted in desired.items():
        if address in members or address in there or address.kind in discovery.unread:
            continue
        if wanted.carrier is None:
            is_same = any(text.partition(" ")[0] == whole or tags.is_known_in(text, wanted) for text, _ in said)
            if is_same or any(tags.has_entry(text, address) for _, text in said):
                lost[address] = is_same
    for address, wanted in desired.items():
        if wanted.carrier is None or address in members or address.kind in discovery.unread:
            continue
        entry = there.get(wanted.carrier)  # the tag of the entry's resource covers the entry's members
        is_same = entry is not None and spec_digest(entry) == desired[wanted.carrier].spec_digest
        if is_same or not lost.keys().isdisjoint(references(wanted.state)):
            lost[address] = True
    return lost


def spec_digest(found: Observed) -> str:
    """The digest of the entry as it was applied, by the resource's tag; empty if it has none."""
    return found.tags.get(tags.SPEC, "").partition(" ")[0]


def _calls(aws: Aws, wanted: Mapping[str, dict[str, str]]) -> list[asyncio.Future[None]]:
    alike: dict[tuple[tuple[str, str], ...], list[str]] = defaultdict(list)
    for resource, found in wanted.items():
        whole = {name: found[name] for name in (tags.APPLIED, tags.ENTRIES) if name in found}
        others = ({name: value} for name, value in found.items() if name not in whole)
        parts = [*([whole] if whole else ()), *others]
        for part in parts:
            alike[tuple(sorted(part.items()))].append(resource)
    calls = []
    for part, resources in alike.items():
        for service in dict.fromkeys(map(service_of, resources)):
            own = [item for item in resources if service_of(item) is service]
            calls += [_tag(aws, service, some, dict(part)) for some in batches(own, service.most)]
    return [asyncio.ensure_future(call) for call in calls]


async def _tag(aws: Aws, service: TaggedService, resources: Sequence[str], wanted: Mapping[str, str]) -> None:
    """Tag those of the resources that exist: a read that lags may have shown deleted ones."""
    try:
        await service.write(aws, resources, wanted)
    except AwsError as error:
        if not service.is_gone(error.code):
            raise
        if len(resources) > 1:  # a call fails as a whole when one of the resources is gone
            await asyncio.gather(*(_tag(aws, service, [resource], wanted) for resource in resources))
