"""What a refusal advises, done as a user would do it."""

from __future__ import annotations

import copy
import re
from collections import deque
from collections.abc import Callable
from ipaddress import ip_network
from typing import TYPE_CHECKING, Any

from alb_reconcile.model import tags
from alb_reconcile.model.errors import AwsError, PlanError, RefusedError
from alb_reconcile.spec.schema import SECTIONS, resolved
from tests.adoption.adopting import Keeper
from tests.kinds.example import path_in_spec, place_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.harness import Spec
    from tests.properties.changes import Change
    from tests.properties.watched import WatchedWorld

Apply = Callable[["Spec"], None]
REFUSALS = (AssertionError, AwsError, PlanError, RefusedError)


class Advice:
    """A refusal of the way from one spec to another, which differ in these changes."""

    def __init__(
        self, before: Spec, after: Spec, changes: tuple[Change, ...], error: PlanError | RefusedError, further: int = 2
    ) -> None:
        self.further = further
        self.before, self.after, self.changes, self.error = before, after, changes, error
        self.text = str(error)

    def lead(self, world: WatchedWorld, apply: Apply) -> Spec:
        """Do what the refusal says. Returns the spec that is applied in the end, which need not be the wished one to the letter.

        Raises AssertionError where that leads nowhere, and the refusal where it advises nothing that a test could do.
        """
        moves = re.findall(r"alb-reconcile move \S+ ([^\n,]+)", self.text)
        for names in moves:
            Keeper(world).move(self.after, *names.split())
            world.clock.advance(world.strict.lag + 1)  # what is just as old isn't shown yet
        _take_ipv6_out(world, _BY_HAND.findall(self.text))
        _revoke(world, dict(_KEPT.findall(self.text)), self.after)
        _disassociate(world, self.before, _HELD.findall(self.text))
        last: Exception | None = None
        for way in self._ways():
            kept = world.moment()
            try:
                for spec in way:
                    end = self._follow(world, apply, spec)
            except REFUSALS as error:
                world.go_back(kept)
                last = error
                continue
            return end
        if last is None or (isinstance(last, PlanError | RefusedError) and _said(last) < _said(self.error)):
            raise self.error  # what is left of it was said, too
        raise AssertionError(f"{self.text}\nThat was followed, and then: {last}") from self.error

    def _follow(self, world: WatchedWorld, apply: Apply, spec: Spec) -> Spec:
        """Apply it; another refusal may advise more. Returns what is applied in the end."""
        try:
            apply(spec)
        except (PlanError, RefusedError) as error:
            if str(error) == self.text or self.further == 0:
                raise
            return Advice(self.before, spec, self.changes, error, self.further - 1).lead(world, apply)
        return spec

    def _ways(self) -> Iterator[list[Spec]]:
        """Specs to apply one after the other."""
        if "alb-reconcile move" in self.text or any(text.search(self.text) for text in (_BY_HAND, _KEPT, _HELD)):
            yield [self.after]
        yield from self._otherwise()
        if re.search(r"in two (steps|applies)|first apply", self.text):
            for change in self.changes:  # one of them alone first
                if change.is_possible(self.before):
                    yield [change.made(self.before), self.after]

    def _otherwise(self) -> Iterator[list[Spec]]:
        """Specs that say something else at the place which is refused, each by itself."""
        if names := re.findall(r"^(\S+): .* change name, too$", self.text, re.MULTILINE):
            other = copy.deepcopy(self.after)
            for address in names:
                entry = place_of(other, path_in_spec(address))
                entry["name"] = f"{entry.get('name') or address.rpartition('.')[2]}-2"
            yield [other]
        if wanted := _ANOTHER.findall(self.text):
            other = copy.deepcopy(self.after)
            for path, name in wanted:
                *above, last = path.split(".")
                place_of(other, above)[last] = _instead(other, self.before, place_of(other, path.split(".")), name)
            yield [other]
        if unwanted := re.findall(r"(load_balancers\.\S+)\.(ipam_pools): .*; remove them$", self.text, re.MULTILINE):
            other = copy.deepcopy(self.after)
            deque((place_of(other, path.split(".")).pop(name) for path, name in unwanted), maxlen=0)
            yield [other]
        if missing := _MISSING.findall(self.text):
            other = copy.deepcopy(self.after)
            for path, pool, name in missing:
                _give_length(other, path.split("."), pool, name)
            yield [other]
        yield from self._declared()
        if private := re.findall(r"say associate_public_ip_address: false in ([^\n]*), or keep", self.text):
            other = copy.deepcopy(self.after)
            for name in re.findall(r"instances\.([\w-]+)", private[0]):
                other["instances"][name]["associate_public_ip_address"] = False
            yield [other]

    def _declared(self) -> Iterator[list[Spec]]:
        """Specs that say what they left to others."""
        if undeclared := _UNDECLARED.findall(self.text):
            other = copy.deepcopy(self.after)
            for name, holder, key in undeclared:
                own = [name] if name in other["security_groups"] else list(other["security_groups"])[:1]
                place_of(other, path_in_spec(holder))[key] = own
            yield [other]
        if asleep := re.findall(
            r"serve now; start (instance\.[^\n]*), or declare more targets for it$", self.text, re.MULTILINE
        ):
            other = copy.deepcopy(self.after)
            for entry in re.findall(r"instance\.(\S+)-\d+", asleep[0]):
                other["instances"][entry]["state"] = "running"
            yield [other]
        if served := re.findall(
            r"^instance\.(\S+)-\d+ would be .* or declare it in the targets of target_group\.(\S+)$",
            self.text,
            re.MULTILINE,
        ):
            other = copy.deepcopy(self.after)
            for entry, group in served:
                other["target_groups"][group]["targets"] = [entry]
            yield [other]


