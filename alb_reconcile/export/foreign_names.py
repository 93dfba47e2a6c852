"""What other tools call the resources that they have made: Terraform's and OpenTofu's state, CloudFormation's stacks."""

import json
from collections.abc import Iterator
from typing import Any, Final

from alb_reconcile.aws.client import Aws
from alb_reconcile.model.errors import AwsError, RefusedError, UsageError
from alb_reconcile.model.files import read_file
from alb_reconcile.model.text import printable

_LARGEST: Final = 64 * 1024 * 1024
_VERSION: Final = 4
_PLAIN: Final = frozenset({"this", "main", "default"})
"""What modules call the one resource of its type that they have."""


def names_in_state(file: str) -> dict[str, str]:
    """The names of a state file's resources, by id and ARN. Nothing else of it is looked at: states hold secrets.

    Raises UsageError for what is no state of version 4.
    """
    try:
        state = json.loads(read_file(file, _LARGEST))
    except OSError as error:
        raise UsageError(f"--from-state {printable(file)}: can't be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        raise UsageError(
            f"--from-state {printable(file)}: is no state file of Terraform or OpenTofu: it isn't JSON"
        ) from None
    version = state.get("version") if isinstance(state, dict) else None
    if version != _VERSION or not isinstance(state.get("resources", []), list):
        what = f"has version {printable(str(version))[:20]}" if isinstance(version, int) else "says no version"
        raise UsageError(
            f"--from-state {printable(file)}: {what}, and only states of version 4 are read (Terraform 0.12 and later, OpenTofu); "
            "have a newer Terraform write it anew"
        )
    return {key: name for item in state.get("resources", []) for key, name in _names(item)}


def _names(resource: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(resource, dict) or resource.get("mode") != "managed":
        return
    name, module = str(resource.get("name", "")), str(resource.get("module", ""))
    if name in _PLAIN and module:
        name = module.rpartition("module.")[2].partition("[")[0]
    instances = resource.get("instances")
    for item in instances if isinstance(instances, list) else ():
        attributes = item.get("attributes") if isinstance(item, dict) else None
        if not isinstance(attributes, dict):
            continue
        index = item.get("index_key")
        label = name if index is None else f"{name}-{index + 1 if isinstance(index, int) else index}"
        for key in ("id", "arn", "allocation_id"):
            if isinstance(attributes.get(key), str) and attributes[key]:
                yield attributes[key], label


async def names_in_stack(aws: Aws, stack: str) -> dict[str, str]:
    """The logical ids of a CloudFormation stack's resources, by physical id (CloudFormation ListStackResources).

    DescribeStackResources tells the same of the first 100 only. Raises RefusedError where there is no such stack.
    """
    found: dict[str, str] = {}
    token: dict[str, Any] = {}
    while True:
        try:
            answer = await aws.call("cloudformation", "list_stack_resources", StackName=stack, **token)
        except AwsError as error:
            if error.code != "ValidationError":
                raise
            text = (
                f"there is no CloudFormation stack {printable(stack)} in this region and account; correct --from-stack"
            )
            raise RefusedError(text) from None
        for row in answer.get("StackResourceSummaries", ()):
            if row.get("PhysicalResourceId"):
                found[row["PhysicalResourceId"]] = row["LogicalResourceId"]
        if not answer.get("NextToken"):
            return found
        token = {"NextToken": answer["NextToken"]}
