"""Enforces an account's quotas, by default in the sandbox only, since accounts differ; `Ledger.quotas` has them by Service Quotas' codes.

Service Quotas User Guide; "Amazon VPC quotas", "Amazon EC2 instance type quotas", "Quotas for your Application Load Balancers".
"""

import sys
from collections.abc import Callable
from typing import Any

from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import ServiceQuotasBackend

from . import quota_counts as counts
from .rule import Call, after, before, refuse
from .world import World

VPCS, GATEWAYS, SUBNETS, ROUTE_TABLES, ROUTES = "L-F678F1CE", "L-A4707A72", "L-407747CB", "L-589F43AA", "L-93826ACB"
ADDRESSES, NATS, GATEWAY_ENDPOINTS, ENDPOINTS = "L-0263D0A3", "L-FE5A380F", "L-1B52E74A", "L-29B6F2EB"
GROUPS, GROUP_RULES, GROUPS_AN_INTERFACE, STANDARD_VCPUS = "L-E79EC296", "L-0EA8095F", "L-2AFB9258", "L-1216C47A"
BALANCERS, LISTENERS, RULES = "L-53DA6B97", "L-B6DF7632", "L-7EED9B64"
TARGET_GROUPS, TARGETS_A_GROUP, TARGETS_A_BALANCER = "L-B22855CB", "L-A0D0B863", "L-7E6692B2"
CERTIFICATE_NAMES = "L-FB94F0B0"
GROUPS_A_BALANCER = "target-groups-per-application-load-balancer"  # this limit can't be raised, and has no code
LIMITS = {
    "application-load-balancers": (BALANCERS, 50),
    "listeners-per-application-load-balancer": (LISTENERS, 50),
    "rules-per-application-load-balancer": (RULES, 100),
    "target-groups": (TARGET_GROUPS, 3000),
    GROUPS_A_BALANCER: (GROUPS_A_BALANCER, 100),
    "targets-per-target-group": (TARGETS_A_GROUP, 1000),
    "targets-per-application-load-balancer": (TARGETS_A_BALANCER, 1000),
}
"""The limits by their names in DescribeAccountLimits: the code, and AWS's default."""
USUAL = {
    ADDRESSES: 5, NATS: 5, GATEWAY_ENDPOINTS: 20, ENDPOINTS: 50, SUBNETS: 200, ROUTE_TABLES: 200, ROUTES: 500, GROUPS: 2500,
    GROUP_RULES: 60, GROUPS_AN_INTERFACE: 5, CERTIFICATE_NAMES: 10,
}  # fmt: skip
"""AWS's defaults ("Amazon VPC quotas", and ACM's, which `acm` enforces). VPCs, internet gateways and vCPUs have no limit here, so that a
user can try many stacks without deleting some."""
_EDITS = ("CreateListener", "ModifyListener", "CreateRule", "ModifyRule")
_AUTHORIZE = ("AuthorizeSecurityGroupIngress", "AuthorizeSecurityGroupEgress")
QUOTAS: list[tuple[str, Callable[[Call], int], str, tuple[str, ...]]] = [
    (VPCS, counts.vpcs, "VpcLimitExceeded", ("CreateVpc",)),
    (ADDRESSES, counts.addresses, "AddressLimitExceeded", ("AllocateAddress",)),
    (NATS, counts.nat_gateways, "NatGatewayLimitExceeded", ("CreateNatGateway",)),
    (GATEWAY_ENDPOINTS, counts.gateway_endpoints, "VpcEndpointLimitExceeded", ("CreateVpcEndpoint",)),
    (ENDPOINTS, counts.interface_endpoints, "VpcEndpointLimitExceeded", ("CreateVpcEndpoint",)),
    (GATEWAYS, counts.gateways, "InternetGatewayLimitExceeded", ("CreateInternetGateway",)),
    (SUBNETS, counts.subnets, "SubnetLimitExceeded", ("CreateSubnet",)),
    (ROUTE_TABLES, counts.route_tables, "RouteTableLimitExceeded", ("CreateRouteTable",)),
    (ROUTES, counts.routes, "RouteLimitExceeded", ("CreateRoute",)),
    (GROUPS, counts.groups, "SecurityGroupLimitExceeded", ("CreateSecurityGroup",)),
    (GROUP_RULES, counts.group_rules, "RulesPerSecurityGroupLimitExceeded", _AUTHORIZE),
    (GROUPS_AN_INTERFACE, counts.groups_given, "SecurityGroupsPerInstanceLimitExceeded", ("RunInstances", "ModifyInstanceAttribute")),
    (BALANCERS, counts.balancers, "TooManyLoadBalancers", ("CreateLoadBalancer",)),
    (LISTENERS, counts.listeners, "TooManyListeners", ("CreateListener",)),
    (RULES, counts.rules, "TooManyRules", ("CreateRule",)),
    (TARGET_GROUPS, counts.target_groups, "TooManyTargetGroups", ("CreateTargetGroup",)),
    (GROUPS_A_BALANCER, counts.target_groups_served, "TooManyUniqueTargetGroupsPerLoadBalancer", _EDITS),
    (TARGETS_A_GROUP, counts.targets_of_group, "TooManyTargets", ("RegisterTargets",)),
    (TARGETS_A_BALANCER, counts.targets_of_balancer, "TooManyTargets", ("RegisterTargets",)),
]  # fmt: skip
"""Each quota's code, the function that counts the resources after a request, AWS's error code, and the actions that AWS refuses (EC2 API
Reference, "Error codes"; for ELBv2 the errors of its actions)."""


