"""What speaks for a resource of the account being the one that an entry of the spec describes, kind by kind."""

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from typing import Any, Final

from alb_reconcile.kinds import in_spec_order
from alb_reconcile.kinds.elastic_ip import Holder
from alb_reconcile.kinds.elastic_ip_association import ElasticIpAssociation
from alb_reconcile.kinds.instance import Instance
from alb_reconcile.kinds.nat_gateway import NatGateway
from alb_reconcile.kinds.route_table import Associations
from alb_reconcile.kinds.security_group_rules import SecurityGroupRules
from alb_reconcile.model.abilities import action_of
from alb_reconcile.model.actions import Action
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Desired, Observed, bind, each_of
from alb_reconcile.model.tags import shared_name


@dataclass(frozen=True)
class Candidate:
    """A resource of the account, as its kind reads it."""

    found: Observed
    owner: str = ""
    """The stack whose tag it carries; empty for nobody's."""
    vpc: str = ""
    builtin: str = ""
    """Why it is never matched unless the user names it; empty if it may be."""


@dataclass(frozen=True)
class Evidence:
    """What speaks for a candidate. Of several candidates those of the lowest rank count; name and shape against each
    other have the same, so that they are never weighed in silence."""

    rank: int
    words: str
    named: bool = False
    """Whether a name is in it, or what can be one resource's alone: it isn't passed over where another stack has it."""


@dataclass
class Scene:
    """What is known while resources are matched, one kind after the other."""

    desired: Mapping[Address, Desired]
    stack: str
    ids: dict[Address, str] = field(default_factory=dict)
    """Of what is the stack's already, and of what was matched so far."""
    images: Mapping[str, str] = field(default_factory=dict)
    """AMI ids by `resolve:ssm:…`."""
    subnet_vpcs: Mapping[str, str] = field(default_factory=dict)
    targets: Collection[tuple[str, str]] = ()
    """Target groups, each with an instance that is registered in it."""
    rules: Mapping[str, SecurityGroupRules] = field(default_factory=dict)
    """By the id of their group."""
    actions: Mapping[str, Action] = field(default_factory=dict)
    """Of listeners and rules, by ARN."""
    gateways: Collection[Observed] = ()
    """NAT gateways."""
    ports: Mapping[str, Collection[int]] = field(default_factory=dict)
    """Of each load balancer's listeners, by its ARN."""
    _bound: dict[Address, tuple[int, Any]] = field(default_factory=dict)
    """Bound properties by address, each with how many ids were known then: no id is ever forgotten."""

    @cached_property
    def shared_names(self) -> dict[str, str | None]:
        """Instance entries by the Name of those that were launched together."""
        instances = each_of(self.desired.values(), Instance)
        return {shared_name(item, self.stack): item.lifecycle.group for item, _ in instances}

    @cached_property
    def groups(self) -> Mapping[object, list[Address]]:
        """The target groups that instances are to be registered in, by instance."""
        found: dict[object, list[Address]] = defaultdict(list)
        for other in self.desired.values():
            if other.address.kind == "registration":
                group = Address("target_group", other.address.name.partition("/")[0])
                found[getattr(other.state, "target", None)].append(group)
        return found

    def bound(self, desired: Desired) -> Any:
        """The desired properties with the ids that are known by now."""
        known, found = self._bound.get(desired.address, (-1, None))
        if known != len(self.ids):
            found = bind(desired.state, self.ids)
            self._bound[desired.address] = len(self.ids), found
        return found

    def place_of(self, desired: Desired) -> str | None:
        """The id of the VPC, or of the parent, that the resource must be in; None while that isn't known.

        Empty for what is in none.
        """
        state = self.bound(desired)
        if state.parent:
            place = getattr(state, state.parent)
        elif isinstance(subnet := getattr(state, "subnet", None), str) and subnet in self.subnet_vpcs:
            place = self.subnet_vpcs[subnet]
        elif hasattr(state, "vpc"):
            place = "" if state.vpc is None else state.vpc
        elif hasattr(state, "subnets"):
            vpcs = {self.subnet_vpcs.get(item) for item in state.subnets if isinstance(item, str)} - {None}
            place = vpcs.pop() if len(vpcs) == 1 else None
        else:
            place = ""
        return place if isinstance(place, str) else None

    def is_in_place(self, desired: Desired, item: Candidate) -> bool:
        """Whether the candidate is where the resource must be."""
        place = self.place_of(desired)
        if item.found.state.kind == "internet_gateway" and not item.vpc:
            return True  # attached nowhere: it can be attached
        return place is not None and place == place_of_candidate(item)


