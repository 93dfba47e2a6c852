"""`iam-policy`: the smallest IAM policy for a command, from specs alone."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

from alb_reconcile.api.iam_policy import MOST, Command, policy_documents
from alb_reconcile.cli.render.console import complain, emit
from alb_reconcile.cli.session.specs import LoadingOptions, load_stacks
from alb_reconcile.model.errors import ExitCode


@dataclass(frozen=True)
class IamPolicyOptions:
    specs: tuple[str, ...]
    command: Command
    variables: Mapping[str, str]
    region: str | None


def iam_policy(options: IamPolicyOptions) -> ExitCode:
    """Print one policy, or a list of them where one would be too long for AWS."""
    stacks = load_stacks(options.specs, LoadingOptions(options.variables, options.region, None, sandbox=False))
    documents = policy_documents([stack.target() for stack in stacks], options.command)
    if len(documents) > 1:
        complain(
            f"note: {len(documents)} policies, since AWS takes {MOST:,} characters in one: create each of the list's members"
        )
    emit(json.dumps(documents[0] if len(documents) == 1 else documents, indent=2))
    return ExitCode.OK
