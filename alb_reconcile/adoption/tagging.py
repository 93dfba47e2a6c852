"""Changes of tags, and nothing else."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from alb_reconcile.adoption.hypothetical import HypotheticalReader
from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.tagging import remove_tags, write_tags
from alb_reconcile.kinds import in_spec_order
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address

_MOST: Final = 50
"""AWS's most tags of a resource (its own don't count)."""


@dataclass(frozen=True)
class Tagging:
    """What is written to one resource, and to the volumes that it was launched with."""

    address: Address
    id: str
    write: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    """Instances: these get the ownership tags, or lose all of ours, in the same call or one of their own."""


@cache
def waves() -> tuple[str, ...]:
    """The kinds that carry tags, in the order in which these are written; removed, the other way round.

    What is in a load balancer or a target group comes before it. So who is half-way there is never one of the stack with
    listeners in it that aren't, which an apply would take away.
    """
    kinds = [kind for kind in in_spec_order() if kind.properties.service]
    network = [kind for kind in kinds if kind.properties.service == "ec2"]
    balancing = sorted(
        (kind for kind in kinds if kind not in network), key=lambda kind: (_height(kind.name), -kind.position)
    )
    return tuple(kind.name for kind in (*network, *balancing))


def _height(kind: str) -> int:
    """How many kinds are in one another in it: in a load balancer listeners, and in those rules."""
    below = [child for child in in_spec_order() if child.properties.parent == kind]
    return max((_height(child.name) + 1 for child in below), default=0)


def excess(reader: HypotheticalReader, item: Tagging) -> str:
    """Why AWS would refuse it; empty if it wouldn't."""
    there = {key for key in reader.tags.get(item.id, {}) if not key.startswith("aws:")}
    count = len(there | item.write.keys())
    return (
        f"{item.address}: {item.id} would have {count} tags, and AWS allows {_MOST}; remove some of its own"
        if count > _MOST
        else ""
    )


async def carry_out(aws: Aws, items: Sequence[Tagging], done: Callable[[Tagging], None]) -> None:
    """Write all of it, one wave of kinds after the other. Raises the first AwsError, after the wave's other calls."""
    removing = any(item.remove for item in items)
    for kind in reversed(waves()) if removing else waves():
        wave = [item for item in items if item.address.kind == kind]
        results = await asyncio.gather(*(_write(aws, item, done) for item in wave), return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result


async def _write(aws: Aws, item: Tagging, done: Callable[[Tagging], None]) -> None:
    identity = {key: value for key, value in item.write.items() if key in (tags.STACK, tags.ADDRESS)}
    if item.remove:
        await remove_tags(aws, [*item.volumes, item.id], sorted(item.remove))
    elif item.write:
        if item.volumes and identity:
            await write_tags(aws, item.volumes, identity)
        await write_tags(aws, [item.id], item.write)
    done(item)
