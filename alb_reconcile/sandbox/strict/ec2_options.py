"""Rules of an instance's options: what RunInstances takes of them, what is shown, and what changes them in which state."""

from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.responses import EC2Response
from moto.ec2.utils import random_public_ip

from .references import not_found
from .rule import Call, around, before, refuse

SHOWN: dict[str, dict[str, Any]] = {
    "CapacityReservationSpecification": {"CapacityReservationPreference": "open"},
    "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 2},
    "EnclaveOptions": {"Enabled": False},
    "HibernationOptions": {"Configured": False},
    "MaintenanceOptions": {"AutoRecovery": "default"},
    "NetworkPerformanceOptions": {"BandwidthWeighting": "default"},
    "PrivateDnsNameOptions": {
        "HostnameType": "ip-name", "EnableResourceNameDnsARecord": False, "EnableResourceNameDnsAAAARecord": False,
    },
}  # fmt: skip
"""What DescribeInstances shows where nothing was asked for."""
PLACEMENT = ("Tenancy", "GroupName", "GroupId", "PartitionNumber", "HostId", "HostResourceGroupArn", "Affinity")
BURSTING = ("t2.", "t3.", "t3a.", "t4g.")
CHANGES = {
    "ModifyInstancePlacement": "Placement",
    "ModifyInstanceCpuOptions": "CpuOptions",
    "ModifyInstanceMaintenanceOptions": "MaintenanceOptions",
    "ModifyPrivateDnsNameOptions": "PrivateDnsNameOptions",
    "ModifyInstanceCapacityReservationAttributes": "CapacityReservationSpecification",
    "ModifyInstanceNetworkPerformanceOptions": "NetworkPerformanceOptions",
}
STOPPED = {
    "ModifyInstancePlacement",
    "ModifyInstanceCpuOptions",
    "ModifyInstanceCapacityReservationAttributes",
    "ModifyInstanceNetworkPerformanceOptions",
}


def snake(name: str) -> str:
    """As moto calls the attributes of its objects."""
    from moto.core.utils import camelcase_to_underscores

    return str(camelcase_to_underscores(name))


def finish_options(call: Call, instance: Any) -> None:
    """An instance shows the options that it was launched with (moto forgets them)."""
    for name, usual in SHOWN.items():
        setattr(instance, snake(name), {**usual, **call.given(name, {})})
    if target := call.given("CapacityReservationSpecification", {}).get("CapacityReservationTarget"):
        instance.capacity_reservation_specification = {"CapacityReservationTarget": target}
    for name, value in call.given("Placement", {}).items():
        setattr(instance.placement, snake(name), value)
    burst = "standard" if instance.instance_type.startswith("t2.") else "unlimited"
    instance.cpu_credits = call.given("CreditSpecification", {}).get("CpuCredits", burst)
    interface = instance.nics.get(0)
    asked = next(iter(call.given("NetworkInterfaces", [])), call.params)
    if interface is not None and (count := int(asked.get("Ipv6AddressCount") or 0)):
        add_addresses(call, interface, count)


def add_addresses(call: Call, interface: Any, count: int) -> None:
    """AssignIpv6Addresses: of the range of the subnet, which must have one."""
    if not interface.subnet.ipv6_cidr_block_associations:
        refuse("InvalidParameterValue", f"The subnet {interface.subnet.id} has no IPv6 CIDR block")
    missing = count - len(interface.ipv6_addresses)
    if missing > 0:
        call.world.ec2.assign_ipv6_addresses(interface.id, None, missing)


@before("RunInstances")
def interface_takes_what_is_its_own(call: Call) -> None:
    """RunInstances: 'If you specify a network interface, you must specify any security groups' (and the subnet, and the
    addresses) 'as part of the network interface' (InvalidParameterCombination)."""
    if call.given("NetworkInterfaces"):
        for name in ("SubnetId", "SecurityGroupIds", "PrivateIpAddress", "Ipv6AddressCount"):
            if call.given(name):
                refuse(
                    "InvalidParameterCombination",
                    f"Network interfaces and an instance-level {name} may not be specified on the same request",
                )


