"""What other stacks have of each kind, with tags that are nearly ours; and all that an account has, identities included."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

from moto.iam.models import iam_backends

from alb_reconcile.model import tags
from tests.harness import REGION
from tests.kinds.behind import tag, untag
from tests.kinds.example import example_of
from tests.properties.watched import ACCOUNT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.harness import Spec
    from tests.properties.watched import WatchedWorld

OWNING = {tags.STACK, tags.ADDRESS}
"""What says whose something is."""


def inventory(world: WatchedWorld) -> dict[str, Any]:
    """All that there is by id or ARN, roles and instance profiles included."""
    return {**world.strict.inventory(), **identities()}


def identities() -> dict[str, dict[str, Any]]:
    """IAM's roles and instance profiles by ARN, each with all that it has: policies, roles, tags."""
    iam = iam_backends[ACCOUNT]["aws"]
    roles = {
        item.arn: {
            "Trust": json.loads(item.assume_role_policy_document),
            "Inline": dict(sorted(item.policies.items())),
            "Attached": sorted(item.managed_policies),
            "Boundary": item.permissions_boundary_arn,
            "Description": item.description,
            "MaxSessionDuration": item.max_session_duration,
            "Tags": _sorted(item.tags),
        }
        for item in iam.roles.values()
    }
    profiles = {
        item.arn: {"Roles": [role.name for role in item.roles], "Tags": _sorted(item.tags)}
        for item in iam.instance_profiles.values()
    }
    return roles | profiles


def _sorted(found: list[dict[str, str]] | None) -> list[dict[str, str]]:
    return sorted(found or (), key=lambda item: item["Key"])


def neighbour(kind: str, stack: str) -> Spec:
    """The example as another stack has it."""
    spec = {**copy.deepcopy(example_of(kind).spec), "stack": stack}
    if kind == "subnet":
        spec["vpcs"]["main"] = {"cidr_block": "10.0.0.0/16", "amazon_provided_ipv6_cidr_block": True}
    if kind == "certificate":  # of one name all have one record, which stays as long as anybody needs it
        spec["certificates"]["api"] |= {"domain_name": f"{stack}.example.net", "subject_alternative_names": []}
    for entry in spec["records"].values() if kind == "record" else ():
        entry["name"] = f"{entry['name'].partition('.example')[0]}-{stack}.example.com"  # of one name there is one
    return spec


def retag(world: WatchedWorld, stack: str, miss: Mapping[str, str]) -> int:
    """Let all that is that stack's have a near miss's tags instead of those that say whose it is, with the addresses that it had;
    for a miss without tags none at all. Returns how many it was."""
    _move_identities(stack, miss)
    count = 0
    for physical_id, item in inventory(world).items():
        found = tags.from_list(item.get("Tags"))
        if found.get(tags.STACK) != stack or ":role/" in physical_id:  # a role is tagged with its profile
            continue
        own = found.get(tags.ADDRESS, "")
        given = {
            key: own if "{kind}" in value else value for key, value in miss.items() if own or "{kind}" not in value
        }
        lost = found.keys() - given.keys() if not miss else found.keys() & OWNING - given.keys()
        if given:
            tag(world, physical_id, given)
        if lost:
            untag(world, physical_id, sorted(lost))
        count += 1
    return count


def _move_identities(stack: str, miss: Mapping[str, str]) -> None:
    """Where those of a stack of that name are, or else where ours are. IAM itself never changes a path."""
    iam: Any = iam_backends[ACCOUNT]["aws"]
    for item in (*iam.roles.values(), *iam.instance_profiles.values()):
        if item.path == f"/alb-reconcile/{REGION}/{stack}/":
            item.path = f"/alb-reconcile/{REGION}/{miss.get(tags.STACK, 'demo').strip()}/"
