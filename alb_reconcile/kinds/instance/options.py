"""Sets, reads and changes the optional settings of an instance that RunInstances takes as a structure or an attribute."""

import base64
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from alb_reconcile.aws.client import Aws, batches
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._instance_rows import primary_interface
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.errors import AwsError, ignoring
from alb_reconcile.model.text import camel

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Option:
    """A mapping of an instance's entry that RunInstances takes, and DescribeInstances shows, under one name."""

    field: str
    keys: tuple[str, ...]

    @property
    def name(self) -> str:
        """The option's name in AWS's calls and answers."""
        return camel(self.field)


METADATA: Final = Option(
    "metadata_options",
    ("http_tokens", "http_put_response_hop_limit", "http_endpoint", "http_protocol_ipv6", "instance_metadata_tags"),
)
MONITORING: Final = Option("monitoring", ("enabled",))
CREDITS: Final = Option("credit_specification", ("cpu_credits",))
PLACEMENT: Final = Option("placement", ("tenancy", "group_name"))
OPTIONS: Final = (MONITORING, CREDITS, PLACEMENT)
"""All options but the metadata service's, which has rules of its own."""

UNSHOWN: Final = ("instance_initiated_shutdown_behavior", "disable_api_termination", "disable_api_stop")
"""Attributes that only a call for each instance and attribute would show. A tag keeps their values."""
_MOST: Final = 1000
"""Most instances of one DescribeInstanceCreditSpecifications call."""
_UNMANAGED: Final[Mapping[tuple[str, str], object]] = {
    ("CapacityReservationSpecification", "CapacityReservationPreference"): "open",
    ("CapacityReservationSpecification", "CapacityReservationTarget"): None,
    ("CpuOptions", "AmdSevSnp"): "disabled",
    ("CpuOptions", "NestedVirtualization"): "disabled",
    ("EnclaveOptions", "Enabled"): False,
    ("HibernationOptions", "Configured"): False,
    ("MaintenanceOptions", "AutoRecovery"): "default",
    ("NetworkPerformanceOptions", "BandwidthWeighting"): "default",
    ("Placement", "PartitionNumber"): None,
    ("Placement", "HostId"): None,
    ("Placement", "Affinity"): "default",
}
"""What DescribeInstances shows by default for options that no spec can say."""


def by_aws(given: Mapping[str, Any] | None) -> dict[str, Any]:
    """A spec's mapping, with AWS's names of the keys."""
    return {camel(key): value for key, value in (given or {}).items()}


def launch_options(wanted: Any) -> dict[str, Any]:
    """The parameters of RunInstances for the options in an instance's properties."""
    found: dict[str, Any] = {camel(name): getattr(wanted, name) for name in UNSHOWN}
    found |= {item.name: by_aws(getattr(wanted, item.field)) or None for item in OPTIONS}
    return {**found, "PrivateIpAddress": wanted.private_ip_address}


def with_public_address(params: dict[str, Any], wanted: bool | None) -> dict[str, Any]:
    """The parameters of a launch; where the spec says whether there is a public address, the subnet and the like become parameters of the
    primary network interface (RunInstances takes them in one place only)."""
    if wanted is None:
        return params
    moved = {"SubnetId": "SubnetId", "SecurityGroupIds": "Groups", "PrivateIpAddress": "PrivateIpAddress"}
    interface = {"DeviceIndex": 0, "AssociatePublicIpAddress": wanted, "DeleteOnTermination": True}
    interface |= {moved[key]: value for key, value in params.items() if key in moved and value is not None}
    return {key: value for key, value in params.items() if key not in moved} | {"NetworkInterfaces": [interface]}


def observe_options(row: Row) -> dict[str, Any]:
    """The options as DescribeInstances shows them; None for what it doesn't show."""
    shown: dict[str, Any] = {item.field: _keys(item, row.get(item.name)) for item in (METADATA, *OPTIONS)}
    state = (row.get("Monitoring") or {}).get("State")
    shown["monitoring"] = {"enabled": state in ("enabled", "pending")} if state else None
    shown["private_ip_address"] = row.get("PrivateIpAddress") or None
    shown["associate_public_ip_address"] = _has_public_address(row, primary_interface(row))
    return shown | {"source_dest_check": row.get("SourceDestCheck")}


def unmanaged(row: Row) -> tuple[str, ...]:
    """The options of an instance that no spec can say, and that a replacement doesn't get."""
    shown = {(name, key): (row.get(name) or {}).get(key) for name, key in _UNMANAGED}
    return tuple(".".join(path) for path, value in shown.items() if value and value != _UNMANAGED[path])


def _keys(item: Option, shown: Row | None) -> dict[str, Any] | None:
    if shown is None:
        return None
    return {key: shown.get(camel(key)) for key in item.keys}


def _has_public_address(row: Row, interface: Row) -> bool | None:
    """Whether an instance has a public address of AWS's. A stopped instance has none, and an Elastic IP address hides it."""
    is_shown = row["State"]["Name"] == "running" and interface and not has_elastic_ip(interface)
    return bool(interface.get("Association")) if is_shown else None