def _said(error: Exception) -> set[str]:
    """The lines of a refusal, without their places."""
    return {re.sub(r"^\S+:\d+:\d+: ", "", line) for line in str(error).splitlines()}


_MISSING = re.compile(r"^\S+ (\S+): (\S+) has no default netmask length; give (\w+)$", re.MULTILINE)


def _give_length(spec: Spec, path: list[str], pool: str, name: str) -> None:
    """The shortest range that there can be, beside the pool that is to choose it."""
    *above, last = path
    schema = resolved(SECTIONS[path[0]])["properties"]
    holder, given = place_of(spec, above), place_of(spec, path)
    holders, known = ([holder], schema) if given == pool else (given, schema[last]["items"]["properties"])
    for item in holders:
        if isinstance(item, dict) and pool in item.values():
            item.setdefault(name, known[name].get("maximum") or known[name]["enum"][-1])


_BY_HAND = re.compile(
    r"while these have a part of it: (.*); .* by hand: aws ec2 disassociate-subnet-cidr-block$", re.MULTILINE
)
_KEPT = re.compile(r"(sg-\w+) can't be deleted, since (security_group\.\S+) keeps a rule that names it:")


_UNDECLARED = re.compile(
    r"security_group\.(\S+): \S+ can't be deleted, since (\S+) keeps it: the spec doesn't manage its (security_groups); declare that"
)
_HELD = re.compile(
    r"(\S+)(?: can't be deleted, since \S+ keeps it: the spec doesn't manage| stays with \S+, whose \w+ the spec doesn't manage)"
)


