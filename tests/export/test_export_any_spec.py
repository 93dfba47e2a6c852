"""For random specs: what was made and let go is exported as a spec that adopts it whole, and leaves nothing to do."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings

from alb_reconcile.export.scope import Scope
from tests.adoption.adopting import keeper, make_any, our_tags
from tests.export.exporting import adopted, exported, steps
from tests.properties.seeds import PHASES
from tests.properties.strategies import specs

if TYPE_CHECKING:
    from tests.harness import Spec
    from tests.properties.watched import WatchedWorld


# not shrunk: shrinking takes many minutes, and a failing spec tells enough
@pytest.mark.usefixtures("only_fresh")
@settings(
    max_examples=100 if os.environ.get("SOAK") else 2, database=None, deadline=None, print_blob=True,
    phases=PHASES, derandomize=not os.environ.get("SOAK"),
)  # fmt: skip
@given(specs())
def test_what_runs_is_exported_adopted_and_planned_to_nothing(spec: Spec) -> None:
    with keeper() as (world, keep), TemporaryDirectory() as name:
        folder = Path(name)
        world.add_strangers()
        spec = world.localized(spec)
        make_any(world, spec)
        ids = set(our_tags(world))
        keep.release(spec)
        scope = Scope(
            vpcs=tuple(item for item in ids if item.startswith("vpc-")),
            load_balancers=tuple(item for item in ids if ":loadbalancer/" in item),
        )
        if not scope.vpcs and not scope.load_balancers:
            return
        found = exported(world, scope, folder)
        assert not found.problems, found.problems
        assert steps(adopted(world, found, folder)) == []
        there = set(our_tags(world))
        along = their_certificates(world)
        assert along <= there, found.text
        if scope.vpcs:
            assert there == ids | along, found.text
        # of a network that isn't the stack's, groups that nothing else wears come along
        assert {item for item in there if not item.startswith("sg-")} <= ids | along, found.text
        assert all(any(kind in key for key in there) for kind in KINDS if any(kind in key for key in ids))


def their_certificates(world: WatchedWorld) -> set[str]:
    """The strangers' certificate comes along where only what is exported uses it."""
    arns = [item for item in world.strangers if ":certificate/" in item]
    rows = [world.client("acm").describe_certificate(CertificateArn=arn)["Certificate"] for arn in arns]
    return {row["CertificateArn"] for row in rows if row["InUseBy"] and row["Status"] == "ISSUED"}


KINDS = (":loadbalancer/", ":listener/", ":listener-rule/")
