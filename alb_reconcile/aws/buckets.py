"""Holds the sizes of AWS's token buckets (buckets.json), for requests and for the instances that requests name, as AWS documents them.

EC2: "Request throttling for the Amazon EC2 API" (Amazon EC2 Developer Guide): one bucket for each action, sized by its category.
ELBv2: "Request throttling for the ELB API" (Elastic Load Balancing User Guide): one bucket for each category, one for the account.
ACM: "API rate quotas" (AWS Certificate Manager User Guide, "Quotas"): one bucket for each action, refilled each second.
CloudTrail: "The rate of lookup requests is limited to two per second, per account, per region" (CloudTrail API Reference, LookupEvents).
Route 53: "Five requests per second per AWS account" (Amazon Route 53 Developer Guide, "Quotas").
"""

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple


class Bucket(NamedTuple):
    """A token bucket: how many tokens it holds, and how many are added a second."""

    size: float
    refill: float


_TABLE: Final = {
    table: {action: (row["category"], Bucket(*row["bucket"])) for row in rows for action in row["actions"]}
    for table, rows in json.loads(Path(__file__).with_name("buckets.json").read_text(encoding="utf-8")).items()
}


def buckets_of(service: str, action: str, params: Callable[[], Mapping[str, Any]]) -> Iterator[tuple[str, Bucket, int]]:
    """A request's buckets by name, and the tokens it takes from each; other services have none. `params` is called only for EC2."""
    usual = "reading" if action.startswith(("Describe", "Get", "List", "Search")) else "changing"
    if service == "elbv2":
        yield *_TABLE["elbv2"].get(action, _TABLE["elbv2"][usual]), 1
        yield *_TABLE["elbv2"]["all"], 1
    elif service in ("cloudtrail", "route53"):
        yield *_TABLE[service]["all"], 1
    elif service == "acm":
        category, bucket = _TABLE["acm"].get(action, _TABLE["acm"]["all"])
        yield f"{action} {category}", bucket, 1
    elif service == "ec2":
        category, bucket = _TABLE["ec2"].get(action, _TABLE["ec2"][usual])
        if not any(params().get(name) for name in ("Filters", "Filter", "MaxResults", "NextToken")):
            category, bucket = _TABLE["unfiltered"].get(action, (category, bucket))
        yield f"{action} {category}", bucket, 1
        if action in _TABLE["instances"]:
            count = params().get("MaxCount") or len(params().get("InstanceIds") or ())
            yield f"{action} instances", _TABLE["instances"][action][1], int(count)
