"""Keeps data volumes that outlive their instance (EC2 CreateVolume, AttachVolume): finds them by tags, attaches them to the next instance."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from alb_reconcile.aws.polling import WaitError, repeat_until
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.context import Run, all_of
from alb_reconcile.kinds.instance.launches import fetch_instances, wait_for_instance
from alb_reconcile.kinds.instance.options import Row, by_aws
from alb_reconcile.kinds.instance.volumes import changes_of, modify, persistent
from alb_reconcile.kinds.reader import Reader
from alb_reconcile.model import tags
from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import AwsError, RefusedError
from alb_reconcile.model.text import digest

_ATTEMPTS: Final = 3
_SET_LATER: Final = ("device_name", "delete_on_termination", "persistent")
"""The keys that aren't parameters of CreateVolume."""
_GONE: Final = ("deleting", "deleted")


@dataclass(frozen=True)
class Kept:
    """A volume that outlives its instance: its id, its zone, and the instance that has it now."""

    id: str
    zone: str
    instance: str = ""


async def read_volumes(reader: Reader, disks: Mapping[Address, Any]) -> dict[str, dict[str, Any]]:
    """The stack's volumes by id. Volumes that outlive their instances are noted for the plan; the user is told of unused volumes.

    `disks` are the data volumes that are wanted, by the instance's address.
    """
    read = reader.tagged("describe_volumes", "Volumes")
    rows = {row["VolumeId"]: row for row in await reader.looked_for("instance", "volumes", read)}
    reader.kept = _kept(rows.values())
    reader.warnings += _warnings(rows.values(), disks)
    return rows


def _kept(rows: Iterable[Row]) -> dict[tuple[Address, str], Kept]:
    """The volumes that outlive their instances, by the instance's address and the volume's name."""
    found: dict[tuple[Address, str], Kept] = {}
    for row in rows:
        own = tags.from_list(row.get("Tags"))
        address = tags.address_of(own, "instance")
        if address and tags.VOLUME in own and row["State"] not in _GONE:
            found[address, own[tags.VOLUME]] = Kept(row["VolumeId"], row["AvailabilityZone"], _holder(row))
    return found


def _warnings(rows: Iterable[Row], wanted: Mapping[Address, Any]) -> list[str]:
    """A warning for each volume of the stack that no instance has or is to get."""
    warnings = []
    for row in rows:
        own = tags.from_list(row.get("Tags"))
        address, name = tags.address_of(own, "instance"), own.get(tags.VOLUME, "")
        is_wanted = address and name in persistent(wanted.get(address))
        if row["State"] == "available" and not is_wanted:
            whose = f"{name} of {address}".strip() if address else name
            what = f"{row['VolumeId']} ({whose})" if whose else row["VolumeId"]
            warnings.append(
                f"{what} was left behind and is kept; where nobody needs its data: aws ec2 delete-volume --volume-id {row['VolumeId']}"
            )
    return sorted(warnings)


async def attach_volumes(
    run: Run,
    instance: str,
    address: Address,
    disks: Mapping[str, Any],
    own: Mapping[str, str],
    there: Mapping[str, str],
) -> None:
    """Attach the volumes that outlive an instance: its predecessor's volumes first; else new ones.

    `disks` are these volumes by name, `own` the instance's tags, `there` the attached volumes, by device.
    """
    given = {key: value for key, value in own.items() if not key.startswith("alb-reconcile:")}
    declared = {key: value for key, value in given.items() if key != "Name"}

    async def attach(name: str, disk: Mapping[str, Any]) -> None:
        marks = {tags.STACK: run.stack, tags.ADDRESS: str(address), tags.VOLUME: name}
        volume = await _find(run, marks)
        if not volume and (held := there.get(disk["device_name"])):
            await _check_own(run, held, marks, f"{disk['device_name']} of {instance}")
            await run.tag(held, marks)
            return
        named = {**given, "Name": f"{own.get('Name', address.name)}-{name}"}
        volume = volume or await _create(run, instance, disk, named, marks)
        row = await _wait(run, volume, instance, is_attached=False)
        if _holder(row) != instance:
            await _call_attach(run, volume, instance, disk["device_name"])
            row = await _wait(run, volume, instance, is_attached=True)
        if row and (changed := changes_of(disk, row)):
            await modify(run, volume, changed)
        if row and not declared.items() <= tags.from_list(row.get("Tags")).items():  # volumes of an earlier spec
            await run.tag(volume, declared)

    await all_of(*(attach(name, disk) for name, disk in disks.items()))


async def _check_own(run: Run, volume: str, marks: Mapping[str, str], place: str) -> None:
    """Raise RefusedError for a volume at a device that isn't the stack's, or that is another instance's persistent volume."""
    own, whose = tags.from_list((await _show(run, volume)).get("Tags")), ""
    if own.get(tags.STACK) != run.stack:
        whose = "isn't this stack's"
    elif tags.VOLUME in own and own.get(tags.ADDRESS) != marks[tags.ADDRESS]:
        whose = f"is that of {own.get(tags.ADDRESS)}"
    if whose:
        text = f"{marks[tags.VOLUME]} can't be at {place}: {volume} is there, which {whose}; detach it first, or choose another device"
        raise RefusedError(text)


