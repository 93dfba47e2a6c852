"""The addresses of a NAT gateway beside its first one (EC2 AssociateNatGatewayAddress, AssignPrivateNatGatewayAddress), and waiting
for what DescribeNatGateways shows."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from typing import Any

from alb_reconcile.aws.polling import WaitError
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run, all_of

Pair = tuple[str, str]
"""A zone of a regional NAT gateway, empty of a zonal one, and an address there."""


async def wait_for_gateway(run: Run, gateway: str, check: Callable[[Any], str], timeout: float) -> None:
    """Wait until `check` says nothing more of what DescribeNatGateways shows (None if nothing)."""

    async def fetch(ids: set[str]) -> Mapping[str, Any]:
        found = await run.aws.pages("ec2", "describe_nat_gateways", "NatGateways", where={"nat-gateway-id": ids})
        return {item["NatGatewayId"]: item for item in found}

    await run.wait("NAT gateways", fetch, gateway, check, timeout, slowest=15)


async def set_public_addresses(
    run: Run, gateway: str, have: Collection[Pair], want: Collection[Pair], associations: Mapping[str, str]
) -> None:
    """Associate and disassociate Elastic IP addresses. What is new is there before anything goes, but for one that changes its
    zone. `associations` are by allocation."""
    new, old = set(want) - set(have), set(have) - set(want)
    leaving = {address for _, address in old}
    await _associate(run, gateway, {pair for pair in new if pair[1] not in leaving})
    if ids := sorted(associations[address] for address in leaving if address in associations):
        await run.aws.call("ec2", "disassociate_nat_gateway_address", NatGatewayId=gateway, AssociationIds=ids)
        await _wait_until_gone(run, gateway, "AllocationId", leaving)
    await _associate(run, gateway, {pair for pair in new if pair[1] in leaving})


async def set_private_addresses(run: Run, gateway: str, have: Collection[str], want: Collection[str]) -> None:
    """Assign and unassign private addresses, what is new first."""
    new, old = sorted(set(want) - set(have)), sorted(set(have) - set(want))
    call = partial(run.aws.call, "ec2", NatGatewayId=gateway)
    if new:
        await call("assign_private_nat_gateway_address", PrivateIpAddresses=new)
        await _wait_until_there(run, gateway, "PrivateIp", new)
    if old:
        await call("unassign_private_nat_gateway_address", PrivateIpAddresses=old)
        await _wait_until_gone(run, gateway, "PrivateIp", old)


async def _associate(run: Run, gateway: str, pairs: Collection[Pair]) -> None:
    zones: dict[str, list[str]] = {}
    for zone, address in sorted(pairs):
        zones.setdefault(zone, []).append(address)
    call = partial(run.aws.call, "ec2", "associate_nat_gateway_address", NatGatewayId=gateway)
    calls = []
    for zone, addresses in zones.items():
        where: dict[str, Any] = {"AvailabilityZone": zone} if zone else {}
        calls.append(call(AllocationIds=addresses, **where))
    await all_of(*calls)
    if pairs:
        await _wait_until_there(run, gateway, "AllocationId", [address for _, address in pairs])


async def _wait_until_there(run: Run, gateway: str, key: str, addresses: Collection[str]) -> None:
    def check(row: Any) -> str:
        statuses = _statuses(row, key)
        if failed := sorted(address for address in addresses if statuses.get(address) == "failed"):
            raise WaitError(f"AWS couldn't give {', '.join(failed)} to the NAT gateway")
        missing = sum(statuses.get(address) != "succeeded" for address in addresses)
        return f"{missing} addresses of the NAT gateway to be in use" if missing else ""

    await wait_for_gateway(run, gateway, check, waits.NAT_ADDRESSES)


async def _wait_until_gone(run: Run, gateway: str, key: str, addresses: Collection[str]) -> None:
    def check(row: Any) -> str:
        left = len(_statuses(row, key).keys() & set(addresses))
        return f"{left} addresses of the NAT gateway to be free" if left else ""

    await wait_for_gateway(run, gateway, check, waits.NAT_ADDRESSES)


def _statuses(row: Any, key: str) -> dict[str, str]:
    found = row.get("NatGatewayAddresses", ()) if row else ()
    return {str(item[key]): item.get("Status", "succeeded") for item in found if item.get(key)}
