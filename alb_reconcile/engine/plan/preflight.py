"""What `validate` couldn't know and AWS would refuse half-way: zones, names, places, duplicates, free addresses."""

from collections import Counter, defaultdict
from collections.abc import Iterator

from alb_reconcile.engine.plan.addresses import held_elsewhere
from alb_reconcile.engine.plan.decide import DUPLICATE, Decision, Decisions, entrance_of, location_of, named_ids
from alb_reconcile.engine.plan.volumes import stranded_volumes
from alb_reconcile.kinds.instance import Instance
from alb_reconcile.kinds.load_balancer import LoadBalancer
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.kinds.security_group_rules import SecurityGroupRules
from alb_reconcile.kinds.subnet import Subnet
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.resource import Properties, bind, each_of


def check_facts(decisions: Decisions, discovery: Discovery) -> None:
    """Refuse what `validate` couldn't know. Raises RefusedError with everything found."""
    findings = [
        *(item for item in discovery.findings if not item.warning),
        *_zones(decisions, discovery),
        *_names(decisions, discovery),
        *_places(decisions, discovery),
        *_unreached(decisions, discovery),
        *held_elsewhere(decisions, discovery),
        *stranded_volumes(decisions, discovery),
    ]
    problems = [
        *dict.fromkeys(map(str, sorted(findings, key=_place))),
        *_duplicates(decisions),
        *_shared_groups(decisions),
        *_protocol_versions(decisions),
        *_named_groups(decisions),
        *_held(decisions),
    ]
    if problems:
        raise RefusedError("\n".join(problems))


def _place(finding: Finding) -> list[int]:
    """Line and column, to tell findings in the order of the file."""
    return [int(part) for part in str(finding).split(": ")[0].split(":")[-2:] if part.isdecimal()]


def _shared_groups(decisions: Decisions) -> list[str]:
    """Somebody else's target groups under a load balancer that is replaced: AWS lets them serve one only."""
    problems = []
    for address, item in decisions.desired.items():
        entrance = entrance_of(decisions, item.desired)
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


def _going(decisions: Decisions) -> dict[str, Address]:
    """What is deleted or replaced, by its id."""
    going = {item.found.id: address for address, item in decisions.desired.items() if item.found and item.forces}
    return going | {known: found.address for known, (found, _) in decisions.to_delete.items()}


def _held(decisions: Decisions) -> list[str]:
    """What would go while a property that isn't managed keeps it."""
    doubles = {known for known, (_, reason) in decisions.to_delete.items() if reason == DUPLICATE}  # told by themselves
    going = {known: address for known, address in _going(decisions).items() if known not in doubles}
    return [
        f"{going[known]}: {known} can't be deleted, since {address} keeps it: the spec doesn't manage its {name}; declare "
        "that, or take it out by hand"
        for address, item in decisions.desired.items()
        if item.found and not item.forces
        for name in sorted(item.found.state.holds)
        if getattr(item.state, name) is None
        for known in sorted(going.keys() & set(named_ids(getattr(item.found.state, name))))
    ]


def _named_groups(decisions: Decisions) -> list[str]:
    """Security groups that would go while a rule that isn't managed names them."""
    going = _going(decisions)
    problems = []
    for item, state in each_of(decisions.live, SecurityGroupRules):
        if state.security_group in going or item.owner != decisions.stack:
            continue
        decision = decisions.desired.get(item.address)
        for direction in ("ingress", "egress"):
            kept = getattr(decision.state, direction) if decision else None
            sources = {rule.source for rule in (getattr(state, direction) if kept is None else kept) or ()}
            problems += [
                f"{going[known]}: {known} can't be deleted, since security_group.{item.address.name} keeps a rule that names it: the spec "
                f"doesn't manage that rule; declare the {direction} of that group, or revoke the rule by hand"
                for known in sorted(sources & going.keys(), key=str)
            ]
    return problems


