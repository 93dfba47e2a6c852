"""What load balancers, target groups, listeners and rules have in common in ELBv2's API."""

import json
import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from alb_reconcile.aws.client import Aws, batches
from alb_reconcile.aws.polling import repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.base import Entry, Kind, P
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.identifiers import refer
from alb_reconcile.kinds.shared_reader import read_tags
from alb_reconcile.model import tags
from alb_reconcile.model.actions import Action, Forward, canonical
from alb_reconcile.model.address import Ref
from alb_reconcile.model.errors import AwsError, RefusedError, ignoring
from alb_reconcile.model.resource import Desired
from alb_reconcile.model.text import camel

_ATTRIBUTES_A_CALL: Final = 20
_SUPPORTED: Final = {
    "forward": ("ForwardConfig", "TargetGroups", "TargetGroupStickinessConfig"),
    "redirect": ("RedirectConfig", "Protocol", "Port", "Host", "Path", "Query", "StatusCode"),
    "fixed-response": ("FixedResponseConfig", "StatusCode", "ContentType", "MessageBody"),
}
"""The types of action that a spec can say: the key of their settings, and those settings."""


class NamedKind(Kind[P]):
    """Load balancers and target groups, which AWS tells apart by name, and which have attributes beside their settings."""

    async def create_named(self, run: Run, desired: Desired, name: str, retry: waits.Codes, **params: Any) -> str:
        """Create one, without its attributes. Returns its ARN.

        AWS answers such a create with the existing resource where name and settings are the same, and refuses it where
        they differ: so its tags say whether it is ours. Raises RefusedError if it is somebody else's.
        """
        try:
            answer = await run.aws.call(
                "elbv2", f"create_{self.name}", retry=retry, Name=name, Tags=run.tag_list(desired), **params
            )
        except AwsError as error:
            if error.code != f"Duplicate{camel(self.name)}Name":
                raise
            answer = await run.aws.call("elbv2", f"describe_{self.name}s", retry=waits.NAMED_UNKNOWN, Names=[name])
        arn = str(answer[f"{camel(self.name)}s"][0][self.id_key])
        if not await is_ours(run, desired, arn):
            raise RefusedError(
                f'{desired.address}: {self.noun} named "{name}" exists outside this stack; choose another name'
            )
        return arn

    async def read_attributes(self, aws: Aws, arn: str) -> dict[str, str] | None:
        """Its attributes; None if it is gone meanwhile."""
        params: dict[str, Any] = {self.id_key: arn}
        with ignoring("*NotFound"):
            answer = await aws.call("elbv2", f"describe_{self.name}_attributes", **params)
            return tags.from_list(answer["Attributes"])
        return None

    async def write_attributes(
        self, run: Run, arn: str, attributes: Mapping[str, str] | None, changed: Container[str] | None = None
    ) -> None:
        """Set attributes, 20 a call; only those whose paths have `changed`, if that is given."""
        params: dict[str, Any] = {self.id_key: arn}
        pairs = tags.to_list(attributes or {})
        if changed is not None:
            pairs = [item for item in pairs if f"attributes.{item['Key']}" in changed]
        for part in batches(pairs, _ATTRIBUTES_A_CALL):
            await run.aws.call(
                "elbv2", f"modify_{self.name}_attributes", retry=waits.ATTRIBUTES_UNKNOWN, Attributes=part, **params
            )


async def is_ours(run: Run, desired: Desired, arn: str) -> bool:
    """Whether the tags are ours. Right after a create a read may not show them, nor the resource, yet."""

    async def read() -> dict[str, str]:
        return (await read_tags(run.aws, [arn])).get(arn, {})

    found = await repeat_until(run.aws, read, lambda found: tags.STACK in found, waits.LAG)
    return tags.identity(desired, run.stack).items() <= found.items()


