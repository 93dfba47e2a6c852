"""What carries a run's tag, and how it is removed: by boto3 alone, since what is tested here may be what is broken."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from botocore.exceptions import ClientError

from tests.account.place import TAG

if TYPE_CHECKING:
    from tests.account.place import Place

ZONE: Final = "alb-reconcile-test.internal."
"""Hosted zones can't be made with tags, so those that are made here are below this name, with the run's id before it."""
PATIENCE: Final = 1800.0
"""Seconds of AWS's until what is left counts as left over: NAT gateways and load balancers' interfaces take minutes."""
POLL: Final = 5.0
_ATTEMPTS: Final = 5


class Thing(NamedTuple):
    """Something that is there. `run`: whose it is."""

    kind: str
    id: str
    run: str


@dataclass(frozen=True)
class _Ec2:
    """How EC2 lists a kind: its operation, where the things and their ids are in the answer, and those that are gone."""

    operation: str
    path: str
    id: str
    gone: tuple[str, ...] = ()


_IN_EC2: Final = {
    "instance": _Ec2("describe_instances", "Reservations[].Instances[]", "InstanceId", ("terminated",)),
    "nat_gateway": _Ec2("describe_nat_gateways", "NatGateways[]", "NatGatewayId", ("deleted", "failed")),
    "vpc_endpoint": _Ec2("describe_vpc_endpoints", "VpcEndpoints[]", "VpcEndpointId", ("deleted", "Deleted")),
    "address": _Ec2("describe_addresses", "Addresses[]", "AllocationId"),
    "volume": _Ec2("describe_volumes", "Volumes[]", "VolumeId"),
    "route_table": _Ec2("describe_route_tables", "RouteTables[]", "RouteTableId"),
    "security_group": _Ec2("describe_security_groups", "SecurityGroups[]", "GroupId"),
    "subnet": _Ec2("describe_subnets", "Subnets[]", "SubnetId"),
    "internet_gateway": _Ec2("describe_internet_gateways", "InternetGateways[]", "InternetGatewayId"),
    "vpc": _Ec2("describe_vpcs", "Vpcs[]", "VpcId"),
    "key_pair": _Ec2("describe_key_pairs", "KeyPairs[]", "KeyName"),
}
"""In the order in which they are removed; what is still in use then goes in the next round."""


class Inventory:
    """What was made by one run, or by any."""

    def __init__(self, place: Place, run: str = "") -> None:
        self.place, self.run = place, run
        self.ec2, self.elb = place.client("ec2"), place.client("elbv2")
        self.acm, self.route53 = place.client("acm"), place.client("route53")
        self.refusals: dict[Thing, str] = {}
        """Why something couldn't be removed yet."""

    def find(self) -> list[Thing]:
        """All of it, in the order in which it is removed. Raises ClientError."""
        for _ in range(_ATTEMPTS):
            with suppress(*self._gone):
                return self._look()
            time.sleep(self.place.real(POLL))
        return self._look()

    @property
    def _gone(self) -> tuple[type[ClientError], ...]:
        """What is said of something that was listed a moment ago."""
        elb, acm, route53 = self.elb.exceptions, self.acm.exceptions, self.route53.exceptions
        return (
            elb.LoadBalancerNotFoundException, elb.TargetGroupNotFoundException,
            acm.ResourceNotFoundException, route53.NoSuchHostedZone,
        )  # fmt: skip

    def _look(self) -> list[Thing]:
        return [*self._balancing(), *self._in_ec2(), *self._certificates(), *self._zones()]

    def remove_all(self, patience: float = PATIENCE) -> list[Thing]:
        """Remove it, until nothing is left or patience ends. Returns what is left. Raises nothing that AWS refuses."""
        deadline = time.monotonic() + self.place.real(patience)
        told = set[Thing]()
        while left := self.find():
            for thing in left:
                try:
                    _REMOVE[thing.kind](self, thing.id)
                except ClientError as error:
                    self.refusals[thing] = str(error)
                else:
                    self.refusals.pop(thing, None)
                    if thing not in told:
                        print(f"  removed: {thing.kind} {thing.id}", flush=True)
                    told.add(thing)
            if time.monotonic() > deadline:
                return self.find()
            time.sleep(self.place.real(POLL))
        return []

    def _in_ec2(self) -> Iterator[Thing]:
        filters = [{"Name": f"tag:{TAG}", "Values": [self.run]} if self.run else {"Name": "tag-key", "Values": [TAG]}]
        for kind, how in _IN_EC2.items():
            for item in self._pages(how, filters):
                state = item.get("State") or item.get("state") or ""
                if (state["Name"] if isinstance(state, dict) else state) not in how.gone:
                    yield Thing(kind, item[how.id], _tag(item["Tags"]))

    def _pages(self, how: _Ec2, filters: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        name = "Filter" if how.operation == "describe_nat_gateways" else "Filters"
        if self.ec2.can_paginate(how.operation):
            pages = self.ec2.get_paginator(how.operation).paginate(**{name: filters})
            yield from pages.search(how.path)
        else:
            yield from getattr(self.ec2, how.operation)(**{name: filters})[how.path.removesuffix("[]")]

    def _balancing(self) -> Iterator[Thing]:
        for kind, operation, path in (
            ("load_balancer", "describe_load_balancers", "LoadBalancers[].LoadBalancerArn"),
            ("target_group", "describe_target_groups", "TargetGroups[].TargetGroupArn"),
        ):
            arns = list(self.elb.get_paginator(operation).paginate().search(path))
            for start in range(0, len(arns), 20):
                for item in self.elb.describe_tags(ResourceArns=arns[start : start + 20])["TagDescriptions"]:
                    if self._is_mine(_tag(item["Tags"])):
                        yield Thing(kind, item["ResourceArn"], _tag(item["Tags"]))

    def _certificates(self) -> Iterator[Thing]:
        arns = self.acm.get_paginator("list_certificates").paginate().search("CertificateSummaryList[].CertificateArn")
        for arn in arns:
            run = _tag(self.acm.list_tags_for_certificate(CertificateArn=arn).get("Tags", []))
            if self._is_mine(run):
                yield Thing("certificate", arn, run)

    def _zones(self) -> Iterator[Thing]:
        for item in self.route53.get_paginator("list_hosted_zones").paginate().search("HostedZones[]"):
            run = item["Name"].removesuffix(f".{ZONE}")
            if run != item["Name"] and self._is_mine(run):
                yield Thing("hosted_zone", item["Id"], run)

    def _is_mine(self, run: str) -> bool:
        return run == self.run if self.run else bool(run)


def _tag(tags: list[dict[str, str]]) -> str:
    return next((tag["Value"] for tag in tags if tag["Key"] == TAG), "")


def _address(own: Inventory, identifier: str) -> None:
    for item in own.ec2.describe_addresses(AllocationIds=[identifier])["Addresses"]:
        if "AssociationId" in item:
            own.ec2.disassociate_address(AssociationId=item["AssociationId"])
    own.ec2.release_address(AllocationId=identifier)


def _route_table(own: Inventory, identifier: str) -> None:
    for table in own.ec2.describe_route_tables(RouteTableIds=[identifier])["RouteTables"]:
        for item in table["Associations"]:
            own.ec2.disassociate_route_table(AssociationId=item["RouteTableAssociationId"])
    own.ec2.delete_route_table(RouteTableId=identifier)


def _security_group(own: Inventory, identifier: str) -> None:
    """With its rules first: two groups that name each other can't be deleted."""
    (group,) = own.ec2.describe_security_groups(GroupIds=[identifier])["SecurityGroups"]
    if group["IpPermissions"]:
        own.ec2.revoke_security_group_ingress(GroupId=identifier, IpPermissions=group["IpPermissions"])
    own.ec2.delete_security_group(GroupId=identifier)


def _internet_gateway(own: Inventory, identifier: str) -> None:
    for gateway in own.ec2.describe_internet_gateways(InternetGatewayIds=[identifier])["InternetGateways"]:
        for item in gateway["Attachments"]:
            own.ec2.detach_internet_gateway(InternetGatewayId=identifier, VpcId=item["VpcId"])
    own.ec2.delete_internet_gateway(InternetGatewayId=identifier)


def _hosted_zone(own: Inventory, identifier: str) -> None:
    """With its records first, but those that every zone has."""
    pages = own.route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=identifier)
    records = [item for item in pages.search("ResourceRecordSets[]") if item["Type"] not in ("NS", "SOA")]
    if records:
        changes = [{"Action": "DELETE", "ResourceRecordSet": item} for item in records]
        own.route53.change_resource_record_sets(HostedZoneId=identifier, ChangeBatch={"Changes": changes})
    own.route53.delete_hosted_zone(Id=identifier)