def _protocol_versions(decisions: Decisions) -> list[str]:
    """Groups that speak HTTP/2 behind a listener that isn't HTTPS yet: AWS wouldn't let them be checked there before they serve."""
    entries = decisions.desired.items()
    versions = {address: getattr(item.desired.state, "protocol_version", None) for address, item in entries}
    kept = {address: item.found.state for address, item in entries if item.found and not item.forces}
    return [
        f"{address}: {listener} is HTTP now, and {part.target_group} with {versions[part.target_group]} can stand behind HTTPS only; first "
        "apply protocol: HTTPS with the protocol version as it was"
        for address, item in entries
        for listener in (getattr(item.desired.state, "listener", address),)
        for part in action_of(item.desired.state).forward
        if isinstance(part.target_group, Address) and versions.get(part.target_group) in ("HTTP2", "GRPC")
        if getattr(kept.get(listener), "protocol", "") == "HTTP"
    ]


def _zones(decisions: Decisions, discovery: Discovery) -> list[Finding]:
    if not discovery.zones:
        return []
    findings = []
    for item, state in each_of(decisions.desired.values(), Subnet):
        path = "availability_zone" if state.availability_zone else "availability_zone_id"
        zone = getattr(state, path)
        if zone and zone not in discovery.zones:
            alike = [name for name in discovery.zones if _is_zone_id(name) == (path == "availability_zone_id")]
            text = f"there is no zone {zone} here; choose one of {', '.join(alike)}"
            findings.append(Finding(item.desired, path, text))
    return findings


def _is_zone_id(name: str) -> bool:
    """use1-az1 is one, us-east-1a a name."""
    return "-az" in name


def _names(decisions: Decisions, discovery: Discovery) -> list[Finding]:
    findings = []
    for address, item in decisions.desired.items():
        name = getattr(item.desired.state, "name", None)
        holder = discovery.taken.get((address.kind, str(name)))
        if name and holder and (item.found is None or item.forces):
            text = f'the name "{name}" belongs to {holder}, which is outside this stack; choose another name, or delete that one'
            findings.append(Finding(item.desired, "name", text))
    return findings


def _places(decisions: Decisions, discovery: Discovery) -> list[Finding]:
    """Load balancers over foreign subnets, of which only AWS knows the zone and the VPC."""
    findings = []
    entries = [item.desired for item in decisions.desired.values()]
    for item, state in each_of(entries, LoadBalancer):
        places = [location_of(subnet, decisions, discovery) for subnet in state.subnets]
        zones, vpcs = [place.zone for place in places if place.zone], {place.vpc for place in places if place.vpc}
        if len(vpcs) > 1:
            text = f"its subnets are in different VPCs ({', '.join(sorted(map(str, vpcs)))}); choose subnets of one"
            findings.append(Finding(item, "subnets", text))
        if len(places) < 2 and not state.customer_owned_ipv4_pool:  # on an Outpost it stands in one
            text = f"only one subnet is found ({state.subnets[0]}), and AWS requires two in different zones"
            findings.append(Finding(item, "subnets", text))
        if len(set(zones)) < len(zones):
            text = f"two of its subnets are in one zone ({', '.join(sorted(zones))}); AWS allows one per zone"
            findings.append(Finding(item, "subnets", text))
        without = [str(subnet) for subnet in state.subnets if _lacks_ipv6(subnet, decisions, discovery)]
        if (state.ip_address_type or "ipv4") != "ipv4" and without:
            text = f"{state.ip_address_type} needs an IPv6 range in each of its subnets; give {', '.join(without)} an ipv6_cidr_block"
            findings.append(Finding(item, "ip_address_type", text))
    return findings


def _lacks_ipv6(subnet: Ref, decisions: Decisions, discovery: Discovery) -> bool:
    """Whether a subnet is known to have no IPv6 range, and gets none."""
    entry = decisions.desired.get(subnet) if isinstance(subnet, Address) else None
    if entry is not None and getattr(entry.desired.state, "wants_ipv6", False):
        return False
    known = bind(subnet, decisions.ids)
    return location_of(known, decisions, discovery).has_ipv6 is False


