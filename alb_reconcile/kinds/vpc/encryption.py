"""VPC encryption controls, of which a VPC has one or none (EC2 CreateVpcEncryptionControl, ModifyVpcEncryptionControl,
DeleteVpcEncryptionControl)."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.polling import WaitError
from alb_reconcile.kinds import waits
from alb_reconcile.kinds.base import Intent
from alb_reconcile.kinds.context import Run
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import AwsError, ignoring
from alb_reconcile.model.text import camel

NONE: Final = "none"
"""The mode of a VPC that has no control."""
ENFORCE: Final = "enforce"
EXCLUSIONS: Final = (
    "internet_gateway",
    "egress_only_internet_gateway",
    "nat_gateway",
    "virtual_private_gateway",
    "vpc_peering",
    "lambda",
    "vpc_lattice",
    "elastic_file_system",
    "global_accelerator",
    "api_gateway_v2",
)
READS: Final = ("ec2:DescribeVpcEncryptionControls",)
CREATES: Final = ("ec2:CreateVpcEncryptionControl",)
UPDATES: Final = (*CREATES, "ec2:ModifyVpcEncryptionControl", "ec2:DeleteVpcEncryptionControl")
LOOKS: Final = ("ec2:GetVpcResourcesBlockingEncryptionEnforcement",)
_MISSING: Final = "InvalidVpcEncryptionControlId.NotFound"
Row = Mapping[str, Any]
Control = Mapping[str, str]
"""A VPC's `vpc_encryption_control`: the mode, and by resource whether it is excluded."""


async def read_controls(aws: Aws, vpcs: Iterable[str]) -> dict[str, Row]:
    """The controls of some VPCs as AWS shows them, by VPC."""
    rows = await aws.pages("ec2", "describe_vpc_encryption_controls", "VpcEncryptionControls", VpcIds=list(vpcs))
    return {str(row["VpcId"]): row for row in rows if row.get("State") not in ("deleting", "deleted")}


def control_of(row: Row | None) -> Control:
    """A control as properties say it. In monitor mode AWS tells no exclusions, since there are none."""
    if row is None:
        return {"mode": NONE}
    states = row.get("ResourceExclusions") or {}
    excluded = {name: (states.get(camel(name)) or {}).get("State") in ("enabled", "enabling") for name in EXCLUSIONS}
    return {
        "mode": row["Mode"],
        **{f"{name}_exclusion": "enable" if on else "disable" for name, on in excluded.items()},
    }


def params_of(wanted: Control) -> dict[str, Any]:
    """How calls say it: exclusions in enforce mode only."""
    keys = wanted if wanted["mode"] == ENFORCE else ("mode",)
    return {camel(name): wanted[name] for name in keys}


async def wait_for_control(run: Run, vpc: str) -> None:
    """Until AWS is done with a VPC's control."""
    await _watch(run, vpc, _until_available)


async def set_control(run: Run, vpc: str, wanted: Control) -> None:
    """Bring a VPC's control to what is wanted. AWS lets a VPC that is there begin in monitor mode only."""
    if wanted["mode"] == NONE:
        for row in (await read_controls(run.aws, [vpc])).values():
            control = row["VpcEncryptionControlId"]
            await run.gone("ec2", "delete_vpc_encryption_control", missing=(_MISSING,), VpcEncryptionControlId=control)
        await _watch(run, vpc, _until_gone)
        return
    control = await _find_or_create(run, vpc)
    await wait_for_control(run, vpc)
    now = control_of((await read_controls(run.aws, [vpc])).get(vpc))
    if any(now.get(name) != value for name, value in wanted.items()):
        params = params_of(wanted)
        await run.aws.call(
            "ec2", "modify_vpc_encryption_control", retry=waits.CONTROL_BUSY, VpcEncryptionControlId=control, **params
        )
        await wait_for_control(run, vpc)


async def _find_or_create(run: Run, vpc: str) -> str:
    """The id of a VPC's control. Where a reply got lost AWS refuses a second one."""
    for _ in range(2):
        if found := (await read_controls(run.aws, [vpc])).get(vpc):
            return str(found["VpcEncryptionControlId"])
        try:
            answer = await run.aws.call("ec2", "create_vpc_encryption_control", VpcId=vpc)
            return str(answer["VpcEncryptionControl"]["VpcEncryptionControlId"])
        except AwsError as error:
            if not (error.ambiguous or "Exist" in error.code or "Already" in error.code):
                raise
            await wait_for_control(run, vpc)
    raise AssertionError("unreachable: the second look finds it, or the create raises")


async def _watch(run: Run, vpc: str, check: Any) -> None:
    async def fetch(ids: set[str]) -> Mapping[str, Any]:
        with ignoring("InvalidVpcID.NotFound"):
            rows = await run.aws.pages(
                "ec2", "describe_vpc_encryption_controls", "VpcEncryptionControls", VpcIds=sorted(ids)
            )
            return {str(row["VpcId"]): row for row in rows}
        return {}

    await run.wait("encryption controls", fetch, vpc, check, waits.CONTROL_AVAILABLE)


def _until_available(row: Any) -> str:
    state = row["State"] if row else "unknown"
    if state.endswith("failed"):
        raise WaitError(f"AWS couldn't set up encryption: {row.get('StateMessage') or state}")
    exclusions = (row.get("ResourceExclusions") or {}).values() if row else ()
    changing = [item["State"] for item in exclusions if item.get("State") in ("enabling", "disabling")]
    return "" if state == "available" and not changing else f"encryption control to be available (now {state})"


def _until_gone(row: Any) -> str:
    return f"encryption control to be deleted (now {row['State']})" if row and row["State"] != "deleted" else ""


async def check_enforcement(aws: Aws, intents: Sequence[Intent]) -> list[Finding]:
    """What keeps VPCs that are there from enforcing encryption (GetVpcResourcesBlockingEncryptionEnforcement)."""
    findings = []
    for item in intents:
        wanted = item.wanted.vpc_encryption_control or {}
        if item.fields is None or "vpc_encryption_control" not in item.fields or wanted.get("mode") != ENFORCE:
            continue
        with ignoring("UnauthorizedOperation"):
            rows = await aws.pages(
                "ec2", "get_vpc_resources_blocking_encryption_enforcement", "NonCompliantResources", VpcId=item.id
            )
            excluded = {_bare(name) for name in EXCLUSIONS if wanted.get(f"{name}_exclusion") == "enable"}
            blocking = [row for row in rows if not (row.get("IsExcludable") and _bare(row.get("Type", "")) in excluded)]
            if blocking:
                names = ", ".join(f"{row.get('Id')} ({row.get('Type')})" for row in blocking)
                text = (
                    f"{item.id} can't enforce encryption with {names}; exclude what can be excluded, or remove it first"
                )
                findings.append(Finding(item.desired, "vpc_encryption_control.mode", text))
    return findings


def _bare(text: str) -> str:
    """A type of resources, however it is written."""
    return re.sub(r"[^a-z0-9]", "", text.lower())