@before(*{action for _, _, _, actions in QUOTAS for action in actions})
def what_is_made_is_limited(call: Call) -> None:
    """Refuse a request that would exceed a quota ("Amazon VPC quotas", "Quotas for your Application Load Balancers")."""
    for code, count, error, actions in QUOTAS:
        most = call.world.ledger.quotas.get(code)
        if most is not None and call.action in actions and count(call) > most:
            refuse(error, f"You've reached the limit of {most:g}.")


def most_by_quota(call: Call, least: int) -> int:
    """The most instances of a launch that the account may run; VcpuLimitExceeded if that is less than `least`. The quota counts the vCPUs
    of running On-Demand instances of its families ("Amazon EC2 instance type quotas")."""
    kind = str(call.given("InstanceType", "m1.small"))
    quota = call.world.ledger.quotas.get(code := counts.vcpu_quota(kind))
    if quota is None or (call.given("Placement") or {}).get("Tenancy") == "host":
        return sys.maxsize
    room = int((quota - counts.running_vcpus(call, code)) // counts.vcpus(call, kind))
    if room < least:
        refuse(
            "VcpuLimitExceeded",
            "You have requested more vCPU capacity than your current vCPU limit allows for the instance bucket that the "
            "specified instance type belongs to.",
        )
    return room


@after("DescribeAccountLimits")
def limits_are_the_accounts(call: Call, result: Any) -> Any:
    """DescribeAccountLimits: the account's quotas, else AWS's defaults (moto has other defaults)."""
    own = {name: call.world.ledger.quotas.get(code, default) for name, (code, default) in LIMITS.items()}
    return {"Limits": [{"Name": name, "Max": str(int(number))} for name, number in own.items()]}


def _quota(self: Any, service_code: str, quota_code: str) -> dict[str, Any]:
    """GetServiceQuota: NoSuchResourceException if the account has no value for the quota."""
    found = World(self.account_id, self.region_name).ledger.quotas.get(quota_code)
    if found is None:
        raise NoSuchResource
    return {"ServiceCode": service_code, "QuotaCode": quota_code, "Value": float(found)}


def patches() -> list[tuple[Any, str, Any]]:
    return [(ServiceQuotasBackend, "get_service_quota", _quota)]
