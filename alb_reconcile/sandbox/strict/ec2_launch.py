"""Imitates AWS's rules for RunInstances: tokens, profiles, disks, groups, and what an instance shows afterwards."""

from collections.abc import Callable
from typing import Any

from .ec2_disks import check_devices, check_disk, check_root_disk
from .ec2_instances import refuse_mixed_options
from .ec2_options import finish_options
from .quotas import most_by_quota
from .references import not_found
from .rule import Call, after, around, before, refuse
from .tokens import fingerprint, made_once, refuse_mismatch
from .world import Timeline

ROOT_TYPE = "gp3"
GP3_IOPS, GP3_THROUGHPUT = 3000, 125


@before("RunInstances", "AssociateIamInstanceProfile", "ReplaceIamInstanceProfileAssociation")
def profile_must_exist(call: Call) -> None:
    """RunInstances: InvalidParameterValue, 'Invalid IAM Instance Profile name', also for some time after the profile was created."""
    from moto.iam.models import iam_backends

    wanted = call.given("IamInstanceProfile", {})
    if not wanted:
        return
    profiles = iam_backends[call.world.account][call.world.ec2.partition].instance_profiles.values()
    name, arn = wanted.get("Name"), wanted.get("Arn")
    if name is not None and not any(profile.name == name for profile in profiles):
        refuse(
            "InvalidParameterValue",
            f"Value ({name}) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
        )
    if arn is not None and not any(profile.arn == arn for profile in profiles):
        refuse(
            "InvalidParameterValue",
            f"Value ({arn}) for parameter iamInstanceProfile.arn is invalid. Invalid IAM Instance Profile ARN",
        )


@before("RunInstances")
def groups_are_of_the_subnets_vpc(call: Call) -> None:
    """RunInstances: InvalidParameter when a security group and the subnet belong to different networks."""
    for interface in (call.params, *call.given("NetworkInterfaces", [])):
        subnet_id = interface.get("SubnetId")
        groups = [*interface.get("SecurityGroupIds", []), *interface.get("Groups", [])]
        subnet = call.world.subnet(subnet_id) if subnet_id else None
        if subnet_id and subnet is None:
            refuse(*not_found(subnet_id))
        for group in groups:
            known = next((g for g in call.world.groups() if g.id == group), None)
            if known is None:
                refuse(*not_found(group))
            if subnet and known.vpc_id != subnet.vpc_id:
                refuse(
                    "InvalidParameter", f"Security group {group} and subnet {subnet_id} belong to different networks."
                )


@around("RunInstances")
def token_makes_one_launch(call: Call, proceed: Callable[[], Any]) -> Any:
    """AWS EC2, 'Ensuring idempotency': the same token and parameters give the same instance; with other
    parameters, IdempotentParameterMismatch; if the token's instance is terminated, IdempotentInstanceTerminated (boto3#4406). The
    parameters are checked first. A launch that is refused for lack of capacity has used its token, too (ubicloud, pull request 5898). If
    the request names a subnet, the token is for the subnet's zone only."""
    token = call.given("ClientToken")
    if token is None:
        return _launch(call, proceed)
    ledger = call.world.ledger
    subnet = subnet_of(call)
    key = (token, subnet.availability_zone if subnet else "")
    digest = fingerprint(call.params)
    known_digest, reservation_id = ledger.tokens.setdefault(key, (digest, ""))
    if digest != known_digest:
        refuse_mismatch()
    if not reservation_id:  # a new token, or its launch was refused
        result = _launch(call, proceed)
        ledger.tokens[key] = (digest, result.id)
        ledger.reservations[result.id] = [instance.id for instance in result.instances]
        return result
    for instance_id in ledger.reservations[reservation_id]:
        instance = call.world.instance(instance_id)
        if instance is None or instance.state in ("shutting-down", "terminated"):
            refuse("IdempotentInstanceTerminated", "The instance of this idempotent request is terminated.")
    return call.world.ec2.reservations[reservation_id]


@around("CreateRouteTable")
def token_makes_one_route_table(call: Call, proceed: Callable[[], Any]) -> Any:
    """CreateRouteTable: a ClientToken makes one table only (moto ignores it)."""
    return made_once(call, "RouteTable", call.world.ec2.route_tables, proceed)


def _launch(call: Call, proceed: Callable[[], Any]) -> Any:
    if call.given("InstanceType") in call.world.ledger.no_capacity:
        refuse(
            "InsufficientInstanceCapacity",
            f"We currently do not have sufficient {call.given('InstanceType')} capacity in the Availability Zone you "
            "requested. Our system will be working on provisioning additional capacity.",
            status=500,  # EC2 API reference, "Error codes": a server error
        )
    refuse_mixed_options(call.given("MetadataOptions", {}))
    mappings = complete_mappings(call)
    call.params["BlockDeviceMappings"] = [plain_disk(mapping) for mapping in mappings]
    call.params["MinCount"] = most_that_fit(call)  # moto launches MinCount instances
    reservation = proceed()
    for instance in reservation.instances:
        finish_disks(call, instance, mappings)
        finish_interfaces(call, instance)
        finish_profile(call, instance)
        finish_options(call, instance)
        instance.disable_api_termination = bool(call.given("DisableApiTermination"))
        instance.launch_time = call.moment
        timeline = Timeline()
        timeline.add(call.now, "pending")
        runs = call.now + call.timing.of(instance.instance_type, call.timing.pending)
        timeline.then(runs, "running")
        call.world.ledger.instances[instance.id] = timeline
        call.world.ledger.schedule(runs, "state", instance.id)
    return reservation


