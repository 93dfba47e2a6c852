"""What the EC2 calls of the kinds can say and no spec can: each has AWS's document and a reason, or counts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import botocore.session
from botocore import xform_name

from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.text import camel
from alb_reconcile.spec.schema import load_schemas

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = botocore.session.get_session().get_service_model("ec2")
KINDS_FOLDER = Path(__file__).parent.parent / "alb_reconcile" / "kinds"
VERBS = (
    "Run",
    "Create",
    "Modify",
    "Import",
    "Allocate",
    "Associate",
    "Assign",
    "Attach",
    "Authorize",
    "Monitor",
    "Replace",
)
OTHERS: Final = {"ModifyCapacityReservation"}
"""What is called of Elastic Load Balancing, and is the name of an action of EC2's, too."""
PLUMBING = frozenset(
    {
        "ClientToken", "DryRun", "TagSpecifications", "TagSpecification", "Tags", "Attribute", "Value", "Resources", "InstanceIds",
        "InstanceId", "VolumeId", "NetworkInterfaceId", "AssociationId", "NetworkInterfaces", "DeviceIndex", "Ebs",
        "InstanceCreditSpecifications", "IpPermissions", "GroupId", "VpcId", "SubnetId", "RouteTableId", "InternetGatewayId",
        "AllocationId", "VpcEncryptionControlId", "PrivateDnsHostnameType", "KeyName", "PublicKeyMaterial", "MaxCount", "MinCount",
    }
)  # fmt: skip
"""Which resource a call is about, and how it is sent: nothing that a spec would say of what it is like."""
SYNONYMS: Final = {
    "Size": "VolumeSize", "Device": "DeviceName", "Groups": "SecurityGroupIds", "AddRouteTableIds": "RouteTableIds", "RemoveRouteTableIds": "RouteTableIds",
    "AddSubnetIds": "SubnetIds", "RemoveSubnetIds": "SubnetIds", "AddSecurityGroupIds": "SecurityGroupIds",
    "RemoveSecurityGroupIds": "SecurityGroupIds", "ResetPolicy": "PolicyDocument",
}  # fmt: skip
"""What some calls call the same."""
EXCLUDED: Final = {
    "Domain": ("EC2 API Reference, AllocateAddress", "the network is always vpc"),
    "PublicIp": ("EC2 API Reference, AssociateAddress", "deprecated; addresses are named by their allocation"),
    "AllowReassociation": ("EC2 API Reference, AssociateAddress", "the plan knows from whom an address may be taken"),
    "LocalTarget": ("EC2 API Reference, ReplaceRoute", "it resets the local route, which is never replaced here"),
    "PrivateIpAddressCount": ("EC2 API Reference, AssignPrivateNatGatewayAddress", "the addresses themselves are said, so that a plan can be empty"),
    "SubnetConfigurations": ("EC2 API Reference, ModifyVpcEndpoint", "to change it temporarily disconnects the subnet; AWS chooses addresses"),
    "MapCustomerOwnedIpOnLaunch": ("Outposts User Guide, 'Customer-owned IP addresses'", "a load balancer there takes its pool itself; instances behind it need none"),
    "EnableLniAtDeviceIndex": ("Outposts User Guide, 'Local network interfaces'", "no load balancer reaches an instance by one"),
    "DisableLniAtDeviceIndex": ("Outposts User Guide, 'Local network interfaces'", "no load balancer reaches an instance by one"),
    "Attachment": ("EC2 API Reference, ModifyNetworkInterfaceAttribute", "how it is attached: an instance here has one interface"),
    "AssociatedSubnetIds": ("EC2 API Reference, ModifyNetworkInterfaceAttribute", "for interfaces in several zones, which no instance has"),
    "AdditionalInfo": ("EC2 API Reference, RunInstances", "reserved"),
    "Operator": ("EC2 API Reference, RunInstances", "reserved for internal use"),
    "SpreadDomain": ("EC2 API Reference, Placement", "reserved for future use"),
    "KernelId": ("EC2 API Reference, RunInstances", "AWS recommends PV-GRUB instead, and HVM images have none"),
    "Kernel": ("EC2 API Reference, ModifyInstanceAttribute", "AWS recommends PV-GRUB instead, and HVM images have none"),
    "RamdiskId": ("EC2 API Reference, RunInstances", "AWS recommends PV-GRUB instead, and HVM images have none"),
    "Ramdisk": ("EC2 API Reference, ModifyInstanceAttribute", "AWS recommends PV-GRUB instead, and HVM images have none"),
    "SriovNetSupport": ("EC2 User Guide, 'Enhanced networking'", "the image says it; there is no way back"),
    "EnaSupport": ("EC2 User Guide, 'Enhanced networking'", "the image says it; wrong, it makes an instance unreachable"),
    "ElasticGpuSpecification": ("EC2 API Reference, RunInstances", "Amazon Elastic Graphics reached end of life"),
    "ElasticInferenceAccelerators": ("EC2 API Reference, RunInstances", "Amazon Elastic Inference is no longer available"),
    "SecurityGroups": ("EC2 API Reference, RunInstances", "the same groups by name, in a default VPC only"),
    "LaunchTemplate": (
        "EC2 API Reference, RunInstances",
        "parameters of the request override it: the spec says them, and a template's would be drift that nobody sees",
    ),
    "InstanceMarketOptions": (
        "EC2 User Guide, 'Spot Instance interruptions'",
        "AWS takes spot instances away with two minutes' notice; what makes others then is Auto Scaling",
    ),
    "LicenseSpecifications": (
        "License Manager User Guide, 'Associating self-managed licenses and AMIs'",
        "an association with the image counts each instance that is launched from it",
    ),
    "SecondaryInterfaces": ("EC2 API Reference, RunInstances", "for networks beside the VPC, which no load balancer reaches"),
    "Ipv6Addresses": (
        "EC2 API Reference, RunInstances",
        "not for several instances of one launch; targets of a load balancer are reached wherever they are",
    ),
    "EnablePrimaryIpv6": ("EC2 API Reference, RunInstances", "it can't be disabled; targets by instance are reached by IPv4"),
    "PrimaryIpv6": ("EC2 API Reference, RunInstances", "it can't be disabled; targets by instance are reached by IPv4"),
    "AvailabilityZone": ("EC2 API Reference, RunInstances", "the subnet says it"),
    "AvailabilityZoneId": ("EC2 API Reference, RunInstances", "the subnet says it"),
    "MetricCategoryIds": ("EC2 API Reference, RunInstancesMonitoringEnabled", "categories of metrics beyond detailed monitoring; nothing here reads them"),
    "RebootMigration": ("EC2 API Reference, ModifyInstanceMaintenanceOptions", "about a user's own reboot during a scheduled event"),
    "OutpostArn": ("Elastic Load Balancing, 'Application Load Balancers on AWS Outposts'", "volumes of an Outpost come from its snapshots; the subnet says where"),
    "EbsCardIndex": ("EC2 API Reference, EbsBlockDevice", "the default card is 0; few types have several"),
    "NoDevice": ("EC2 API Reference, BlockDeviceMapping", "it leaves out a volume of the image: choose an image without it"),
    "VirtualName": ("EC2 User Guide, 'Instance store volumes'", "NVMe instance stores are there by themselves"),
    "MultiAttachEnabled": ("EBS User Guide, 'Multi-Attach'", "for volumes of several instances; these belong to one"),
    "Arn": ("EC2 API Reference, IamInstanceProfileSpecification", "the same profile by its ARN"),
    "Description": ("EC2 API Reference, InstanceNetworkInterfaceSpecification", "a text that nothing reads, which AWS fills in"),
    "AssociateCarrierIpAddress": ("Wavelength Developer Guide", "Application Load Balancers' instances there need a carrier gateway, not an internet gateway"),
    "InterfaceType": ("EC2 User Guide, 'Elastic Fabric Adapter'", "for clusters that talk past the IP stack"),
    "NetworkCardIndex": ("EC2 API Reference, RunInstances", "the primary network interface must be on card 0"),
    "EnaSrdSpecification": ("EC2 User Guide, 'ENA Express'", "between instances of one zone; load balancer nodes aren't any"),
    "EnaQueueCount": ("EC2 API Reference, InstanceNetworkInterfaceSpecification", "for several interfaces that share queues; there is one"),
    "ConnectionTrackingSpecification": (
        "EC2 User Guide, 'Connection tracking timeouts'",
        "the load balancer's idle timeout is shorter than AWS's default, and ends what would be tracked",
    ),
    "SecondaryPrivateIpAddressCount": ("Elastic Load Balancing, 'Target groups', Target type", "targets by instance are reached at the primary private address of the primary interface"),
    "PrivateIpAddresses": ("Elastic Load Balancing, 'Target groups', Target type", "targets by instance are reached at the primary private address of the primary interface"),
    "Ipv4Prefixes": ("Elastic Load Balancing, 'Target groups', Target type", "targets by instance are reached at the primary private address of the primary interface"),
    "Ipv4PrefixCount": ("Elastic Load Balancing, 'Target groups', Target type", "targets by instance are reached at the primary private address of the primary interface"),
    "Ipv6Prefixes": ("Elastic Load Balancing, 'Target groups', Target type", "targets by instance are reached at the primary private address of the primary interface"),
    "Ipv6PrefixCount": ("Elastic Load Balancing, 'Target groups', Target type", "targets by instance are reached at the primary private address of the primary interface"),
}  # fmt: skip