def place_of_candidate(item: Candidate) -> str:
    """The VPC, or the parent, that a candidate is in; empty for a VPC."""
    state = item.found.state
    return str(getattr(state, state.parent)) if state.parent else item.vpc


def weigh(desired: Desired, item: Candidate, scene: Scene) -> Evidence | None:
    """What speaks for the candidate; None if nothing does, or if it is in another place."""
    judge = _JUDGES.get(desired.address.kind, _plain)
    return judge(desired, item, scene) if scene.is_in_place(desired, item) else None


def _plain(desired: Desired, item: Candidate, scene: Scene) -> Evidence | None:
    """Of a kind about which nothing else is known: its name, and the properties that AWS can't change."""
    wanted = scene.bound(desired)
    immutable = sorted(desired.state.replaced_on - {"vpc", "name", desired.state.parent})
    pairs = [(getattr(wanted, field), getattr(item.found.state, field)) for field in immutable]
    said = [field for field, (want, _) in zip(immutable, pairs, strict=True) if want not in (None, "")]
    alike = bool(said) and all(want in (None, have) for want, have in pairs)
    return _both(_name(desired, item), f"its {' and '.join(said)}" if alike else "")


def _name(desired: Desired, item: Candidate) -> str:
    """Which of its names is the wished one; empty if none is."""
    explicit, physical = getattr(desired.state, "name", None), getattr(item.found.state, "name", None)
    if explicit:
        return f"its name {explicit}" if explicit.lower() == str(physical).lower() else ""
    wanted = desired.tags["Name"]
    if item.found.tags.get("Name") == wanted:
        return f"its Name tag {wanted}"
    if physical and (physical == wanted or re.fullmatch(re.escape(wanted) + "-[0-9a-f]{8}", physical)):
        return f"its name {physical}"
    return ""


def _both(name: str, shape: str) -> Evidence | None:
    """Where the shape alone is telling: a range of addresses in its VPC, an attachment."""
    if name and shape:
        return Evidence(0, f"{name} and {shape}", named=True)
    return Evidence(1, name or shape, named=bool(name)) if name or shape else None


def _vpc(desired: Desired, item: Candidate, _: Scene) -> Evidence | None:
    wanted: Any = desired.state
    found: Any = item.found.state
    return _both(
        _name(desired, item), f"its CIDR block {wanted.cidr_block}" if wanted.cidr_block == found.cidr_block else ""
    )


def _subnet(desired: Desired, item: Candidate, _: Scene) -> Evidence | None:
    wanted: Any = desired.state
    found: Any = item.found.state
    same = wanted.cidr_block == found.cidr_block and (
        wanted.availability_zone in (None, found.availability_zone)
        and wanted.availability_zone_id in (None, found.availability_zone_id)
    )
    return _both(_name(desired, item), f"its CIDR block {wanted.cidr_block} in that zone" if same else "")


def _internet_gateway(desired: Desired, item: Candidate, _: Scene) -> Evidence | None:
    return _both(_name(desired, item), f"its attachment to {item.vpc}" if item.vpc else "")


def _route_table(desired: Desired, item: Candidate, scene: Scene) -> Evidence | None:
    wanted = scene.bound(desired)
    found: Any = item.found.state
    subnets = set(wanted.subnets or ()).intersection(item.found.detail(Associations).by_subnet)
    name = _name(desired, item)
    shape = f"its associated subnets ({', '.join(sorted(subnets))})" if subnets else ""
    if not name and not shape and not wanted.subnets and wanted.routes and wanted.routes == found.routes:
        return Evidence(2, "its routes")
    return _both(name, shape)


