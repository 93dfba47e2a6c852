"""Lists everything that a user could see in the emulator, by requests to its API, parsed as by boto3."""

import json
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from botocore.parsers import create_parser
from moto.acm.models import acm_backends
from moto.core.resource_tagging import iter_taggable_backends
from moto.core.responses import ActionResult, BaseResponse
from moto.core.utils import get_service_model
from moto.s3.models import s3_backends

from ..allowed_services import SERVICES
from .route53 import records_of
from .world import World

Ask = Callable[..., dict[str, Any]]

# action → (the list in its answer, the id of an entry)
EC2_LISTS = {
    "DescribeVpcs": ("Vpcs", "VpcId"),
    "DescribeSubnets": ("Subnets", "SubnetId"),
    "DescribeRouteTables": ("RouteTables", "RouteTableId"),
    "DescribeInternetGateways": ("InternetGateways", "InternetGatewayId"),
    "DescribeEgressOnlyInternetGateways": ("EgressOnlyInternetGateways", "EgressOnlyInternetGatewayId"),
    "DescribeVpcEndpoints": ("VpcEndpoints", "VpcEndpointId"),
    "DescribeSecurityGroups": ("SecurityGroups", "GroupId"),
    "DescribeNetworkInterfaces": ("NetworkInterfaces", "NetworkInterfaceId"),
    "DescribeVolumes": ("Volumes", "VolumeId"),
    "DescribeKeyPairs": ("KeyPairs", "KeyPairId"),
    "DescribeAddresses": ("Addresses", "AllocationId"),
    "DescribeNatGateways": ("NatGateways", "NatGatewayId"),
    "DescribeIamInstanceProfileAssociations": ("IamInstanceProfileAssociations", "AssociationId"),
}
FURTHER = frozenset(SERVICES.values()) - {
    "acm", "ec2", "elbv2", "iam", "resourcegroupstaggingapi", "route53", "s3", "secretsmanager", "servicequotas", "sqs", "ssm",
    "sts", "wafv2",
}  # fmt: skip
"""Services without rules in this package: their resources are listed from moto's own objects."""
VPC_ATTRIBUTES = ("enableDnsSupport", "enableDnsHostnames", "enableNetworkAddressUsageMetrics")
INSTANCE_ATTRIBUTES = ("disableApiTermination", "disableApiStop", "instanceInitiatedShutdownBehavior", "userData")


def answer(response: BaseResponse, action: str, result: Any) -> dict[str, Any]:
    """moto's result as boto3 returns it."""
    return parse(response.boto3_service_name, action, *response.serialized(ActionResult(result)))


def parse(service: str, action: str, status: int, headers: Any, body: Any) -> dict[str, Any]:
    """An HTTP answer as boto3 returns it."""
    model = get_service_model(service)
    shape = model.operation_model(action).output_shape
    raw = {"status_code": status, "headers": headers, "body": str(body).encode()}
    parsed: dict[str, Any] = parser(model.metadata["protocol"]).parse(raw, shape)
    parsed.pop("ResponseMetadata", None)
    return parsed


@cache
def parser(protocol: str) -> Any:
    return create_parser(protocol)


def take_inventory(world: World, ask: Ask) -> dict[str, dict[str, Any]]:
    """All resources by physical id, in the order of ids, as JSON values."""
    found: dict[str, dict[str, Any]] = {}
    for action, (name, key) in EC2_LISTS.items():
        for entry in ask("ec2", action).get(name, []):
            if entry.get("State") not in ("deleted", "failed"):  # a deleted or failed one that AWS still shows
                found[entry[key]] = entry
    for vpc_id in world.ec2.vpcs:
        for attribute in VPC_ATTRIBUTES:
            answer = ask("ec2", "DescribeVpcAttribute", VpcId=vpc_id, Attribute=attribute)
            found[vpc_id]["Attributes"] = found[vpc_id].get("Attributes", {}) | {
                attribute: next(value["Value"] for value in answer.values() if isinstance(value, dict))
            }
    for reservation in ask("ec2", "DescribeInstances").get("Reservations", []):
        for instance in reservation.get("Instances", []):
            if instance["State"]["Name"] != "terminated":
                found[instance["InstanceId"]] = instance | {"Attributes": instance_attributes(instance, ask)}
    add_balancers(ask, found)
    add_groups(world, ask, found)
    add_trust_stores(ask, found)
    add_buckets(world, found)
    add_certificates(world, found)
    found |= records_of(world)
    add_others(world, found)
    ordered = json.loads(json.dumps({key: in_order(value) for key, value in sorted(found.items())}, default=str))
    return dict(ordered)


def instance_attributes(instance: dict[str, Any], ask: Ask) -> dict[str, Any]:
    attributes = {}
    for name in INSTANCE_ATTRIBUTES:
        answer = ask("ec2", "DescribeInstanceAttribute", InstanceId=instance["InstanceId"], Attribute=name)
        key = name[0].upper() + name[1:]
        attributes[name] = (answer.get(key) or {}).get("Value")
    return attributes


