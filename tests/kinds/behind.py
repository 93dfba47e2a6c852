"""What somebody does behind the tool's back, by a kind's own verbs: whatever the kind, and whatever of it can be changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from alb_reconcile.aws.tagging import remove_tags, write_tags
from alb_reconcile.engine.stack import Options, plan_stack
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import Ordered
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.abilities import settle
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Lookups, Observed, bind, references
from alb_reconcile.model.steps import SetPriorities
from tests.adoption.adopting import target_of

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from alb_reconcile.aws.client import Aws
    from tests.harness import Spec, World

    Deed = Callable[[Run, Any, Observed], Coroutine[Any, Any, None]]


def behind(world: World, spec: Spec, address: str, do: Deed) -> None:
    """`do` is given the run, the properties that `spec` wants, and what there is. Raises LookupError where there is none."""
    target = target_of(spec)

    async def main(aws: Aws) -> None:
        planned = await plan_stack(aws, target, Options(check=False))
        there = [item for item in planned.discovery.resources if str(item.address) == address and not item.is_gone]
        if len(there) != 1:
            raise LookupError(f"there are {len(there)} of {address}")
        run = Run(aws, target.stack, ids=dict(planned.plan.ids))
        wanted = bind(target.desired[there[0].address].state, run.ids)
        if any(references(wanted)):
            raise LookupError(f"what {address} refers to isn't there")
        await do(run, settle(wanted, there[0], Lookups()), there[0])

    world._run(main)


def change(world: World, spec: Spec, address: str, path: str) -> None:
    """Give a property the value that `spec` says."""
    kind = load_kinds()[Address.parse(address).kind]

    async def do(run: Run, wanted: Any, observed: Observed) -> None:
        if isinstance(kind, Ordered) and path == kind.ordered_by:
            await kind.set_order(run, SetPriorities(((observed.id, getattr(wanted, path)),)))
        else:
            await kind.update(run, wanted, observed, frozenset({path, path.partition(".")[0]}))

    behind(world, spec, address, do)


def delete(world: World, spec: Spec, address: str) -> None:
    """Delete what there is."""
    kind = load_kinds()[Address.parse(address).kind]

    async def do(run: Run, wanted: Any, observed: Observed) -> None:
        await kind.delete(run, observed)

    behind(world, spec, address, do)


def tag(world: World, resource: str, tags: Mapping[str, str]) -> None:
    """Write tags."""
    world._run(lambda aws: write_tags(aws, [resource], tags))


def untag(world: World, resource: str, keys: Sequence[str]) -> None:
    """Remove tags."""
    world._run(lambda aws: remove_tags(aws, [resource], keys))
