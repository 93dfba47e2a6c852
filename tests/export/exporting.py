"""What the tests of export share: an export in a world, adopted as it says, and planned to nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from alb_reconcile.adoption.adopt import entries_of, find_adoption
from alb_reconcile.adoption.tagging import carry_out
from alb_reconcile.aws.client import Aws
from alb_reconcile.cli.commands.adoption import parse_choices
from alb_reconcile.engine.lookups import resolve_lookups
from alb_reconcile.engine.stack import Options, plan_stack
from alb_reconcile.export.export import Export, ExportWishes, export
from alb_reconcile.model.plan import Plan
from alb_reconcile.spec.stack import Stack, parse_stack
from tests.harness import READS, REGION, World

if TYPE_CHECKING:
    from alb_reconcile.export.scope import ExportScope


def exported(
    world: World, scope: ExportScope, folder: Path | None = None, wishes: ExportWishes | None = None
) -> Export:
    """An export, which changes nothing; its files in a folder, if there is one."""
    wishes = wishes or ExportWishes()
    if folder:
        wishes = replace(wishes, file=str(folder / "stack.yaml"), folder="user-data")
    found: Export = world._run(lambda aws: export(aws, REGION, scope, wishes))
    assert not [name for name, _ in world.log if not name.startswith(READS)]
    for name, data in found.files.items():
        assert folder is not None
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)
    return found


def loaded(found: Export, folder: Path | None = None) -> Stack:
    """The spec as a user's commands read it."""
    return parse_stack(found.text.encode(), "stack.yaml", folder or Path(), {})


def adopted(world: World, found: Export, folder: Path | None = None) -> Plan:
    """Adopt it with the command that it tells. Returns the plan that is left."""
    target = loaded(found, folder).target()
    given = parse_choices(found.adopting, entries_of(target.desired))

    async def main(aws: Aws) -> Plan:
        secrets = "--keep-secrets" in found.text
        matched = await find_adoption(aws, target, given, keep_secrets=secrets)
        assert not matched.missing
        assert not matched.notes
        await carry_out(aws, matched.taggings, lambda _: None)
        return (await plan_stack(aws, target, Options(now=world.today))).plan

    plan: Plan = world._run(main)
    return plan


def planned(world: World, found: Export, folder: Path | None = None) -> Plan:
    """The plan of the spec as it was exported."""
    target = loaded(found, folder).target()

    async def main(aws: Aws) -> Plan:
        return (await plan_stack(aws, await resolve_lookups(aws, target), Options(now=world.today))).plan

    plan: Plan = world._run(main)
    return plan


def steps(plan: Plan) -> list[str]:
    """What it would do, to read."""
    return [f"{step.key} {[item.path for item in step.changes]}" for step in plan.steps]


def plain(found: Export) -> dict[str, Any]:
    """The spec as plain data."""
    data: dict[str, Any] = yaml.safe_load(found.text)
    return data
