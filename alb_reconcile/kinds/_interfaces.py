"""Network interfaces: what keeps subnets, groups and gateways from being deleted."""

from collections.abc import Mapping
from typing import Any

from alb_reconcile.kinds.context import Run
from alb_reconcile.model.errors import RefusedError


def is_load_balancers(interface: Mapping[str, Any]) -> bool:
    """Whether an Application Load Balancer made it; it goes some minutes after its load balancer."""
    return str(interface.get("Description", "")).startswith("ELB app/")


def describe_interface(interface: Mapping[str, Any]) -> str:
    """An interface as a user can find it again."""
    holder = (
        (interface.get("Attachment") or {}).get("InstanceId")
        or interface.get("Description")
        or interface.get("InterfaceType")
        or "unattached"
    )
    return f"{interface['NetworkInterfaceId']} ({holder})"


async def refuse_foreign_interfaces(run: Run, name: str, value: str) -> None:
    """Raise RefusedError if something other than a leaving load balancer or instance of ours stands in the way."""
    found = await run.aws.pages("ec2", "describe_network_interfaces", "NetworkInterfaces", where={name: value})
    if foreign := [item for item in found if not is_load_balancers(item)]:
        raise RefusedError(
            f"{value} is in use by resources outside this stack: {', '.join(map(describe_interface, foreign))}; remove them first"
        )
