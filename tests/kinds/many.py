"""A group of alike instances, and how to tell who is who in it."""

from __future__ import annotations

from collections import Counter
from typing import Any

from moto.core.models import DEFAULT_ACCOUNT_ID

from alb_reconcile.model import tags
from alb_reconcile.sandbox.strict.world import World as Place
from tests.harness import REGION, Spec, World, demo

HOUR = 3700.0
"""After that terminated instances aren't shown any more."""


def place() -> Place:
    """The account as the emulator knows it."""
    return Place(DEFAULT_ACCOUNT_ID, REGION)


def web(count: int, version: str = "one", **more: Any) -> Spec:
    spec = demo()
    spec["instances"]["web"] |= {"count": count, "user_data": f"#!/bin/sh\nexec web-api {version}\n", **more}
    return spec


def rows(here: World) -> list[dict[str, Any]]:
    """All that lives, with the tags that say whose it is."""
    ec2 = here.client("ec2")
    alive = ec2.describe_instances(
        Filters=[{"Name": "instance-state-name", "Values": ["pending", "running", "stopped"]}]
    )
    return [item for reservation in alive["Reservations"] for item in reservation["Instances"]]


def members(here: World) -> dict[str, str]:
    """Who is where: instance ids by number. Raises AssertionError for two of one."""
    found = {}
    for item in rows(here):
        own = tags.own_tags(tags.from_list(item["Tags"]), item["AmiLaunchIndex"])
        number = own[tags.ADDRESS].removeprefix("instance.web-")
        assert number not in found, f"two of {number}"
        found[number] = item["InstanceId"]
    return found


def targets(here: World) -> Counter[str]:
    elb = here.client("elbv2")
    (group,) = elb.describe_target_groups()["TargetGroups"]
    told = elb.describe_target_health(TargetGroupArn=group["TargetGroupArn"])["TargetHealthDescriptions"]
    return Counter(item["TargetHealth"]["State"] for item in told)


def numbers(*, upto: int) -> set[str]:
    return {str(number) for number in range(1, upto + 1)}


def ever_launched() -> int:
    """How many instances calls with a token have made."""
    return sum(map(len, place().ledger.reservations.values()))
