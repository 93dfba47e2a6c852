"""The command `iam-policy`: prints the smallest IAM policy for a command, from specs or a fleet's file."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from alb_reconcile.api.iam_policy import MOST, Command, Document, policy_documents
from alb_reconcile.api.session import Session
from alb_reconcile.cli.render.console import complain, emit_as_it_is
from alb_reconcile.cli.session.specs import LoadingOptions, load_stacks
from alb_reconcile.fleet.document import is_fleet, load_fleet
from alb_reconcile.fleet.iam_policy import fleet_policies
from alb_reconcile.fleet.queues import Queue
from alb_reconcile.fleet.sources import Sources
from alb_reconcile.journal.files import state_folder
from alb_reconcile.model.errors import ExitCode, UsageError


@dataclass(frozen=True)
class IamPolicyOptions:
    specs: tuple[str, ...]
    command: Command
    issue: bool
    roles: tuple[str, ...]
    queue: str | None
    variables: Mapping[str, str]
    region: str | None


def iam_policy(options: IamPolicyOptions) -> ExitCode:
    """Print one policy, or a list of policies where one would be too long for AWS; for a fleet, those of each role."""
    if options.issue and options.command != "sync":
        raise UsageError("--issue is an option of sync: give --for sync, or leave it out")
    if any(map(is_fleet, options.specs)):
        return _of_fleet(options)
    if options.queue:
        raise UsageError("--queue is a fleet's: name the fleet's file, or leave it out")
    stacks = load_stacks(options.specs, LoadingOptions(options.variables, options.region, None, sandbox=False))
    targets = [stack.target() for stack in stacks]
    documents = policy_documents(targets, options.command, issue=options.issue, roles=options.roles)
    _note(documents)
    _warn_of_roles(options, documents)
    if not documents:
        complain(
            "note: no entry has application and an iam_instance_profile that this spec doesn't make, so nothing is needed"
        )
    _print(documents[0] if len(documents) == 1 else documents)
    return ExitCode.OK


def _of_fleet(options: IamPolicyOptions) -> ExitCode:
    if len(options.specs) > 1:
        raise UsageError("name a fleet's file alone: it says where its specs are")
    if options.region:
        raise UsageError("--region is a spec's: a fleet's file names its regions")
    if options.command == "instances":
        raise UsageError("--for instances is a spec's: name the specs instead of the fleet's file")
    if options.queue and options.command != "sync":
        raise UsageError("--queue is for workers, which sync: give --for sync, or leave it out")
    fleet = load_fleet(options.specs[0], options.variables)
    queue = Queue.parse(options.queue) if options.queue else None
    cache = state_folder(None, os.environ) / "fleet" / "sources"
    with Sources(cache, Session(), options.variables) as sources:
        found = [(cell, sources.load(cell)) for cell in fleet.cells]
    broken = [line for _, item in found for one in item.broken for line in one.text.splitlines()]
    for line in dict.fromkeys(broken):  # many cells may have the same spec
        complain(line)
    if broken:
        return ExitCode.INVALID
    cells = [(cell, item.stacks) for cell, item in found]
    policies = fleet_policies(fleet, cells, options.command, queue, issue=options.issue, roles=options.roles)
    for documents in (policies.administration, policies.enqueue, *policies.execution.values()):
        _note(documents)
    _warn_of_roles(options, policies)
    told: dict[str, Any] = {"administration_role": policies.administration}
    if queue is not None:
        told["enqueue_role"] = policies.enqueue
    _print(told | {"execution_roles": policies.execution})
    return ExitCode.OK


def _note(documents: Sequence[Document]) -> None:
    if len(documents) > 1:
        complain(
            f"note: a list of {len(documents)} policies, since AWS takes {MOST:,} characters in one: make each a policy "
            "(jq -c '.[]' prints one a line), and attach them all"
        )


def _warn_of_roles(options: IamPolicyOptions, policies: object) -> None:
    """Warn which roles may be passed on the assumption that they have the names of their profiles."""
    for name in sorted(set(re.findall(r":role/\*/([\w+=,.@-]+)", str(policies))).difference(options.roles)):
        complain(
            f"warning: no spec says which role the instance profile {name} has, so the policy lets only a role named {name} be passed; "
            f"if `aws iam get-instance-profile --instance-profile-name {name}` shows another one, give its name with --pass-role"
        )


def _print(found: object) -> None:
    emit_as_it_is(json.dumps(found, indent=2))
