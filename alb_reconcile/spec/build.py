"""From a checked document to desired resources: flat, with addresses for references and collections as values."""

from __future__ import annotations

import dataclasses
import ipaddress
from functools import cache
from typing import TYPE_CHECKING, Any

from alb_reconcile.kinds.instance import Instance
from alb_reconcile.kinds.internet_gateway import InternetGateway
from alb_reconcile.kinds.listener import Listener
from alb_reconcile.kinds.load_balancer import LoadBalancer
from alb_reconcile.kinds.registration import Registration
from alb_reconcile.kinds.route_table import Route, RouteTable
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.kinds.security_group import SecurityGroup
from alb_reconcile.kinds.security_group_rules import Permission, SecurityGroupRules
from alb_reconcile.kinds.subnet import Subnet
from alb_reconcile.kinds.target_group import TargetGroup
from alb_reconcile.kinds.vpc import Vpc
from alb_reconcile.model.actions import Action, Forward, canonical
from alb_reconcile.model.address import Address, Ref, is_aws_id
from alb_reconcile.model.diff import field_names
from alb_reconcile.model.resource import Desired, Lifecycle, Rollout
from alb_reconcile.model.text import digest, parse_duration
from alb_reconcile.model.user_data import UserData
from alb_reconcile.spec.schema import SECTIONS, resolved

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from alb_reconcile.model.resource import Properties
    from alb_reconcile.spec.outline import Entry, Outline


def build(outline: Outline) -> dict[Address, Desired]:
    """Every resource that a valid document wants, by address."""
    builder = _Builder(outline)
    for section in SECTIONS:
        for name, entry in outline.entries(section).items():
            getattr(builder, f"add_{SECTIONS[section]}")(name, entry)
    return builder.resources


def refer(kind: str, target: str) -> Ref:
    """A literal id as it is; a name as the address of an entry."""
    return target if is_aws_id(target) else Address(kind, target)


def _refer_all(kind: str, targets: Iterable[str] | None) -> tuple[Ref, ...] | None:
    """References in a canonical order: such lists have none of their own."""
    return None if targets is None else tuple(sorted((refer(kind, target) for target in targets), key=str))


