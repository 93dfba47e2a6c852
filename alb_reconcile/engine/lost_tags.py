"""Finds resources in use that have lost the stack's tags: a plan would make their entries a second time."""

from collections.abc import Collection, Iterable, Iterator, Mapping

from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.lookalikes import fitting
from alb_reconcile.engine.plan.situation import Situation
from alb_reconcile.kinds import load_kinds
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import slots
from alb_reconcile.model.address import Address
from alb_reconcile.model.advice import advised
from alb_reconcile.model.decisions import Decisions, named_ids
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.plan import Step
from alb_reconcile.model.resource import Desired, each_of, field_names, references
from alb_reconcile.model.service import Member, Server

_Use = tuple[Address, str, str]  # an entry to be made; an existing resource's place and id


async def find_untagged(aws: Aws, situation: Situation) -> list[Finding]:
    """Findings about resources that no stack owns. A plan is refused if such a resource has the name of one that would be made, holds a
    slot that only one can hold, or is used, in place of an entry, by another entry as it was applied; a group's target that looks like a
    missing member is a warning. Asks EC2 only about such resources."""
    made, discovery, decisions = situation.made, situation.discovery, situation.decisions
    if not made:
        return []
    named = [(item.address, other.vpc, other.arn) for item, _, other in fitting(made, discovery)]
    uses = {*_uses(decisions, made), *(use for use in named if use[1] in discovery.vpcs)}
    free = await _ownerless(aws, uses, discovery)
    found: dict[Address, Finding] = {}
    fits = [(_alike(made[use[0]], decisions.stack, free[use[2]]), use) for use in uses if use[2] in free]
    for likeness, (address, place, known) in sorted(fits, reverse=True):
        item, is_target = made[address], isinstance(made[address].state, Server)
        if known not in {other.id for other in found.values()} and address not in found and (likeness or not is_target):
            is_sure = is_target or [(use[0].kind, use[1]) for use in uses].count((address.kind, place)) == 1
            adopt = advised("adopt", item.file, f"{address}={known}" * is_sure)
            text = f"{known} is there already, at {place}, and no stack owns it; {adopt} takes it over, by tags alone"
            found[address] = Finding(item, "", text, warning=is_target, id=known)
    return [*found.values()]


def second_ones(untagged: Iterable[Finding], steps: Iterable[Step]) -> dict[str, str]:
    """Why a step must not be done unattended, by step key: it makes a resource a second time, or takes the first one away from its
    users."""
    lost = {text: item.text for item in untagged for text in (item.id, str(item.desired.address))}
    named = {step.key: {str(step.address), *named_ids(step.observed and step.observed.state)} for step in steps}
    return {key: lost[text] for key, texts in named.items() for text in sorted(lost.keys() & texts)}


def _uses(decisions: Decisions, made: Collection[Address]) -> Iterator[_Use]:
    joining = each_of(decisions.desired.values(), Member)
    wanted = [(item.target_group, item.target) for _, item in joining if item.target in made]
    for target, there in each_of(decisions.live if wanted else (), Member):
        if there.target not in decisions.live_ids and not target.is_leaving:
            place = f"target_group.{target.address.name.partition('/')[0]}"
            missing = (name for group, name in wanted if group == there.target_group and isinstance(name, Address))
            yield from ((name, place, str(there.target)) for name in missing)
    strangers = [item for item in decisions.live if item.owner is None and item.state.service]
    held = {(item.address.kind, slot): item for item in strangers for slot in slots(item.state)}
    places = {item.id: str(item.address) for item in decisions.live}
    for name in made:
        holders = (held.get((name.kind, slot)) for slot in slots(decisions.desired[name].state))
        yield from ((name, places[item.parent_id or ""], item.id) for item in holders if item)
    for user, item in decisions.desired.items():
        digest, found = item.desired.spec_digest, item.found
        if digest and found and found.tags.get(tags.SPEC, "").partition(" ")[0] == digest:
            for field in field_names(type(item.state)):
                wants = getattr(item.state, field)
                strange = {*named_ids(getattr(found.state, field))}.difference(named_ids(wants), decisions.live_ids)
                yield from ((name, str(user), known) for name in references(wants) if name in made for known in strange)


async def _ownerless(aws: Aws, uses: Iterable[_Use], discovery: Discovery) -> dict[str, Mapping[str, str]]:
    """The tags of those resources that exist and that no stack owns, by id. AWS's own security groups are no entry's."""
    found = {item.arn: item.tags for item in discovery.taken.values()}
    found |= {item.id: item.tags for item in discovery.resources if item.owner is None}
    for kind in map(load_kinds().__getitem__, sorted({use[0].kind for use in uses})):
        ids = sorted({use[2] for use in uses if use[0].kind == kind.name and use[2].startswith(kind.id_prefix)})
        if ids and (listing := kind.listing):
            rows = await aws.pages("ec2", listing.operation, listing.key, where={listing.id_filter: ids})
            for row in (item for part in rows for item in part.get("Instances", [part])):
                state, dead = row.get("State", ""), kind.properties.gone | kind.properties.leaving
                word = str(state["Name"] if isinstance(state, dict) else state).lower()
                if word not in dead and row.get("GroupName") != "default":
                    found[row[listing.id_key]] = tags.from_list(row.get("Tags"))
    return {known: own for known, own in found.items() if tags.STACK not in own}


def _alike(wanted: Desired, stack: str, own: Mapping[str, str]) -> int:
    """How strongly a resource's tags say that it is that entry: a higher number is stronger."""
    if tags.ADDRESS in own or own.get("Name") == wanted.tags["Name"]:
        return 2 * (own.get(tags.ADDRESS, str(wanted.address)) == str(wanted.address))
    return int(
        own.get("Name") == tags.shared_name(wanted, stack) or any(key.startswith("alb-reconcile:") for key in own)
    )