@before("RunInstances")
def one_address_is_for_one_instance(call: Call) -> None:
    """RunInstances, PrivateIpAddress: 'You cannot specify this option if you're launching more than one instance in the
    request'; of the subnet's range, and free (InvalidIPAddress.InUse)."""
    from ipaddress import ip_address, ip_network

    interface = next(iter(call.given("NetworkInterfaces", [])), call.params)
    address = interface.get("PrivateIpAddress")
    if not address:
        return
    if int(call.given("MaxCount", 1)) > 1:
        refuse("InvalidParameterCombination", "A private IP address may not be specified for several instances")
    subnet = call.world.subnet(interface.get("SubnetId", ""))
    if subnet and ip_address(address) not in ip_network(subnet.cidr_block):
        refuse("InvalidParameterValue", f"Address {address} does not fall within the subnet's address range")
    if any(address == eni.private_ip_address for eni in call.world.interfaces(subnet_id=interface.get("SubnetId"))):
        refuse("InvalidIPAddress.InUse", f"Address {address} is in use.")


@before("RunInstances")
def options_fit_each_other(call: Call) -> None:
    """RunInstances, HibernationOptions: 'You can't enable hibernation and AWS Nitro Enclaves on the same instance'; EC2 User
    Guide, 'Prerequisites for EC2 instance hibernation': the root volume must be encrypted. CreditSpecification is 'for
    burstable performance instances'; CpuOptions, 'you must specify both' cores and threads."""
    hibernates = call.given("HibernationOptions", {}).get("Configured")
    if hibernates and call.given("EnclaveOptions", {}).get("Enabled"):
        refuse("InvalidParameterCombination", "You can't enable hibernation and enclaves on the same instance")
    disks = [mapping.get("Ebs", {}) for mapping in call.given("BlockDeviceMappings", [])[:1]]
    if hibernates and not any(disk.get("Encrypted") for disk in disks):
        refuse("UnsupportedHibernationConfiguration", "Hibernation requires an encrypted root volume")
    if call.given("CreditSpecification") and not call.given("InstanceType", "").startswith(BURSTING):
        refuse("InvalidParameterCombination", f"{call.given('InstanceType')} does not support CPU credits")
    cores = call.given("CpuOptions", {})
    if ("CoreCount" in cores) != ("ThreadsPerCore" in cores):
        refuse("InvalidParameterCombination", "CoreCount and ThreadsPerCore must be specified together")
    if cores and call.given("InstanceType", "").startswith("t2."):
        refuse("Unsupported", f"{call.given('InstanceType')} does not support CPU options")


def existing(call: Call, instance_id: str) -> Any:
    instance = call.world.instance(instance_id)
    if instance is None:
        refuse(*not_found(instance_id))
    return instance


@around(*CHANGES)
def options_change_one_by_one(call: Call, _: Callable[[], Any]) -> Any:
    """Placement, CPU options, Capacity Reservations and bandwidth weighting change on a stopped instance only, and so does the
    type of its host name (EC2 API Reference, ModifyInstancePlacement and the like: 'in the stopped state')."""
    instance = existing(call, call.given("InstanceId"))
    stopped = call.action in STOPPED or call.given("PrivateDnsHostnameType") is not None
    if stopped and instance.state != "stopped":
        refuse("IncorrectInstanceState", f"The instance '{instance.id}' is not in the 'stopped' state.")
    given = {
        key: value for key, value in call.params.items() if key not in ("InstanceId", "DryRun", "Action", "Version")
    }
    name = CHANGES[call.action]
    if name == "Placement":
        for key in PLACEMENT:
            if key in given:
                setattr(instance.placement, snake(key), given[key])
        return {"Return": True}
    if name == "CapacityReservationSpecification":
        instance.capacity_reservation_specification = given[name]
        return {"Return": True}
    if "PrivateDnsHostnameType" in given:
        given["HostnameType"] = given.pop("PrivateDnsHostnameType")
    setattr(instance, snake(name), {**getattr(instance, snake(name)), **given})
    return {"InstanceId": instance.id, "Return": True, **getattr(instance, snake(name))}


@around("ModifyInstanceCreditSpecification")
def credits_change_in_any_state(call: Call, _: Callable[[], Any]) -> Any:
    """ModifyInstanceCreditSpecification: 'on a running or stopped burstable performance instance'."""
    done, failed = [], []
    for item in call.given("InstanceCreditSpecifications", []):
        instance = existing(call, item["InstanceId"])
        if instance.instance_type.startswith(BURSTING):
            instance.cpu_credits = item["CpuCredits"]
            done.append({"InstanceId": instance.id})
        else:
            error = {"Code": "InstanceCreditSpecification.NotSupported", "Message": "not a burstable instance"}
            failed.append({"InstanceId": instance.id, "Error": error})
    return {
        "SuccessfulInstanceCreditSpecifications": done,
        "UnsuccessfulInstanceCreditSpecifications": failed,
    }


