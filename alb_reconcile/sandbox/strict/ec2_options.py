"""Imitates AWS's rules for an instance's options: what RunInstances accepts, what is shown, and what may change in which state."""

from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.ec2.models.elastic_network_interfaces import NetworkInterface
from moto.ec2.responses import EC2Response
from moto.ec2.utils import random_public_ip

from .references import not_found
from .rule import Call, around, before, refuse

PLACEMENT = ("Tenancy", "GroupName")
BURSTING = ("t2.", "t3.", "t3a.", "t4g.")
CHANGES = ("ModifyInstancePlacement", "ModifyInstanceCreditSpecification")


def snake(name: str) -> str:
    """A name in snake case, as of the attributes of moto's objects."""
    from moto.core.utils import camelcase_to_underscores

    return str(camelcase_to_underscores(name))


def finish_options(call: Call, instance: Any) -> None:
    """DescribeInstances shows the options with which an instance was launched (moto forgets them)."""
    for name in ("EnclaveOptions", "HibernationOptions"):
        setattr(instance, snake(name), call.given(name))
    for name, value in call.given("Placement", {}).items():
        setattr(instance.placement, snake(name), value)
    burst = "standard" if instance.instance_type.startswith("t2.") else "unlimited"
    instance.cpu_credits = call.given("CreditSpecification", {}).get("CpuCredits", burst)


@before("RunInstances")
def interface_takes_what_is_its_own(call: Call) -> None:
    """RunInstances: 'If you specify a network interface, you must specify any security groups' (and the subnet, and the
    addresses) 'as part of the network interface' (InvalidParameterCombination)."""
    if call.given("NetworkInterfaces"):
        for name in ("SubnetId", "SecurityGroupIds", "PrivateIpAddress"):
            if call.given(name):
                refuse(
                    "InvalidParameterCombination",
                    f"Network interfaces and an instance-level {name} may not be specified on the same request",
                )


@before("RunInstances")
def one_address_is_for_one_instance(call: Call) -> None:
    """RunInstances, PrivateIpAddress: 'You cannot specify this option if you're launching more than one instance in the
    request'; the address must be in the subnet's range, and free (InvalidIPAddress.InUse)."""
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
def credits_fit_the_type(call: Call) -> None:
    """RunInstances: CreditSpecification is 'for burstable performance instances'."""
    if call.given("CreditSpecification") and not call.given("InstanceType", "").startswith(BURSTING):
        refuse("InvalidParameterCombination", f"{call.given('InstanceType')} does not support CPU credits")


def existing(call: Call, instance_id: str) -> Any:
    instance = call.world.instance(instance_id)
    if instance is None:
        refuse(*not_found(instance_id))
    return instance


@around("ModifyInstancePlacement")
def placement_changes_on_a_stopped_instance(call: Call, _: Callable[[], Any]) -> Any:
    """ModifyInstancePlacement: 'in the stopped state'."""
    instance = existing(call, call.given("InstanceId"))
    if instance.state != "stopped":
        refuse("IncorrectInstanceState", f"The instance '{instance.id}' is not in the 'stopped' state.")
    for key in PLACEMENT:
        if call.given(key):
            setattr(instance.placement, snake(key), call.given(key))
    return {"Return": True}


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
    """MonitorInstances, UnmonitorInstances: allowed in every state."""
    state = "enabled" if call.action == "MonitorInstances" else "disabled"
    for instance_id in call.given("InstanceIds", []):
        existing(call, instance_id).monitoring_state = state
    return {"InstanceMonitorings": []}


@around("ModifyInstanceAttribute")
def shutdown_behavior_is_set(call: Call, proceed: Callable[[], Any]) -> Any:
    """ModifyInstanceAttribute, InstanceInitiatedShutdownBehavior.Value (moto doesn't know it)."""
    wanted = call.given("InstanceInitiatedShutdownBehavior")
    if wanted is None:
        return proceed()
    existing(call, call.given("InstanceId")).instance_initiated_shutdown_behavior = wanted["Value"]
    return None


@around("ModifyNetworkInterfaceAttribute")
def public_address_comes_and_goes(call: Call, proceed: Callable[[], Any]) -> Any:
    """ModifyNetworkInterfaceAttribute, AssociatePublicIpAddress: the primary interface gets or loses a public address; 'Public IPv4
    addresses': a stopped instance has none, and gets a new one when it starts."""
    wanted = call.given("AssociatePublicIpAddress")
    if wanted is None:
        return proceed()
    interface = call.world.ec2.get_network_interface(call.given("NetworkInterfaceId"))
    interface.public_ip_auto_assign = wanted
    is_stopped = interface.instance is not None and interface.instance._state.name != "running"
    interface.public_ip = interface.public_ip or random_public_ip() if wanted and not is_stopped else None
    return None


_association = NetworkInterface.association.fget  # type: ignore[attr-defined]  # a property


def owned_association(self: Any) -> dict[str, Any]:
    """DescribeInstances, IpOwnerId: `amazon` for a public address of AWS, the account for an Elastic IP address."""
    found: dict[str, Any] = _association(self)
    return {**found, "ipOwnerId": "amazon"} if found and "allocationId" not in found else found


_SWITCHES = {name: getattr(NetworkInterface, name) for name in ("start", "stop")}


def beside_elastic_ips(switch: Callable[[Any], None]) -> Callable[[Any], None]:
    """'Elastic IP addresses': an Elastic IP address stays with an instance that is stopped and started (moto: a public address of AWS
    replaces it)."""

    def keep(self: Any) -> None:
        if "allocationId" not in _association(self):
            switch(self)

    return keep


def _unanswered(self: Any) -> ActionResult:
    return ActionResult({})


def patches() -> list[tuple[Any, str, Any]]:
    """Stand-ins for actions that moto doesn't know, so that rules can answer them; and corrections of public addresses."""
    unknown = [snake(name) for name in CHANGES]
    known: list[tuple[Any, str, Any]] = [(NetworkInterface, "association", property(owned_association))]
    known += [(NetworkInterface, name, beside_elastic_ips(switch)) for name, switch in _SWITCHES.items()]
    return [*((EC2Response, name, _unanswered) for name in unknown if not hasattr(EC2Response, name)), *known]