def _unreached(decisions: Decisions, discovery: Discovery) -> list[Finding]:
    """Targets in foreign subnets, in a zone that their load balancer doesn't have: they would never get a request."""
    entrances: dict[Ref, Address] = {}
    for item in decisions.desired.values():
        if entrance := entrance_of(decisions, item.desired):
            entrances |= {part.target_group: entrance for part in action_of(item.desired.state).forward}
    findings = []
    for _, state in each_of([item.desired for item in decisions.desired.values()], Registration):
        instance = decisions.desired.get(state.target) if isinstance(state.target, Address) else None
        entrance = entrances.get(state.target_group)
        balancer = decisions.desired[entrance].desired.state if entrance else None
        if instance is None or not isinstance(instance.state, Instance) or not isinstance(balancer, LoadBalancer):
            continue
        served = {location_of(subnet, decisions, discovery).zone for subnet in balancer.subnets}
        findings += [
            Finding(
                instance.desired,
                "subnets",
                f"{state.target} would be in {subnet} ({zone}), a zone that {entrance} doesn't serve; "
                "add a subnet of that zone to it, or move the instance",
            )
            for subnet in instance.state.subnets
            if (zone := location_of(subnet, decisions, discovery).zone) and not served & {zone, None}
        ]
    return findings


def _duplicates(decisions: Decisions) -> list[str]:
    """One of two at an address goes only if nothing that stays refers to it."""
    doubles = {found.id: found for found, reason in decisions.to_delete.values() if reason == DUPLICATE}
    if not doubles:
        return []
    replaced = {item.found.id for item in decisions.desired.values() if item.found and item.forces}
    goes = decisions.to_delete.keys() | replaced
    stays = [item for item in decisions.live if item.id not in goes and not item.is_leaving]
    return [
        f"{doubles[text].address} exists twice, and {item.address} still uses {text}; move or delete one of them by hand"
        for item in stays
        for text in doubles.keys() & set(named_ids(item.state))
        if not _is_changed_away(item.id, text, decisions)
    ]


def _is_changed_away(user: str, used: str, decisions: Decisions) -> bool:
    """Whether the user of a duplicate is going to name something else."""
    for item in decisions.desired.values():
        if item.found and item.found.id == user and item.changes:
            return used not in named_ids(item.state)
    parents = {found.id for found, _ in decisions.to_delete.values()}
    return any(item.parent_id in parents for item in decisions.live if item.id == user)


def check_free_addresses(decisions: Decisions, discovery: Discovery) -> list[Finding]:
    """The subnets that have too few. What the same plan deletes frees none: it may go last."""
    needs: dict[Ref, Counter[str]] = defaultdict(Counter)
    entries: dict[str, Decision] = {}
    for subnet, name, item, number in _needs(decisions):
        needs[subnet][name] += number
        entries.setdefault(name, item)
    names = {item.id: item.address for item in decisions.live}
    findings = []
    for subnet, needed in needs.items():
        free = location_of(subnet, decisions, discovery).free
        if free is not None and needed.total() > free:
            most = entries[needed.most_common(1)[0][0]].desired
            parts = ", ".join(f"{number} for {name}" for name, number in needed.most_common())
            text = f"{names.get(str(subnet), subnet)} has {free} free addresses, and this plan needs {needed.total()} there ({parts}); make fewer at a time, or name more or larger subnets"
            path = next((name for name in ("count", "subnets") if name in most.declared), "subnet")
            findings.append(Finding(most, path, text))
    return findings


def _needs(decisions: Decisions) -> Iterator[tuple[Ref, str, Decision, int]]:
    """Each subnet that something comes into: its entry's name, and how many addresses AWS wants to be free for it.

    Of a group's members that are replaced where they are, `max_surge` stand beside the old ones at a time; all of them do
    where their target group is replaced, too.
    """
    entries = decisions.desired.values()
    replaced = {item.desired.address for item in entries if item.forces}
    registrations = each_of([item.desired for item in entries], Registration)
    moving = {state.target for _, state in registrations if state.target_group in replaced}
    beside: Counter[tuple[str, Ref]] = Counter()
    for item in entries:
        if not item.state.addresses:
            continue
        address, lifecycle = item.desired.address, item.desired.lifecycle
        before = subnets_of(item.found.state) if item.found else ()
        name = f"{address.kind}.{lifecycle.group or address.name}"
        for subnet in subnets_of(item.state):
            if subnet in before:
                is_paced = lifecycle.group and address not in moving
                beside[name, subnet] += bool(item.forces)
                if not item.forces or (is_paced and beside[name, subnet] > lifecycle.rollout.max_surge):
                    continue
            yield subnet, name, item, item.state.addresses


def subnets_of(state: Properties) -> tuple[Ref, ...]:
    """The subnets in which a resource has addresses."""
    found: tuple[Ref, ...] = getattr(state, "subnets", ())
    return found or tuple(filter(None, [getattr(state, "subnet", None)]))
