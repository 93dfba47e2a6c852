"""The proof of export: what other tools have made, exported, adopted, planned to nothing, and then changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from alb_reconcile.export.scope import ExportScope
from alb_reconcile.kinds.rule import Rule
from alb_reconcile.model.resource import each_of
from tests.export.exporting import adopted, exported, loaded, plain, steps
from tests.export.hand_made import by_ansible

if TYPE_CHECKING:
    from pathlib import Path

    from tests.properties.watched import WatchedWorld


def test_ansibles_stack_is_changed_under_care(world: WatchedWorld, tmp_path: Path) -> None:
    """What can't be a YAML scalar, variables among it, is what it was; user data is in a file, and nowhere else."""
    made = by_ansible(world)
    world.watch()
    found = exported(world, ExportScope(load_balancers=("shop",), vpcs=(made["vpc"],)), tmp_path)
    assert (found.problems, found.notes) == ((), ())
    assert "hunter2" not in found.text
    assert (tmp_path / "user-data" / "web").read_bytes().endswith(b"exec shop\n")
    spec = plain(found)
    assert spec["stack"] == "shop"
    assert spec["instances"]["web"]["count"] == 3
    assert spec["instances"]["web"]["user_data_file"] == "user-data/web"
    assert spec["target_groups"]["web"]["targets"] == ["web"]
    assert list(spec["load_balancers"]["shop"]["listeners"]["http"]["rules"]) == ["v2", "old-example-com"]
    assert steps(adopted(world, found, tmp_path)) == []
    rules = each_of(loaded(found, tmp_path).desired.values(), Rule)
    assert "${soon}: yes\n# really" in [dict(state.action.fixed_response).get("message_body") for _, state in rules]
    spec["instances"]["web"]["user_data"] = (tmp_path / spec["instances"]["web"].pop("user_data_file")).read_text()
    spec["instances"]["web"]["instance_type"] = "t3.medium"
    body = spec["load_balancers"]["shop"]["listeners"]["http"]["rules"]["v2"]["action"]["fixed_response"]
    body["message_body"] = "later"
    world.watch()
    result = world.converge(spec, allow={"replace": 3})
    assert sum(step.action == "replace" and step.address.kind == "instance" for step in result.plan.steps) == 3
    assert {low.healthy for low in world.lows.values()} == {3}


def test_subnets_on_the_main_route_table_stay_outside(world: WatchedWorld, tmp_path: Path) -> None:
    """AWS deletes that table only with its VPC, so no spec can hold it, nor say that subnets follow it."""
    made = by_ansible(world, main=True)
    found = exported(world, ExportScope(vpcs=(made["vpc"],)), tmp_path)
    (note,) = found.notes
    assert f"follow the main route table of {made['vpc']} ({made['table']})" in note
    spec = plain(found)
    assert not {"vpcs", "subnets", "route_tables"} & spec.keys()
    assert spec["load_balancers"]["shop"]["subnets"] == sorted(made["subnets"])
    assert steps(adopted(world, found, tmp_path)) == []
