"""Reads a stack from AWS for discovery: each read is made once, however many kinds need it, and as soon as its arguments are known."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import cached_property
from typing import Any, Final, TypeVar, TypeVarTuple

from alb_reconcile.aws.client import Aws, batches
from alb_reconcile.aws.hints import iam_action
from alb_reconcile.aws.tasks import set_off
from alb_reconcile.kinds.shared_reader import TAG_BATCH, SharedReads, read_resources, read_tags
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import AwsError, ignoring
from alb_reconcile.model.resource import Desired, field_names

NO_STACK: Final = "-"
"""No stack can have this name, so that a reader for it takes all resources with a stack's tags as other stacks'."""
_ID: Final = re.compile(r"[a-z-]+-([0-9a-f]{8}|[0-9a-f]{17})")
"""An id of EC2's."""
_T = TypeVar("_T")
_Ts = TypeVarTuple("_Ts")


class Reader:
    """What one discovery has read of one stack so far.

    With `everything` the tags of all target groups are read, not only of groups that may be the stack's. `shared` has the reads
    that are made for other stacks, too.
    """

    def __init__(
        self,
        aws: Aws,
        stack: str,
        desired: Mapping[Address, Desired],
        *,
        everything: bool = False,
        shared: SharedReads | None = None,
    ) -> None:
        self.aws = aws
        self.stack = stack
        self.desired = desired
        self.everything = everything
        self.shared = shared
        self.thorough = False
        """Whether it reads also properties that are otherwise read only where the spec declares them (for an export)."""
        self.eager = False
        """Whether it makes reads at once that the answers of other reads may show to be needless."""
        self.lenient = False
        """Whether what these credentials may not read is left out, so that the rest can be shown; no plan may be made from such reads."""
        self.warnings: list[str] = []
        """What a user should know about the reads."""
        self.kept: Mapping[tuple[Address, str], Any] = {}
        """The volumes that outlive their instances (`kinds.instance.persistent_volumes.Kept`), by instance's address and volume's name."""
        self.named: Collection[str] = frozenset()
        """Ids of resources that are read wherever they are."""
        self._tasks: dict[tuple[object, ...], asyncio.Future[Any]] = {}

    async def once(self, read: Callable[[*_Ts], Awaitable[_T]], *args: *_Ts) -> _T:
        """The result of a read, which starts when it is asked for first."""
        result: _T = await asyncio.shield(self._begin(read, *args))
        return result

    def _begin(self, read: Callable[[*_Ts], Awaitable[Any]], *args: *_Ts) -> asyncio.Future[Any]:
        """Start a read, if it hasn't started, before its result is needed."""
        if (read, *args) not in self._tasks:
            self._tasks[read, *args] = set_off(read(*args))
        return self._tasks[read, *args]

    def asks(self, wanted: Desired | None, field: str) -> bool:
        """Whether to read a property that takes a read of its own: the spec declares the property, or the reader is thorough."""
        return self.thorough or (wanted is not None and getattr(wanted.state, field, None) is not None)

    async def beside(self, what: str, read: Awaitable[_T]) -> _T | None:
        """The result of a read for a property that takes a read of its own. A thorough reader warns of a failure, and returns None."""
        try:
            return await read
        except AwsError as error:
            if not self.thorough:
                raise
            self.warnings.append(f"{what} can't be read ({error.operation}: {error.code}), so that is left out")
            return None

    async def cancel(self) -> None:
        """Cancel the reads that are still running after a failure."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def tagged(self, operation: str, key: str) -> list[dict[str, Any]]:
        """The EC2 resources that carry the stack's tag."""
        if self.shared is not None:
            return await self.shared.tagged(operation, key, self.stack)
        return await self.once(self._tagged, operation, key)

    async def _tagged(self, operation: str, key: str) -> list[dict[str, Any]]:
        return await self.aws.pages("ec2", operation, key, where={f"tag:{tags.STACK}": self.stack})

    async def resources(self, services: Sequence[str]) -> list[str]:
        """The ARNs of resources of these services that carry the stack's tag, as far as AWS's index already has them."""
        if self.shared is not None:
            return await self.shared.resources(services, self.stack)
        return sorted(await self.once(read_resources, self.aws, tuple(services), (self.stack,)))

    async def instances(self) -> list[dict[str, Any]]:
        """The instances that carry the stack's tag, each with its own tags also after a joint launch."""
        reservations = await self.tagged("describe_instances", "Reservations")
        return [
            {
                **item,
                "Tags": tags.to_list(tags.own_tags(tags.from_list(item.get("Tags")), item.get("AmiLaunchIndex", 0))),
            }
            for reservation in reservations
            for item in reservation["Instances"]
        ]

    async def vpc_ids(self) -> set[str]:
        """The ids of the stack's VPCs, and of others' VPCs that the spec names."""
        own = {vpc["VpcId"] for vpc in await self.tagged("describe_vpcs", "Vpcs")}
        named = (getattr(item.state, "vpc", None) for item in self.desired.values())
        return own | {vpc for vpc in named if isinstance(vpc, str)}

    def declares(self, kind: str) -> bool:
        """Whether the spec has a resource of a kind."""
        return any(address.kind == kind for address in self.desired)

    async def looked_for(self, kind: str, what: str, read: Awaitable[list[_T]]) -> list[_T]:
        """The result of a read for a kind that few stacks have. Where the spec declares none, a refused read is only a warning."""
        try:
            return await read
        except AwsError as error:
            if self.declares(kind) or error.code not in (
                "AccessDenied",
                "AccessDeniedException",
                "UnauthorizedOperation",
            ):
                raise
            self.warnings.append(
                f"these credentials may not look for {what} ({iam_action(error.service, error.operation)}); if the stack has any, they stay"
            )
            return []

    def seen(
        self, physical_id: str, row: Mapping[str, Any], found: dict[str, str], *, within: bool = True
    ) -> dict[str, str]:
        """The tags of a resource that was read, as they count for this reader. `within`: whether the resource is where the stack is.

        Every kind gets tags through this method, so that a subclass can show an account as if its resources had other tags.
        """
        return found

    async def load_balancers(self) -> list[dict[str, Any]]:
        """All of the account's application load balancers in the region, with their tags under `Tags`."""
        return await self.once(self._load_balancers)

    async def target_groups(self) -> list[dict[str, Any]]:
        """The target groups that may be the stack's, with their tags under `Tags`."""
        return await self.once(self._target_groups)

    async def _load_balancers(self) -> list[dict[str, Any]]:
        found = await self._all_load_balancers()
        found = [item for item in found if item.get("Type", "application") == "application"]
        for item in found:
            if self._may_be_ours(item["LoadBalancerName"]):
                self._begin(self._listeners, item["LoadBalancerArn"])
        tagged = await self.once(self._tags_of_both)
        return [{**item, "Tags": tagged.get(item["LoadBalancerArn"], {})} for item in found]

    async def _target_groups(self) -> list[dict[str, Any]]:
        tagged = await self.once(self._tags_of_both)
        found = await self._all_target_groups()
        return [{**item, "Tags": tagged[item["TargetGroupArn"]]} for item in found if item["TargetGroupArn"] in tagged]

    async def _all_load_balancers(self) -> list[dict[str, Any]]:
        return await self.account_wide("describe_load_balancers", "LoadBalancers")

    async def _all_target_groups(self) -> list[dict[str, Any]]:
        return await self.account_wide("describe_target_groups", "TargetGroups")

    async def load_balancer_arns(self) -> list[str]:
        """The ARNs of all load balancers in the account, of any owner."""
        return [item["LoadBalancerArn"] for item in await self._all_load_balancers()]

    async def target_group_arns(self) -> list[str]:
        """The ARNs of all target groups in the account, of any owner."""
        return [item["TargetGroupArn"] for item in await self._all_target_groups()]

    async def account_wide(self, operation: str, key: str) -> list[dict[str, Any]]:
        """The rows of an ELBv2 Describe action for the whole account, of any owner."""
        if self.shared is not None:
            return list(await self.shared.once(operation, lambda aws: aws.pages("elbv2", operation, key)))
        return await self.once(self.aws.pages, "elbv2", operation, key)

    async def _tags_of_both(self) -> dict[str, dict[str, str]]:
        balancers, groups, vpcs = await asyncio.gather(
            self._all_load_balancers(), self._all_target_groups(), self.vpc_ids()
        )
        arns = [item["LoadBalancerArn"] for item in balancers if item.get("Type", "application") == "application"]
        ours = {item["LoadBalancerArn"] for item in balancers if self._may_be_ours(item["LoadBalancerName"])}
        for item in groups:
            arn = item["TargetGroupArn"]
            near = (
                item.get("VpcId") in vpcs
                or self._may_be_ours(item["TargetGroupName"])
                or ours.intersection(item.get("LoadBalancerArns", ()))
            )
            if self.everything or near or "VpcId" not in item:  # target groups of functions are in no VPC
                arns.append(arn)
                if near:
                    self._begin(self._health, arn)
        return await self.elb_tags(arns)

    def _may_be_ours(self, name: str) -> bool:
        """Whether a name looks like the stack's: a guess with which the next reads begin before the tags are known."""
        explicit = {getattr(item.state, "name", None) for item in self.desired.values()}
        return name in explicit or name.startswith(f"{self.stack}-"[:20])

    async def elb_tags(self, arns: Sequence[str]) -> dict[str, dict[str, str]]:
        """The tags of ELBv2 resources by ARN, 20 a call; without the resources that are gone meanwhile."""
        if self.shared is not None:
            return await self.shared.elb_tags(arns)
        parts = await asyncio.gather(*(read_tags(self.aws, batch) for batch in batches(arns, TAG_BATCH)))
        return {arn: found for part in parts for arn, found in part.items()}

    async def listeners(self, load_balancer: str) -> list[dict[str, Any]]:
        """A load balancer's listeners with their tags under `Tags`."""
        return await self.once(self._listeners, load_balancer)

    async def _listeners(self, load_balancer: str) -> list[dict[str, Any]]:
        found = await self._children("describe_listeners", "Listeners", LoadBalancerArn=load_balancer)
        arns = [item["ListenerArn"] for item in found]
        for arn in arns:
            self._begin(self._rules, arn)
        tagged = await self.once(self.elb_tags, tuple(arns))  # after rules, which read their own tags
        return [{**item, "Tags": tagged.get(item["ListenerArn"], {})} for item in found]

    async def rules(self, listener: str) -> list[dict[str, Any]]:
        """A listener's rules but for the default one, with their tags under `Tags`."""
        return await self.once(self._rules, listener)

    async def _rules(self, listener: str) -> list[dict[str, Any]]:
        found = await self._children("describe_rules", "Rules", ListenerArn=listener)
        found = [rule for rule in found if not rule["IsDefault"]]
        tagged = await self.elb_tags([rule["RuleArn"] for rule in found])
        return [{**rule, "Tags": tagged.get(rule["RuleArn"], {})} for rule in found]

    async def health(self, target_group: str) -> list[dict[str, Any]]:
        """The targets of a group with their health."""
        return await self.once(self._health, target_group)

    async def _health(self, target_group: str) -> list[dict[str, Any]]:
        return await self._children("describe_target_health", "TargetHealthDescriptions", TargetGroupArn=target_group)

    async def _children(self, operation: str, key: str, **params: Any) -> list[dict[str, Any]]:
        """The rows inside of a resource; none if the resource is gone meanwhile."""
        with ignoring("*NotFound"):
            return await self.aws.pages("elbv2", operation, key, **params)
        return []

    def ours(self, found: Mapping[str, str]) -> bool:
        """Whether tags are those of a resource of the stack."""
        return found.get(tags.STACK) == self.stack

    async def by_ids(self, prefix: str, operation: str, key: str, id_filter: str) -> list[dict[str, Any]]:
        """The EC2 resources of one type that the spec names by their ids."""
        return await self.once(self._by_ids, prefix, operation, key, id_filter)

    async def _by_ids(self, prefix: str, operation: str, key: str, id_filter: str) -> list[dict[str, Any]]:
        ids = self.literal_ids(prefix)
        return await self.aws.pages("ec2", operation, key, where={id_filter: ids}) if ids else []

    def literal_ids(self, prefix: str) -> list[str]:
        """The literal ids of one type that the spec refers to. Other texts may begin like an id: for example a key pair's name vpc-key."""
        return sorted(
            text
            for text in self._literals
            if text.startswith(prefix) and (prefix.startswith("arn:") or _ID.fullmatch(text))
        )

    @cached_property
    def _literals(self) -> frozenset[str]:
        """All literal texts in the spec."""
        return frozenset(text for item in self.desired.values() for text in _strings(item.state))

    def users(self, text: str) -> list[tuple[Desired, str]]:
        """The spec's resources that name a literal id, each with the property that does."""
        return [
            (item, name)
            for item in self.desired.values()
            for name in field_names(type(item.state))
            if text in _strings(getattr(item.state, name))
        ]


def _strings(value: object) -> list[str]:
    if isinstance(value, Address):
        return []  # an address names an entry of the spec, not a literal id
    if isinstance(value, str):
        return [value]
    if isinstance(value, tuple):
        return [text for member in value for text in _strings(member)]
    if hasattr(value, "__dataclass_fields__"):
        return [text for name in field_names(type(value)) for text in _strings(getattr(value, name))]
    return []
