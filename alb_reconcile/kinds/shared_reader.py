"""Makes the reads that the discoveries of several stacks in one account and region share: each is made once for all stacks."""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from typing import Any, Final

from alb_reconcile.aws.client import Aws, batches
from alb_reconcile.model import tags
from alb_reconcile.model.clock import Clock
from alb_reconcile.model.errors import AwsError

TAG_BATCH: Final = 20
"""The most ARNs of one DescribeTags call (ELBv2)."""
_VALUES: Final = 20
"""The most values of one filter of GetResources."""
_TOGETHER: Final = 0.05
"""Seconds for which ARNs are collected before their tags are read."""
_PAUSE: Final = 2.0
"""Seconds before a failed read is repeated once."""


class SharedReads:
    """The shared reads of one round over some stacks. Each is made once, and grows old: a run that changes resources makes its own."""

    def __init__(self, aws: Aws, stacks: Collection[str]) -> None:
        self.began = Clock().now()
        self._aws = aws
        self._stacks = sorted(stacks)
        self._tasks: dict[str, asyncio.Future[Any]] = {}
        self._tags: dict[str, asyncio.Future[dict[str, str] | None]] = {}
        self._waiting: list[str] = []
        self._batches: set[asyncio.Task[None]] = set()
        self._under_way = 0
        """The number of batches that haven't taken their ARNs yet: enough for all ARNs that wait."""

    async def once(self, name: str, read: Callable[[Aws], Awaitable[Any]]) -> Any:
        """The result of a read of the whole account. The stack that asks first starts the read."""
        if name not in self._tasks:
            self._tasks[name] = asyncio.ensure_future(self._read_twice(read))
        return await asyncio.shield(self._tasks[name])

    async def _read_twice(self, read: Callable[[Aws], Awaitable[Any]]) -> Any:
        """Make a read, and once more if it fails, since its failure would fail all stacks."""
        try:
            return await read(self._aws)
        except AwsError:
            await self._aws.sleep(_PAUSE)
            return await read(self._aws)

    async def tagged(self, operation: str, key: str, stack: str) -> list[dict[str, Any]]:
        """The EC2 resources that carry a stack's tag; the resources of all stacks are read together."""
        rows = await self.once(operation, lambda aws: self._read_tagged(aws, operation, key))
        return list(rows.get(stack, ()))

    async def _read_tagged(self, aws: Aws, operation: str, key: str) -> dict[str, list[dict[str, Any]]]:
        rows: dict[str, list[dict[str, Any]]] = {}
        for row in await aws.pages("ec2", operation, key, where={f"tag:{tags.STACK}": self._stacks}):
            for item in row.get("Instances", (row,)):
                owner = tags.from_list(item.get("Tags")).get(tags.STACK, "")
                rows.setdefault(owner, []).append({"Instances": [item]} if "Instances" in row else item)
        return rows

    async def ec2_ids(self, stack: str) -> set[str]:
        """The ids of all EC2 resources that carry a stack's tag (DescribeTags); the tags of all stacks are read together."""
        rows = await self.once("describe_tags", lambda aws: read_ec2_tags(aws, self._stacks))
        return {str(row["ResourceId"]) for row in rows if row["Value"] == stack}

    async def resources(self, services: Sequence[str], stack: str) -> list[str]:
        """The ARNs of all resources of these services that carry a stack's tag; the resources of all stacks are read together."""
        named = f"resources of {', '.join(services)}"
        rows = await self.once(named, lambda aws: read_resources(aws, services, self._stacks))
        return sorted(arn for arn, owner in rows.items() if owner == stack)

    async def elb_tags(self, arns: Sequence[str]) -> dict[str, dict[str, str]]:
        """The tags of ELBv2 resources by ARN. ARNs that several stacks ask for shortly after each other are read together."""
        if fresh := [arn for arn in dict.fromkeys(arns) if arn not in self._tags]:
            loop = asyncio.get_running_loop()
            self._tags |= {arn: loop.create_future() for arn in fresh}
            self._waiting += fresh
            while self._under_way * TAG_BATCH < len(self._waiting):
                self._under_way += 1
                task = asyncio.ensure_future(self._read_batch())
                self._batches.add(task)
                task.add_done_callback(self._batches.discard)
        found = {arn: await asyncio.shield(self._tags[arn]) for arn in arns}
        return {arn: item for arn, item in found.items() if item is not None}

    async def _read_batch(self) -> None:
        taken: list[str] = []

        def take() -> dict[str, Any]:
            self._under_way -= 1
            taken[:] = self._waiting[:TAG_BATCH]
            del self._waiting[:TAG_BATCH]
            return {"ResourceArns": taken}

        try:
            await asyncio.sleep(_TOGETHER)
            found = await _tags_of(lambda: self._aws.call_late("elbv2", "describe_tags", take), self._aws, taken)
        except Exception as error:  # each caller that waits for a tag must get the error, of any class
            if not taken:  # the call was never made
                take()
            for arn in taken:
                self._tags[arn].set_exception(error)
                self._tags[arn].exception()  # seen, also if no stack asks for it any more
            return
        for arn in taken:
            self._tags[arn].set_result(found.get(arn))

    async def cancel(self) -> None:
        """Cancel the reads that are still running."""
        tasks = [*self._tasks.values(), *self._batches]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def read_ec2_tags(aws: Aws, stacks: Collection[str]) -> list[dict[str, Any]]:
    """The rows of DescribeTags with the stack tag of these stacks; an emulator's answer may have other tags as well."""
    found = await aws.pages("ec2", "describe_tags", "Tags", where={f"tag:{tags.STACK}": stacks})
    return [row for row in found if row["Key"] == tags.STACK and row["Value"] in stacks]


async def read_resources(aws: Aws, services: Sequence[str], stacks: Sequence[str] = ()) -> dict[str, str]:
    """The resources of these services with the stack tag, by ARN, and the tag's value: one of `stacks`, or any without these (Resource
    Groups Tagging API GetResources, which shows changes late)."""
    found: dict[str, str] = {}
    for part in batches(stacks, _VALUES) or [()]:
        where = [{"Key": tags.STACK, "Values": list(part)}]
        rows = await aws.pages(
            "resourcegroupstaggingapi", "get_resources", "ResourceTagMappingList", TagFilters=where,
            ResourceTypeFilters=list(services),
        )  # fmt: skip
        found |= {str(row["ResourceARN"]): tags.from_list(row.get("Tags")).get(tags.STACK, "") for row in rows}
    return found


async def read_tags(aws: Aws, arns: Sequence[str]) -> dict[str, dict[str, str]]:
    """The tags of up to 20 ELBv2 resources by ARN (DescribeTags), without resources that are gone meanwhile."""
    return await _tags_of(lambda: aws.call("elbv2", "describe_tags", ResourceArns=list(arns)), aws, arns)


async def _tags_of(
    ask: Callable[[], Awaitable[dict[str, Any]]], aws: Aws, arns: Sequence[str]
) -> dict[str, dict[str, str]]:
    """The tags that `ask` reads; if one of `arns` is gone, each is read alone. `arns` may be filled only when `ask` has been called."""
    try:
        answer = await ask()
    except AwsError as error:
        if not error.code.endswith("NotFound"):
            raise
        if len(arns) == 1:
            return {}
        # the whole batch fails if one of its resources is gone
        parts = await asyncio.gather(*(read_tags(aws, [arn]) for arn in arns))
        return {arn: found for part in parts for arn, found in part.items()}
    return {item["ResourceArn"]: tags.from_list(item["Tags"]) for item in answer["TagDescriptions"]}
