"""Imitates AWS's rules for EC2 tags."""

import re
from collections.abc import Callable
from typing import Any

from .matching import matches
from .references import not_found
from .rule import Call, around, before, refuse

DELETED = {
    "DeleteVpc": "VpcId",
    "DeleteSubnet": "SubnetId",
    "DeleteRouteTable": "RouteTableId",
    "DeleteSecurityGroup": "GroupId",
    "DeleteInternetGateway": "InternetGatewayId",
    "DeleteEgressOnlyInternetGateway": "EgressOnlyInternetGatewayId",
    "DeleteVolume": "VolumeId",
    "DeleteNetworkInterface": "NetworkInterfaceId",
    "ReleaseAddress": "AllocationId",
}
CREATES = {
    "CreateVpc": "vpc",
    "CreateSubnet": "subnet",
    "CreateRouteTable": "route-table",
    "CreateSecurityGroup": "security-group",
    "CreateInternetGateway": "internet-gateway",
    "CreateEgressOnlyInternetGateway": "egress-only-internet-gateway",
    "CreateVpcEndpoint": "vpc-endpoint",
    "AllocateAddress": "elastic-ip",
    "CreateNatGateway": "natgateway",
}
TYPES = {"vpc-elastic-ip": "elastic-ip", "nat-gateway": "natgateway"}
"""AWS's resource types by moto's names."""

METADATA_KEY = re.compile(r"(?!(\.|\.\.|_index)$)[0-9A-Za-z_+=,.@:-]{1,255}")


@before("CreateTags", "DeleteTags")
def tagged_resources_exist(call: Call) -> None:
    """CreateTags: Invalid…ID.NotFound, for instances as for other resources (moto tags missing instances)."""
    known = call.world.ids()
    for resource in call.given("Resources", []):
        if (
            resource.split("-")[0] in ("i", "vpc", "subnet", "rtb", "sg", "igw", "eigw", "vpce", "nat", "eipalloc")
            and resource not in known
        ):
            refuse(*not_found(resource))


@before("CreateTags", "DeleteTags")
def aws_tags_are_reserved(call: Call) -> None:
    """CreateTags: keys 'may not begin with aws:'."""
    for tag in call.given("Tags", []):
        if str(tag.get("Key", "")).lower().startswith("aws:"):
            refuse("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")


@before(*CREATES)
def tags_at_creation_are_for_the_created(call: Call) -> None:
    """Tag specifications: the resource type must be one that the action creates."""
    for specification in call.given("TagSpecifications", []):
        kind = specification.get("ResourceType")
        if kind != CREATES[call.action]:
            refuse("InvalidParameterValue", f"'{kind}' is not a valid taggable resource type for this operation.")
        for tag in specification.get("Tags", []):
            if str(tag.get("Key", "")).lower().startswith("aws:"):
                refuse("InvalidParameterValue", "Tag keys starting with 'aws:' are reserved for internal use")


@before("RunInstances", "CreateTags", "ModifyInstanceMetadataOptions")
def keys_fit_the_metadata_service(call: Call) -> None:
    """AWS EC2, 'View tags for your EC2 instances using instance metadata': if an instance can read its tags there,
    keys have letters, digits and -_+=,.@: only (InvalidParameterValue: karpenter, issue 1527)."""
    keys: set[str] = set()
    for specification in call.given("TagSpecifications", []):
        shown = call.given("MetadataOptions", {}).get("InstanceMetadataTags") == "enabled"
        if specification.get("ResourceType") == "instance" and shown:
            keys |= {str(tag.get("Key")) for tag in specification.get("Tags", [])}
    for resource in call.given("Resources", []):
        instance = call.world.instance(resource)
        if instance and instance.metadata_options.instance_metadata_tags == "enabled":
            keys |= {str(tag.get("Key")) for tag in call.given("Tags", [])}
    if call.given("InstanceMetadataTags") == "enabled":
        keys |= {*call.world.ec2.tags.get(call.given("InstanceId"), {})}
    for key in sorted(keys):
        if not METADATA_KEY.fullmatch(key):
            refuse(
                "InvalidParameterValue",
                f"'{key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{{1,255}}), and must "
                "not be a reserved name ('.', '..', '_index')",
            )


@around(*DELETED)
def tags_go_with_their_resource(call: Call, proceed: Callable[[], Any]) -> Any:
    """DescribeTags: a deleted resource has no tags left (moto keeps them)."""
    result = proceed()
    call.world.ec2.tags.pop(call.given(DELETED[call.action]), None)
    return result


@around("DescribeTags")
def tags_are_filtered_by_key_and_value(call: Call, proceed: Callable[[], Any]) -> Any:
    """DescribeTags: the filter `tag:<key>` (moto ignores it)."""
    filters = call.given("Filters", [])
    wanted = {f["Name"][4:]: f.get("Values", []) for f in filters if f["Name"].startswith("tag:")}
    call.params["Filters"] = [f for f in filters if not f["Name"].startswith("tag:")]
    tags = proceed()["Tags"]
    for key, values in wanted.items():
        tags = [tag for tag in tags if tag["key"] == key and matches(tag["value"], values)]
    return {"Tags": [{**tag, "resource_type": TYPES.get(tag["resource_type"], tag["resource_type"])} for tag in tags]}