def add_balancers(ask: Ask, found: dict[str, dict[str, Any]]) -> None:
    for balancer in ask("elbv2", "DescribeLoadBalancers").get("LoadBalancers", []):
        arn = balancer["LoadBalancerArn"]
        attributes = ask("elbv2", "DescribeLoadBalancerAttributes", LoadBalancerArn=arn)["Attributes"]
        found[arn] = balancer | {"Attributes": attributes, "Tags": tags(ask, arn)}
        for listener in ask("elbv2", "DescribeListeners", LoadBalancerArn=arn).get("Listeners", []):
            listener_arn = listener["ListenerArn"]
            attributes = ask("elbv2", "DescribeListenerAttributes", ListenerArn=listener_arn)["Attributes"]
            certificates = ask("elbv2", "DescribeListenerCertificates", ListenerArn=listener_arn)
            found[listener_arn] = listener | {
                "Attributes": attributes,
                "AllCertificates": certificates.get("Certificates", []),
                "Tags": tags(ask, listener_arn),
            }
            for rule in ask("elbv2", "DescribeRules", ListenerArn=listener_arn).get("Rules", []):
                found[rule["RuleArn"]] = rule | {"Tags": tags(ask, rule["RuleArn"])}


def add_trust_stores(ask: Ask, found: dict[str, dict[str, Any]]) -> None:
    for store in ask("elbv2", "DescribeTrustStores").get("TrustStores", []):
        arn = store["TrustStoreArn"]
        revocations = ask("elbv2", "DescribeTrustStoreRevocations", TrustStoreArn=arn)["TrustStoreRevocations"]
        found[arn] = store | {"Revocations": revocations, "Tags": tags(ask, arn)}


def add_buckets(world: World, found: dict[str, dict[str, Any]]) -> None:
    """Add S3's buckets from moto's objects, without their content, since `ask` can't ask S3."""
    for bucket in s3_backends[world.account]["aws"].buckets.values():
        tags = s3_backends[world.account]["aws"].tagger.list_tags_for_resource(bucket.arn)
        shut = bucket.public_access_block.to_config_dict() if bucket.public_access_block else None
        rules = [rule.to_config_dict() for rule in bucket.rules]
        policy = (bucket.policy or b"").decode()
        found[bucket.arn] = {"Policy": policy, "PublicAccessBlock": shut, "Rules": rules, **tags}


def add_certificates(world: World, found: dict[str, dict[str, Any]]) -> None:
    """Add ACM's certificates from moto's objects, since `ask` can't ask ACM: only the fields that time doesn't change."""
    kept = ("DomainName", "SubjectAlternativeNames", "Type", "KeyAlgorithm", "Serial")
    for arn, item in acm_backends[world.account][world.region]._certificates.items():
        told = item.describe()["Certificate"]
        found[arn] = {
            **{key: told.get(key) for key in kept},
            "Tags": [{"Key": key, "Value": value} for key, value in item.tags.items()],
        }


def add_others(world: World, found: dict[str, dict[str, Any]]) -> None:
    """Add the resources of other services (`FURTHER`) that have an ARN: the plain values of moto's objects, without times."""
    for backend in iter_taggable_backends(world.account, world.region):
        for resource in backend.iter_tagged_resources():
            if backend.SERVICE_NAMESPACE in FURTHER:
                held = next((item for item in _items(backend) if getattr(item, "arn", "") == resource.arn), None)
                plain = (
                    {name: value for name, value in vars(held).items() if isinstance(value, str | int | None)}
                    if held
                    else {}
                )
                tags = [{"Key": key, "Value": value} for key, value in resource.tags.items()]
                found[resource.arn] = {**plain, "Tags": tags}


def _items(backend: Any) -> Iterator[Any]:
    for value in vars(backend).values():
        if isinstance(value, dict):
            yield from value.values()


def add_groups(world: World, ask: Ask, found: dict[str, dict[str, Any]]) -> None:
    for group in ask("elbv2", "DescribeTargetGroups").get("TargetGroups", []):
        arn = group["TargetGroupArn"]
        attributes = ask("elbv2", "DescribeTargetGroupAttributes", TargetGroupArn=arn)["Attributes"]
        registered = [
            {"Id": target.id, "Port": target.port}
            for target in world.ledger.targets.get(arn, {}).values()
            if target.gone_at is None
        ]
        found[arn] = group | {"Attributes": attributes, "Targets": registered, "Tags": tags(ask, arn)}


def tags(ask: Ask, arn: str) -> Any:
    descriptions = ask("elbv2", "DescribeTags", ResourceArns=[arn])["TagDescriptions"]
    return descriptions[0].get("Tags", [])


def in_order(value: Any) -> Any:
    """The value with all of its lists sorted, since their order has no meaning."""
    if isinstance(value, dict):
        return {key: in_order(item) for key, item in sorted(value.items())}
    if isinstance(value, list):
        return sorted((in_order(item) for item in value), key=lambda item: json.dumps(item, default=str))
    return value
