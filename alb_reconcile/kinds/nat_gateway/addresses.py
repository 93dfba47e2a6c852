"""Adds and removes a NAT gateway's further addresses (EC2 AssociateNatGatewayAddress, DisassociateNatGatewayAddress), and waits for what
DescribeNatGateways shows."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from alb_reconcile.aws.polling import WaitError
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run


async def wait_for_gateway(run: Run, gateway: str, check: Callable[[Any], str], timeout: float) -> None:
    """Wait until `check` returns an empty text for the row of DescribeNatGateways (None where AWS shows none)."""

    async def fetch(ids: set[str]) -> Mapping[str, Any]:
        found = await run.aws.pages("ec2", "describe_nat_gateways", "NatGateways", where={"nat-gateway-id": ids})
        return {item["NatGatewayId"]: item for item in found}

    await run.wait("NAT gateways", fetch, gateway, check, timeout, slowest=15)


async def set_addresses(
    run: Run, gateway: str, have: set[str], want: set[str], associations: Mapping[str, str]
) -> None:
    """Associate and disassociate Elastic IP addresses, by allocation: new addresses are in use before old ones are taken away.

    `associations` has the association of each allocation.
    """
    if new := sorted(want - have):
        await run.aws.call("ec2", "associate_nat_gateway_address", NatGatewayId=gateway, AllocationIds=new)
        await _wait_until_there(run, gateway, new)
    if ids := sorted(associations[address] for address in have - want if address in associations):
        await run.aws.call("ec2", "disassociate_nat_gateway_address", NatGatewayId=gateway, AssociationIds=ids)
        await _wait_until_gone(run, gateway, have - want)


async def _wait_until_there(run: Run, gateway: str, addresses: Collection[str]) -> None:
    def check(row: Any) -> str:
        statuses = _statuses(row)
        if failed := sorted(address for address in addresses if statuses.get(address) == "failed"):
            raise WaitError(f"AWS couldn't give {', '.join(failed)} to the NAT gateway")
        missing = sum(statuses.get(address) != "succeeded" for address in addresses)
        return f"{missing} addresses of the NAT gateway to be in use" if missing else ""

    await wait_for_gateway(run, gateway, check, waits.NAT_ADDRESSES)


async def _wait_until_gone(run: Run, gateway: str, addresses: Collection[str]) -> None:
    def check(row: Any) -> str:
        left = len(_statuses(row).keys() & set(addresses))
        return f"{left} addresses of the NAT gateway to be free" if left else ""

    await wait_for_gateway(run, gateway, check, waits.NAT_ADDRESSES)


def _statuses(row: Any) -> dict[str, str]:
    found = row.get("NatGatewayAddresses", ()) if row else ()
    return {str(item["AllocationId"]): item.get("Status", "succeeded") for item in found if item.get("AllocationId")}
