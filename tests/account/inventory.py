"""What carries a run's tag, and how it is removed: by boto3 alone, since what is tested here may be what is broken.

Each kind of the product has its place here (`tests/kinds/test_left_in_an_account.py` sees that none is missing).
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from botocore.exceptions import ClientError

from alb_reconcile.aws.record_tags import RecordId, plain_name, read_about, registry_of, tags_in
from alb_reconcile.kinds.certificate.lists import KEY_ALGORITHMS
from alb_reconcile.kinds.certificate.validation import records_of
from alb_reconcile.kinds.registration.functions import statement_id
from alb_reconcile.model.tags import STACK, VALIDATION
from tests.account.place import TAG

if TYPE_CHECKING:
    from tests.account.place import Place

ZONE: Final = "alb-reconcile-test.internal."
"""Hosted zones can't be made with tags, so those that are made here are below this name, with the run's id before it."""
PATH: Final = "/alb-reconcile"
"""How the paths of profiles, roles and policies in IAM begin: the product's own, and `/alb-reconcile-test/RUN/`."""
PATIENCE: Final = 1800.0
"""Seconds of AWS's until what is left counts as left over: NAT gateways and load balancers' interfaces take minutes."""
POLL: Final = 5.0
_ATTEMPTS: Final = 5
WITH: Final = {
    "listener": "load_balancer", "rule": "load_balancer", "registration": "target_group",
    "security_group_rules": "security_group", "elastic_ip_association": "elastic_ip",
}  # fmt: skip
"""Kinds that have no tags of their own, or none that matter: each goes with another."""


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
    "elastic_ip": _Ec2("describe_addresses", "Addresses[]", "AllocationId"),
    "volume": _Ec2("describe_volumes", "Volumes[]", "VolumeId"),
    "route_table": _Ec2("describe_route_tables", "RouteTables[]", "RouteTableId"),
    "security_group": _Ec2("describe_security_groups", "SecurityGroups[]", "GroupId"),
    "subnet": _Ec2("describe_subnets", "Subnets[]", "SubnetId"),
    "egress_only_internet_gateway": _Ec2(
        "describe_egress_only_internet_gateways", "EgressOnlyInternetGateways[]", "EgressOnlyInternetGatewayId"
    ),
    "internet_gateway": _Ec2("describe_internet_gateways", "InternetGateways[]", "InternetGatewayId"),
    "vpc": _Ec2("describe_vpcs", "Vpcs[]", "VpcId"),
    "key_pair": _Ec2("describe_key_pairs", "KeyPairs[]", "KeyName"),
}
"""In the order in which they are removed; what is still in use then goes in the next round."""


