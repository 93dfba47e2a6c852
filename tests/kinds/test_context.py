"""What a step is carried out with: tags of what is created, and creates whose reply was lost."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.aws.client import Aws
from alb_reconcile.kinds.context import Run, create_once
from alb_reconcile.model import tags
from alb_reconcile.model.errors import AwsError
from alb_reconcile.sandbox.strict import VirtualClock
from tests.harness import demo, world
from tests.virtual import run_virtually

if TYPE_CHECKING:
    from collections.abc import Mapping

LATENCY = 0.3


def test_what_a_lost_create_has_made_is_looked_for_for_half_a_minute() -> None:
    """Reads may lag so long, and each call takes its time: before that nothing is created a second time."""
    clock = VirtualClock()
    created: list[float] = []

    def transport(service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False) -> dict[str, Any]:
        assert once
        created.append(clock.now())
        clock.advance(LATENCY)
        raise AwsError(service, operation, "ReadTimeoutError", "lost", "", ambiguous=True)

    async def find() -> str | None:
        clock.advance(LATENCY)
        return "vpc-1" if clock.now() - created[0] > 28 else None

    async def main() -> Any:
        return await create_once(Run(Aws(transport, max_workers=0), "shop"), "ec2", "create_vpc", find)

    assert run_virtually(clock, main()) == "vpc-1"
    assert len(created) == 1


def test_a_create_that_was_refused_is_not_looked_for() -> None:
    def transport(service: str, operation: str, params: Mapping[str, Any], /, *, once: bool = False) -> dict[str, Any]:
        raise AwsError(service, operation, "VpcLimitExceeded", "too many", "")

    async def find() -> str | None:
        raise AssertionError("nobody looks")

    async def main() -> Any:
        return await create_once(Run(Aws(transport, max_workers=0), "shop"), "ec2", "create_vpc", find)

    with pytest.raises(AwsError, match="VpcLimitExceeded"):
        asyncio.run(main())


def test_what_is_created_says_which_spec_is_applied_but_for_launches_which_are_repeated_word_for_word() -> None:
    with world() as here:
        here.converge(demo())
        given = {
            operation: {tag["Key"] for item in params["TagSpecifications"] for tag in item["Tags"]}
            for operation, params in here.log
            if "TagSpecifications" in params
        }
    assert {tags.APPLIED, tags.ENTRIES} <= given["create_vpc"]
    assert given["create_subnet"] == given["create_vpc"]
    assert given["run_instances"].isdisjoint({tags.APPLIED, tags.ENTRIES, tags.ZONES})
