"""The commands `status` and `stacks`: show a stack's resources and their health, and list the stacks in a region."""

import asyncio
from collections import Counter
from dataclasses import dataclass, replace
from typing import Final

from alb_reconcile.api.session import default_region, local_traffic, sandbox_began
from alb_reconcile.api.status import look
from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.render.console import complain
from alb_reconcile.cli.render.output import Output
from alb_reconcile.cli.render.status import StacksView, StatusView, stacks_json, stacks_text, status_json, status_text
from alb_reconcile.cli.session.connection import ConnectionOptions, with_aws, with_stack
from alb_reconcile.cli.session.specs import LoadingOptions, StackOptions, load_stacks, named_target, told_without
from alb_reconcile.journal.record import place_name
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import ListedApart
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.errors import ExitCode, UsageError, ignoring
from alb_reconcile.model.plan import Plan, Step


@dataclass(frozen=True)
class StatusOptions:
    specs: tuple[str, ...]
    stack: str | None
    detailed_exitcode: bool
    output: Output
    loading: LoadingOptions
    connection: ConnectionOptions


def status(options: StatusOptions) -> ExitCode:
    """Show each resource, the health of the targets, and the URLs. With --detailed-exitcode the exit code is 2 where a resource is
    missing, not ready, or not as the spec says; 1 where one couldn't be read."""
    is_in_order = is_known = True
    for target in _targets(options):
        found, standing = with_stack(options.connection, replace(target, keeps_versions=True), look, lenient=True)
        traffic = local_traffic(options.connection)
        view = StatusView(
            target.stack, target.region, found, traffic.urls if traffic else {}, standing,
            " (the sandbox's clock)" if options.connection.sandbox else "", traffic,
            target.spec_file, *_past(target, found, options),
        )  # fmt: skip
        options.output.show(view, status_text, status_json)
        is_known &= not found.unread
        is_in_order &= not (view.not_ready or view.differing or (target.desired and not view.is_there))
    if not is_known:
        return ExitCode.FAILED
    return ExitCode.OK if is_in_order or not options.detailed_exitcode else ExitCode.CHANGES


def _past(target: DesiredStack, found: Discovery, options: StatusOptions) -> tuple[str, str]:
    """Sentences of a plan's head on a stack without resources."""
    if any(not item.is_gone for item in found.resources):
        return "", ""
    from alb_reconcile.cli.session.last_run import find_last_run

    steps = tuple(Step("create", address, desired=item) for address, item in target.desired.items())
    plan = Plan(target.stack, target.region, found.account, steps, desired=target.desired)
    place, began = place_name("", sandbox=options.connection.sandbox), sandbox_began(options.connection)
    last = find_last_run(plan, target.spec_file, place, began=began)
    return last.told, last.warning


def _targets(options: StatusOptions) -> list[DesiredStack]:
    if not options.stack:
        with told_without():
            return [stack.target() for stack in load_stacks(options.specs, options.loading)]
    if options.specs:
        raise UsageError("status takes SPEC or --stack NAME, not both")
    return [named_target(StackOptions(options.stack, options.loading.region, None))]


@dataclass(frozen=True)
class StacksOptions:
    output: Output
    loading: LoadingOptions
    connection: ConnectionOptions


def stacks(options: StacksOptions) -> ExitCode:
    """List the stacks that own resources in a region."""
    region = options.loading.region or default_region(options.connection)
    if region is None:
        raise UsageError("no region: give --region, or set AWS_REGION")
    counts, warnings = with_aws(options.connection, region, count_by_stack)
    for warning in warnings:
        complain(f"warning: {warning}")
    options.output.show(StacksView(region, counts, warnings), stacks_text, stacks_json)
    return ExitCode.OK


_REMEMBERED: Final = ("natgateway", "nat-gateway")
"""Kinds that AWS shows, with tags, for about an hour after deletion; moto uses the other word."""


async def count_by_stack(aws: Aws) -> tuple[dict[str, int], tuple[str, ...]]:
    """How many resources each stack has in the region, except listeners and rules (EC2 DescribeTags, ELBv2 DescribeTags); and remarks
    for the user."""
    reader, filters = Reader(aws, "", {}), [{"Name": "key", "Values": [tags.STACK]}]
    kinds = {name: kind for name, kind in load_kinds().items() if isinstance(kind, ListedApart)}
    ec2, balancers, groups, apart = await asyncio.gather(
        aws.pages("ec2", "describe_tags", "Tags", Filters=filters),
        aws.pages("elbv2", "describe_load_balancers", "LoadBalancers"),
        aws.pages("elbv2", "describe_target_groups", "TargetGroups"),
        asyncio.gather(*(_owners(reader, kind) for kind in kinds.values())),
    )
    names = [item["Value"] for item in ec2 if item.get("ResourceType") not in ("volume", *kinds, *_REMEMBERED)]
    if any(item.get("ResourceType") in _REMEMBERED for item in ec2):
        there = {"tag-key": tags.STACK, "state": ("pending", "available", "deleting")}
        gateways = await aws.pages("ec2", "describe_nat_gateways", "NatGateways", where=there)
        held = (tags.from_list(item.get("Tags")) for item in gateways)
        names += [found[tags.STACK] for found in held if tags.STACK in found]
    arns = [item["LoadBalancerArn"] for item in balancers] + [item["TargetGroupArn"] for item in groups]
    tagged = await reader.elb_tags(arns)
    names += [found[tags.STACK] for found in tagged.values() if tags.STACK in found]
    names += [name for part in apart for name in part]
    return Counter(names), tuple(reader.warnings)


async def _owners(reader: Reader, kind: ListedApart) -> list[str]:
    """The stacks that have resources of a kind, once for each resource; none where the read is denied."""
    with ignoring("AccessDenied*"):
        return await kind.owners(reader)
    return []
