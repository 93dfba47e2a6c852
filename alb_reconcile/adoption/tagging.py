"""Writes and removes tags of resources, one kind after the other, and changes nothing else."""

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
"""The most tags of a resource (AWS's own don't count)."""


@dataclass(frozen=True)
class Tagging:
    """The tags to write to one resource, or to remove from it, and the volumes that it was launched with."""

    address: Address
    id: str
    write: Mapping[str, str] = field(default_factory=dict)
    remove: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    """An instance's volumes: they get the ownership tags, or lose all of this tool's, in the same call or one of their own."""


@cache
def waves() -> tuple[str, ...]:
    """The kinds that carry tags, in the order in which tags are written; they are removed in reverse order.

    Resources in a load balancer or a target group come before it. So, half-way, a load balancer of the stack never has listeners that
    aren't the stack's, which an apply would take away.
    """
    kinds = [kind for kind in in_spec_order() if kind.properties.service]
    network = [kind for kind in kinds if kind.properties.service == "ec2"]
    balancing = sorted(
        (kind for kind in kinds if kind not in network), key=lambda kind: (_height(kind.name), -kind.position)
    )
    return tuple(kind.name for kind in (*network, *balancing))


def _height(kind: str) -> int:
    """How many levels of kinds nest in a kind: in a load balancer there are listeners, and in those rules."""
    below = [child for child in in_spec_order() if child.properties.parent == kind]
    return max((_height(child.name) + 1 for child in below), default=0)


def excess(reader: HypotheticalReader, item: Tagging) -> str:
    """Why AWS would refuse the tags; empty if it wouldn't."""
    there = {key for key in reader.tags.get(item.id, {}) if not key.startswith("aws:")}
    count = len(there | item.write.keys())
    return (
        f"{item.address}: {item.id} would have {count} tags, and AWS allows {_MOST}; remove some of its own"
        if count > _MOST
        else ""
    )


async def carry_out(aws: Aws, items: Sequence[Tagging], done: Callable[[Tagging], None]) -> None:
    """Write or remove all of these tags, one kind after the other. Raises the first AwsError, after the kind's other calls."""
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