class _Builder:
    def __init__(self, outline: Outline) -> None:
        self.outline = outline
        self.stack: str = outline.data["stack"]
        self.tags: dict[str, str] = outline.data.get("tags", {})
        self.resources: dict[Address, Desired] = {}

    def add_vpc(self, name: str, entry: Entry) -> None:
        self._add(Address("vpc", name), entry, Vpc(**_pick(Vpc, entry)))

    def add_subnet(self, name: str, entry: Entry) -> None:
        fields = {
            **_pick(Subnet, entry),
            "vpc": self._vpc("subnets", name),
            "availability_zone": self.outline.zone_of(name),
        }
        self._add(Address("subnet", name), entry, Subnet(**fields))

    def add_internet_gateway(self, name: str, entry: Entry) -> None:
        self._add(
            Address("internet_gateway", name),
            entry,
            InternetGateway(vpc=self._vpc("internet_gateways", name)),
        )

    def add_route_table(self, name: str, entry: Entry) -> None:
        routes = entry.get("routes")
        state = RouteTable(
            vpc=self._vpc("route_tables", name),
            subnets=_refer_all("subnet", entry.get("subnets")),
            routes=None
            if routes is None
            else tuple(
                sorted(
                    Route(
                        route["destination_cidr_block"], refer("internet_gateway", route["internet_gateway"])
                    )
                    for route in routes
                )
            ),
        )
        self._add(Address("route_table", name), entry, state)

    def add_security_group(self, name: str, entry: Entry) -> None:
        address = Address("security_group", name)
        self._add(
            address,
            entry,
            SecurityGroup(**{**_pick(SecurityGroup, entry), "vpc": self._vpc("security_groups", name)}),
        )
        if "ingress" in entry or "egress" in entry:
            rules = SecurityGroupRules(
                security_group=address,
                ingress=_permissions(entry.get("ingress")),
                egress=_permissions(entry.get("egress")),
            )
            self._add_member(Address("security_group_rules", name), address, entry, rules)

    def add_instance(self, name: str, entry: Entry) -> None:
        fields = _pick(Instance, entry)
        fields["subnets"] = _refer_all("subnet", entry["subnets"])
        fields["security_groups"] = _refer_all("security_group", entry.get("security_groups"))
        fields["state"] = entry.get("state", "running")
        if "user_data_file" in entry:
            fields["user_data"] = UserData.of((self.outline.folder / entry["user_data_file"]).read_bytes())
        elif "user_data" in entry:
            fields["user_data"] = UserData.of(entry["user_data"].encode())
        if fields["state"] == "any":
            del fields["state"]
        own_digest = digest([{**self._declared(entry), "count": None}, str(fields.get("user_data"))])
        for number in range(1, entry.get("count", 1) + 1):
            name_tag = (
                f"{entry['name']}-{number}" if "name" in entry and "count" in entry else entry.get("name")
            )
            self._add(
                Address("instance", f"{name}-{number}"),
                {**entry, "name": name_tag},
                Instance(**fields),
                group=name,
                spec_digest=own_digest,
            )

    def add_target_group(self, name: str, entry: Entry) -> None:
        address = Address("target_group", name)
        fields = {
            **_pick(TargetGroup, entry),
            "vpc": self._vpc("target_groups", name),
            "attributes": _attributes(entry),
        }
        if "health_check" in entry:
            fields["health_check"] = {
                key: str(value) if key == "port" else value for key, value in entry["health_check"].items()
            }
        self._add(address, entry, TargetGroup(**fields))
        for target in entry.get("targets", ()):
            for member in self._members(target):
                label = member if isinstance(member, str) else member.name
                state = Registration(target_group=address, target=member, port=entry["port"])
                self._add_member(
                    Address("registration", f"{name}/{label}:{entry['port']}"), address, entry, state
                )

    def _members(self, target: str) -> list[Ref]:
        if is_aws_id(target):
            return [target]
        instances = self.outline.entries("instances")[target]
        # one that the spec stops can't be registered
        count = 0 if instances.get("state") == "stopped" else instances.get("count", 1)
        return [Address("instance", f"{target}-{number}") for number in range(1, count + 1)]

    def add_load_balancer(self, name: str, entry: Entry) -> None:
        fields = _pick(LoadBalancer, entry)
        fields["subnets"] = _refer_all("subnet", entry["subnets"])
        fields["security_groups"] = _refer_all("security_group", entry.get("security_groups"))
        fields["attributes"] = _attributes(entry)
        self._add(Address("load_balancer", name), entry, LoadBalancer(**fields), nested=("listeners",))
        for key, listener in entry.get("listeners", {}).items():
            self._add_listener(name, key, listener)

    def _add_listener(self, load_balancer: str, name: str, entry: Entry) -> None:
        address = Address("listener", f"{load_balancer}/{name}")
        fields = _pick(Listener, entry)
        fields |= {
            "load_balancer": Address("load_balancer", load_balancer),
            "default_action": _action(entry["default_action"]),
        }
        self._add(address, entry, Listener(**fields), nested=("rules",))
        for key, rule in entry.get("rules", {}).items():
            conditions = sorted(
                (field, _values(values))
                for condition in rule["conditions"]
                for field, values in condition.items()
            )
            state = Rule(
                listener=address,
                priority=rule["priority"],
                conditions=tuple(conditions),
                action=_action(rule["action"]),
            )
            self._add(Address("rule", f"{address.name}/{key}"), rule, state)

    def _vpc(self, section: str, name: str) -> Ref:
        vpc = self.outline.vpc_of(section, name)
        if vpc is None:
            raise AssertionError(f"{section}.{name}: the checks let an entry without a VPC through")
        return refer("vpc", vpc)

    def _add(
        self,
        address: Address,
        entry: Entry,
        state: Properties,
        *,
        nested: tuple[str, ...] = (),
        group: str | None = None,
        spec_digest: str | None = None,
    ) -> None:
        """A resource that carries tags: an entry of its own in the file."""
        name = entry.get("name") or f"{self.stack}-{address.name}"
        own = {key: value for key, value in self._declared(entry).items() if key not in nested}
        self.resources[address] = Desired(
            address=address,
            state=state,
            creation=_with_defaults(state),
            tags={**self.tags, **entry.get("tags", {}), "Name": name},
            lifecycle=_lifecycle(entry, group),
            spec_digest=spec_digest or digest(own),
            declared=_paths({key: value for key, value in own.items() if value is not None}),
        )

    def _declared(self, entry: Entry) -> Entry:
        """An entry with what the stack says of all of them."""
        return {**entry, "tags": {**self.tags, **entry.get("tags", {})}} if self.tags else entry

    def _add_member(self, address: Address, carrier: Address, entry: Entry, state: Properties) -> None:
        """A resource without tags: a collection of an entry, or a member of one."""
        lifecycle = Lifecycle(keep_others=entry.get("others") == "keep")
        self.resources[address] = Desired(
            address=address,
            state=state,
            creation=state,
            tags={},
            lifecycle=lifecycle,
            spec_digest="",
            carrier=carrier,
        )