def has_elastic_ip(interface: Row) -> bool:
    """Whether an interface's public address is an account's Elastic IP address, which stays while the instance is stopped."""
    return bool((interface.get("Association") or {}).get("IpOwnerId", "amazon") != "amazon")


def attributes(wanted: Any, without: Collection[str] = ()) -> str:
    """The tag's text for the attributes that AWS doesn't show, without the attributes in `without`.

    Before a change the tag is written without the attributes that change: the run after one that is cut short sets them then.
    """
    given = {name: value for name in UNSHOWN if name not in without and (value := getattr(wanted, name)) is not None}
    return " ".join(f"{name}={str(value).lower()}" for name, value in sorted(given.items()))


def attributes_of(tag: str) -> dict[str, Any]:
    """The inverse of `attributes`."""
    said = dict(part.split("=", 1) for part in tag.split() if "=" in part)
    return {name: {"true": True, "false": False}.get(said[name], said[name]) for name in UNSHOWN if name in said}


async def read_attributes(aws: Aws, instance: str, names: Iterable[str]) -> dict[str, Any]:
    """Attributes that only DescribeInstanceAttribute shows, as they are."""
    found: dict[str, Any] = {}
    for name in names:
        title = camel(name)
        attribute = title[:1].lower() + title[1:]
        answer = await aws.call("ec2", "describe_instance_attribute", InstanceId=instance, Attribute=attribute)
        found[name] = (answer.get(title) or {}).get("Value")
    return found


async def read_user_data(aws: Aws, instance: str) -> bytes:
    """The user data with which an instance was launched (DescribeInstanceAttribute)."""
    answer = await aws.call("ec2", "describe_instance_attribute", InstanceId=instance, Attribute="userData")
    return base64.b64decode((answer.get("UserData") or {}).get("Value") or "")


async def read_credits(aws: Aws, instances: Iterable[str]) -> dict[str, Any]:
    """The credit options of instances by id (DescribeInstanceCreditSpecifications); none where one of them is gone meanwhile."""
    found: dict[str, Any] = {}
    with ignoring("InvalidInstanceID*"):
        for batch in batches(sorted(instances), _MOST):
            operation, key = "describe_instance_credit_specifications", "InstanceCreditSpecifications"
            for row in await aws.pages("ec2", operation, key, InstanceIds=batch):
                found[row["InstanceId"]] = {"cpu_credits": row.get("CpuCredits")}
    return found


def unshown(wanted: Any, found: Any, interface: Row, is_changed: bool) -> dict[str, Any]:
    """The properties that a comparison leaves out, since AWS doesn't show them. Only at a start by a changed entry a public address counts."""
    names = {"private_ip_address", "source_dest_check", METADATA.field, *(item.field for item in OPTIONS)}
    if not is_changed or (wanted.state, found.state) != ("running", "stopped") or has_elastic_ip(interface):
        names.add("associate_public_ip_address")
    return {name: None for name in names if getattr(wanted, name) is not None and getattr(found, name) is None}


async def change_running(run: Run, wanted: Any, instance: str, interface: Row, fields: Collection[str]) -> None:
    """Change the options that AWS changes in any state of the instance."""

    async def modify(operation: str, **params: Any) -> None:
        await run.aws.call("ec2", operation, retry=waits.INSTANCE_BUSY, **params)

    for name in {*fields} & {"source_dest_check", *UNSHOWN}:
        await modify(
            "modify_instance_attribute", InstanceId=instance, **{camel(name): {"Value": getattr(wanted, name)}}
        )
    if "monitoring" in fields:
        operation = "monitor_instances" if wanted.monitoring["enabled"] else "unmonitor_instances"
        await modify(operation, InstanceIds=[instance])
    if "credit_specification" in fields:
        await _change_credits(run, {"InstanceId": instance, **by_aws(wanted.credit_specification)})
    if "associate_public_ip_address" in fields:
        await modify(
            "modify_network_interface_attribute",
            NetworkInterfaceId=interface["NetworkInterfaceId"],
            AssociatePublicIpAddress=wanted.associate_public_ip_address,
        )


async def _change_credits(run: Run, specification: dict[str, Any]) -> None:
    """Change the credit option; AWS's answer lists a refused change, rather than being an error."""
    operation = "modify_instance_credit_specification"
    answer = await run.aws.call(
        "ec2", operation, retry=waits.INSTANCE_BUSY, InstanceCreditSpecifications=[specification]
    )
    for item in answer.get("UnsuccessfulInstanceCreditSpecifications", ()):
        error = item.get("Error") or {}
        raise AwsError("ec2", operation, str(error.get("Code")), str(error.get("Message")), "")


async def change_stopped(run: Run, wanted: Any, instance: str, fields: Collection[str]) -> None:
    """Change the options that AWS changes while the instance is stopped."""

    async def modify(operation: str, **params: Any) -> None:
        await run.aws.call("ec2", operation, retry=waits.INSTANCE_BUSY, InstanceId=instance, **params)

    if "instance_type" in fields:
        await modify("modify_instance_attribute", InstanceType={"Value": wanted.instance_type})
    if placement := {key: value for key, value in (wanted.placement or {}).items() if f"placement.{key}" in fields}:
        await modify("modify_instance_placement", **by_aws(placement))
