"""Waits for the nodes of load balancers: until they answer, and until they have left their old subnets."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final

from alb_reconcile.aws.client import batches
from alb_reconcile.aws.polling import WaitError
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._ec2 import is_load_balancers, read_interfaces
from alb_reconcile.kinds.context import Run, all_of
from alb_reconcile.model.address import Ref
from alb_reconcile.model.errors import ignoring

_MOST_ARNS: Final = 20
"""ARNs of one DescribeLoadBalancers call."""


class Moved(dict[str, tuple[Ref, ...]]):
    """The subnets that this run has given load balancers, by ARN."""


async def wait_until_gone(run: Run, arn: str) -> None:
    """Wait until a deleted load balancer has no network interface. Raises WaitError.

    AWS deletes the interfaces minutes after the load balancer. Until then subnets, security groups and the internet gateway can't be
    deleted.
    """
    await _without_interfaces(run, arn, tuple, "network interfaces of the load balancer to be deleted")


async def wait_for_old_nodes(run: Run, balancers: Mapping[str, Collection[Ref]]) -> None:
    """Wait until load balancers, by ARN with their subnets, have no network interface in other subnets. Raises WaitError.

    AWS answers SetSubnets at once. The nodes in the old subnets answer clients until DNS has forgotten the nodes, and need the subnets'
    routes and rules for so long. If a run is killed after the call, the next run waits.
    """
    text = "network interfaces of the load balancer to leave the subnets that it has left"

    async def wait(arn: str, known: Collection[Ref]) -> None:
        # another step of the run may give the load balancer other subnets meanwhile
        await _without_interfaces(run, arn, lambda: run.shared.of(Moved).get(arn, known), text)

    await all_of(*(wait(arn, known) for arn, known in balancers.items()))


async def _without_interfaces(run: Run, arn: str, find_subnets: Callable[[], Collection[Ref]], text: str) -> None:
    """Wait until a load balancer has network interfaces only in the subnets that `find_subnets` returns at each look."""

    async def fetch(descriptions: set[str]) -> Mapping[str, Any]:
        found: dict[str, list[str]] = {}
        for item in await read_interfaces(run.aws, "description", descriptions):
            if is_load_balancers(item):
                found.setdefault(str(item.get("Description", "")), []).append(item["SubnetId"])
        return found

    def check(found: list[str] | None) -> str:
        subnets = find_subnets()
        count = sum(subnet not in subnets for subnet in found or ())
        return f"{count} {text}" if count else ""

    name, key = "load balancer interfaces", "ELB " + arn.partition(":loadbalancer/")[2]
    try:
        # without the permission to read interfaces, the deletes that follow are simply tried
        with ignoring("UnauthorizedOperation"):
            await run.wait(name, fetch, key, check, waits.INTERFACES_RELEASED, slowest=15)
            return
        if arn in run.shared.of(Moved):
            await run.aws.sleep(waits.NODES_LEFT)
    except WaitError as error:
        raise WaitError(f"{error}; AWS releases them by itself: run again later") from None


async def wait_until_active(run: Run, arn: str, timeout: float) -> None:
    """Wait until a load balancer is active. Raises WaitError if AWS couldn't make it, or if it isn't active in time."""

    async def read(arns: Sequence[str]) -> list[dict[str, Any]]:
        with ignoring("LoadBalancerNotFound"):  # one isn't shown yet, or is gone: then the whole call fails
            return await run.aws.pages("elbv2", "describe_load_balancers", "LoadBalancers", LoadBalancerArns=arns)
        return [item for arn in arns for item in await read([arn])] if len(arns) > 1 else []

    async def fetch(arns: set[str]) -> Mapping[str, Any]:
        parts = await asyncio.gather(*(read(part) for part in batches(sorted(arns), _MOST_ARNS)))
        return {item["LoadBalancerArn"]: item["State"] for part in parts for item in part}

    def check(state: Any) -> str:
        code = state["Code"] if state else "unknown"
        if code == "failed":
            raise WaitError(f"AWS couldn't provision the load balancer: {state.get('Reason', 'no reason given')}")
        # with active_impaired the load balancer answers, but lacks capacity
        return "" if code.startswith("active") else f"the load balancer to be active (now {code})"

    await run.wait("load balancers", fetch, arn, check, timeout)
