"""Reads `application` of an instance group's entry, and writes out the instance profile and the log group that it stands for (ADR 17)."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from alb_reconcile.aws.partitions import partition_of
from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.instance.application.role import role_statements
from alb_reconcile.kinds.instance.application.user_data import Application
from alb_reconcile.kinds.short_forms import ShortForm, below, copied
from alb_reconcile.model.errors import Problem
from alb_reconcile.model.nodes import Node, Path
from alb_reconcile.model.resource import BLUE_GREEN
from alb_reconcile.model.text import parse_duration, text_of

_DOMAINS: Final = {
    "aws-cn": "amazonaws.com.cn",
    "aws-iso": "c2s.ic.gov",
    "aws-iso-b": "sc2s.sgov.gov",
    "aws-iso-e": "cloud.adc-e.uk",
    "aws-iso-f": "csp.hci.ic.gov",
    "aws-eusc": "amazonaws.eu",
}
"""The domain of AWS's endpoints by partition (botocore's endpoints); amazonaws.com in the others."""


def application_of(around: Around, name: str, entry: Entry) -> Application | None:
    """What an entry's instances run; None where the entry has no `application`."""
    if "application" not in entry:
        return None
    given = entry["application"]
    region = around.region or ""
    bucket, _, key = given["artifact"].removeprefix("s3://").partition("/")
    texts = {key: text_of(value) for key, value in (given.get("environment") or {}).items()}
    return Application(
        generation=given.get("generation", 1),
        bucket=bucket,
        key=key,
        prefix=_prefix(around.template(("instances", name, "application", "artifact")), key),
        command=given["command"],
        port=given["port"],
        region=region,
        domain=_DOMAINS.get(partition_of(region), "amazonaws.com"),
        user=given.get("user", "app"),
        environment=texts,
        secrets=given.get("secrets") or {},
        takes_new_secrets=given.get("secrets_update") == "replace",
        packages=given.get("packages") or (),
        setup=given.get("setup") or (),
        log_group=_log_group(around.stack, name) if "logs" in given else "",
        stop_timeout=parse_duration(given.get("stop_timeout", "30s")),
    )


def write_out(root: Node, invalid: Iterable[Path], region: str | None) -> list[Problem]:
    """Give each entry with an `application` the strategy blue_green, an instance profile, as far as the entry says none of its own, and a
    log group for its logs (in place). Returns the problems found."""
    refused = {path[:2] for path in invalid if path[2:3] in (("application",), ("iam_instance_profile",), ("rollout",))}
    problems: list[Problem] = []
    for name, entry in list(below(root, "instances").items()):
        if (
            "application" in below(entry)
            and ("instances", name) not in refused
            and not _lacks(below(entry, "application"))
        ):
            form = ShortForm(root, f"application of instances.{name}", entry.keys["application"])
            _write_out(form, name, below(entry, "application"), region or "")
            problems += form.problems
    return problems


def _lacks(given: Mapping[str, Node]) -> bool:
    """Whether a key is missing, which the schema has reported, and of which something is made."""
    return "artifact" not in given or ("logs" in given and "retention_days" not in below(given["logs"]))


def _write_out(form: ShortForm, name: str, given: Mapping[str, Node], region: str) -> None:
    stack = below(form.root).get("stack")
    group = _log_group(str(stack.value) if stack else "", name) if "logs" in given else ""
    if group:
        days = below(given["logs"])["retention_days"]
        entry = form.mapping({"name": form.node(group), "retention_in_days": days})
        form.add(form.root, (), "log_groups", name, entry)
    owner = copied(copied(form.root, "instances"), name)
    if "rollout" not in below(owner):
        below(owner)["rollout"] = form.mapping({})
        owner.keys["rollout"] = (form.line, form.column)
    rollout = copied(owner, "rollout")
    if "strategy" not in below(rollout):
        below(rollout)["strategy"] = form.node(BLUE_GREEN)
        rollout.keys["strategy"] = (form.line, form.column)
    if "iam_instance_profile" in below(owner):
        return
    artifact = given["artifact"]
    bucket, _, key = str(artifact.value).removeprefix("s3://").partition("/")
    statements = role_statements(
        region,
        bucket=bucket,
        prefix=_prefix(artifact.template or str(artifact.value), key),
        secrets=[str(node.value) for node in below(given["secrets"]).values()] if "secrets" in given else (),
        log_group=group,
    )
    profile = {"policy": form.tree({"Version": "2012-10-17", "Statement": statements})}
    profile |= {"managed_policies": given.get("managed_policies", form.node([]))}
    form.add(form.root, (), "instance_profiles", name, form.mapping(profile))
    below(owner)["iam_instance_profile"] = form.node(name)
    owner.keys["iam_instance_profile"] = (form.line, form.column)


def _log_group(stack: str, name: str) -> str:
    return f"/alb-reconcile/{stack}/{name}"


def _prefix(artifact: str, key: str) -> str:
    """The keys that an artifact's URL may lead to: all that begin as the URL's text does before its first variable. All of the bucket's, if
    a variable gives its name and the beginning of `key`, too."""
    start, mark, _ = artifact.removeprefix("s3://").partition("/")[2].partition("${")
    if mark and key.startswith(start):
        return f"{start}*"
    return key if key == start else "*"


def texts_of(entry: Entry) -> Iterable[tuple[Path, Any]]:
    """The texts of an application that user data shows, each with its path below the entry."""
    given = entry["application"]
    yield ("application", "command"), given["command"]
    yield from ((("application", "environment", key), text) for key, text in (given.get("environment") or {}).items())
    yield from ((("application", "setup", index), text) for index, text in enumerate(given.get("setup") or ()))