def _security_group(desired: Desired, item: Candidate, scene: Scene) -> Evidence | None:
    wanted: Any = desired.state
    found: Any = item.found.state
    name = _name(desired, item)
    same_words = wanted.description in (None, found.description)
    same_rules = _same_rules(desired, item, scene)
    if name:
        return Evidence(0 if same_words and same_rules else 1, name, named=True)
    if wanted.name or not same_words:
        return None  # it would be replaced
    if same_rules:
        return Evidence(2, "its rules" if wanted.description is None else "its description and rules")
    return Evidence(3, "its description") if wanted.description is not None else None


def _same_rules(desired: Desired, item: Candidate, scene: Scene) -> bool:
    """Whether it lets in and out what the spec says; a group that isn't known yet may be any."""
    entry = scene.desired.get(Address("security_group_rules", desired.address.name))
    wanted = bind(entry.state, {**scene.ids, desired.address: item.found.id}) if entry else None
    found = scene.rules.get(item.found.id)
    if not isinstance(wanted, SecurityGroupRules) or found is None:
        return False
    for have, want in ((found.ingress, wanted.ingress), (found.egress, wanted.egress)):
        if want is not None and _rule_shapes(have or (), want) != _rule_shapes(want, want):
            return False
    return bool(wanted.ingress or wanted.egress)


def _rule_shapes(rules: Collection[Any], wanted: Collection[Any]) -> set[tuple[object, ...]]:
    known = {rule.source for rule in wanted if isinstance(rule.source, str)}
    return {(*rule[:3], rule.source if rule.source in known else "another group") for rule in rules}


def _instance(desired: Desired, item: Candidate, scene: Scene) -> Evidence | None:
    wanted = scene.bound(desired)
    found = item.found.state
    if not isinstance(wanted, Instance) or not isinstance(found, Instance):
        return None
    image = scene.images.get(wanted.image_id, wanted.image_id) == found.image_id
    alike = (
        set(found.subnets) <= set(wanted.subnets)
        and wanted.instance_type == found.instance_type
        and wanted.key_name in (None, found.key_name)
    )
    name = _name(desired, item)
    if name:
        return Evidence(0 if alike and image else 1, name, named=True)
    shared = scene.shared_names.get(item.found.tags.get("Name", ""))
    if shared == desired.lifecycle.group and shared:  # any of those that were launched together
        return Evidence(2 if alike and image else 3, f"its Name tag {item.found.tags['Name']}", named=True)
    if shared:
        return None
    groups = [scene.ids.get(group) for group in scene.groups.get(desired.address, ())]
    if alike and any((group, item.found.id) in scene.targets for group in groups if group):
        return Evidence(2, "its type, subnet and registration")
    if alike and image and wanted.security_groups in (None, found.security_groups):
        return Evidence(3, "its type, image, subnet and security groups")
    return None


def _elastic_ip(desired: Desired, item: Candidate, scene: Scene) -> Evidence | None:
    plain = _plain(desired, item, scene)
    held = item.found.detail(Holder).instance
    users = [
        scene.ids.get(state.instance)
        for _, state in each_of(scene.desired.values(), ElasticIpAssociation)
        if state.elastic_ip == desired.address and isinstance(state.instance, Address)
    ]
    name = plain.words if plain and plain.named else ""
    if held and held in users:
        return _both(name, f"its association with {held}")
    if known := _gateway_of(desired, item, scene):
        return Evidence(0 if name else 1, f"{name} and " * bool(name) + f"its NAT gateway {known}", named=True)
    return plain


def _gateway_of(desired: Desired, item: Candidate, scene: Scene) -> str:
    """The NAT gateway that has an address, where the spec gives it to one of the same subnet."""
    entries = [
        (scene.ids.get(entry.address), scene.bound(entry).subnet)
        for entry, state in each_of(scene.desired.values(), NatGateway)
        if state.elastic_ip == desired.address
    ]
    for there, state in each_of(scene.gateways, NatGateway):
        if state.elastic_ip == item.found.id and any(
            subnet == state.subnet and known in (None, there.id) for known, subnet in entries
        ):
            return there.id
    return ""


