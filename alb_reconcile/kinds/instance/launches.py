"""Launches an instance exactly once (EC2 RunInstances, by client tokens), and waits for instances' states (DescribeInstances)."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from alb_reconcile.aws.polling import WaitError, repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds._instance_rows import is_alive, is_copy, token_stem
from alb_reconcile.kinds.context import Run
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import AwsError, ReconcileError
from alb_reconcile.model.resource import Desired
from alb_reconcile.model.text import digest

_ATTEMPTS: Final = 10
_NO_ROOM: Final = (
    "InsufficientInstanceCapacity", "InsufficientFreeAddressesInSubnet", "InstanceLimitExceeded", "VcpuLimitExceeded",
)  # fmt: skip
"""AWS's codes for too many instances for its capacity, the free addresses or the quota (EC2 API, "Error codes")."""
_MOST: Final = 10
"""Copies that a warning names."""
_MOST_AT_ONCE: Final = 100
"""Most instances of one call."""
_EARLIER: Final = f"EC2 to show whether an earlier launch has made it already (up to {waits.LAG / 60:.0f} minutes)"
Row = Mapping[str, Any]
Member = tuple[Desired, str]
"""An instance that is launched, and its generation."""


@dataclass
class Launched:
    """The ids of the instances that a launch has made, by address, and the error for which it made no more."""

    ids: dict[Address, str] = field(default_factory=dict)
    error: ReconcileError | None = None

    def take(self, run: Run, row: Row, members: Iterable[Member], placed: Sequence[Member] = ()) -> None:
        """Note an instance if it is one of the members: its tags say which member, or else its place in the launch."""
        address = _address_of(row, placed)
        for desired, _ in members:
            if desired.address == address and not _is_let_go(run, desired, row):
                self.ids.setdefault(address, str(row["InstanceId"]))


async def launch_once(
    run: Run,
    members: Sequence[Member],
    subnet: str,
    params: Mapping[str, Any],
    launched: Launched,
    *,
    all_or_none: bool,
) -> Launched:
    """Launch the members that aren't launched yet, or find what an earlier run launched for the same generations of these addresses.

    One call launches several members, all or none. Where AWS hasn't room for all of them, AWS is asked for as many as it can
    make, and for the others again. The calls follow from the members that are missing, so that a run after a killed run makes the
    same calls, with the same tokens.
    A token is spent when its instance was terminated or forgotten, or when the token was used with other parameters, also for a
    launch that AWS refused: AWS remembers a token for a day or more. Then the next token is taken, which holds only for these
    parameters.
    """
    attempt = 0
    while left := [member for member in members if member[0].address not in launched.ids]:
        if attempt == _ATTEMPTS:
            what = "AWS answers each launch with an instance that was terminated or forgotten; run again in an hour"
            launched.error = ReconcileError(f"{left[0][0].address}: {what}")
            break
        try:
            least = len(left) if all_or_none else 1
            found = await _launch(run, left, attempt, subnet, {**params, "MinCount": least})
        except ReconcileError as error:
            if all_or_none and len(left) > 1 and isinstance(error, AwsError) and error.code in _NO_ROOM:
                attempt, all_or_none = attempt + 1, False
                continue
            if isinstance(error, AwsError) and error.code in _NO_ROOM:  # AWS doesn't say where
                error.args = (f"{error}; it was asked for in {subnet}",)
            launched.error = error
            break
        known = len(launched.ids)
        for instance in found:
            launched.take(run, instance, left, left)
        attempt = 0 if len(launched.ids) > known else attempt + 1
    return launched


async def _launch(
    run: Run, members: Sequence[Member], attempt: int, subnet: str, params: Mapping[str, Any]
) -> list[Row]:
    """Make one RunInstances call. Returns the instances that it has made, or its token made before; none where the token is spent."""
    first, generation = members[0]
    generations = generation if len(members) == 1 else [generation for _, generation in members]
    launched = run.tag_list(first)
    if len(members) > 1:
        launched = tags.to_list(tags.launch_tags([desired for desired, _ in members], run.stack))
    own = [launched, params] if attempt or params["MinCount"] < len(members) else []
    stem = token_stem(tags.from_list(launched))
    try:
        answer = await run.aws.call(
            "ec2", "run_instances", retry=waits.PROFILE_UNKNOWN, MaxCount=len(members),
            ClientToken=f"{stem}-{digest([generations, attempt, subnet, *own], 12)}",
            TagSpecifications=[{"ResourceType": kind, "Tags": launched} for kind in ("instance", "volume")], **params,
        )  # fmt: skip
        return list(answer["Instances"])
    except AwsError as error:
        if error.code == "IdempotentInstanceTerminated":  # one of several instances: the others may live
            return await _shown(run, f"{stem}-*") if len(members) > 1 else []
        if error.code != "IdempotentParameterMismatch":
            raise

        def is_alive(rows: list[Row]) -> bool:
            return any(not _is_let_go(run, desired, row) for row in rows for desired, _ in members)

        run.say(_EARLIER)
        if is_alive(await _shown(run, f"{stem}-*", is_alive)):
            raise
        return []


