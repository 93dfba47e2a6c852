"""The IAM actions that each kind states are those that it calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import botocore.session
import pytest
from botocore import xform_name

from alb_reconcile.engine.blockers import IAM_ACTIONS as BLOCKERS
from alb_reconcile.kinds import load_kinds
from tests.kinds.example import example_of
from tests.properties.watched import watched

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alb_reconcile.model.plan import Plan
    from tests.harness import Spec, World

KINDS = load_kinds()
PREFIXES = {"elbv2": "elasticloadbalancing", "service-quotas": "servicequotas"}
"""Of IAM, where it isn't the service's own name."""
COMMON = {"sts:GetCallerIdentity", "ec2:CreateTags", "elasticloadbalancing:AddTags", *BLOCKERS}
"""What the engine itself calls: the account, how far the spec is applied, what stands in the way."""
WITHOUT_A_CALL = {
    "iam:PassRole", "iam:CreateServiceLinkedRole", "route53:AssociateVPCWithHostedZone", "kms:Decrypt", "s3:GetObject",
    "elasticloadbalancing:SetWebACL", "s3:TagResource",
}  # fmt: skip
"""What AWS checks when another action is called."""
VERBS = {"create": "create", "replace": "create", "update": "update", "delete": "delete"}


S3 = {
    "list_buckets": "ListAllMyBuckets", "list_objects_v2": "ListBucket",
    "get_public_access_block": "GetBucketPublicAccessBlock", "put_public_access_block": "PutBucketPublicAccessBlock",
    "get_bucket_lifecycle_configuration": "GetLifecycleConfiguration",
    "put_bucket_lifecycle_configuration": "PutLifecycleConfiguration",
    "delete_bucket_lifecycle": "PutLifecycleConfiguration",
}  # fmt: skip
"""The actions of S3 that are called otherwise than its calls (Service Authorization Reference)."""


def actions_of(service: str) -> dict[str, str]:
    """A service's IAM actions by boto3's names of its calls."""
    model = botocore.session.get_session().get_service_model(service)
    prefix = PREFIXES.get(service, service)
    return {xform_name(name): f"{prefix}:{name}" for name in model.operation_names}


SERVICES = {
    name: actions_of(name)
    for name in (
        "ec2", "elbv2", "sts", "ssm", "iam", "acm", "lambda", "service-quotas", "secretsmanager", "wafv2", "s3", "route53",
    )
}  # fmt: skip


SERVICES["s3"] |= {name: f"s3:{action}" for name, action in S3.items()}


class Watching:
    """A world whose runs are held to what the kinds of their steps state."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.called: set[str] = set()
        self._real = world._call
        world._call = self._call  # type: ignore[method-assign]

    def _call(self, service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        self.called.add(SERVICES[service][operation])
        return self._real(service, operation, params)

    def apply(self, spec: Spec, *, destroy: bool = False, allow: Mapping[str, int]) -> None:
        """One run, which converges."""
        self.called.clear()
        result = self.world.converge(spec, destroy=destroy, allow=allow)
        assert sorted(self.called - COMMON - stated(result.plan)) == []


def stated(plan: Plan) -> set[str]:
    """What is needed for a plan."""
    reads = {action for kind in KINDS.values() for action in (*kind.iam_actions.read, *kind.iam_actions.look)}
    steps = [getattr(KINDS[step.carried_by].iam_actions, VERBS[step.action]) for step in plan.steps]
    return reads.union(*steps)


@pytest.mark.parametrize("name", KINDS)
def test_no_other_action_is_called(name: str) -> None:
    example = example_of(name)
    with watched() as world:
        example.prepare()
        run = Watching(world)
        run.apply(example.spec, allow=example.allow)
        for address, path, value in example.every_change:
            world.clock.advance(example.rest)
            run.apply(example.with_change(address, path, value), allow=example.allow)
        world.clock.advance(example.rest)
        run.apply(example.spec, destroy=True, allow=example.allow)


@pytest.mark.parametrize("name", KINDS)
def test_each_action_exists(name: str) -> None:
    found = KINDS[name].iam_actions
    real = {action for actions in SERVICES.values() for action in actions.values()} | WITHOUT_A_CALL
    assert {*found.read, *found.look, *found.create, *found.update, *found.delete} <= real
