"""What holds for every kind, and for the next one too: its example, let go, is exported so that nothing is left to do."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING

import pytest

from alb_reconcile.export.scope import ExportScope
from alb_reconcile.kinds import load_kinds
from alb_reconcile.model.errors import RefusedError
from tests.adoption.adopting import our_tags
from tests.export.exporting import adopted, exported, planned, steps
from tests.kinds.example import example_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.adoption.adopting import Keeper
    from tests.harness import World
    from tests.properties.watched import WatchedWorld

BY_NAME = {"acm", "iam", "logs", "route53", "s3"}
"""Services whose resources are named in an exported spec, not taken along: no network leads to them."""
USUAL = {"instance", "listener", "nat_gateway", "record", "rule", "target_group"}
UNSHOWN = ("certificate.other", "trust_store.clients")
"""What was made from files that AWS never shows: an imported certificate's key, a trust store's bundle."""


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name not in USUAL)) for name in load_kinds()],
)
def test_its_example_is_exported_adopted_and_planned_to_nothing(
    world: WatchedWorld, keep: Keeper, name: str, tmp_path: Path
) -> None:
    example, kind = example_of(name), load_kinds()[name]
    example.prepare()
    spec = copy.deepcopy(example.spec)
    spec["tags"] = {**spec.get("tags", {}), "export": "this"}
    world.converge(spec, allow=example.allow)
    before = our_tags(world)
    if name == "trust_store":  # AWS never shows its bundle
        with pytest.raises(RefusedError, match=r"nothing is left for a spec\n  trust_store\.clients: "):
            exported(world, ExportScope(stack=spec["stack"]), tmp_path)
        return
    _is_written_again(world, spec["stack"], tmp_path)
    keep.forget(spec)
    scope = ExportScope(vpcs=tuple(key for key in before if key.startswith("vpc-")), tags={"export": "this"})
    if kind.properties.service in BY_NAME and not scope.vpcs:
        with pytest.raises(RefusedError, match="nothing that a spec could describe"):
            exported(world, scope, tmp_path)
        return
    found = exported(world, scope, tmp_path)
    assert not found.problems, found.problems
    assert steps(adopted(world, found, tmp_path)) == []
    left = before.keys() - our_tags(world).keys()
    told = " ".join(found.notes)
    assert all(key in told for key in left), f"{left} are passed over in silence"


def _is_written_again(world: World, stack: str, folder: Path) -> None:
    """The stack's own spec, were it lost: nothing needs to be adopted."""
    own = folder / "own"
    own.mkdir()
    found = exported(world, ExportScope(stack=stack), own)
    told = [*found.problems, *steps(planned(world, found, own))]
    assert not [text for text in told if not any(name in text for name in UNSHOWN)], found.text