@around("DescribeInstanceCreditSpecifications")
def credits_are_shown(call: Call, _: Callable[[], Any]) -> Any:
    """DescribeInstanceCreditSpecifications: 'the credit option of those instances' (moto: always standard)."""
    found = [existing(call, item) for item in call.given("InstanceIds", [])]
    return {
        "InstanceCreditSpecifications": [
            {"InstanceId": item.id, "CpuCredits": getattr(item, "cpu_credits", "standard")} for item in found
        ]
    }


@around("MonitorInstances", "UnmonitorInstances")
def monitoring_is_switched(call: Call, _: Callable[[], Any]) -> Any:
    """MonitorInstances and UnmonitorInstances, on running instances and others."""
    state = "enabled" if call.action == "MonitorInstances" else "disabled"
    for instance_id in call.given("InstanceIds", []):
        existing(call, instance_id).monitoring_state = state
    return {"InstanceMonitorings": []}


@around("ModifyInstanceAttribute")
def enclaves_are_switched(call: Call, proceed: Callable[[], Any]) -> Any:
    """ModifyInstanceAttribute, EnclaveOptions (moto: unknown)."""
    wanted = call.given("EnclaveOptions")
    if wanted is None:
        return proceed()
    existing(call, call.given("InstanceId")).enclave_options = dict(wanted)
    return None


@around("ModifyInstanceAttribute")
def shutdown_behavior_is_set(call: Call, proceed: Callable[[], Any]) -> Any:
    """ModifyInstanceAttribute, InstanceInitiatedShutdownBehavior.Value (moto: unknown)."""
    wanted = call.given("InstanceInitiatedShutdownBehavior")
    if wanted is None:
        return proceed()
    existing(call, call.given("InstanceId")).instance_initiated_shutdown_behavior = wanted["Value"]
    return None


@around("ModifyNetworkInterfaceAttribute")
def public_address_comes_and_goes(call: Call, proceed: Callable[[], Any]) -> Any:
    """ModifyNetworkInterfaceAttribute, AssociatePublicIpAddress: assigned to the primary interface, or taken from it; 'Public IPv4
    addresses': one that is stopped has none, and gets a new one when it starts."""
    wanted = call.given("AssociatePublicIpAddress")
    if wanted is None:
        return proceed()
    interface = call.world.ec2.get_network_interface(call.given("NetworkInterfaceId"))
    interface.public_ip_auto_assign = wanted
    is_stopped = interface.instance is not None and interface.instance._state.name != "running"
    interface.public_ip = interface.public_ip or random_public_ip() if wanted and not is_stopped else None
    return None


@before("AssignIpv6Addresses")
def subnet_has_an_ipv6_range(call: Call) -> None:
    """AssignIpv6Addresses: 'of the subnet's IPv6 CIDR block range' (moto: an IndexError)."""
    interface = call.world.ec2.get_network_interface(call.given("NetworkInterfaceId"))
    if not interface.subnet.ipv6_cidr_block_associations:
        refuse("InvalidParameterValue", f"The subnet {interface.subnet.id} has no IPv6 CIDR block")


_association = NetworkInterface.association.fget  # type: ignore[attr-defined]  # a property


def owned_association(self: Any) -> dict[str, Any]:
    """DescribeInstances, IpOwnerId: `amazon` for an address of AWS's, the account for an Elastic IP address."""
    found: dict[str, Any] = _association(self)
    return {**found, "ipOwnerId": "amazon"} if found and "allocationId" not in found else found


_SWITCHES = {name: getattr(NetworkInterface, name) for name in ("start", "stop")}


def beside_elastic_ips(switch: Callable[[Any], None]) -> Callable[[Any], None]:
    """'Elastic IP addresses': one stays with an instance that is stopped and started (moto: AWS's own takes its place)."""

    def keep(self: Any) -> None:
        if "allocationId" not in _association(self):
            switch(self)

    return keep


def _unanswered(self: Any) -> ActionResult:
    return ActionResult({})


def patches() -> list[tuple[Any, str, Any]]:
    """Actions that moto doesn't know, so that a rule can answer them."""
    unknown = [snake(name) for name in (*CHANGES, "ModifyInstanceCreditSpecification")]
    known: list[tuple[Any, str, Any]] = [(NetworkInterface, "association", property(owned_association))]
    known += [(NetworkInterface, name, beside_elastic_ips(switch)) for name, switch in _SWITCHES.items()]
    return [*((EC2Response, name, _unanswered) for name in unknown if not hasattr(EC2Response, name)), *known]
