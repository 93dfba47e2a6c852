"""Finds the ids of what a spec looks up by tags, domain or parameter, before the stack is read."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from alb_reconcile.aws.client import Aws, batches
from alb_reconcile.engine.discover import read_account
from alb_reconcile.engine.kept_values import fill_in_kept
from alb_reconcile.engine.versions import pin_versions
from alb_reconcile.kinds import load_kinds
from alb_reconcile.kinds.base import FoundByDomain
from alb_reconcile.kinds.grants import Grant, Scope
from alb_reconcile.kinds.identifiers import describe_id, is_id_of
from alb_reconcile.model import tags
from alb_reconcile.model.desired_stack import DesiredStack
from alb_reconcile.model.discovery import Finding
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.lookup import FoundId, Lookup, lookups_in, paths_of, resolve
from alb_reconcile.model.resource import Desired

_PARAMETERS: Final = 10
"""The most parameters of one GetParameters call."""
_ENDED: Final = ("deleted", "deleting", "terminated", "shutting-down", "failed")
_MOST: Final = 8
"""The most ids that a message names."""
Row = dict[str, Any]


async def resolve_lookups(aws: Aws, target: DesiredStack, *, takes_own: bool = False) -> DesiredStack:
    """The stack with ids in place of its look-ups. Asks nothing if there are none. A look-up may find a resource of the stack that isn't in
    the spec any more, since plans say how to forget it (`preflight.named`); with `takes_own`, any resource of the stack.

    Variables that an earlier command was given are filled in first, and versions are pinned (`pin_versions`). Raises RefusedError, with each place, for a look-up that finds nothing
    or several; in a wrong account; AwsError.
    """
    target = await pin_versions(aws, await fill_in_kept(aws, target))
    users: dict[Lookup, list[tuple[Desired, str]]] = defaultdict(list)
    for item in target.desired.values():
        for wanted in set(lookups_in(item.state)):
            users[wanted] += [(item, path) for path in paths_of(item.state, wanted)]
    if not users:
        return target
    if target.account_ids:
        await read_account(aws, target.account_ids)
    by_rows = [item for item in users if item.by in ("tag", "default")]
    by_domain = [item for item in users if item.by == "domain"]
    by_parameter = {item.parameter for item in users if item.by == "ssm"}
    rows, parameters, certificates = await asyncio.gather(
        _read_rows(aws, by_rows),
        _read_parameters(aws, sorted(by_parameter)),
        _find_by_domain(aws, by_domain, target.stack),
    )
    declared = set() if takes_own else {*map(str, target.desired)}
    found: dict[Lookup, tuple[FoundId, ...]] = {}
    problems: list[str] = []
    for wanted, places in users.items():
        if wanted.by == "ssm":
            ids, problem = _of_parameter(wanted, parameters)
        elif wanted.by == "domain":
            ids, problem = certificates[wanted]
        else:
            ids, problem = _of_rows(wanted, rows[wanted], target.stack, declared)
        problems += [str(Finding(item, path, problem)) for item, path in places if problem]
        found[wanted] = tuple(FoundId.of(text, wanted.words) for text in ids)
    if problems:
        raise RefusedError("\n".join(dict.fromkeys(problems)))
    desired = {
        address: replace(item, state=resolve(item.state, found), creation=resolve(item.creation, found))
        for address, item in target.desired.items()
    }
    return replace(target, desired=desired)


def lookup_grants(wanted: Lookup, scope: Scope) -> Iterator[Grant]:
    """The IAM permissions that a look-up needs, in addition to those that read resources of its kind."""
    if wanted.by == "ssm":
        yield Grant(("ssm:GetParameters",), (scope.arn("ssm", f"parameter/{wanted.parameter.removeprefix('/')}"),))
    if wanted.by == "domain":
        yield from _finder(wanted.kind).finding_grants(scope)


def _finder(kind: str) -> FoundByDomain:
    found = load_kinds()[kind]
    if not isinstance(found, FoundByDomain):
        raise TypeError(f"the checks let a look-up of {kind} by domain through")
    return found


async def _find_by_domain(aws: Aws, wanted: Sequence[Lookup], stack: str) -> dict[Lookup, tuple[list[str], str]]:
    parts = await asyncio.gather(
        *(
            _finder(kind).find_by_domain(aws, [item for item in wanted if item.kind == kind], stack)
            for kind in sorted({item.kind for item in wanted})
        )
    )
    return {item: answer for part in parts for item, answer in part.items()}


async def _read_rows(aws: Aws, wanted: Iterable[Lookup]) -> dict[Lookup, list[Row]]:
    """EC2's rows for each look-up; look-ups of one kind by the same tag keys share a call."""
    alike: dict[tuple[object, ...], list[Lookup]] = defaultdict(list)
    for item in wanted:
        alike[item.kind, item.by, *(key for key, _ in item.tags)].append(item)
    parts = await asyncio.gather(*(_read_alike(aws, items) for items in alike.values()))
    return {item: rows for part in parts for item, rows in part.items()}


