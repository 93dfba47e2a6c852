"""The proof of adoption: what the runbook's commands built by hand, adopted by `specs/runbook.yaml`."""

from __future__ import annotations

from tests.adoption.adopting import RUNBOOK_NAMES, build_runbook, by_address, keeper, our_tags, runbook

ELB = ("load_balancer.main", "target_group.main", "listener.main/http")


def _steps(plan: object) -> list[tuple[str, str, list[str]]]:
    return [(step.action, str(step.address), [item.path for item in step.changes]) for step in plan.steps]  # type: ignore[attr-defined]


def test_the_runbooks_stack_is_adopted_whole_and_plans_to_nothing_but_the_names_it_never_gave() -> None:
    """The runbook names nothing in ELB: three Name tags are all that is left to do, and apply does only that."""
    with keeper() as (world, keep):
        ids = build_runbook(world, RUNBOOK_NAMES)
        world.watch()
        found = keep.adopt(runbook())
        assert by_address(found) == ids
        assert not found.missing
        assert not found.notes
        plan = world.plan(runbook())
        assert sorted(_steps(plan)) == sorted(("update", address, ["tags.Name"]) for address in ELB)
        assert found.preview.plan is not None
        assert found.preview.plan.to_json() == plan.to_json()
        again = keep.adopt(runbook())
        assert not again.taggings
        assert len(again.held) == len(ids)
        result = world.converge(runbook())
        assert result.writes == {"add_tags": 3}
        assert world.plan(runbook()).is_empty
        assert {low.healthy for low in world.lows.values()} == {2}


def test_with_all_names_given_it_plans_to_nothing_at_once() -> None:
    with keeper() as (world, keep):
        ids = build_runbook(world, RUNBOOK_NAMES)
        for address, name in zip(ELB, ("alb", "alb-target-group", "runbook-main/http"), strict=True):
            tag = [{"Key": "Name", "Value": name}]
            world.client("elbv2").add_tags(ResourceArns=[ids[address]], Tags=tag)
        keep.adopt(runbook())
        assert world.plan(runbook()).is_empty


def test_without_a_single_name_tag_it_is_recognised_by_ranges_and_relations() -> None:
    with keeper() as (world, keep):
        ids = build_runbook(world, {})
        found = keep.adopt(runbook())
        assert by_address(found) == ids
        assert {path for _, _, paths in _steps(world.plan(runbook())) for path in paths} == {"tags.Name"}
        world.converge(runbook())


def test_what_is_adopted_is_destroyed_like_what_was_made() -> None:
    with keeper() as (world, keep):
        before = world.strict.inventory()
        build_runbook(world, RUNBOOK_NAMES)
        keep.adopt(runbook())
        world.converge(runbook())
        world.destroy(runbook())
        assert world.strict.inventory() == before


def test_bookkeeping_is_written_as_a_create_would_where_it_is_true() -> None:
    with keeper() as (world, keep):
        ids = build_runbook(world, RUNBOOK_NAMES)
        keep.adopt(runbook())
        found = our_tags(world)
        instance = ids["instance.web-a-1"]
        assert found[instance]["alb-reconcile:adopted"] == instance
        assert found[instance]["alb-reconcile:image"].startswith("resolve:ssm:")
        assert "alb-reconcile:spec" in found[instance]
        assert "alb-reconcile:spec" not in found[ids["load_balancer.main"]], "its name isn't as the spec says yet"
        world.converge(runbook())
        assert "alb-reconcile:spec" in our_tags(world)[ids["load_balancer.main"]]
