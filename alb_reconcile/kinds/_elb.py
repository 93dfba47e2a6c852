"""Shared code of load balancers, target groups, listeners and rules in ELBv2's API."""

from collections.abc import Container, Iterable, Mapping
from typing import Any, Final

from alb_reconcile.aws.client import Aws, batches
from alb_reconcile.aws.polling import repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._attached import InUse
from alb_reconcile.kinds.base import Kind, P
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.kinds.shared_reader import read_tags
from alb_reconcile.model import tags
from alb_reconcile.model.advice import advised
from alb_reconcile.model.discovery import Other
from alb_reconcile.model.errors import AwsError, RefusedError, ignoring
from alb_reconcile.model.resource import Desired
from alb_reconcile.model.text import camel

LINKED_ROLE: Final = ("elasticloadbalancing.amazonaws.com", "AWSServiceRoleForElasticLoadBalancing")
"""The service-linked role that AWS makes with an account's first load balancer or target group."""
_ATTRIBUTES_A_CALL: Final = 20


class NamedKind(Kind[P]):
    """A kind of resources that AWS tells apart by name: load balancers, target groups and trust stores."""

    async def create_named(self, run: Run, desired: Desired, name: str, retry: waits.Codes, **params: Any) -> str:
        """Create a resource, without its attributes. Returns its ARN.

        AWS answers such a create with the existing resource where name and settings are the same, and refuses it where
        they differ: so the resource's tags say whether it is the stack's. Raises RefusedError if it isn't.
        """
        try:
            answer = await run.aws.call(
                "elbv2", f"create_{self.name}", retry=retry, Name=name, Tags=run.tag_list(desired), **params
            )
        except AwsError as error:
            if error.code != f"Duplicate{camel(self.name)}Name":
                raise
            answer = await run.aws.call("elbv2", f"describe_{self.name}s", retry=waits.NAMED_UNKNOWN, Names=[name])
        found = answer[f"{camel(self.name)}s"][0]
        arn = str(found[self.id_key])
        if not await is_ours(run, desired, arn):
            zones = {zone["SubnetId"] for zone in found.get("AvailabilityZones", ())}
            is_near = found.get("VpcId", "") == params.get("VpcId") or not zones.isdisjoint(params.get("Subnets", ()))
            is_lost = is_near and tags.STACK not in (await read_tags(run.aws, [arn])).get(arn, {tags.STACK: ""})
            # where a serving one has lost its tags, another name would build a second one
            then = f"{advised('adopt', desired.file)} takes it over{'' if is_lost else ', or choose another name'}"
            raise RefusedError(f'{self.noun} named "{name}" exists outside this stack; {then}')
        if found.get("LoadBalancerArns"):
            run.shared.of(InUse).add(arn)
        return arn


def others_among(rows: Iterable[Mapping[str, Any]], reader: Reader, kind: str) -> dict[str, Other]:
    """By name, the rows' resources that aren't the stack's."""
    name, arn = f"{camel(kind)}Name", f"{camel(kind)}Arn"
    return {
        row[name]: Other(row[arn], row.get("VpcId", ""), row["Tags"]) for row in rows if not reader.ours(row["Tags"])
    }


class HasAttributes(Kind[P]):
    """A kind of resources with attributes in addition to their settings: load balancers, target groups and listeners."""

    async def read_attributes(self, aws: Aws, arn: str) -> dict[str, str] | None:
        """A resource's attributes; None if the resource is gone meanwhile."""
        params: dict[str, Any] = {self.id_key: arn}
        with ignoring("*NotFound"):
            answer = await aws.call("elbv2", f"describe_{self.name}_attributes", **params)
            return tags.from_list(answer["Attributes"])
        return None

    async def write_attributes(
        self,
        run: Run,
        arn: str,
        attributes: Mapping[str, str] | None,
        changed: Container[str] | None = None,
        retry: waits.Codes | None = None,
    ) -> None:
        """Set attributes, 20 a call; only attributes with paths in `changed`, if it is given."""
        params: dict[str, Any] = {self.id_key: arn}
        pairs = tags.to_list(attributes or {})
        if changed is not None:
            pairs = [item for item in pairs if f"attributes.{item['Key']}" in changed]
        for part in batches(pairs, _ATTRIBUTES_A_CALL):
            await run.aws.call("elbv2", f"modify_{self.name}_attributes", retry=retry, Attributes=part, **params)


async def is_ours(run: Run, desired: Desired, arn: str) -> bool:
    """Whether a resource has the tags of `desired`. Right after a create a read may show neither the tags nor the resource yet."""

    async def read() -> dict[str, str]:
        return (await read_tags(run.aws, [arn])).get(arn, {})

    found = await repeat_until(run.aws, read, lambda found: tags.STACK in found, waits.LAG)
    return tags.identity(desired, run.stack).items() <= found.items()
