"""Reads what exists of a stack."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from alb_reconcile.api.runs import on_stack
from alb_reconcile.api.serving import not_ready, urls
from alb_reconcile.api.session import local_urls
from alb_reconcile.api.stacks import Stack
from alb_reconcile.aws.client import Aws
from alb_reconcile.engine.discover import discover as read
from alb_reconcile.engine.plan.situation import situate
from alb_reconcile.engine.standby import describe_standby, find_standby, without_standby
from alb_reconcile.engine.standing import Standing, find_standing
from alb_reconcile.model.address import Address
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.discovery import Discovery
from alb_reconcile.model.resource import Observed


@dataclass(frozen=True)
class Status:
    """A stack as it was seen, and the resources that its spec declares and that don't exist."""

    stack: str
    region: str
    discovery: Discovery = field(repr=False)
    standing: Standing = field(default_factory=Standing, repr=False)
    local: Mapping[str, str] = field(default_factory=dict)
    """The listeners' URLs on this machine in the sandbox, by ARN."""

    @property
    def account(self) -> str:
        """The account's number."""
        return self.discovery.account

    @property
    def resources(self) -> tuple[Observed, ...]:
        """The stack's resources by address, without terminated instances, which AWS shows for about an hour."""
        return tuple(
            sorted((item for item in self.discovery.resources if not item.is_gone), key=lambda item: item.address)
        )

    @property
    def missing(self) -> tuple[Address, ...]:
        """The resources that the spec declares and that don't exist; empty where the whole stack doesn't exist."""
        return self.standing.missing

    @property
    def differs(self) -> tuple[Address, ...]:
        """The resources that exist and that `apply` would update, replace or delete."""
        return self.standing.differs

    @property
    def urls(self) -> tuple[str, ...]:
        """Where the listeners answer."""
        return tuple(urls(self.discovery, self.local))

    @property
    def not_ready(self) -> tuple[str, ...]:
        """What serves no requests, and what doesn't answer requests yet, in words."""
        return tuple(not_ready(self.discovery, self.standing))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a user should look at."""
        return self.discovery.warnings


def discover(stack: Stack) -> Status:
    """Read what exists of a stack, found by its tags. Changes nothing.

    AWS's actions: the *Read* column of the permissions by kind, and sts:GetCallerIdentity. Raises RefusedError in an account
    that isn't in `account_ids`, AwsError, UnreachableError.
    """
    found, standing = on_stack(stack, look, keeps_versions=True)
    return Status(stack.name, stack.region, found, standing, local_urls(stack.session))


async def look(aws: Aws, target: DesiredStack, *, lenient: bool = False) -> tuple[Discovery, Standing]:
    """Read a stack over a connection, with what can't be found among the warnings; `lenient`: without what can't be read."""
    found = await read(aws, target.stack, target.desired, account_ids=target.account_ids, lenient=lenient)
    now = datetime.now(UTC)
    waits, over = find_standby(found, now), find_standby(found, now, is_over=True)
    beside = [describe_standby(item, is_over=item is over) for item in (waits, over) if item.groups]
    standing = find_standing(situate(target, without_standby(found, waits)))
    lost = dict.fromkeys(map(str, found.findings))
    return replace(found, warnings=(*found.warnings, *standing.service.unfilled, *lost, *beside)), standing