def _paths(entry: Entry) -> tuple[str, ...]:
    """The paths of an entry's declared properties: its keys, and the keys of its mappings."""
    paths = [
        [f"{key}.{item}" for item in value] if isinstance(value, dict) else [key]
        for key, value in entry.items()
    ]
    return tuple(sorted(path for part in paths for path in part))


def _pick(kind: type[Properties], entry: Entry) -> dict[str, Any]:
    return {name: entry[name] for name in field_names(kind) if name in entry}


def _lifecycle(entry: Entry, group: str | None) -> Lifecycle:
    given = entry.get("rollout", {})
    rollout = Rollout(
        **{key: parse_duration(value) if isinstance(value, str) else value for key, value in given.items()}
    )
    return Lifecycle(
        prevent_destroy=entry.get("prevent_destroy"),
        keep_others=entry.get("others") == "keep",
        members="targets" in entry,
        rollout=rollout,
        image_update=entry.get("image_update", "keep"),
        type_change=entry.get("type_change", "replace"),
        group=group,
        min_healthy=entry.get("min_healthy"),
    )


@cache
def _defaults(kind: str) -> Mapping[str, Any]:
    """The schema's defaults of a kind, for what is created; of a mapping, those of its keys."""
    found: dict[str, Any] = {}
    for name, schema in resolved(kind).get("properties", {}).items():
        below = {
            key: item["default"] for key, item in schema.get("properties", {}).items() if "default" in item
        }
        if "default" in schema or below:
            found[name] = schema.get("default", below)
    return found


def _with_defaults(state: Properties) -> Properties:
    fields: dict[str, Any] = {}
    for name, default in _defaults(state.kind).items():
        if name not in field_names(type(state)) or name == "state":
            continue
        given = getattr(state, name)
        if isinstance(default, dict):
            fields[name] = {**default, **(given or {})}
        elif given is None:
            fields[name] = default
    if isinstance(state, Listener) and state.protocol == "HTTP":
        fields.pop("ssl_policy", None)
    return dataclasses.replace(state, **fields)


def _attributes(entry: Entry) -> dict[str, str] | None:
    """Attributes as AWS has them: text."""
    given = entry.get("attributes")
    return (
        None
        if given is None
        else {
            key: str(value).lower() if isinstance(value, bool) else str(value) for key, value in given.items()
        }
    )


def _permissions(entries: list[Entry] | None) -> tuple[Permission, ...] | None:
    if entries is None:
        return None
    return tuple(sorted((_permission(entry) for entry in entries), key=str))


def _permission(entry: Entry) -> Permission:
    protocol = "-1" if entry["protocol"] == "all" else entry["protocol"]
    first: Any = entry.get("from_port", entry.get("port", -1))
    last: Any = entry.get("to_port", entry.get("port", -1))
    source: Ref = (
        entry.get("cidr_block") or _ipv6(entry.get("ipv6_cidr_block")) or entry.get("prefix_list_id") or ""
    )
    if "security_group" in entry:
        source = refer("security_group", entry["security_group"])
    return Permission(protocol, first, last, source, entry.get("description"))


def _ipv6(text: str | None) -> str | None:
    """A range as AWS writes it."""
    return text and str(ipaddress.ip_network(text))


def _values(values: str | list[str]) -> tuple[str, ...]:
    return (values,) if isinstance(values, str) else tuple(sorted(values))


def _action(entry: Entry) -> Action:
    if "redirect" in entry:
        return Action(redirect=canonical(entry["redirect"]))
    if "fixed_response" in entry:
        return Action(fixed_response=canonical(entry["fixed_response"]))
    forward = entry["forward"]
    if isinstance(forward, str):
        return Action(forward=(Forward(refer("target_group", forward)),))
    groups = [
        Forward(refer("target_group", item["target_group"]), item.get("weight", 1))
        for item in forward["target_groups"]
    ]
    if len(groups) == 1:
        groups = [groups[0]._replace(weight=1)]  # a single group gets everything, whatever its weight is
    stickiness = forward.get("stickiness", {})
    return Action(
        forward=tuple(sorted(groups, key=str)),
        stickiness_seconds=stickiness.get("duration_seconds") if stickiness.get("enabled") else None,
        keeps_split=True if "weights" in forward else None,
    )