def _load_balancer(desired: Desired, item: Candidate, scene: Scene) -> Evidence | None:
    wanted = scene.bound(desired)
    found: Any = item.found.state
    ports = {
        getattr(other.state, "port", 0)
        for other in scene.desired.values()
        if other.address.kind == "listener" and getattr(other.state, "load_balancer", None) == desired.address
    }
    shape = (
        wanted.scheme in (None, found.scheme)
        and set(wanted.subnets) == set(found.subnets)
        and ports <= set(scene.ports.get(item.found.id, ()))
    )
    name = _name(desired, item)
    if name:
        return Evidence(0 if shape else 1, name, named=True)
    return Evidence(1, "its subnets and ports") if shape and not wanted.name else None


def _target_group(desired: Desired, item: Candidate, scene: Scene) -> Evidence | None:
    wanted: Any = desired.state
    found: Any = item.found.state
    fits = (wanted.target_type or "instance", wanted.protocol, wanted.port) == (
        found.target_type,
        found.protocol,
        found.port,
    ) and wanted.protocol_version in (None, found.protocol_version)
    doors = [door for door in _doors(desired.address, scene) if _leads_to(door, desired.address, item.found.id, scene)]
    name = _name(desired, item)
    shape = f"{doors[0]}, which forwards to it" if doors and fits and wanted.name in (None, found.name) else ""
    return _both(name, shape)


def _doors(group: Address, scene: Scene) -> list[Address]:
    """The listeners and rules that are to forward to a group, as far as they are matched."""
    return [
        address
        for address, desired in scene.desired.items()
        if address in scene.ids and any(part.target_group == group for part in action_of(desired.state).forward)
    ]


def _leads_to(door: Address, group: Address, arn: str, scene: Scene) -> bool:
    """Whether a listener or rule gives the ARN what the spec gives the group."""
    wanted = action_of(scene.desired[door].state).forward
    found = scene.actions[scene.ids[door]].forward
    weights = [part.weight for part in wanted if part.target_group == group]
    return len(wanted) == len(found) and any(part.target_group == arn and part.weight in weights for part in found)


def _listener(desired: Desired, item: Candidate, _: Scene) -> Evidence | None:
    wanted: Any = desired.state
    found: Any = item.found.state
    return Evidence(0, f"its port {wanted.port}") if wanted.port == found.port else None


def _rule(desired: Desired, item: Candidate, _: Scene) -> Evidence | None:
    wanted: Any = desired.state
    found: Any = item.found.state
    if wanted.conditions == found.conditions:
        return Evidence(int(wanted.priority != found.priority), "its conditions")
    return Evidence(2, f"its priority {wanted.priority}") if wanted.priority == found.priority else None


_JUDGES: Final[Mapping[str, Callable[[Desired, Candidate, Scene], Evidence | None]]] = {
    "vpc": _vpc,
    "subnet": _subnet,
    "internet_gateway": _internet_gateway,
    "egress_only_internet_gateway": _internet_gateway,
    "route_table": _route_table,
    "security_group": _security_group,
    "load_balancer": _load_balancer,
    "listener": _listener,
    "rule": _rule,
    "target_group": _target_group,
    "instance": _instance,
    "elastic_ip": _elastic_ip,
}
"""What speaks for resources of those kinds of which more is known than of a plain one."""


@cache
def order() -> tuple[str, ...]:
    """The kinds that can be adopted, in the order in which they are matched: each after those that tell of it."""
    kinds = {kind.name: kind for kind in in_spec_order() if kind.properties.service}
    ordered: list[str] = []
    while len(ordered) < len(kinds):
        ordered.append(
            next(
                name
                for name, kind in kinds.items()
                if name not in ordered and {kind.properties.parent, *kind.recognized_after} - {None} <= set(ordered)
            )
        )
    return tuple(ordered)