def action_to_aws(action: Action) -> list[dict[str, Any]]:
    """An action for CreateListener, ModifyListener, CreateRule and ModifyRule."""
    if action.redirect:
        return [{"Type": "redirect", "RedirectConfig": {camel(key): value for key, value in action.redirect}}]
    if action.fixed_response:
        response = {camel(key): value for key, value in action.fixed_response}
        return [{"Type": "fixed-response", "FixedResponseConfig": response}]
    config: dict[str, Any] = {
        "TargetGroups": [{"TargetGroupArn": group, "Weight": weight} for group, weight in action.forward]
    }
    if action.stickiness_seconds is not None:
        config["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": action.stickiness_seconds}
    elif len(action.forward) > 1:
        config["TargetGroupStickinessConfig"] = {"Enabled": False}
    return [{"Type": "forward", "ForwardConfig": config}]


def action_from_aws(actions: list[dict[str, Any]], transforms: Iterable[dict[str, Any]] = ()) -> Action:
    """The last of a listener's or rule's actions, with what no spec can say of them and of the rule's transforms."""
    *before, action = sorted(actions, key=lambda item: item.get("Order", 0)) or [{}]
    kind = action.get("Type", "forward")
    key, *known = _SUPPORTED.get(kind, ("",))
    config = action.get(key) or {}
    rest = {name: value for name, value in config.items() if name not in known} if key else action
    further = [*before, *([{**rest, "Type": kind}] if rest else ()), *transforms]
    found = Action(unsupported=tuple(map(in_words, further)))
    if kind == "redirect":
        return replace(found, redirect=_canonical({name: config.get(name) for name in known}))
    if kind == "fixed-response":
        return replace(found, fixed_response=_canonical({name: config.get(name) for name in known}))
    if kind != "forward":
        return found
    groups = config.get("TargetGroups") or [{"TargetGroupArn": action.get("TargetGroupArn", "")}]
    stickiness = config.get("TargetGroupStickinessConfig") or {}
    return replace(
        found,
        forward=_forward((item["TargetGroupArn"], item.get("Weight", 1)) for item in groups),
        stickiness_seconds=stickiness.get("DurationSeconds") if stickiness.get("Enabled") else None,
    )


def in_words(item: Mapping[str, Any]) -> str:
    """An action, condition or transform that no spec can say: its type, and all that AWS says of it."""
    rest = {key: value for key, value in item.items() if key not in ("Type", "Field", "Order") and value is not None}
    return f"{item.get('Type') or item.get('Field')} {json.dumps(rest, sort_keys=True)}"


def _canonical(config: Mapping[str, object]) -> tuple[tuple[str, str], ...]:
    """A redirect or fixed response of AWS's, by the keys that a spec has."""
    return canonical({re.sub("(?<!^)([A-Z])", r"_\1", key).lower(): value for key, value in config.items()})


def _forward(parts: Iterable[tuple[Ref, int]]) -> tuple[Forward, ...]:
    """The parts of a forward in a canonical order; a single group gets everything, whatever its weight is."""
    groups = sorted((Forward(*part) for part in parts), key=str)
    return tuple(groups) if len(groups) > 1 else tuple(group._replace(weight=1) for group in groups)


def read_action(entry: Entry) -> Action:
    """The action that an entry of a spec describes."""
    if "redirect" in entry:
        return Action(redirect=canonical(entry["redirect"]))
    if "fixed_response" in entry:
        return Action(fixed_response=canonical(entry["fixed_response"]))
    forward = entry["forward"]
    if isinstance(forward, str):
        forward = {"target_groups": [{"target_group": forward}]}
    groups = ((refer("target_group", item["target_group"]), item.get("weight", 1)) for item in forward["target_groups"])
    stickiness = forward.get("stickiness", {})
    return Action(
        forward=_forward(groups),
        stickiness_seconds=stickiness.get("duration_seconds") if stickiness.get("enabled") else None,
        keeps_split=True if "weights" in forward else None,
    )
