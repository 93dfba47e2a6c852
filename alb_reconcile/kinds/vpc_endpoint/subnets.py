"""Changes the subnets of an interface endpoint so that it keeps answering (EC2 ModifyVpcEndpoint)."""

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import Row, read_interfaces
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.errors import ignoring

MISSING: Final = ("InvalidVpcEndpointId.NotFound", "InvalidVpcEndpoint.NotFound")


async def exchange_subnets(
    run: Run, endpoint: str, modify: partial[Any], params: dict[str, Any], have: set[str]
) -> None:
    """Exchange subnets in one zone after the other, while the interfaces in the other zones answer. An endpoint has one subnet in a zone,
    so the zone's old subnet is removed before the new one is added. An endpoint in one zone doesn't answer meanwhile."""
    leaving, coming = params.pop("RemoveSubnetIds"), params.pop("AddSubnetIds")
    retry = waits.unknown("InvalidSubnetID.NotFound")
    answer = await run.aws.call("ec2", "describe_subnets", retry=retry, SubnetIds=[*leaving, *coming])
    zones = {row["SubnetId"]: row["AvailabilityZone"] for row in answer["Subnets"]}
    successors = {zones[subnet]: subnet for subnet in coming}
    if added := [successors[zone] for zone in sorted(successors.keys() - {zones[subnet] for subnet in leaving})]:
        params["AddSubnetIds"] = added
    if params:
        await modify(**params)
    have.update(added)
    for subnet in leaving:
        await _wait_for_interfaces(run, endpoint, have)
        await modify(RemoveSubnetIds=[subnet])
        have.remove(subnet)
        if successor := successors.get(zones[subnet]):
            await modify(AddSubnetIds=[successor])
            have.add(successor)


async def _wait_for_interfaces(run: Run, endpoint: str, subnets: set[str]) -> None:
    """Wait until an interface is in use in each of these subnets: the endpoint is `available` also while new ones aren't ready."""

    async def fetch(ids: set[str]) -> Mapping[str, Any]:
        rows = await read_endpoints(run, sorted(ids))
        held = {name: row["VpcEndpointId"] for row in rows for name in row.get("NetworkInterfaceIds") or ()}
        found = await read_interfaces(run.aws, "network-interface-id", held)
        used = {(held[item["NetworkInterfaceId"]], item["SubnetId"]) for item in found if item["Status"] == "in-use"}
        return {
            row["VpcEndpointId"]: {subnet for known, subnet in used if known == row["VpcEndpointId"]} for row in rows
        }

    def check(used: set[str] | None) -> str:
        return "" if subnets <= (used or set()) else "the endpoint's network interfaces to be in use"

    await run.wait("interfaces of VPC endpoints", fetch, endpoint, check, waits.ENDPOINT_AVAILABLE)


async def read_endpoints(run: Run, ids: list[str]) -> list[Row]:
    """The endpoints of these ids that AWS shows. A call fails as a whole if one isn't shown or is gone; each is read alone then."""
    with ignoring(*MISSING):
        return await run.aws.pages("ec2", "describe_vpc_endpoints", "VpcEndpoints", VpcEndpointIds=ids)
    return [row for item in ids for row in await read_endpoints(run, [item])] if len(ids) > 1 else []