async def find_missing(run: Run, members: Iterable[Member], tokens: Iterable[str]) -> Launched:
    """The instances that recent launches have made for these members, as soon as AWS shows them."""
    launched = Launched()
    for token in tokens:
        run.say(_EARLIER)
        for row in await asyncio.shield(run.shared.once(f"launch {token}", partial(_shown, run, token))):
            launched.take(run, row, members)
    return launched


def _is_all(rows: list[Row]) -> bool:
    return bool(rows) and len(rows) >= max(len(launched_in(row)) for row in rows)


async def _shown(run: Run, token: str, is_enough: Callable[[list[Row]], bool] = _is_all) -> list[Row]:
    """The instances of a client token as soon as AWS shows enough of them, by default all of the launch; else those that AWS shows
    after a while."""

    async def read() -> list[Row]:
        found = await run.aws.pages("ec2", "describe_instances", "Reservations", where={"client-token": token})
        return [instance for reservation in found for instance in reservation["Instances"]]

    return await repeat_until(run.aws, read, is_enough, waits.LAG)


def launched_in(row: Mapping[str, Any]) -> list[Address]:
    """The addresses for which an instance's launch was, by the instance's tags; empty where it was launched alone."""
    return tags.launched_for(tags.from_list(row.get("Tags")).get(tags.LAUNCH, ""))


def _address_of(row: Mapping[str, Any], members: Sequence[Member]) -> Address | None:
    """An instance's address by its tags, which AWS may not show yet after a launch; else by its place among the launched members."""
    index = int(row.get("AmiLaunchIndex", 0))
    found = tags.own_tags(tags.from_list(row.get("Tags")), index)
    if found or index >= len(members):
        return tags.address_of(found, "instance")
    return members[index][0].address


def _is_let_go(run: Run, desired: Desired, instance: Mapping[str, Any]) -> bool:
    """Whether an instance that our token made has ended, or is no longer ours (`forget`, `move`). Without any tags it
    counts as ours: what was launched a moment ago may not show them."""
    if not is_alive(instance):
        return True
    found = tags.own_tags(tags.from_list(instance.get("Tags")), int(instance.get("AmiLaunchIndex", 0)))
    return bool(found) and not tags.identity(desired, run.stack).items() <= found.items()


async def fetch_instances(run: Run, ids: set[str]) -> Mapping[str, Any]:
    """Instances by id. By filter, since one unknown id among explicit ones fails the whole call."""
    found = await run.aws.pages("ec2", "describe_instances", "Reservations", where={"instance-id": ids})
    return {item["InstanceId"]: item for reservation in found for item in reservation["Instances"]}


async def wait_for_instance(run: Run, instance: str, check: Callable[[Any], str], timeout: float) -> Any:
    """Wait for what DescribeInstances shows of an instance (None if nothing), as `Run.wait` does."""
    return await run.wait("instances", partial(fetch_instances, run), instance, check, timeout)


async def change_together(run: Run, operation: str, instance: str, retry: waits.Codes) -> None:
    """Make one call for all instances to which the same happens at the same time."""

    async def send(instances: Sequence[str]) -> None:
        await run.aws.call("ec2", operation, InstanceIds=list(instances))

    await run.together(f"{operation} {sorted(retry)}", instance, send, most=_MOST_AT_ONCE, retry=retry)


async def wait_for_state(run: Run, instance: str, *states: str) -> None:
    """Wait until an instance is in one of the states. Raises WaitError if it ends instead of getting there."""
    misses, began = 0, run.aws.now()

    def check(item: Any) -> str:
        nonlocal misses
        name = item["State"]["Name"] if item else ""
        misses += item is None
        # absence counts only after several reads
        if name in states or (item is None and "terminated" in states and misses >= 4):
            return ""
        if name in ("terminated", "shutting-down") and "terminated" not in states:
            reason = (item.get("StateReason") or {}).get("Message", "no reason given")
            raise WaitError(f"{instance} is {name} instead of {states[-1]}: {reason}")
        text = f"{instance} to be {states[-1]} ({f'now {name}' if name else 'not visible yet'})"
        is_metal = bool(item) and ".metal" in item["InstanceType"]
        if not is_metal and run.aws.now() - began > waits.INSTANCE_STATE:
            raise WaitError(f"waited {waits.INSTANCE_STATE:.0f} s for: {text}")
        return text

    await wait_for_instance(run, instance, check, waits.METAL_STATE)


def warnings_of_copies(rows: Iterable[Row]) -> list[str]:
    """A warning for each stack with copies of its instances."""
    copies: dict[str, list[str]] = {}
    for row in rows:
        if is_copy(row) and is_alive(row):
            copies.setdefault(tags.from_list(row.get("Tags")).get(tags.STACK, ""), []).append(row["InstanceId"])
    warnings = []
    for stack, ids in sorted(copies.items()):
        shown = ", ".join(sorted(ids)[:_MOST]) + (f" and {len(ids) - _MOST} more" if len(ids) > _MOST else "")
        warnings.append(
            f"instances with the tags of {stack} that weren't launched for it are left alone: {shown}; remove their alb-reconcile: tags, "
            "or terminate them"
        )
    return warnings
