"""Reads the names that other tools give to the resources that they have made: Terraform's and OpenTofu's state, CloudFormation's stacks."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from alb_reconcile.adoption.survey import told_place
from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.record_tags import RecordId, plain_name
from alb_reconcile.model.errors import AwsError, RefusedError, UsageError
from alb_reconcile.model.files import read_file
from alb_reconcile.model.text import printable

_LARGEST: Final = 64 * 1024 * 1024
_VERSION: Final = 4
_PLAIN: Final = frozenset({"this", "main", "default"})
"""The names that modules give to their only resource of a type."""
_MODULE: Final = re.compile(r'(?:^|\.)module\.(?P<name>[\w-]+)(?:\[(?P<index>\d+|"(?:[^"\\]|\\.)*")\])?$')
"""The innermost module of a path, and which of several it is."""
_PULL: Final = "write it with: terraform state pull > FILE"
_OTHERS: Final = {
    "encrypted_data": "is encrypted; write it with: tofu state pull > FILE",
    "backend": f"says only where the state is; {_PULL}",
    "format_version": f"is what terraform show -json has printed, and not the state; {_PULL}",
}
"""Other files of Terraform's and OpenTofu's, by a key that only they have."""


def names_in_state(file: str) -> dict[str, str]:
    """The names of a state file's resources, by id and ARN; `-` is standard input. Nothing else of the file is looked at: states hold
    secrets.

    Raises UsageError for a file that isn't a state of version 4.
    """
    try:
        state = json.loads(read_file("/dev/fd/0" if file == "-" else file, _LARGEST))
    except OSError as error:
        raise _refusal(file, f"can't be read: {error.strerror}") from None
    except json.JSONDecodeError as error:
        text = f"it isn't JSON at line {error.lineno}, column {error.colno}; {_PULL}"
        raise _refusal(file, f"is no state file of Terraform or OpenTofu: {text}") from None
    except (ValueError, RecursionError):
        raise _refusal(file, f"is no state file of Terraform or OpenTofu: it isn't JSON; {_PULL}") from None
    state = state if isinstance(state, dict) else {}
    if reason := next((text for key, text in _OTHERS.items() if key in state), ""):
        raise _refusal(file, reason)
    version = state.get("version")
    if version != _VERSION or not isinstance(state.get("resources", []), list):
        what = f"has version {printable(str(version))[:20]}" if isinstance(version, int) else "says no version"
        text = f"{what}, and only states of version 4 are read (Terraform 0.12 and later, OpenTofu)"
        raise _refusal(file, f"{text}; have a newer Terraform write it anew")
    return {key: name for item in state.get("resources", []) for key, name in _names(item)}


def _refusal(file: str, text: str) -> UsageError:
    return UsageError(f"--from-state {printable(file)}: {text}")


def _names(resource: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(resource, dict) or resource.get("mode") != "managed":
        return
    name = str(resource.get("name", ""))
    if name in _PLAIN and (module := _MODULE.search(str(resource.get("module", "")))):
        index = module["index"]
        name = _label(module["name"], int(index) if index and index.isdecimal() else index)
    found = resource.get("instances")
    instances = found if isinstance(found, list) else []
    for item in instances:
        attributes = item.get("attributes") if isinstance(item, dict) else None
        if not isinstance(attributes, dict):
            continue
        index = item.get("index_key")
        label = _label(name, None if index == 0 and len(instances) == 1 else index)  # count: 1 is a switch
        for key in ("id", "arn", "allocation_id", "key_pair_id"):
            if isinstance(attributes.get(key), str) and attributes[key]:
                yield attributes[key], label
        if resource.get("type") == "aws_route53_record":
            parts = (attributes.get(key) or "" for key in ("zone_id", "fqdn", "type", "set_identifier"))
            zone, domain, *rest = map(str, parts)
            yield RecordId(zone, plain_name(domain), *rest).arn("aws"), label


def _label(name: str, index: object) -> str:
    """A name with what `count` or `for_each` says of one of several; counted from 1, as here."""
    if index is None:
        return name
    return f"{name}-{index + 1 if isinstance(index, int) else index}"


async def names_in_stack(aws: Aws, stack: str) -> dict[str, str]:
    """The logical ids of the resources of a CloudFormation stack and of those nested in it, by physical id (CloudFormation
    ListStackResources).

    DescribeStackResources tells the same of the first 100 only. Raises RefusedError if there is no such stack.
    """
    found: dict[str, str] = {}
    token: dict[str, Any] = {}
    while True:
        try:
            answer = await aws.call("cloudformation", "list_stack_resources", StackName=stack, **token)
        except AwsError as error:
            if error.code != "ValidationError":
                raise
            text = f"there is no CloudFormation stack {printable(stack)} in {await told_place(aws)}; correct --from-stack, or --region"
            raise RefusedError(text) from None
        for row in answer.get("StackResourceSummaries", ()):
            if row.get("PhysicalResourceId"):
                found[row["PhysicalResourceId"]] = row["LogicalResourceId"]
            if row.get("ResourceType") == "AWS::CloudFormation::Stack" and row.get("PhysicalResourceId"):
                found |= await names_in_stack(aws, row["PhysicalResourceId"])
        if not answer.get("NextToken"):
            return found
        token = {"NextToken": answer["NextToken"]}
