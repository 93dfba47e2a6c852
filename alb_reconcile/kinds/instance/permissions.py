"""Lists the IAM actions of instances, and the resources they name that carry no tag of the stack: profiles, images, keys, parameters."""

from collections.abc import Iterator
from typing import Any, Final

from alb_reconcile.kinds.base import IamActions
from alb_reconcile.kinds.grants import ANY, Grant, Scope
from alb_reconcile.kinds.images import PARAMETER, RESOLVE
from alb_reconcile.kinds.instance.application.role import version_grants
from alb_reconcile.kinds.instance.application.user_data import Application
from alb_reconcile.kinds.instance_profile import may_pass
from alb_reconcile.model.address import Address

_KMS: Final = (
    "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKeyWithoutPlaintext", "kms:ReEncryptFrom", "kms:ReEncryptTo",
)  # fmt: skip
"""The actions that AWS needs for disks that a customer's key encrypts ("Required permissions", Amazon EBS User Guide)."""
ACTIONS: Final = IamActions(
    read=(
        "ec2:DescribeInstances", "ec2:DescribeVolumes", "ec2:DescribeInstanceCreditSpecifications",
        "ec2:DescribeImages", "ssm:GetParameters",
        "s3:ListBucketVersions", "ssm:DescribeParameters", "secretsmanager:DescribeSecret",
    ),
    look=(
        "ec2:DescribeInstanceTypes", "ec2:DescribeInstanceTypeOfferings", "ec2:DescribeKeyPairs",
        "iam:GetInstanceProfile", "servicequotas:GetServiceQuota",
    ),
    create=(
        "ec2:RunInstances", "ec2:CreateTags", "ec2:StopInstances", "ec2:ModifyInstanceAttribute", "ec2:CreateVolume",
        "ec2:AttachVolume", "ec2:ModifyVolume", "ec2:DescribeVolumesModifications", "iam:PassRole", *_KMS,
    ),
    update=(
        "ec2:ModifyInstanceAttribute", "ec2:ModifyInstanceMetadataOptions", "ec2:ModifyInstanceCreditSpecification",
        "ec2:ModifyInstancePlacement", "ec2:MonitorInstances", "ec2:UnmonitorInstances",
        "ec2:ModifyNetworkInterfaceAttribute", "ec2:ModifyVolume", "ec2:DescribeVolumesModifications", "ec2:CreateVolume",
        "ec2:AttachVolume", "ec2:DescribeIamInstanceProfileAssociations", "ec2:AssociateIamInstanceProfile",
        "ec2:ReplaceIamInstanceProfileAssociation", "iam:PassRole", "ec2:StartInstances", "ec2:StopInstances",
        "ec2:DescribeInstanceAttribute", "ec2:DescribeNetworkInterfaces", "ec2:CreateTags", *_KMS,
    ),
    delete=(
        "ec2:TerminateInstances", "ec2:DescribeInstanceAttribute", "ec2:ModifyInstanceAttribute", "ec2:CreateTags",
    ),
    on={  # a network interface carries no tag of the stack
        "ec2:RunInstances": "instance+ volume+ network-interface* subnet security-group placement-group snapshot",
        "ec2:CreateVolume": "volume+ snapshot", "ec2:AttachVolume": "instance volume", "ec2:ModifyVolume": "volume",
        "ec2:ModifyInstanceAttribute": "instance security-group", "ec2:DescribeInstanceAttribute": "instance",
        "ec2:ModifyInstancePlacement": "instance placement-group",
        "ec2:ModifyNetworkInterfaceAttribute": "network-interface*",
    },
    fields={
        "ec2:DescribeInstanceCreditSpecifications": "credit_specification",
        "ec2:ModifyInstanceCreditSpecification": "credit_specification",
        "ec2:ModifyInstanceMetadataOptions": "metadata_options", "ec2:ModifyInstancePlacement": "placement",
        "ec2:MonitorInstances": "monitoring", "ec2:UnmonitorInstances": "monitoring",
        "ec2:ModifyNetworkInterfaceAttribute": "associate_public_ip_address",
        "ec2:CreateVolume": "data_volumes", "ec2:AttachVolume": "data_volumes",
        "ec2:ModifyVolume": "root_volume data_volumes",
        "ec2:DescribeVolumesModifications": "root_volume data_volumes",
        "ec2:DescribeIamInstanceProfileAssociations": "iam_instance_profile",
        "ec2:AssociateIamInstanceProfile": "iam_instance_profile",
        "ec2:ReplaceIamInstanceProfileAssociation": "iam_instance_profile", "ec2:DescribeKeyPairs": "key_name",
    },
)  # fmt: skip


def instance_grants(wanted: Any, scope: Scope) -> Iterator[Grant]:
    """The permissions for the resources that an instance names."""
    region = f"arn:{scope.partition}:ec2:{scope.region}"
    image, key, profile = wanted.image_id, wanted.key_name, wanted.iam_instance_profile
    named = "*" if image.startswith(RESOLVE) else image
    yield Grant(("ec2:RunInstances",), (f"{region}::image/{named}",))
    if isinstance(app := wanted.user_data and wanted.user_data.recipe, Application):
        yield from version_grants(app, scope)
    yield Grant(("servicequotas:GetServiceQuota",), (scope.arn("servicequotas", "ec2/*"),))  # of vCPUs
    if image.startswith(PARAMETER):
        name = image.removeprefix(PARAMETER).partition(":")[0]
        account = "" if name.startswith("/aws/") else scope.account
        path = name.removeprefix("/")
        yield Grant(("ssm:GetParameters",), (f"arn:{scope.partition}:ssm:{scope.region}:{account}:parameter/{path}",))
    if wanted.security_groups is None:  # the VPC's default group, which has no tags
        yield Grant(("ec2:RunInstances",), (scope.arn("ec2", "security-group/*"),))
    if key:
        yield Grant(("ec2:RunInstances",), (scope.arn("ec2", f"key-pair/{key}"),))
    if group := (wanted.placement or {}).get("group_name"):
        named_group = (scope.arn("ec2", f"placement-group/{group}"),)
        yield Grant(("ec2:RunInstances", "ec2:ModifyInstancePlacement"), named_group)
    if profile:
        yield may_pass(scope, profile)
    if profile and not isinstance(profile, Address):
        own = profile if profile.startswith("arn:") else scope.iam(f"instance-profile/{profile}")
        yield Grant(("iam:GetInstanceProfile",), (own,))
    disks = {**(wanted.root_volume or {}), **(wanted.data_volumes or {})}
    keys = [value for path, value in disks.items() if path.rpartition(".")[2] == "kms_key_id"]
    if keys:
        arns = tuple(sorted(item if item.startswith("arn:") else scope.arn("kms", f"key/{item}") for item in keys))
        is_alias = any(":key/" not in item or item.endswith("key/alias") for item in arns)
        via = (("StringEquals", "kms:ViaService", (f"ec2.{scope.region}.amazonaws.com",)),)
        yield Grant(_KMS, ANY if is_alias else arns, via)
