"""Checks names and places that only AWS knows: taken names, security groups of another VPC, targets in zones without a node."""

from alb_reconcile.model import tags
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.address import Address, Ref
from alb_reconcile.model.advice import advised
from alb_reconcile.model.decisions import Decisions, subnets_of
from alb_reconcile.model.discovery import Discovery, Finding
from alb_reconcile.model.resource import bind, each_of
from alb_reconcile.model.service import Balancer, Foreign, Member, Server


def taken_names(decisions: Decisions, discovery: Discovery) -> list[Finding]:
    findings = []
    for address, item in decisions.desired.items():
        name = item.desired.state.own_name
        holder = discovery.taken.get((address.kind, name))
        if name and holder and (item.found is None or item.forces):
            adopt = f"{advised('adopt', item.desired.file)} takes it over; or "
            if place := discovery.elsewhere(holder):
                adopt = f"it is {place}: is that the right VPC? Or "
            adopt = "" if tags.STACK in holder.tags else adopt
            text = f'the name "{name}" belongs to {holder.arn}, which is outside this stack; {adopt}choose another name, or delete that one'
            findings.append(Finding(item.desired, "name", text))
    return findings


def strange_security_groups(decisions: Decisions, discovery: Discovery) -> list[Finding]:
    """Findings about security groups in another VPC than the subnets of the resources that would have them, if one of the two is named by
    its id.

    A security group that exists may have been associated with that VPC (EC2 AssociateSecurityGroupVpc), which this tool doesn't read: a
    warning.
    """
    findings = []
    for item in [item.desired for item in decisions.desired.values()]:
        known = (decisions.location_of(subnet, discovery).vpc for subnet in subnets_of(item.state))
        here = {bind(vpc, decisions.ids) for vpc in known if vpc}
        for group in (getattr(item.state, item.state.worn) if item.state.worn else ()) or ():
            entry = decisions.desired.get(group) if isinstance(group, Address) else None
            vpc = entry.desired.state.network if entry else None
            vpc = vpc or discovery.foreign.get(str(group), Foreign()).vpc
            if vpc and here and bind(vpc, decisions.ids) not in here:
                places = ", ".join(sorted(map(str, here)))
                text = f"{group} is in the VPC {vpc}, but this is in {places}; choose one in the same VPC"
                is_made = entry is not None and (entry.found is None or bool(entry.forces))
                unless = "" if is_made else ", unless it is associated with this one: AWS refuses it otherwise"
                findings.append(Finding(item, item.state.worn, text + unless, warning=not is_made))
    return findings


def unreached_targets(decisions: Decisions, discovery: Discovery) -> list[Finding]:
    """Findings about targets in foreign subnets, in a zone that their load balancer doesn't have: they would never get a request."""
    entrances: dict[Ref, Address] = {}
    for item in decisions.desired.values():
        if entrance := decisions.entrance_of(item.desired):
            entrances |= {part.target_group: entrance for part in action_of(item.desired.state).forward}
    findings = []
    for _, state in each_of([item.desired for item in decisions.desired.values()], Member):
        instance = decisions.desired.get(state.target) if isinstance(state.target, Address) else None
        entrance = entrances.get(state.target_group)
        balancer = decisions.desired[entrance].desired.state if entrance else None
        if instance is None or not isinstance(instance.state, Server) or not isinstance(balancer, Balancer):
            continue
        served = {decisions.location_of(subnet, discovery).zone for subnet in balancer.subnets}
        findings += [
            Finding(
                instance.desired,
                "subnets",
                f"{state.target} would be in {subnet} ({zone}), a zone that {entrance} doesn't serve; "
                "add a subnet of that zone to it, or move the instance",
            )
            for subnet in instance.state.subnets
            if (zone := decisions.location_of(subnet, discovery).zone) and not served & {zone, None}
        ]
    return findings
