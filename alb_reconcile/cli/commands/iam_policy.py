"""`iam-policy`: the smallest IAM policy for a command, from specs alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.session.specs import LoadingOptions, load_stacks
from alb_reconcile.engine.iam_policy import MOST, Command, policy_documents
from alb_reconcile.kinds.grants import Grant
from alb_reconcile.locking.store import LeaseLocation
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.spec.stack import Stack


@dataclass(frozen=True)
class IamPolicyOptions:
    specs: tuple[str, ...]
    command: Command
    variables: Mapping[str, str]
    region: str | None


def iam_policy(options: IamPolicyOptions) -> ExitCode:
    """Print one policy, or a list of them where one would be too long for AWS."""
    stacks = load_stacks(options.specs, LoadingOptions(options.variables, options.region, None, sandbox=False))
    documents = policies_for(stacks, options.command)
    if len(documents) > 1:
        complain(
            f"note: {len(documents)} policies, since AWS takes {MOST:,} characters in one: create each of the list's members"
        )
    emit(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
    return ExitCode.OK


def policies_for(stacks: list[Stack], command: Command) -> list[dict[str, object]]:
    """The policies of some stacks, with their leases."""
    accounts = {account for stack in stacks for account in stack.account_ids}
    account = accounts.pop() if len(accounts) == 1 and all(stack.account_ids for stack in stacks) else "*"
    leases = {} if command == "plan" else {stack.name: _lease(stack, account) for stack in stacks if stack.lease}
    return policy_documents([stack.target() for stack in stacks], command, account, leases)


def _lease(stack: Stack, account: str) -> list[Grant]:
    """What a lease needs of S3 (docs/locking.md)."""
    place = LeaseLocation.of(stack.lease, account, str(stack.region), stack.name)
    return [Grant(("s3:GetObject", "s3:PutObject"), (place.arn,))]
