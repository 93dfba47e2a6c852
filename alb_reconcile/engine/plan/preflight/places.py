"""Names and places that only AWS knows."""

from alb_reconcile.engine.plan.decide import Decisions, entrance_of, location_of, subnets_of
from alb_reconcile.kinds.instance import Instance
from alb_reconcile.kinds.load_balancer import LoadBalancer
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.kinds.route_table import Associations, RouteTable
from alb_reconcile.kinds.security_group import SecurityGroup
from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.advice import advised
from alb_reconcile.model.discovery import Discovery, Finding, Foreign
from alb_reconcile.model.resource import bind, each_of


def taken_names(decisions: Decisions, discovery: Discovery) -> list[Finding]:
    findings = []
    for address, item in decisions.desired.items():
        name = getattr(item.desired.state, "name", None)
        holder = discovery.taken.get((address.kind, str(name)))
        if name and holder and (item.found is None or item.forces):
            adopt = f"{advised('adopt', item.desired.file)} takes it over; or "
            if place := discovery.elsewhere(holder):
                adopt = f"it is {place}: is that the right VPC? Or "
            adopt = "" if tags.STACK in holder.tags else adopt
            text = f'the name "{name}" belongs to {holder.arn}, which is outside this stack; {adopt}choose another name, or delete that one'
            findings.append(Finding(item.desired, "name", text))
    return findings


def unfit_subnets(decisions: Decisions, discovery: Discovery) -> list[Finding]:
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


def private_pools(decisions: Decisions, _: Discovery) -> list[Finding]:
    """IPAM pools of load balancers that were made as internal, of which the spec doesn't say whether they are."""
    return [
        Finding(
            item.desired,
            "ipam_pools",
            "are for public addresses, which this internal load balancer has none of; remove them",
        )
        for item, wanted in each_of(decisions.desired.values(), LoadBalancer)
        if wanted.ipam_pools and item.found and not item.forces
        if getattr(item.found.state, "scheme", None) == "internal"
    ]


def strange_security_groups(decisions: Decisions, discovery: Discovery) -> list[Finding]:
    """Security groups of another VPC than the subnets of what would wear them, where one of the two is named by its id.

    One that exists may have been associated with that VPC (EC2 AssociateSecurityGroupVpc), which nobody reads: a warning.
    """
    findings = []
    for item in [item.desired for item in decisions.desired.values()]:
        known = (location_of(subnet, decisions, discovery).vpc for subnet in subnets_of(item.state))
        here = {bind(vpc, decisions.ids) for vpc in known if vpc}
        for group in getattr(item.state, "security_groups", None) or ():
            entry = decisions.desired.get(group) if isinstance(group, Address) else None
            vpc = entry.desired.state.vpc if entry and isinstance(entry.desired.state, SecurityGroup) else None
            vpc = vpc or discovery.foreign.get(str(group), Foreign()).vpc
            if vpc and here and bind(vpc, decisions.ids) not in here:
                places = ", ".join(sorted(map(str, here)))
                text = f"{group} is in the VPC {vpc}, but this is in {places}; choose one in the same VPC"
                is_made = entry is not None and (entry.found is None or bool(entry.forces))
                unless = "" if is_made else ", unless it is associated with this one: AWS refuses it otherwise"
                findings.append(Finding(item, "security_groups", text + unless, warning=not is_made))
    return findings


def _lacks_ipv6(subnet: Ref, decisions: Decisions, discovery: Discovery) -> bool:
    """Whether a subnet is known to have no IPv6 range, and gets none."""
    entry = decisions.desired.get(subnet) if isinstance(subnet, Address) else None
    if entry is not None and getattr(entry.desired.state, "wants_ipv6", False):
        return False
    known = bind(subnet, decisions.ids)
    return location_of(known, decisions, discovery).has_ipv6 is False


def unreached_targets(decisions: Decisions, discovery: Discovery) -> list[Finding]:
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


def other_ways_out(decisions: Decisions, _: Discovery) -> list[Finding]:
    """Routes that leave a NAT gateway which isn't the stack's for a new one: it wasn't adopted, perhaps, or has lost its tags."""
    own = {item.id for item in decisions.live}
    return [
        Finding(
            item.desired,
            "routes",
            f"{there.destination} leaves {there.target}, which isn't this stack's, for a new {wanted.target}, so outgoing connections get "
            f"another address; if the entry means {there.target}, run: "
            + advised("adopt", item.desired.file, f"{wanted.target}={there.target}"),
            warning=True,
        )
        for item, state in each_of(decisions.desired.values(), RouteTable)
        if item.found and not item.forces
        for there in set(getattr(item.found.state, "routes", None) or ()) - item.found.detail(Associations).blackholes
        for wanted in state.routes or ()
        if wanted.destination == there.destination and isinstance(wanted.target, Address)
        if str(there.target).startswith("nat-") and there.target not in own and wanted.target.kind == "nat_gateway"
        if wanted.target not in decisions.ids
    ]