class Inventory:
    """What was made by one run, or by any."""

    def __init__(self, place: Place, run: str = "") -> None:
        self.place, self.run = place, run
        self.ec2, self.elb, self.iam = place.client("ec2"), place.client("elbv2"), place.client("iam")
        self.acm, self.route53, self.s3 = place.client("acm"), place.client("route53"), place.client("s3")
        self.logs = place.client("logs")
        self.refusals: dict[Thing, str] = {}
        """Why something couldn't be removed yet."""
        self._runs: dict[str, str] = {}
        """What the tags of certificates, buckets, profiles and roles say, each of which is asked for by itself."""

    def find(self) -> list[Thing]:
        """All of it, in the order in which it is removed. Raises ClientError."""
        for _ in range(_ATTEMPTS):
            try:
                return self._look()
            except ClientError as error:
                if not _is_gone(error):
                    raise
            time.sleep(self.place.real(POLL))
        return self._look()

    def _look(self) -> list[Thing]:
        found = [
            *self._balancing(),
            *self._in_ec2(),
            *self._certificates(),
            *self._buckets(),
            *self._in_logs(),
            *self._in_iam(),
        ]
        return [*found, *self._interfaces(found), *self._in_zones()]

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

    def _interfaces(self, found: list[Thing]) -> list[Thing]:
        """Those in the run's networks and security groups. AWS takes its own away, which is waited for."""
        there = dict[str, Thing]()
        for kind, name in (("vpc", "vpc-id"), ("security_group", "group-id")):
            for own in (thing for thing in found if thing.kind == kind):
                where = [{"Name": name, "Values": [own.id]}]
                for item in self.ec2.describe_network_interfaces(Filters=where)["NetworkInterfaces"]:
                    identifier = item["NetworkInterfaceId"]
                    there[identifier] = Thing("network_interface", identifier, own.run)
        return list(there.values())

    def _balancing(self) -> Iterator[Thing]:
        for kind, operation, path in (
            ("load_balancer", "describe_load_balancers", "LoadBalancers[].LoadBalancerArn"),
            ("target_group", "describe_target_groups", "TargetGroups[].TargetGroupArn"),
            ("trust_store", "describe_trust_stores", "TrustStores[].TrustStoreArn"),
        ):
            arns = list(self.elb.get_paginator(operation).paginate().search(path))
            for start in range(0, len(arns), 20):
                for item in self.elb.describe_tags(ResourceArns=arns[start : start + 20])["TagDescriptions"]:
                    if self._is_mine(_tag(item["Tags"])):
                        yield Thing(kind, item["ResourceArn"], _tag(item["Tags"]))

    def certificates(self) -> list[str]:
        """The ARNs of all there are in the region; of its own accord ACM lists those with keys of RSA_2048 only."""
        pages = self.acm.get_paginator("list_certificates").paginate(Includes={"keyTypes": list(KEY_ALGORITHMS)})
        return list(pages.search("CertificateSummaryList[].CertificateArn"))

    def _certificates(self) -> Iterator[Thing]:
        for arn in self.certificates():
            yield from self._if_mine(
                "certificate", arn, lambda arn: self.acm.list_tags_for_certificate(CertificateArn=arn)
            )

    def _buckets(self) -> Iterator[Thing]:
        def tags(name: str) -> Any:
            with suppress(ClientError):  # it has none, or is another's
                return self.s3.get_bucket_tagging(Bucket=name, ExpectedBucketOwner=self.place.account)
            return {}

        for item in self.s3.list_buckets(BucketRegion=self.place.region)["Buckets"]:
            yield from self._if_mine("log_bucket", item["Name"], tags)

    def _in_logs(self) -> Iterator[Thing]:
        def tags(name: str) -> Any:
            arn = f"arn:aws:logs:{self.place.region}:{self.place.account}:log-group:{name}"
            found = self.logs.list_tags_for_resource(resourceArn=arn)["tags"]
            return {"Tags": [{"Key": key, "Value": value} for key, value in found.items()]}

        for name in self.logs.get_paginator("describe_log_groups").paginate().search("logGroups[].logGroupName"):
            yield from self._if_mine("log_group", name, tags)

    def _in_iam(self) -> Iterator[Thing]:
        def names(operation: str, path: str, **more: str) -> Iterator[str]:
            found = self.iam.get_paginator(operation).paginate(PathPrefix=PATH, **more).search(path)
            yield from (name for name in found if name)

        for name in names("list_instance_profiles", "InstanceProfiles[].InstanceProfileName"):
            yield from self._if_mine(
                "instance_profile", name,
                lambda name: self.iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"],
            )  # fmt: skip
        for name in names("list_roles", "Roles[].RoleName"):
            yield from self._if_mine("role", name, lambda name: self.iam.list_role_tags(RoleName=name))
        for arn in names("list_policies", "Policies[].Arn", Scope="Local"):
            run = next(iter(re.findall(f"policy{PATH}-test/([^/]+)/", arn)), "")
            if self._is_mine(run):
                yield Thing("policy", arn, run)

    def _if_mine(self, kind: str, identifier: str, answer: Callable[[str], Any]) -> Iterator[Thing]:
        """By its tags, which are asked for once."""
        if identifier not in self._runs:
            found = answer(identifier)
            self._runs[identifier] = _tag(found.get("Tags") or found.get("TagSet") or [])
        if self._is_mine(self._runs[identifier]):
            yield Thing(kind, identifier, self._runs[identifier])

    def _in_zones(self) -> Iterator[Thing]:
        """Records by the TXT records beside them, which the product has for tags; and the zones that a run has made itself."""
        for item in self.route53.get_paginator("list_hosted_zones").paginate().search("HostedZones[]"):
            run = item["Name"].removesuffix(f".{ZONE}")
            if run != item["Name"]:
                yield from [Thing("hosted_zone", item["Id"], run)] * self._is_mine(run)
                continue
            zone = item["Id"].rpartition("/")[2]
            for row in self.records(zone, registry_of(plain_name(item["Name"]))):
                about, texts = read_about(row, zone, self.place.region) or (None, {})
                run = texts.get(STACK, "").rpartition("-")[2]
                if about and self._is_mine(run) and tags_in(texts, {TAG: run}).get(TAG) == run:
                    yield Thing("record", f"{about.arn('aws')} {row['Name']}", run)

    def records(self, zone: str, start: str) -> Iterator[dict[str, Any]]:
        """A zone's record sets whose names end so; Route 53 has those one after the other."""
        pages = self.route53.get_paginator("list_resource_record_sets")
        rows = pages.paginate(HostedZoneId=zone, StartRecordName=start, StartRecordType="A").search(
            "ResourceRecordSets[]"
        )
        return takewhile(lambda row: plain_name(row["Name"]).endswith(start), rows)

    def change(self, zone: str, rows: list[dict[str, Any]]) -> None:
        """Delete record sets, if there are any."""
        if rows:
            changes = [{"Action": "DELETE", "ResourceRecordSet": row} for row in rows]
            self.route53.change_resource_record_sets(HostedZoneId=zone, ChangeBatch={"Changes": changes})

    def _is_mine(self, run: str) -> bool:
        return run == self.run if self.run else bool(run)


