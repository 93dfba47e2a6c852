"""The role that a stack is made and destroyed under: it may do exactly what `iam-policy` prints, so that real AWS judges that."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError

from tests.account.inventory import PATH
from tests.account.place import TAG, Refused

if TYPE_CHECKING:
    from tests.account.place import Tool

COMMANDS: Final = ("apply", "destroy")
SETTLED: Final = 30.0
"""Seconds of AWS's that a new role's policies are given to reach each service ("Changes that I make are not always immediately visible")."""


def make_role(tool: Tool, file: str, stack: str, run: str) -> str:
    """The ARN of a role for a spec, with each printed policy as one of its own: so they hold as many characters as AWS says.

    Raises Refused where the caller may not make one.
    """
    printed = [json.loads(tool.run("iam-policy", file, "--for", command)) for command in COMMANDS]
    documents = [item for found in printed for item in (found if isinstance(found, list) else [found])]
    iam, named = tool.place.client("iam"), {"Path": f"{PATH}-test/{run}/", "Tags": [{"Key": TAG, "Value": run}]}
    try:
        arns = [
            iam.create_policy(PolicyName=f"{stack}-{number}", PolicyDocument=_text(document), **named)["Policy"]["Arn"]
            for number, document in enumerate(documents)
        ]
        caller = {"AWS": f"arn:{arns[0].split(':')[1]}:iam::{tool.place.account}:root"}
        trust = _text(
            {**documents[0], "Statement": [{"Effect": "Allow", "Principal": caller, "Action": "sts:AssumeRole"}]}
        )
        role = iam.create_role(RoleName=f"{TAG}-{stack}"[:64], AssumeRolePolicyDocument=trust, **named)["Role"]
        for arn in arns:
            iam.attach_role_policy(RoleName=role["RoleName"], PolicyArn=arn)
    except ClientError as error:
        if "AccessDenied" not in error.response["Error"]["Code"]:
            raise
        raise Refused(
            f"the stack is to live under a role that has exactly the printed policy, and these credentials may not make one ({error}); "
            "name a role that has it: ROLE=arn"
        ) from None
    time.sleep(tool.place.real(SETTLED))
    print(f"  under {role['Arn']}: {len(arns)} policies, {sum(map(len, map(_text, documents)))} characters", flush=True)
    return str(role["Arn"])


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))