async def _read_alike(aws: Aws, items: list[Lookup]) -> dict[Lookup, list[Row]]:
    first = items[0]
    listing = load_kinds()[first.kind].listing
    if listing is None:
        raise AssertionError(f"the checks let a look-up of {first.kind} through")
    where: dict[str, Any] = {listing.default_filter: "true"} if first.by == "default" else {}
    for place, (key, _) in enumerate(first.tags):
        where[f"tag:{key}"] = {item.tags[place][1] for item in items}
    rows = [row for row in await aws.pages("ec2", listing.operation, listing.key, where=where) if _is_there(row)]
    # in a filter * and ? are wildcards, and one call serves several look-ups
    return {item: [row for row in rows if _has_tags(row, item)] for item in items}


def _is_there(row: Row) -> bool:
    state = row.get("State")
    return not isinstance(state, str) or state.lower() not in _ENDED


def _has_tags(row: Row, item: Lookup) -> bool:
    return set(item.tags) <= set(tags.from_list(row.get("Tags")).items())


async def _read_parameters(aws: Aws, names: list[str]) -> dict[str, str]:
    answers = await asyncio.gather(
        *(aws.call("ssm", "get_parameters", Names=list(part)) for part in batches(names, _PARAMETERS))
    )
    return {item["Name"]: item["Value"] for answer in answers for item in answer["Parameters"]}


def _of_rows(wanted: Lookup, rows: list[Row], stack: str, declared: Collection[str]) -> tuple[list[str], str]:
    """The ids that a look-up finds in these rows, and the problem with them, if any."""
    kind = load_kinds()[wanted.kind]
    name = wanted.kind.replace("_", " ")
    ids = sorted(row[kind.id_key] for row in rows)
    shown = ", ".join(ids[:_MOST]) + (f" and {len(ids) - _MOST} more" if len(ids) > _MOST else "")
    tagged = [(row[kind.id_key], tags.from_list(row.get("Tags"))) for row in rows]
    own = [known for known, own in tagged if own.get(tags.STACK) == stack and own.get(tags.ADDRESS) in declared]
    vpcs = sorted({str(row["VpcId"]) for row in rows if "VpcId" in row})
    if not ids:
        return (
            ids,
            f"no {name} is found by {wanted.words} in this account and region; correct it, or give {kind.noun}'s id",
        )
    if own:
        return (
            ids,
            f"{own[0]} is found by {wanted.words}, and is this stack's own; name its entry, or look for other tags",
        )
    if not wanted.many and len(ids) > 1:
        return (
            ids,
            f"{len(ids)} of them are found by {wanted.words} ({shown}); add a tag that only one has, or give its id",
        )
    if wanted.many and len(vpcs) > 1:
        return (
            ids,
            f"those found by {wanted.words} are in different VPCs ({', '.join(vpcs)}); add a tag that only those of one have",
        )
    return ids, ""


def _of_parameter(wanted: Lookup, parameters: Mapping[str, str]) -> tuple[list[str], str]:
    """The ids in an SSM parameter (one, or a list if many are wanted), and the problem with them, if any."""
    kind = load_kinds()[wanted.kind]
    if wanted.parameter not in parameters:
        return [], f"there is no {wanted.words} in this region; correct it, or give {kind.noun}'s id"
    value = parameters[wanted.parameter].strip()
    ids = [part.strip() for part in value.split(",")] if wanted.many else [value]
    if wrong := [text for text in ids if not is_id_of(wanted.kind, text)]:
        # a parameter's value may be a secret that was named by mistake
        return [], f"the {wanted.words} holds {len(wrong[0])} characters that aren't {describe_id(kind)}; correct it"
    return ids, ""
