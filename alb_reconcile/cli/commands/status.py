"""`status` and `stacks`: what there is, of a stack and in a region."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

from alb_reconcile.aws.bucket_tags import list_buckets, read_bucket_tags
from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.render.status import StatusView, status_json, status_text
from alb_reconcile.cli.session.connection import ConnectionOptions, local_urls, with_aws, with_stack
from alb_reconcile.cli.session.specs import LoadingOptions, default_region, load_stacks
from alb_reconcile.engine.discover import discover
from alb_reconcile.engine.stack import find_missing
from alb_reconcile.kinds._instances import is_copy, warnings_of_copies
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import ExitCode, UsageError, ignoring


@dataclass(frozen=True)
class StatusOptions:
    specs: tuple[str, ...]
    output: Output
    loading: LoadingOptions
    connection: ConnectionOptions


def status(options: StatusOptions) -> ExitCode:
    """Show each resource, the health of the targets, and the URLs."""
    for stack in load_stacks(options.specs, options.loading):
        target = stack.target()
        found, missing = with_stack(options.connection, target, _look)
        view = StatusView(target.stack, target.region, found, local_urls(options.connection), missing)
        options.output.show(view, status_text, status_json)
    return ExitCode.OK


async def _look(aws: Aws, target: DesiredStack) -> tuple[Discovery, list[Address]]:
    found = await discover(aws, target.stack, target.desired, account_ids=target.account_ids)
    lost = dict.fromkeys(map(str, found.findings))
    return replace(found, warnings=(*found.warnings, *lost)), find_missing(target, found)


@dataclass(frozen=True)
class StacksOptions:
    loading: LoadingOptions
    connection: ConnectionOptions


def stacks(options: StacksOptions) -> ExitCode:
    """List the stacks that own something in a region."""
    region = options.loading.region or default_region(options.loading)
    if region is None:
        raise UsageError("no region: give --region, or set AWS_REGION")
    counts, warnings = with_aws(options.connection, region, count_by_stack)
    for warning in warnings:
        complain(f"warning: {warning}")
    for name, count in sorted(counts.items()):
        emit(f"{name}  {count} resources (listeners, rules and targets not counted)")
    if not counts:
        emit(f"No stack has resources in {region}.")
    return ExitCode.OK


_REMEMBERED: Final = ("natgateway", "nat-gateway")
"""What AWS shows, tags included, for about an hour after it is deleted; moto calls it by the other word."""


async def count_by_stack(aws: Aws) -> tuple[dict[str, int], tuple[str, ...]]:
    """How many resources each stack has in the region, but for listeners and rules (EC2 DescribeTags, ELBv2 DescribeTags);
    and what the user should know of them."""
    filters = [{"Name": "key", "Values": [tags.STACK]}]
    alive = [
        {"Name": "tag-key", "Values": [tags.STACK]},
        {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
    ]
    ec2, reservations, balancers, groups, stores, profiles, buckets = await asyncio.gather(
        aws.pages("ec2", "describe_tags", "Tags", Filters=filters),
        aws.pages("ec2", "describe_instances", "Reservations", Filters=alive),
        aws.pages("elbv2", "describe_load_balancers", "LoadBalancers"),
        aws.pages("elbv2", "describe_target_groups", "TargetGroups"),
        Reader(aws, "", {}, everything=True).trust_stores(),
        _profiles(aws),
        _buckets(aws),
    )
    names = [item["Value"] for item in ec2 if item.get("ResourceType") not in ("volume", "instance", *_REMEMBERED)]
    if any(item.get("ResourceType") in _REMEMBERED for item in ec2):
        there = {"tag-key": tags.STACK, "state": ("pending", "available", "deleting")}
        gateways = await aws.pages("ec2", "describe_nat_gateways", "NatGateways", where=there)
        held = (tags.from_list(item.get("Tags")) for item in gateways)
        names += [found[tags.STACK] for found in held if tags.STACK in found]
    instances = [item for reservation in reservations for item in reservation["Instances"]]
    names += [tags.from_list(item["Tags"])[tags.STACK] for item in instances if not is_copy(item)]
    arns = [item["LoadBalancerArn"] for item in balancers] + [item["TargetGroupArn"] for item in groups]
    arns += [item["TrustStoreArn"] for item in stores]
    tagged = await Reader(aws, "", {}).elb_tags(arns)
    names += [found[tags.STACK] for found in tagged.values() if tags.STACK in found]
    names += profiles + buckets
    return Counter(names), tuple(warnings_of_copies(instances))


async def _buckets(aws: Aws) -> list[str]:
    """The stack of each bucket for logs whose name was derived; none where that is denied."""
    with ignoring("AccessDenied*"):
        found = await asyncio.gather(*(read_bucket_tags(aws, name) for name in await list_buckets(aws, "")))
        return [there[tags.STACK] for there in found if there and tags.STACK in there]
    return []


async def _profiles(aws: Aws) -> list[str]:
    """The stack of each instance profile, which its path says (IAM ListInstanceProfiles); none where that is denied."""
    path = f"/alb-reconcile/{aws.region}/"
    with ignoring("AccessDenied*"):
        rows = await aws.pages("iam", "list_instance_profiles", "InstanceProfiles", PathPrefix=path, MaxItems=1000)
        return [row["Path"].split("/")[3] for row in rows if row["Path"].startswith(path)]
    return []
