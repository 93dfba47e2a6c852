"""Token buckets for requests, and for the instances that they are for.

EC2: "Request throttling for the Amazon EC2 API" (Amazon EC2 Developer Guide); each action has a bucket of its own, of the
size of its category. ELBv2: "Request throttling for the ELB API" (Elastic Load Balancing User Guide); actions share that of
their category, and all of them the account's. The console's bucket isn't here: nobody calls from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple, NoReturn

from .rule import Call, refuse


class Bucket(NamedTuple):
    """How many tokens it holds, and how many more come a second."""

    size: float
    refill: float


READING: Final = ("Describe", "Get", "List", "Search")
EC2_READS: Final = Bucket(100, 20)
EC2_UNFILTERED: Final = Bucket(50, 10)
EC2_CHANGES: Final = Bucket(50, 5)  # mutating and resource-intensive actions alike
EC2_OWN: Final = {
    **dict.fromkeys(("RunInstances", "StartInstances"), Bucket(5, 2)),
    **dict.fromkeys(("CreateTags", "DeleteTags"), Bucket(100, 10)),
    **dict.fromkeys(
        (
            "AssociateIamInstanceProfile", "CreateNetworkInterface", "CreateVolume", "DeleteNetworkInterface", "DeleteVolume",
            "DisassociateIamInstanceProfile", "ModifyInstanceMetadataOptions", "ModifyNetworkInterfaceAttribute",
            "TerminateInstances",
        ),
        Bucket(100, 5),
    ),
    **dict.fromkeys(("CreateNatGateway", "DeleteNatGateway"), Bucket(10, 1)),
    **dict.fromkeys(("CreateVpcEndpoint", "DeleteVpcEndpoints", "ModifyVpcEndpoint"), Bucket(4, 0.3)),
}  # fmt: skip
UNFILTERED: Final = (
    "DescribeInstances", "DescribeInstanceStatus", "DescribeNetworkInterfaces", "DescribeSecurityGroups",
    "DescribeSnapshots", "DescribeSpotInstanceRequests", "DescribeVolumes",
)  # fmt: skip
"""Those that have a smaller bucket for requests with neither a filter nor pages."""
INSTANCES: Final = {
    **dict.fromkeys(("RunInstances", "StartInstances"), Bucket(1000, 2)),
    **dict.fromkeys(("StopInstances", "TerminateInstances"), Bucket(1000, 20)),
}
ELB_ACCOUNT: Final = Bucket(40, 10)
ELB: Final = {
    "resource-intensive": Bucket(10, 0.2),
    "registration": Bucket(20, 4),
    "non-mutating": Bucket(40, 10),
    "mutating": Bucket(20, 3),
}
ELB_CATEGORIES: Final = {
    **dict.fromkeys(("CreateLoadBalancer", "SetSubnets"), "resource-intensive"),
    **dict.fromkeys(("RegisterTargets", "DeregisterTargets"), "registration"),
}


class Throttling:
    """The buckets of all accounts and regions."""

    def __init__(self) -> None:
        self._levels: dict[tuple[str, str, str], tuple[float, float]] = {}
        """Tokens at a moment, by account, region and bucket."""

    def take(self, service: str, call: Call, now: float) -> None:
        """Take a request's tokens, from all of its buckets or from none. Refuses as AWS does."""
        left: dict[tuple[str, str, str], tuple[float, float]] = {}
        for name, bucket, tokens in (_ec2 if service == "ec2" else _elb)(call):
            key = call.world.account, call.world.region, f"{service} {name}"
            level, since = self._levels.get(key, (bucket.size, now))
            rest = min(bucket.size, level + (now - since) * bucket.refill) - tokens
            if rest < 0:
                throttle(service)
            left[key] = rest, now
        self._levels |= left


def throttle(service: str) -> NoReturn:
    """The guide for ELB calls the code ThrottlingException, as CloudTrail does; on the wire it is Throttling (boto3#3125)."""
    if service == "ec2":
        refuse("RequestLimitExceeded", "Request limit exceeded.", status=503)
    refuse("Throttling", "Rate exceeded")


def _ec2(call: Call) -> Iterator[tuple[str, Bucket, int]]:
    """The buckets of a request, and how many tokens of each."""
    action = call.action
    if action in UNFILTERED and not any(call.given(name) for name in ("Filters", "MaxResults", "NextToken")):
        yield f"{action} unfiltered", EC2_UNFILTERED, 1
    else:
        usual = EC2_READS if action.startswith(READING) else EC2_CHANGES
        yield action, EC2_OWN.get(action, usual), 1
    if action in INSTANCES:
        count = call.given("MaxCount", 1) if action == "RunInstances" else len(call.given("InstanceIds", []))
        yield f"{action} instances", INSTANCES[action], int(count)


def _elb(call: Call) -> Iterator[tuple[str, Bucket, int]]:
    category = ELB_CATEGORIES.get(call.action, "non-mutating" if call.action.startswith(READING) else "mutating")
    yield category, ELB[category], 1
    yield "account", ELB_ACCOUNT, 1
