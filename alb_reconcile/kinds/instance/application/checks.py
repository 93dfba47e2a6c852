"""Checks `application` of instance groups: what user data can't say, ports, secrets in clear, and ways to AWS from private subnets."""

import re
from collections.abc import Iterator
from typing import Final

from alb_reconcile.kinds._targets import targets_of
from alb_reconcile.kinds.base import Around, Entry
from alb_reconcile.kinds.instance.application.entry import application_of, texts_of
from alb_reconcile.kinds.networks import vpc_of
from alb_reconcile.kinds.route_table.defaults import default_route, is_known, tables_of_subnets
from alb_reconcile.kinds.vpc_endpoint.endpoint_types import GATEWAY, full_name, type_of
from alb_reconcile.model.address import MAX_USER_DATA
from alb_reconcile.model.nodes import Path
from alb_reconcile.model.secrets import is_secret_name
from alb_reconcile.model.text import text_of

_LATEST: Final = re.compile(r"(?<![a-z])latest(?![a-z])", re.IGNORECASE)
_CREDENTIALS: Final = re.compile(r"://[^/\s:@$]+:[^/\s@$]+@|\b(AKIA|ASIA)[A-Z0-9]{16}\b|-----BEGIN [A-Z ]*PRIVATE KEY")
"""A URL with a password, an access key of AWS's, a private key."""
_GIVEN: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=[\"']?[^\s\"'$`]")
"""A variable of a shell's that is given a text, and not what another variable or a command says."""
_LONGEST: Final = 48
"""About as many characters as a version has: 36 in Secrets Manager, more in an entity tag."""
_TAGS: Final = 40
_OTHERS: Final = ("user_data", "user_data_file", "user_data_values")


def check_application(around: Around, name: str, entry: Entry) -> None:
    """Report an application that can't be installed, or that would show secrets."""
    path: Path = ("instances", name, "application")
    for other in _OTHERS:
        if other in entry:
            why = "environment gives it variables" if other == "user_data_values" else "user data is made from it"
            around.error(
                ("instances", name, other), f"application is given too, and {why}; keep one of them", at_key=True
            )
    if around.is_wrong(path):
        return
    given = entry["application"]
    if _LATEST.search(given["artifact"].rpartition("/")[2]):
        text = "names whatever is latest, so no plan could tell what runs; name a version, such as ${VERSION}"
        around.error((*path, "artifact"), text)
    if entry.get("iam_instance_profile") != name and "managed_policies" in given:
        text = "is for the profile that application makes, and iam_instance_profile names another; give that one the policies"
        around.error((*path, "managed_policies"), text, at_key=True)
    if (entry.get("metadata_options") or {}).get("http_endpoint") == "disabled":
        text = "switches the metadata service off, from which application has its role; leave http_endpoint out"
        around.error(("instances", name, "metadata_options"), text, at_key=True)
    _check_tags(around, name, entry)
    for place, text in texts_of(entry):
        is_named = place[1] == "environment" and is_secret_name(str(place[2]))
        is_given = place[1] != "environment" and any(map(is_secret_name, _GIVEN.findall(text)))
        if is_named or is_given or _CREDENTIALS.search(text_of(text)):
            told = "looks like a secret, and user data can be read; write it under secrets, as ssm:NAME or secretsmanager:NAME"
            around.error(("instances", name, *place), told, at_key=is_named)
    for key in sorted((given.get("environment") or {}).keys() & (given.get("secrets") or {}).keys()):
        around.error((*path, "secrets", key), "is in environment too; keep it in one of them", at_key=True)
    app = application_of(around, name, entry)
    if app and (size := len(app.user_data(dict.fromkeys(app.places, "x" * _LONGEST)))) > MAX_USER_DATA:
        text = f"makes {size:,} bytes of user data, and AWS takes at most {MAX_USER_DATA:,}; move a part of it into the archive"
        around.error(path, text, at_key=True)


def _check_tags(around: Around, name: str, entry: Entry) -> None:
    """Report more tags than there is room for: the artifact and each secret take one, which keeps the version."""
    own = {key for key, value in (entry.get("tags") or {}).items() if value is not None}
    secrets = entry["application"].get("secrets") or {}
    variables = around.variables_of(("instances", name))
    count = len(around.given(("tags",)).keys() | own) + len(variables) + len(secrets) + 1
    if count > _TAGS:
        text = f"with the stack's tags, and one for each secret, these are {count} tags; AWS allows 50 and ten are reserved for this tool: put some secrets into one that is JSON"
        around.error(("instances", name, "application", "secrets"), text, at_key=True)


def check_use(around: Around) -> None:
    """Report applications at another port than their target groups' requests, and without a way to what they need of AWS."""
    for name, entry in around.entries("instances").items():
        if "application" in entry and not around.is_wrong(("instances", name, "application")):
            _check_ports(around, name, entry)
            _check_ways(around, name, entry)


def _check_ports(around: Around, name: str, entry: Entry) -> None:
    port, asked = entry["application"]["port"], dict[int, str]()
    for group, there in around.entries("target_groups").items():
        for target in targets_of(around, group):
            if target.text == name and (at := target.port or there.get("port")):
                asked[at] = group
    if asked and port not in asked:
        told = " and ".join(f"target_groups.{group} sends requests to port {at}" for at, group in sorted(asked.items()))
        around.error(("instances", name, "application", "port"), f"is {port}, and {told}; write the same port in both")


def _check_ways(around: Around, name: str, entry: Entry) -> None:
    """Report subnets of which the spec has all routes, without a default route and without endpoints of what the application needs."""
    tables = around.kept(tables_of_subnets)
    for path, subnet in around.texts("instances", name, "subnets", ...):
        table = tables.get(subnet)
        if table is None or table not in around.entries("route_tables") or not is_known(around, table):
            continue
        if default_route(around, table):
            continue
        has = set(_endpoints(around, name, table))
        lacking = [service for service in _services(entry) if full_name(service, around.region) not in has]
        if not lacking and (first := next((key for key in ("packages", "setup") if entry["application"].get(key)), "")):
            text = f"subnet.{subnet} has no way to the internet, which {first} of application may need; route 0.0.0.0/0 to a NAT gateway, or put all of it into the archive"
            around.error(path, text)
        elif lacking:
            text = f"subnet.{subnet} has no way to {', '.join(lacking)}, which application needs; route 0.0.0.0/0 to a NAT gateway, or declare vpc_endpoints for them"
            around.error(path, text)


def _services(entry: Entry) -> Iterator[str]:
    given = entry["application"]
    sources = {place.partition(":")[0] for place in (given.get("secrets") or {}).values()}
    yield "s3"
    yield from sorted(sources)
    if "logs" in given:
        yield "logs"


def _endpoints(around: Around, name: str, table: str) -> Iterator[str]:
    """The services that a subnet with a route table reaches by endpoints."""
    vpc = vpc_of(around, "instances", name)
    for key, endpoint in around.entries("vpc_endpoints").items():
        service = full_name(str(endpoint.get("service_name", "")), around.region)
        if type_of(endpoint) == GATEWAY:
            if table in (endpoint.get("route_tables") or ()):
                yield service
        elif vpc_of(around, "vpc_endpoints", key) == vpc:
            yield service