def _disassociate(world: WatchedWorld, spec: Spec, told: list[str]) -> None:
    """Elastic IP addresses, by id or by the stack's address, from the instances and NAT gateways that keep them."""
    ec2 = world.client("ec2")
    own = {str(item.address): item.id for item in world.discover(spec).resources} if told else {}
    ids = {own.get(name, name) for name in told}
    for gateway in ec2.describe_nat_gateways()["NatGateways"] if ids else ():
        parts = [item["AssociationId"] for item in gateway["NatGatewayAddresses"] if item.get("AllocationId") in ids]
        if parts:
            ec2.disassociate_nat_gateway_address(NatGatewayId=gateway["NatGatewayId"], AssociationIds=parts)
    for row in ec2.describe_addresses()["Addresses"] if ids else ():
        if row["AllocationId"] in ids and row.get("InstanceId"):
            ec2.disassociate_address(AssociationId=row["AssociationId"])
    world.clock.advance(max(world.strict.lag, 400) if ids else 0)


def _revoke(world: WatchedWorld, told: dict[str, str], spec: Spec) -> None:
    """The rules that name a security group, in the one that keeps them, of which the spec says nothing."""
    ec2 = world.client("ec2")
    groups = ec2.describe_security_groups()["SecurityGroups"] if told else []
    names = {group["GroupId"]: tags.from_list(group.get("Tags")).get(tags.ADDRESS) for group in groups}
    for group in groups:
        name = names[group["GroupId"]]
        for direction, rules in (("ingress", group["IpPermissions"]), ("egress", group["IpPermissionsEgress"])):
            entry = spec["security_groups"].get(str(name).rpartition(".")[2], {})
            own = [item for item in entry.get(direction) or () if "security_group" in item]
            said = {
                (item["protocol"], item.get("port", item.get("from_port")), f"security_group.{item['security_group']}")
                for item in own
            }
            for rule in rules:
                ids = [pair["GroupId"] for pair in rule["UserIdGroupPairs"]]
                what = rule["IpProtocol"], rule.get("FromPort")
                pairs = [
                    {"GroupId": known} for known in ids if told.get(known) == name and (*what, names[known]) not in said
                ]
                if pairs:
                    one = {key: rule[key] for key in ("IpProtocol", "FromPort", "ToPort") if key in rule}
                    getattr(ec2, f"revoke_security_group_{direction}")(
                        GroupId=group["GroupId"], IpPermissions=[{**one, "UserIdGroupPairs": pairs}]
                    )
    world.clock.advance(world.strict.lag + 1 if told else 0)


def _take_ipv6_out(world: WatchedWorld, told: list[str]) -> None:
    """From the subnets that are told, which AWS lets go as soon as they don't hand out its addresses."""
    ec2 = world.client("ec2")
    for subnet in re.findall(r"\((subnet-\w+)\)", " ".join(told)):
        ec2.modify_subnet_attribute(SubnetId=subnet, AssignIpv6AddressOnCreation={"Value": False})
        (row,) = ec2.describe_subnets(SubnetIds=[subnet])["Subnets"]
        for item in row["Ipv6CidrBlockAssociationSet"]:
            ec2.disassociate_subnet_cidr_block(AssociationId=item["AssociationId"])
    world.clock.advance(max(world.strict.lag, 60) if told else 0)


_ANOTHER = re.compile(r"^\S+ (\S+): the new \S+ can't have (\S+) as long as .*; give it another ", re.MULTILINE)


def _instead(spec: Spec, before: Spec, given: Any, name: str) -> Any:
    """What a property can say without that name of an Elastic IP address, or that range, which another has."""
    if isinstance(given, dict):
        return {key: _instead(spec, before, item, name) for key, item in given.items()}
    if isinstance(given, list):
        return [_instead(spec, before, item, name) for item in given]
    if given != name.removeprefix("elastic_ip."):
        return given
    if "/" not in name and name == given:
        return f"{given}-2"
    if "/" not in name:
        spec["elastic_ips"][f"{given}-2"] = {}
        return f"{given}-2"
    own = ip_network(given)
    said = [item.get("cidr_block") for part in (spec, before) for item in part["subnets"].values()]
    taken = [ip_network(text) for text in said if text]
    near = own.supernet(new_prefix=16).subnets(new_prefix=own.prefixlen)
    return str(next(network for network in near if not any(map(network.overlaps, taken))))
