"""Quotas of an account: off by default, since accounts differ; `Ledger.quotas` has them by Service Quotas' codes.

Service Quotas User Guide; "Amazon VPC quotas", "Amazon EC2 instance type quotas", "Quotas for your Application Load Balancers".
"""

import sys
from typing import Any

from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import ServiceQuotasBackend

from .rule import Call, after, before, refuse
from .world import World

VPCS, STANDARD_VCPUS = "L-F678F1CE", "L-1216C47A"
BALANCERS, TARGET_GROUPS, RULES, LISTENERS = "L-53DA6B97", "L-B22855CB", "L-ED28FF1C", "L-B6DF7632"
LIMITS = {
    "application-load-balancers": (BALANCERS, 50),
    "target-groups": (TARGET_GROUPS, 3000),
    "rules-per-application-load-balancer": (RULES, 100),
    "listeners-per-application-load-balancer": (LISTENERS, 50),
}
"""By DescribeAccountLimits' names: the codes, and AWS's defaults."""
_STANDARD = "acdhimrtz"
ENDED = ("shutting-down", "terminated", "stopping", "stopped")


def _is_full(call: Call, code: str, count: int, more: int = 1) -> bool:
    return count + more > call.world.ledger.quotas.get(code, float("inf"))


@before("CreateVpc")
def vpcs_are_limited(call: Call) -> None:
    """VpcLimitExceeded: 'You've reached the limit on the number of VPCs that you can create in the Region'."""
    if _is_full(call, VPCS, len(call.world.ec2.vpcs)):
        refuse("VpcLimitExceeded", "The maximum number of VPCs has been reached.")


def most_by_quota(call: Call, least: int) -> int:
    """How many instances of a launch the account may run (VcpuLimitExceeded where it isn't the least): the quota counts
    the vCPUs of running On-Demand instances of the standard families."""
    kind = call.given("InstanceType", "m1.small")
    if STANDARD_VCPUS not in call.world.ledger.quotas or kind[0] not in _STANDARD:
        return sys.maxsize
    running = [str(i.instance_type) for i in call.world.instances() if i.state not in ENDED]
    used = sum(vcpus(call.world, item) for item in running if item[0] in _STANDARD)
    room = int((call.world.ledger.quotas[STANDARD_VCPUS] - used) // vcpus(call.world, kind))
    if room < least:
        refuse(
            "VcpuLimitExceeded",
            "You have requested more vCPU capacity than your current vCPU limit allows for the instance bucket that the "
            "specified instance type belongs to.",
        )
    return room


def vcpus(world: World, kind: str) -> int:
    """Of an instance type, by its default."""
    found: Any = world.ec2.describe_instance_types([kind])
    return int(found[0]["VCpuInfo"]["DefaultVCpus"])


@before("CreateLoadBalancer")
def balancers_are_limited(call: Call) -> None:
    """CreateLoadBalancer: TooManyLoadBalancers."""
    if _is_full(call, BALANCERS, len(call.world.elb.load_balancers)):
        refuse("TooManyLoadBalancers", "You've reached the limit on the number of load balancers")


@before("CreateTargetGroup")
def target_groups_are_limited(call: Call) -> None:
    """CreateTargetGroup: TooManyTargetGroups."""
    if _is_full(call, TARGET_GROUPS, len(call.world.elb.target_groups)):
        refuse("TooManyTargetGroups", "You've reached the limit on the number of target groups")


@after("DescribeAccountLimits")
def limits_are_the_accounts(call: Call, result: Any) -> Any:
    """DescribeAccountLimits: AWS's defaults, where the account has no other quota (moto's aren't AWS's)."""
    own = {name: call.world.ledger.quotas.get(code, default) for name, (code, default) in LIMITS.items()}
    return {"Limits": [{"Name": name, "Max": str(int(number))} for name, number in own.items()]}


def _quota(self: Any, service_code: str, quota_code: str) -> dict[str, Any]:
    """GetServiceQuota: NoSuchResourceException for one that the account has no value of."""
    found = World(self.account_id, self.region_name).ledger.quotas.get(quota_code)
    if found is None:
        raise NoSuchResource
    return {"ServiceCode": service_code, "QuotaCode": quota_code, "Value": float(found)}


def patches() -> list[tuple[Any, str, Any]]:
    return [(ServiceQuotasBackend, "get_service_quota", _quota)]
