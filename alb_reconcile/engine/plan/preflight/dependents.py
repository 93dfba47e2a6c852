"""Finds resources that a plan deletes though a resource that stays needs them, and combinations that AWS wouldn't accept."""

from collections.abc import Hashable
from dataclasses import replace

from alb_reconcile.engine.plan.addresses import field_of, new_slots
from alb_reconcile.model.abilities import action_of, conflicts, is_needy, needs, slots
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.decisions import DUPLICATE, Decisions, named_ids
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.resource import Properties, bind, each_of
from alb_reconcile.model.service import Frontend, Permissions, Pool, PublicAddress, Routes, RoutingRule


def used_duplicates(decisions: Decisions, _: Discovery) -> list[str]:
    """Duplicates that would be deleted though a resource that stays refers to them; `limits` checks forwards."""
    doubles = {found.id: found for found, reason in decisions.to_delete.values() if reason == DUPLICATE}
    if not doubles:
        return []
    going = decisions.going
    stays = [item for item in decisions.live if item.id not in going and not item.is_leaving]
    return [
        f"{doubles[text].address} exists twice, and {item.address} still uses {text}, which would go; take it out there by hand, or "
        f"delete {_kept(decisions, doubles[text].address)}, which would stay, if nothing uses it"
        for item in stays
        for text in doubles.keys() & set(named_ids(item.state)).difference(named_ids(action_of(item.state)))
        if not (isinstance(item.state, Routes) and text in (item.state.subnets or ()))  # DeleteSubnet removes it there
        if not _is_changed_away(item.id, text, decisions)
    ]


def _kept(decisions: Decisions, address: Address) -> str:
    item = decisions.desired.get(address)
    return item.found.id if item and item.found else "the other one"


def _is_changed_away(user: str, used: str, decisions: Decisions) -> bool:
    """Whether the resource that uses a duplicate is changed so that it no longer names it."""
    for item in decisions.desired.values():
        if item.found and item.found.id == user and item.changes:
            return used not in named_ids(item.state)
    parents = {found.id for found, _ in decisions.to_delete.values()}
    return any(item.parent_id in parents for item in decisions.live if item.id == user)


def shared_target_groups(decisions: Decisions, _: Discovery) -> list[str]:
    """Others' target groups behind a load balancer that is replaced: AWS lets a group serve only one load balancer."""
    problems = []
    for address, item in decisions.desired.items():
        entrance = decisions.entrance_of(item.desired)
        balancer = decisions.desired.get(entrance) if entrance else None
        if balancer is None or balancer.found is None or not balancer.forces or item.found is None:
            continue
        problems += [
            f"{address}: {part.target_group} serves {entrance}, which would be replaced, and a target group can serve only one load "
            "balancer; take it out of the spec, apply, then put it back"
            for part in action_of(item.desired.state).forward
            if isinstance(part.target_group, str)
        ]
    return problems


def early_protocol_versions(decisions: Decisions, _: Discovery) -> list[str]:
    """Groups with HTTP/2 or gRPC behind a listener that isn't HTTPS yet: AWS wouldn't allow them there for checks before they serve."""
    entries = decisions.desired.items()
    states = {address: item.desired.state for address, item in entries}
    versions = {address: state.protocol_version for address, state in states.items() if isinstance(state, Pool)}
    kept: dict[Ref, Properties] = {
        address: item.found.state for address, item in entries if item.found and not item.forces
    }
    return [
        f"{address}: {listener} is HTTP now, and {part.target_group} with {versions[part.target_group]} can stand behind HTTPS only; first "
        "apply protocol: HTTPS with the protocol version as it was"
        for address, item in entries
        for listener in (item.desired.state.listener if isinstance(item.desired.state, RoutingRule) else address,)
        for part in action_of(item.desired.state).forward
        if isinstance(part.target_group, Address) and versions.get(part.target_group) in ("HTTP2", "GRPC")
        if isinstance(there := kept.get(listener), Frontend) and there.protocol == "HTTP"
    ]


