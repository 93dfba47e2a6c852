"""What load balancers, target groups and listeners have in common in ELBv2's API."""

from collections.abc import Mapping
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.polling import repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.base import Entry
from alb_reconcile.kinds.context import Run
from alb_reconcile.kinds.identifiers import refer
from alb_reconcile.model import tags
from alb_reconcile.model.actions import Action, Forward, canonical
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.resource import Desired

_ARN: Final = {"load_balancer": "LoadBalancerArn", "target_group": "TargetGroupArn"}
_LIST: Final = {"load_balancer": "LoadBalancers", "target_group": "TargetGroups"}
_DUPLICATE: Final = {"load_balancer": "DuplicateLoadBalancerName", "target_group": "DuplicateTargetGroupName"}
_ATTRIBUTES_A_CALL: Final = 20


async def create_named(
    run: Run, desired: Desired, kind: str, name: str, retry: Mapping[str, float], **params: Any
) -> str:
    """Create a load balancer or target group. Returns its ARN.

    AWS answers such a create with the existing resource where name and settings are the same, and refuses it where
    they differ: so its tags say whether it is ours. Raises RefusedError if it is somebody else's.
    """
    try:
        answer = await run.aws.call(
            "elbv2", f"create_{kind}", retry=retry, Name=name, Tags=run.tag_list(desired), **params
        )
        arn = str(answer[_LIST[kind]][0][_ARN[kind]])
    except AwsError as error:
        if error.code != _DUPLICATE[kind]:
            raise
        answer = await run.aws.call("elbv2", f"describe_{kind}s", retry=waits.NAMED_UNKNOWN, Names=[name])
        arn = str(answer[_LIST[kind]][0][_ARN[kind]])
    if not await is_ours(run, desired, arn):
        raise RefusedError(
            f'{desired.address}: a {kind.replace("_", " ")} named "{name}" exists outside this stack; choose another name'
        )
    return arn


async def is_ours(run: Run, desired: Desired, arn: str) -> bool:
    """Whether the tags are ours. Right after a create a read may not show them, nor the resource, yet."""

    async def read() -> dict[str, str]:
        try:
            answer = await run.aws.call("elbv2", "describe_tags", ResourceArns=[arn])
        except AwsError as error:
            if not error.code.endswith("NotFound"):
                raise
            return {}
        return tags.from_list(answer["TagDescriptions"][0]["Tags"])

    found = await repeat_until(run.aws, read, lambda found: tags.STACK in found, waits.LAG)
    return tags.identity(desired, run.stack).items() <= found.items()


async def read_attributes(aws: Aws, kind: str, arn: str) -> dict[str, str] | None:
    """A load balancer's or target group's attributes; None if it is gone meanwhile."""
    try:
        params: dict[str, Any] = {_ARN[kind]: arn}
        answer = await aws.call("elbv2", f"describe_{kind}_attributes", **params)
    except AwsError as error:
        if error.code.endswith("NotFound"):
            return None
        raise
    return tags.from_list(answer["Attributes"])


async def write_attributes(aws: Aws, kind: str, arn: str, attributes: Mapping[str, str]) -> None:
    """Set attributes, 20 a call."""
    pairs = tags.to_list(attributes)
    for start in range(0, len(pairs), _ATTRIBUTES_A_CALL):
        params: dict[str, Any] = {_ARN[kind]: arn, "Attributes": pairs[start : start + _ATTRIBUTES_A_CALL]}
        await aws.call(
            "elbv2", f"modify_{kind}_attributes", retry=waits.ATTRIBUTES_UNKNOWN, **params
        )  # fmt: skip


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _snake(name: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in name).lstrip("_")


def action_to_aws(action: Action) -> list[dict[str, Any]]:
    """An action for CreateListener, ModifyListener, CreateRule and ModifyRule."""
    if action.redirect:
        return [{"Type": "redirect", "RedirectConfig": {_camel(key): value for key, value in action.redirect}}]
    if action.fixed_response:
        return [
            {
                "Type": "fixed-response",
                "FixedResponseConfig": {_camel(key): value for key, value in action.fixed_response},
            }
        ]
    config: dict[str, Any] = {
        "TargetGroups": [{"TargetGroupArn": group, "Weight": weight} for group, weight in action.forward]
    }
    if action.stickiness_seconds is not None:
        config["TargetGroupStickinessConfig"] = {"Enabled": True, "DurationSeconds": action.stickiness_seconds}
    elif len(action.forward) > 1:
        config["TargetGroupStickinessConfig"] = {"Enabled": False}
    return [{"Type": "forward", "ForwardConfig": config}]


def action_from_aws(actions: list[dict[str, Any]]) -> Action:
    """The last of a listener's or rule's actions; one of another type (an authentication) equals nothing a spec can say."""
    action = max(actions, key=lambda item: item.get("Order", 0)) if actions else {}
    extra = tuple((("other actions", str(len(actions) - 1)),) if len(actions) > 1 else ())
    if action.get("Type") == "redirect":
        return Action(
            redirect=canonical({_snake(key): value for key, value in action["RedirectConfig"].items()}) + extra
        )
    if action.get("Type") == "fixed-response":
        config = {_snake(key): value for key, value in action["FixedResponseConfig"].items()}
        return Action(fixed_response=canonical(config) + extra)
    config = action.get("ForwardConfig") or {
        "TargetGroups": [{"TargetGroupArn": action.get("TargetGroupArn", ""), "Weight": 1}]
    }
    groups = config.get("TargetGroups", ())
    # a single group gets everything whatever its weight is
    forward = [Forward(item["TargetGroupArn"], item.get("Weight", 1) if len(groups) > 1 else 1) for item in groups]
    stickiness = config.get("TargetGroupStickinessConfig") or {}
    return Action(
        forward=tuple(sorted(forward, key=str)),
        stickiness_seconds=stickiness.get("DurationSeconds") if stickiness.get("Enabled") else None,
        fixed_response=extra,
    )


def read_action(entry: Entry) -> Action:
    """The action that an entry of a spec describes."""
    if "redirect" in entry:
        return Action(redirect=canonical(entry["redirect"]))
    if "fixed_response" in entry:
        return Action(fixed_response=canonical(entry["fixed_response"]))
    forward = entry["forward"]
    if isinstance(forward, str):
        return Action(forward=(Forward(refer("target_group", forward)),))
    groups = [
        Forward(refer("target_group", item["target_group"]), item.get("weight", 1)) for item in forward["target_groups"]
    ]
    if len(groups) == 1:
        groups = [groups[0]._replace(weight=1)]  # a single group gets everything, whatever its weight is
    stickiness = forward.get("stickiness", {})
    return Action(
        forward=tuple(sorted(groups, key=str)),
        stickiness_seconds=stickiness.get("duration_seconds") if stickiness.get("enabled") else None,
        keeps_split=True if "weights" in forward else None,
    )