async def _find(run: Run, marks: Mapping[str, str]) -> str:
    """The volume with the given tags; empty if there is none. Raises RefusedError for several."""
    where = {f"tag:{key}": value for key, value in marks.items()}
    rows = await run.aws.pages("ec2", "describe_volumes", "Volumes", where=where)
    found = sorted(row["VolumeId"] for row in rows if row["State"] not in _GONE)
    if len(found) > 1:
        text = f"{', '.join(found)} are all tagged as {marks[tags.VOLUME]} of {marks[tags.ADDRESS]}; take the tag {tags.VOLUME} off all but one"
        raise RefusedError(text)
    return found[0] if found else ""


async def _create(
    run: Run, instance: str, disk: Mapping[str, Any], own: Mapping[str, str], marks: Mapping[str, str]
) -> str:
    """Make a volume in the instance's zone. Its token is the same in each run, until the token is spent."""
    unseen = f"{instance} to be visible"
    row = await wait_for_instance(run, instance, lambda item: "" if item else unseen, waits.LAG)
    row = row or (await fetch_instances(run, {instance})).get(instance, {})  # a dry run waits for nothing
    params: dict[str, Any] = by_aws({key: value for key, value in disk.items() if key not in _SET_LATER})
    params["Size"] = params.pop("VolumeSize", None)
    params["AvailabilityZone"] = (row.get("Placement") or {}).get("AvailabilityZone")
    params["TagSpecifications"] = [{"ResourceType": "volume", "Tags": tags.to_list({**own, **marks})}]
    given = {key: value for key, value in params.items() if value is not None}
    for attempt in range(_ATTEMPTS):
        try:
            token = digest([*marks.values(), attempt], 32)
            answer = await run.aws.call("ec2", "create_volume", ClientToken=token, **given)
            made = str(answer["VolumeId"])
        except AwsError as error:
            if error.code != "IdempotentParameterMismatch":
                raise
            made = ""
        # the token may have been spent for a volume that is gone
        if made:
            row = await repeat_until(run.aws, partial(_show, run, made), bool, waits.LAG)
            if row and row["State"] not in _GONE:
                return made
        elif found := await repeat_until(run.aws, partial(_find, run, marks), bool, waits.LAG):
            return found
    raise RefusedError(
        f"AWS answers each creation of {marks[tags.VOLUME]} of {marks[tags.ADDRESS]} with a volume that is gone; run again in an hour"
    )


async def _call_attach(run: Run, volume: str, instance: str, device: str) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            await run.aws.call(
                "ec2", "attach_volume", once=True, retry=waits.ATTACHMENT_BUSY, VolumeId=volume, InstanceId=instance, Device=device
            )  # fmt: skip
        except AwsError as error:
            if error.code != "VolumeInUse" and (not error.ambiguous or attempt == _ATTEMPTS - 1):
                raise

            def is_ours(row: Row) -> bool:
                return _holder(row) == instance

            # a call with a lost reply may have done it
            seen = await repeat_until(run.aws, partial(_show, run, volume), is_ours, waits.LOST_REPLY)
            if not is_ours(seen):
                if not error.ambiguous:
                    raise
                continue
        return


async def _show(run: Run, volume: str) -> Row:
    return (await _rows(run, {volume})).get(volume, {})


async def _rows(run: Run, ids: Iterable[str]) -> dict[str, Row]:
    rows = await run.aws.pages("ec2", "describe_volumes", "Volumes", where={"volume-id": ids})
    return {row["VolumeId"]: row for row in rows}


async def _wait(run: Run, volume: str, instance: str, *, is_attached: bool) -> Row:
    """Wait until a volume is attached to the instance, or is free to be attached."""

    def check(row: Any) -> str:
        if row is None:
            return f"{volume} to be visible"
        if row["State"] in (*_GONE, "error"):
            raise WaitError(f"{volume} is {row['State']}; run again")
        holder, states = _holder(row), [item.get("State") for item in row.get("Attachments", ())]
        if holder == instance:
            return "" if "attached" in states else f"{volume} to be attached (now {states[0]})"
        if holder:
            return f"{volume} to leave {holder}, which has it"
        if is_attached:
            return f"{volume} to be attached"
        return "" if row["State"] == "available" else f"{volume} to be available (now {row['State']})"

    return await run.wait("attachments", partial(_rows, run), volume, check, waits.VOLUME_FREE) or {}


def _holder(row: Row) -> str:
    """The instance that has a volume."""
    held = (str(item.get("InstanceId", "")) for item in row.get("Attachments", ()) if item.get("State") != "detached")
    return next(held, "")