def named_security_groups(decisions: Decisions, _: Discovery) -> list[str]:
    """Security groups that would be deleted while a rule that the spec doesn't manage names them."""
    going = decisions.going
    problems = []
    for item, state in each_of(decisions.live, Permissions):
        if state.security_group in going or item.owner != decisions.stack:
            continue
        decision = decisions.desired.get(item.address)
        for direction in ("ingress", "egress"):
            kept = getattr(decision.state, direction) if decision else None
            what = "the" if kept is None else "it in the"
            sources = {rule.source for rule in (getattr(state, direction) if kept is None else kept) or ()}
            if decision:  # `own_by_id` reports groups that the spec itself names
                sources -= {rule.source for rule in getattr(decision.desired.state, direction) or ()}
            problems += [
                f"{going[known]}: {known} can't be deleted, since security_group.{item.address.name} keeps a rule that names it: the spec "
                f"doesn't manage that rule; declare {what} {direction} of that group, or revoke the rule by hand"
                for known in sorted(sources & going.keys(), key=str)
            ]
    return problems


def held_by_unmanaged(decisions: Decisions, _: Discovery) -> list[str]:
    """Resources that would be deleted while a property that the spec doesn't manage keeps them in use."""
    duplicates = {known for known, (_, reason) in decisions.to_delete.items() if reason == DUPLICATE}
    going = {known: at for known, at in decisions.going.items() if known not in duplicates}  # see `used_duplicates`
    return [
        f"{going[known]}: {known} can't be deleted, since {address} keeps it: the spec doesn't manage its {name}; declare "
        "that, or take it out by hand"
        for address, item in decisions.desired.items()
        if item.found and not item.forces
        for name in sorted(item.found.state.holds)
        if getattr(item.state, name) is None
        for known in sorted(going.keys() & set(named_ids(getattr(item.found.state, name))))
    ]


def kept_slots(decisions: Decisions, _: Discovery) -> list[Finding]:
    """Slots that an entry is to get, and that another resource keeps."""
    keepers: dict[Hashable, tuple[Properties, str]] = {}
    for address, item in decisions.desired.items():
        kept = item.found.state if item.found and not item.forces else item.state
        for name in sorted(kept.holds) if kept is not item.state else ():
            without = slots(replace(kept, **{name: None}))
            what = f"{address}, whose {name} the spec doesn't manage; declare them there without it, or with another one in its place"
            keepers |= {
                slot: (kept, what) for slot in slots(kept) if slot not in without and getattr(item.state, name) is None
            }
    replaced = {item.found.id for item in decisions.desired.values() if item.found and item.forces}
    for found, state in each_of(decisions.live, PublicAddress):
        owner, wanted = f"instance.{found.address.name}", decisions.desired.get(found.address)
        if not decisions.to_delete.keys().isdisjoint((found.id, state.instance)):
            continue
        if state.instance in replaced:
            what = f"{owner} until that is replaced; do the one and the other in two applies"
        elif wanted is None:
            what = f"{owner}, whose elastic_ip the spec doesn't manage; give it another one there, or disassociate it by hand"
        elif wanted.changes:
            continue
        else:
            what = f"{owner}, which is to have it as well; choose another one"
        keepers |= dict.fromkeys(slots(state), (state, what))
    names = {known: address for address, known in decisions.ids.items()}
    findings = []
    for item in decisions.desired.values() if keepers else ():
        for slot in sorted(keepers.keys() & new_slots(item), key=str):
            (keeper, what), known = keepers[slot], [*named_ids(slot)][-1]
            if conflicts(item.state, keeper):
                text = f"{names.get(known, known)} stays with {what}"
                findings.append(Finding(item.desired, field_of(item.state, known), text))
    return findings


def needed_by_others(decisions: Decisions, _: Discovery) -> list[str]:
    """Resources that would be deleted though another of their kind stays that needs them."""
    going, entries = decisions.going, decisions.desired.values()
    if not going:
        return []
    wishes = {item.found.id: item.desired.state for item in entries if item.found}
    # if a new resource takes its place, `renames` reports it, with `move`
    taken = {slot for item in entries if not item.found for slot in slots(bind(item.desired.state, decisions.ids))}
    gone = [
        item
        for item in decisions.live
        if item.id in going and not (item.id in decisions.to_delete and taken.intersection(slots(item.state)))
    ]
    stays = [item for item in decisions.live if item.id not in going and not item.is_leaving]
    return [
        f"{item.address}: AWS doesn't delete {item.id} as long as {user.address} ({user.id}) needs it; change both in two applies, "
        f"{user.address} first"
        for user in stays
        if is_needy(type(user.state))
        for item in gone
        if needs(user.state, item.state) and needs(bind(wishes.get(user.id, user.state), decisions.ids), item.state)
    ]