def _tag(tags: list[dict[str, str]], key: str = TAG) -> str:
    return next((tag["Value"] for tag in tags if tag["Key"] == key), "")


def _is_gone(error: ClientError) -> bool:
    """Whether that is said of something that was listed a moment ago."""
    return re.search("NotFound|NoSuch", error.response["Error"]["Code"]) is not None


def _load_balancer(own: Inventory, arn: str) -> None:
    """Its protection first, which the spec may have asked for."""
    off = [{"Key": "deletion_protection.enabled", "Value": "false"}]
    own.elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=off)
    own.elb.delete_load_balancer(LoadBalancerArn=arn)


def _target_group(own: Inventory, arn: str) -> None:
    """A function's policy first, which names the group."""
    for item in own.elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]:
        if ":function:" in item["Target"]["Id"]:
            with suppress(ClientError):  # not there
                named = {"FunctionName": item["Target"]["Id"], "StatementId": statement_id(arn)}
                own.place.client("lambda").remove_permission(**named)
    own.elb.delete_target_group(TargetGroupArn=arn)


def _instance(own: Inventory, identifier: str) -> None:
    with suppress(ClientError):  # it ends already
        own.ec2.modify_instance_attribute(InstanceId=identifier, DisableApiTermination={"Value": False})
    own.ec2.terminate_instances(InstanceIds=[identifier])


def _elastic_ip(own: Inventory, identifier: str) -> None:
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
    if rules := group["IpPermissions"]:
        own.ec2.revoke_security_group_ingress(GroupId=identifier, IpPermissions=rules)
    if rules := group["IpPermissionsEgress"]:
        own.ec2.revoke_security_group_egress(GroupId=identifier, IpPermissions=rules)
    own.ec2.delete_security_group(GroupId=identifier)


def _internet_gateway(own: Inventory, identifier: str) -> None:
    for gateway in own.ec2.describe_internet_gateways(InternetGatewayIds=[identifier])["InternetGateways"]:
        for item in gateway["Attachments"]:
            own.ec2.detach_internet_gateway(InternetGatewayId=identifier, VpcId=item["VpcId"])
    own.ec2.delete_internet_gateway(InternetGatewayId=identifier)