def said() -> set[str]:
    """The members that the schemas say they stand for, by name: the last words of each `x-aws`."""
    found: set[str] = set()

    def walk(schema: Any) -> None:
        if isinstance(schema, dict):
            if isinstance(text := schema.get("x-aws"), str):
                found.update(word for word in re.split(r"[ ,.]+", text) if word)
            for value in schema.values():
                walk(value)
        elif isinstance(schema, list):
            for value in schema:
                walk(value)

    walk(list(load_schemas().values()))
    return found


def calls() -> list[str]:
    """The EC2 actions by which the kinds make and change things."""
    source = "\n".join(file.read_text(encoding="utf-8") for file in KINDS_FOLDER.glob("*.py"))
    named = [name for name in MODEL.operation_names if f'"{xform_name(name)}"' in source and name not in OTHERS]
    kinds = [kind.name for kind in load_kinds().values() if kind.properties.service == "ec2"]
    made = [f"Create{camel(name)}" for name in kinds if f'"import_{name}"' not in source]
    return sorted({name for name in (*named, *made) if name in MODEL.operation_names and name.startswith(VERBS)})


def members(shape: Any, path: str, seen: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Each member of a request, all the way down, with its path; what is excluded isn't entered."""
    for name, member in shape.members.items():
        yield f"{path}.{name}", name
        inner = member.member if member.type_name == "list" else member
        if (
            name not in EXCLUDED
            and not name.startswith("Tag")
            and inner.type_name == "structure"
            and inner.name not in seen
        ):
            yield from members(inner, f"{path}.{name}", (*seen, inner.name))


def unsaid() -> list[str]:
    known = said() | PLUMBING | EXCLUDED.keys()
    found = []
    for action in calls():
        shape = MODEL.operation_model(action).input_shape
        found += [path for path, name in members(shape, action) if SYNONYMS.get(name, name) not in known]
    return found


def test_a_spec_can_say_what_the_calls_can() -> None:
    found = unsaid()
    print(f"{len(found)} members of {len(calls())} EC2 calls can't be said; {len(EXCLUDED)} are excluded")
    assert not found, "\n".join(["a schema has to say these, or EXCLUDED why none should:", *found])


def test_each_call_that_makes_an_instance_is_looked_at() -> None:
    assert {"RunInstances", "ModifyInstanceAttribute", "ModifyVolume", "ModifyInstanceMetadataOptions"} <= set(calls())


def test_each_exclusion_is_of_a_member_that_there_is_and_has_a_reason() -> None:
    there = {name for action in calls() for _, name in members(MODEL.operation_model(action).input_shape, action)}
    assert not EXCLUDED.keys() - there
    assert not [
        name for name, (document, reason) in EXCLUDED.items() if len(document) < 5 or "not implemented" in reason
    ]