_REMOVE: Final[dict[str, Callable[[Inventory, str], Any]]] = {
    "load_balancer": lambda own, arn: own.elb.delete_load_balancer(LoadBalancerArn=arn),
    "target_group": lambda own, arn: own.elb.delete_target_group(TargetGroupArn=arn),
    "instance": lambda own, identifier: own.ec2.terminate_instances(InstanceIds=[identifier]),
    "nat_gateway": lambda own, identifier: own.ec2.delete_nat_gateway(NatGatewayId=identifier),
    "vpc_endpoint": lambda own, identifier: own.ec2.delete_vpc_endpoints(VpcEndpointIds=[identifier]),
    "address": _address,
    "volume": lambda own, identifier: own.ec2.delete_volume(VolumeId=identifier),
    "route_table": _route_table,
    "security_group": _security_group,
    "subnet": lambda own, identifier: own.ec2.delete_subnet(SubnetId=identifier),
    "internet_gateway": _internet_gateway,
    "vpc": lambda own, identifier: own.ec2.delete_vpc(VpcId=identifier),
    "key_pair": lambda own, name: own.ec2.delete_key_pair(KeyName=name),
    "certificate": lambda own, arn: own.acm.delete_certificate(CertificateArn=arn),
    "hosted_zone": _hosted_zone,
}