def _certificate(own: Inventory, arn: str) -> None:
    """With the validation records that were made for it, as its tag says, but those that another certificate has, too."""
    tags = own.acm.list_tags_for_certificate(CertificateArn=arn)["Tags"]
    zone, *marks = _tag(tags, VALIDATION).split() or [""]
    made = [item for item in _validation(own, arn) if item.mark in marks]
    others = {item.name for other in own.certificates() if made and other != arn for item in _validation(own, other)}
    with suppress(own.route53.exceptions.InvalidChangeBatch, own.route53.exceptions.NoSuchHostedZone):  # they have gone
        own.change(zone, [item.row for item in made if item.name not in others])
    own.acm.delete_certificate(CertificateArn=arn)


def _validation(own: Inventory, arn: str) -> Any:
    return records_of(own.acm.describe_certificate(CertificateArn=arn)["Certificate"])


def _log_bucket(own: Inventory, name: str) -> None:
    pages = own.s3.get_paginator("list_object_versions").paginate(Bucket=name)
    for item in pages.search("[Versions, DeleteMarkers][][]"):
        own.s3.delete_object(Bucket=name, Key=item["Key"], VersionId=item["VersionId"])
    own.s3.delete_bucket(Bucket=name, ExpectedBucketOwner=own.place.account)


def _instance_profile(own: Inventory, name: str) -> None:
    for role in own.iam.get_instance_profile(InstanceProfileName=name)["InstanceProfile"]["Roles"]:
        own.iam.remove_role_from_instance_profile(InstanceProfileName=name, RoleName=role["RoleName"])
    own.iam.delete_instance_profile(InstanceProfileName=name)


def _role(own: Inventory, name: str) -> None:
    for item in own.iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]:
        own.iam.detach_role_policy(RoleName=name, PolicyArn=item["PolicyArn"])
    for policy in own.iam.list_role_policies(RoleName=name)["PolicyNames"]:
        own.iam.delete_role_policy(RoleName=name, PolicyName=policy)
    own.iam.delete_role(RoleName=name)


def _record(own: Inventory, text: str) -> None:
    """With what says whose it is, in one batch."""
    arn, _, beside = text.partition(" ")
    about = RecordId.parse(arn)
    named = {(about.name, about.type, about.set_identifier), (plain_name(beside), "TXT", "")}
    rows = [row for name, _, _ in named for row in own.records(about.zone, name)]
    own.change(
        about.zone,
        [row for row in rows if (plain_name(row["Name"]), row["Type"], row.get("SetIdentifier", "")) in named],
    )


def _hosted_zone(own: Inventory, identifier: str) -> None:
    """With its records first, but those that every zone has."""
    pages = own.route53.get_paginator("list_resource_record_sets").paginate(HostedZoneId=identifier)
    own.change(identifier, [row for row in pages.search("ResourceRecordSets[]") if row["Type"] not in ("NS", "SOA")])
    own.route53.delete_hosted_zone(Id=identifier)


def _delete(kind: str, own: Inventory, identifier: str) -> None:
    """As EC2 calls it."""
    getattr(own.ec2, f"delete_{kind}")(**{_IN_EC2[kind].id: identifier})


_REMOVE: Final[dict[str, Callable[[Inventory, str], Any]]] = {
    "load_balancer": _load_balancer,
    "target_group": _target_group,
    "trust_store": lambda own, arn: own.elb.delete_trust_store(TrustStoreArn=arn),
    **{kind: partial(_delete, kind) for kind in _IN_EC2},
    "instance": _instance,
    "vpc_endpoint": lambda own, identifier: own.ec2.delete_vpc_endpoints(VpcEndpointIds=[identifier]),
    "elastic_ip": _elastic_ip,
    "route_table": _route_table,
    "security_group": _security_group,
    "internet_gateway": _internet_gateway,
    "network_interface": lambda own, identifier: own.ec2.delete_network_interface(NetworkInterfaceId=identifier),
    "certificate": _certificate,
    "log_bucket": _log_bucket,
    "log_group": lambda own, name: own.logs.delete_log_group(logGroupName=name),
    "instance_profile": _instance_profile,
    "role": _role,
    "policy": lambda own, arn: own.iam.delete_policy(PolicyArn=arn),
    "record": _record,
    "hosted_zone": _hosted_zone,
}
KINDS: Final = {*_REMOVE, *WITH}
"""All that is found and removed, the product's kinds among them."""