def subnet_of(call: Call) -> Any | None:
    """The subnet of a launch, which the request or its network interface names."""
    interface: Any = next(iter(call.given("NetworkInterfaces", [])), {})
    return call.world.subnet(call.given("SubnetId") or interface.get("SubnetId", ""))


def most_that_fit(call: Call) -> int:
    """RunInstances, MaxCount: 'If you specify a value that is more capacity than Amazon EC2 can launch in the target
    Availability Zone, Amazon EC2 launches the largest possible number of instances above the specified minimum count';
    MinCount: else it 'does not launch any instances' (InsufficientFreeAddressesInSubnet, VcpuLimitExceeded). This is checked
    after the token, since a repeated launch needs no room."""
    least, most = int(call.given("MinCount", 1)), int(call.given("MaxCount", 1))
    subnet = subnet_of(call)
    free = subnet.available_ip_address_count if subnet else most
    if free < least:
        refuse(
            "InsufficientFreeAddressesInSubnet",
            "The specified subnet does not have enough free addresses to satisfy the request.",
        )
    return min(most, free, most_by_quota(call, least))


def complete_mappings(call: Call) -> list[dict[str, Any]]:
    """The image's root disk with what the request overrides, then the request's other disks."""
    asked = [dict(mapping) for mapping in call.given("BlockDeviceMappings", []) if "NoDevice" not in mapping]
    image = call.world.ec2.amis.get(call.given("ImageId"))
    if image is None:
        return asked  # moto refuses it
    root = next((mapping for mapping in asked if mapping.get("DeviceName") == image.root_device_name), None)
    others = [mapping for mapping in asked if mapping is not root]
    snapshot = image.ebs_snapshot
    root_disk = {"VolumeSize": snapshot.volume.size, "VolumeType": ROOT_TYPE, "DeleteOnTermination": True}
    root_disk |= (root or {}).get("Ebs", {})
    check_root_disk(root_disk, snapshot)
    for mapping in (*([{"Ebs": root_disk}] if root else ()), *others):
        check_disk(mapping.get("Ebs", {}))
    check_devices(others)
    return [{"DeviceName": image.root_device_name, "Ebs": root_disk}, *others]


def plain_disk(mapping: dict[str, Any]) -> dict[str, Any]:
    """A disk without the settings that moto's RunInstances can't take: moto ignores IOPS, and then refuses types that need IOPS."""
    if "Ebs" not in mapping:
        return mapping
    kept = ("SnapshotId", "VolumeSize", "DeleteOnTermination", "Encrypted", "KmsKeyId")
    return {**mapping, "Ebs": {key: mapping["Ebs"][key] for key in kept if key in mapping["Ebs"]}}


def finish_disks(call: Call, instance: Any, mappings: list[dict[str, Any]]) -> None:
    """DescribeVolumes shows the disk as it was asked for."""
    for mapping in mappings:
        device = instance.block_device_mapping.get(mapping["DeviceName"])
        disk = mapping.get("Ebs", {})
        if device is None:
            continue
        volume = call.world.ec2.volumes[device.volume_id]
        volume.volume_type = disk.get("VolumeType", "gp2")
        if volume.volume_type == "gp3":
            volume.iops = disk.get("Iops", GP3_IOPS)
            volume.throughput = disk.get("Throughput", GP3_THROUGHPUT)
        else:
            volume.iops = disk.get("Iops")


def finish_interfaces(call: Call, instance: Any) -> None:
    """The primary interface is deleted with its instance, is attached at the launch, and has the instance's groups (moto: none of it)."""
    keeps = {
        int(item.get("DeviceIndex", 0))
        for item in call.given("NetworkInterfaces", [])
        if item.get("NetworkInterfaceId") or item.get("DeleteOnTermination") is False
    }
    for index, nic in instance.nics.items():
        nic.delete_on_termination = index not in keeps
        nic.attach_time = call.moment
        unique = {group.id: group for group in nic._group_set}
        nic._group_set = list(unique.values())
    if not instance.security_groups and 0 in instance.nics:
        instance.security_groups = list(instance.nics[0]._group_set)


def finish_profile(call: Call, instance: Any) -> None:
    """Every instance of a launch has the profile (moto: the first one)."""
    wanted = call.given("IamInstanceProfile", {})
    associations = call.world.ec2.iam_instance_profile_associations
    if wanted and instance.id not in associations:
        call.world.ec2.associate_iam_instance_profile(instance.id, wanted.get("Name"), wanted.get("Arn"))
    if instance.id in associations:
        show_profile(instance, associations[instance.id])


def show_profile(instance: Any, association: Any) -> None:
    """DescribeInstances: IamInstanceProfile.Id is the profile's (moto: the association's)."""
    profile = association.iam_instance_profile
    instance.iam_instance_profile = {"Arn": profile.arn, "Id": profile.id}


@after("CreateVolume")
def volumes_have_gp3_defaults(call: Call, result: Any) -> Any:
    """CreateVolume: gp3 has 3,000 IOPS and 125 MiB/s unless told otherwise."""
    if result.volume_type == "gp3":
        result.iops = result.iops or GP3_IOPS
        result.throughput = result.throughput or GP3_THROUGHPUT
    return result
