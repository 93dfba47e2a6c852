"""Makes the smallest IAM policies of a fleet: that of the user that runs it, and that of each role that it assumes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from alb_reconcile.api.iam_policy import Command, Document, policy_documents, statement
from alb_reconcile.aws.partitions import partition_of
from alb_reconcile.aws.role import Role
from alb_reconcile.fleet.cells import Cell, Fleet
from alb_reconcile.fleet.queues import Queue
from alb_reconcile.kinds.grants import Condition
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.errors import UsageError

_WORKER: Final = ("sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage")
_ENQUEUE: Final = ("sqs:GetQueueAttributes", "sqs:SendMessage")
_KEPT: Final = ("sync", "apply")
"""The commands that keep their results."""


@dataclass(frozen=True)
class FleetPolicies:
    """The policies of a fleet. In the words of StackSets, `administration`: of the user that runs the fleet; `execution`: of the roles
    in the accounts, by ARN. `enqueue`: of the user that puts cells on the queue. Each is several documents where one would be longer
    than AWS accepts."""

    administration: Sequence[Document]
    enqueue: Sequence[Document]
    execution: Mapping[str, Sequence[Document]]


def fleet_policies(
    fleet: Fleet,
    cells: Iterable[tuple[Cell, Sequence[DesiredStack]]],
    command: Command,
    queue: Queue | None,
    *,
    issue: bool,
    roles: Sequence[str] = (),
) -> FleetPolicies:
    """The policies for these cells and their stacks. `queue`: the workers' queue. Raises UsageError for the address of a queue that
    names no region."""
    partition, named = partition_of(fleet.cells[0].region), list[Cell]()
    by_role: dict[str, list[DesiredStack]] = defaultdict(list)
    for cell, stacks in cells:
        named.append(cell)
        by_role[cell.role.arn if cell.role else ""] += [replace(item, account_ids=(cell.account,)) for item in stacks]
    here = by_role.pop("", [])
    own = [*_roles(cell.role for cell in named if cell.role), *_specs(named, partition)]
    kept = _results(fleet, partition)
    if kept and command in _KEPT:
        own += [
            statement(("s3:GetObject", "s3:PutObject"), [kept.objects]),
            statement(("s3:ListBucket",), [kept.bucket]),
        ]
    enqueue: list[Document] = []
    if queue is not None and queue.is_sqs:
        arn = _arn(queue, partition)
        own.append(statement(_WORKER, [arn]))
        enqueue.append(statement(_ENQUEUE, [arn]))
        if kept:
            enqueue += [statement(("s3:GetObject",), [kept.objects]), statement(("s3:ListBucket",), [kept.bucket])]
    return FleetPolicies(
        policy_documents(here, command, own, issue=issue, roles=roles),
        policy_documents((), command, enqueue),
        {arn: policy_documents(stacks, command, issue=issue, roles=roles) for arn, stacks in sorted(by_role.items())},
    )


def _roles(roles: Iterable[Role]) -> Iterator[Document]:
    """Statements that allow assuming each role with its external id and session tags only."""
    by_id: dict[str, set[str]] = defaultdict(set)
    by_tags: dict[tuple[tuple[str, str], ...], set[str]] = defaultdict(set)
    for role in roles:
        by_id[role.external_id].add(role.arn)
        if role.session_tags:
            by_tags[tuple(sorted(role.session_tags.items()))].add(role.arn)
    for external_id, arns in sorted(by_id.items()):
        only: Condition = (("StringEquals", "sts:ExternalId", (external_id,)),) if external_id else ()
        yield statement(("sts:AssumeRole",), arns, only)
    for tags, arns in sorted(by_tags.items()):
        given = tuple(("StringEquals", f"aws:RequestTag/{key}", (value,)) for key, value in tags)
        yield statement(("sts:TagSession",), arns, given)


def _specs(cells: Iterable[Cell], partition: str) -> Iterator[Document]:
    """Statements that allow reading specs in S3."""
    for place in sorted({source.s3 for cell in cells for source in cell.sources if source.s3}):
        bucket, _, prefix = place.removeprefix("s3://").partition("/")
        below = prefix if not prefix or prefix.endswith((".yaml", ".yml")) else f"{prefix}/"
        arn = f"arn:{partition}:s3:::{bucket}"
        yield statement(("s3:GetObject",), [f"{arn}/{below}*"])
        yield statement(("s3:ListBucket",), [arn], (("StringEquals", "s3:prefix", (below,)),))


@dataclass(frozen=True)
class _Results:
    """ARNs of the results in S3. AWS says whether an object is missing only to users that may list the bucket; the permission has no
    condition, since a read has no prefix."""

    bucket: str
    objects: str


def _results(fleet: Fleet, partition: str) -> _Results | None:
    if not fleet.results.startswith("s3://"):
        return None
    bucket, _, prefix = fleet.results.removeprefix("s3://").rstrip("/").partition("/")
    arn = f"arn:{partition}:s3:::{bucket}"
    return _Results(arn, f"{arn}/{f'{prefix}/{fleet.name}'.lstrip('/')}/*")


def _arn(queue: Queue, partition: str) -> str:
    _, account, name = urlsplit(queue.url).path.split("/")
    if not queue.region:
        raise UsageError(
            f"the queue {queue} isn't in Amazon SQS; give its URL, such as https://sqs.eu-central-1.amazonaws.com/{account}/{name}"
        )
    return f"arn:{partition}:sqs:{queue.region}:{account}:{name}"
