"""Describes and reads an account's quotas (Service Quotas GetServiceQuota, ELBv2 DescribeAccountLimits)."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from alb_reconcile.aws.client import Aws
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError
from alb_reconcile.model.resource import Desired, Properties
from alb_reconcile.model.text import camel


@dataclass(frozen=True)
class Quota:
    """A limit of AWS's on the number of resources, or of members of a property, that a plan makes."""

    code: str
    """The quota's code in Service Quotas (Amazon VPC, EC2), or its name in DescribeAccountLimits (Elastic Load Balancing)."""
    what: str
    """The word for what is counted, in the plural."""
    usual: float = 0
    """AWS's default. The account's own quota is read only where a plan would exceed the default."""
    within: tuple[str, ...] = ()
    """The fields that lead from a resource, over other resources, to the place within which AWS counts; none where that is the region."""
    path: str = ""
    """The property with the members that are counted, in each resource; empty where resources are counted."""
    count: Callable[[Any], int] = len
    only: Mapping[str, Collection[str]] = field(default_factory=dict)
    """By property, the values with which a resource counts. AWS's rows have the properties under the same names."""
    service: str = "vpc"
    """Service Quotas' code of the service."""

    def counts(self, found: Properties | Mapping[str, Any]) -> bool:
        """Whether a resource counts: its desired properties, or AWS's row."""
        if isinstance(found, Properties):
            return all(getattr(found, name) in values for name, values in self.only.items())
        return all(found.get(camel(name)) in values for name, values in self.only.items())


@dataclass(frozen=True)
class Limit:
    """An account's quota in a region. `most` is None where the account has none of its own, or where it couldn't be read (`why`)."""

    most: float | None = None
    why: str = ""


class Unread(Finding):
    """A quota couldn't be read, and the plan exceeds AWS's default. Users are told once, without a place."""


async def read_quota(aws: Aws, service: str, code: str) -> Limit:
    """The account's quota in this region. An error of AWS's is in `why`, but for a quota that Service Quotas doesn't know."""
    try:
        if code.startswith("L-"):
            answer = await aws.call("service-quotas", "get_service_quota", ServiceCode=service, QuotaCode=code)
            return Limit(float(answer["Quota"]["Value"]))
        limits = await aws.pages("elbv2", "describe_account_limits", "Limits")
    except AwsError as error:
        return Limit(why="" if error.code == "NoSuchResourceException" else str(error))
    return Limit(next((float(item["Max"]) for item in limits if item.get("Name") == code and item.get("Max")), None))


def over_quota(
    desired: Desired,
    what: str,
    quota: Limit,
    there: float,
    more: float,
    place: str = "this region",
    path: str = "",
) -> list[Finding]:
    """A finding if a place has `there` of something, and `more` of it exceed the quota; or if the quota couldn't be read."""
    if quota.why:
        return [Unread(desired, "", f"couldn't read this account's quotas, so limits aren't checked: {quota.why}")]
    if quota.most is None or there + more <= quota.most:
        return []
    held = f" in {place} and has {there:g}, so {more:g} more don't" if place else f", so {more:g} don't"
    text = f"this account may have {quota.most:g} {what}{held} fit; delete some, or have the quota raised in Service Quotas"
    return [Finding(desired, path, text)]
