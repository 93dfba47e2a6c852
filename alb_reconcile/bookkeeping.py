"""What the resources' own tags say of the spec that was applied, where no step has written it (EC2 CreateTags, ELBv2
AddTags)."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from alb_reconcile import tags

if TYPE_CHECKING:
    from collections.abc import Mapping

    from alb_reconcile.aws import Aws
    from alb_reconcile.discover import Discovery
    from alb_reconcile.kind import Desired, Observed
    from alb_reconcile.values import Address

_MOST: Final = 500
"""Resources of one CreateTags call, which takes up to 1,000."""


async def keep_books(aws: Aws, stack: str, desired: Mapping[Address, Desired], discovery: Discovery) -> None:
    """Write down that this spec is applied: each entry's digest, and that of the whole.

    For a stack that is as the spec wants it. Makes no call where the tags say so already. Raises AwsError.
    """
    own = [
        item
        for item in discovery.resources
        if item.owner == stack and item.state.service and not item.is_gone and not item.is_leaving
    ]
    wanted: dict[str, dict[str, str]] = {}
    for item in own:
        wish = desired.get(item.address)
        if wish is not None and item.tags.get(tags.SPEC) != tags.spec_tag(wish):
            wanted[item.id] = {tags.SPEC: tags.spec_tag(wish)}
    applied = tags.spec_digest_of(desired)
    for item in _anchors(own):
        if item.tags.get(tags.APPLIED) != applied:
            wanted.setdefault(item.id, {})[tags.APPLIED] = applied
    await asyncio.gather(*_calls(aws, wanted))


def _anchors(own: list[Observed]) -> list[Observed]:
    """Who carries the digest of the whole: everything that EC2 tags, in one call, so that it outlives each of them."""
    simple = [item for item in own if item.state.service == "ec2" and item.state.kind != "instance"]
    instances = [item for item in own if item.state.kind == "instance"]
    return simple or instances or [item for item in own if item.state.kind == "load_balancer"]


def _calls(aws: Aws, wanted: Mapping[str, dict[str, str]]) -> list[asyncio.Future[object]]:
    alike: dict[tuple[tuple[str, str], ...], list[str]] = defaultdict(list)
    for resource, found in wanted.items():
        for tag in found.items():
            alike[(tag,)].append(resource)
    calls = []
    for (tag,), resources in alike.items():
        written = tags.to_list(dict([tag]))
        simple = [item for item in resources if not item.startswith("arn:")]
        for start in range(0, len(simple), _MOST):
            part = simple[start : start + _MOST]
            calls.append(aws.call("ec2", "create_tags", Resources=part, Tags=written))
        calls += [
            aws.call("elbv2", "add_tags", ResourceArns=[arn], Tags=written)
            for arn in resources
            if arn.startswith("arn:")
        ]
    return [asyncio.ensure_future(call) for call in calls]
