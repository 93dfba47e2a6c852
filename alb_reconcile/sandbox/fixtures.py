"""Makes others' resources in the local AWS, with ids that a stack names: networks, images, certificates, keys, profiles, log buckets."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import trustme
from moto.acm.models import CertBundle, acm_backends
from moto.awslambda.exceptions import ConflictException
from moto.awslambda.models import lambda_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.iam.exceptions import EntityAlreadyExists
from moto.iam.models import iam_backends
from moto.wafv2.models import FakeWebACL, wafv2_backends

from alb_reconcile.sandbox.buckets import make_buckets
from alb_reconcile.sandbox.images import make_images
from alb_reconcile.sandbox.names.zones import make_zones
from alb_reconcile.sandbox.networks import make_group, make_looked_up, make_subnet, make_vpc
from alb_reconcile.sandbox.roles import service_trust
from alb_reconcile.sandbox.secrets import make_places, make_secrets
from alb_reconcile.sandbox.strict import StrictAws
from alb_reconcile.sandbox.strict.world import World

_ID: Final = re.compile(r"(vpc|subnet|sg)-[0-9a-f]{8,17}")
_ACM: Final = re.compile(r"arn:aws:acm:([a-z0-9-]+):[0-9]{12}:certificate/.+")
_IAM: Final = re.compile(r"arn:aws:iam::[0-9]{12}:server-certificate(/.*?)([^/]+)")
_FUNCTION: Final = re.compile(r"arn:aws:lambda:([a-z0-9-]+):[0-9]{12}:function:([A-Za-z0-9_-]+)(?::([A-Za-z0-9_-]+))?")
_ACL: Final = re.compile(r"arn:aws:wafv2:([a-z0-9-]+):[0-9]{12}:regional/webacl/([^/]+)/([^/]+)")
Named = list[tuple[str, str]]
"""The texts in desired states, each with the key under which it is."""


def make_others(
    strict: StrictAws, region: str, states: list[Any], lookups: list[dict[str, Any]], folder: Path | None = None
) -> list[str]:
    """Make the missing resources. Returns a line for each; existing resources aren't changed. `folder`: for a client's certificate.

    `lookups` are what the states look up: kind, tags or parameter, and whether many may match.
    """
    named = list(dict.fromkeys(_texts("", states)))
    world = World(DEFAULT_ACCOUNT_ID, region)
    with strict._lock:  # no request is processed meanwhile
        strict._settle(world, strict.clock())
        strict.changes += 1
        made = [*_networks(world, named), *make_looked_up(world, lookups, _home(world, named))]
        made += [*_functions(world, named), *make_zones(world, states), *make_images(world, states)]
        made += make_buckets(world, named, states, folder)
        made += [*make_secrets(world, states), *_web_acls(world, named)]
        made += make_places(world, [text for _, text in named if text.startswith(("ssm:", "secretsmanager:"))])
        made += _looked_up_certificates(world, lookups)
        return [*made, *_certificates(world, named), *_keys_and_profiles(world, named)]


def _texts(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for below, item in value.items():
            yield from _texts(below, item)
    elif isinstance(value, list):
        if len(value) > 1 and isinstance(value[0], str) and isinstance(value[1], list):
            yield from _texts(value[0], value[1])  # a rule's condition: its field, its values, and its other settings
        else:
            for item in value:
                yield from _texts(key, item)


def _networks(world: World, named: Named) -> Iterator[str]:
    """Make VPCs (10.0.0.0/16) that reach the internet, subnets in the zones in turn, and security groups that let everything in.

    Subnets and groups belong to the first VPC that the stack names, or to a new one.
    """
    ids: dict[str, list[str]] = {"vpc": [], "subnet": [], "sg": []}
    for _, text in named:
        if found := _ID.fullmatch(text):
            ids[found[1]].append(text)
    missing_subnets = [name for name in dict.fromkeys(ids["subnet"]) if world.subnet(name) is None]
    missing_groups = [name for name in dict.fromkeys(ids["sg"]) if name not in {group.id for group in world.groups()}]
    home = next(iter(ids["vpc"]), "")
    for vpc_id in dict.fromkeys(ids["vpc"] or ([""] if missing_subnets or missing_groups else [])):
        if vpc_id not in world.ec2.vpcs:
            made = make_vpc(world, vpc_id)
            home = home or made
            yield f"VPC {made} (10.0.0.0/16, with an internet gateway)"
    for name in missing_subnets:
        yield _say_subnet(world, make_subnet(world, home, name))
    for name in missing_groups:
        make_group(world, home, name)
        yield f"security group {name} (lets everything in)"


def _web_acls(world: World, named: Named) -> Iterator[str]:
    """Make web ACLs without rules. The sandbox doesn't pass requests through them."""
    acls = wafv2_backends[world.account][world.region].wacls
    for _, text in named:
        if (found := _ACL.fullmatch(text)) and found[1] == world.region and text not in acls:
            acls[text] = FakeWebACL(found[2], world.account, text, found[3], {}, {"Allow": {}}, None, None)
            yield f"web ACL {text} (nothing asks it)"


def _home(world: World, named: Named) -> str:
    """The first existing VPC that is named by its id; empty if there is none."""
    ids = (text for _, text in named if text.startswith("vpc-"))
    return next((text for text in ids if text in world.ec2.vpcs), "")


def _say_subnet(world: World, name: str) -> str:
    made = world.subnet(name)
    return f"subnet {name} ({made.cidr_block} in {made.availability_zone})" if made else name


def _certificates(world: World, named: Named) -> Iterator[str]:
    """Make certificates for the hosts in the conditions of rules, or for example.com if there are none."""
    hosts = [text for key, text in named if key == "host_header" and re.fullmatch(r"(\*\.)?[a-z0-9.-]+", text)]
    names = hosts or ["example.com"]
    acm, iam = acm_backends[world.account][world.region], iam_backends[world.account]["aws"]
    for _, text in named:
        if (found := _ACM.fullmatch(text)) and found[1] == world.region and text not in acm._certificates:
            made = CertBundle.generate_cert(names[0], world.account, world.region, names[1:])
            made.arn = text
            acm._certificates[text] = made
        elif (found := _IAM.fullmatch(text)) and iam.get_certificate_by_arn(text) is None:
            issued = trustme.CA().issue_cert(*names)
            body, key = issued.cert_chain_pems[0].bytes().decode(), issued.private_key_pem.bytes().decode()
            iam.upload_server_certificate(found[2], body, key, path=found[1])
        else:
            continue
        yield f"certificate {text} (for {', '.join(names)})"


def _looked_up_certificates(world: World, lookups: list[dict[str, Any]]) -> Iterator[str]:
    """Make an issued certificate for each domain that is looked up and that no certificate covers."""
    acm = acm_backends[world.account][world.region]
    for domain in dict.fromkeys(item.get("domain") for item in lookups):
        if domain and not any(domain in (item.common_name, *item.sans) for item in acm._certificates.values()):
            made = CertBundle.generate_cert(domain, world.account, world.region)
            acm._certificates[made.arn] = made
            yield f"certificate {made.arn} (for {domain})"


def _functions(world: World, named: Named) -> Iterator[str]:
    """Make Lambda functions, with their aliases. Their code can't be run."""
    backend = lambda_backends[world.account][world.region]
    for _, text in named:
        if (found := _FUNCTION.fullmatch(text)) and found[1] == world.region:
            name, alias = found[2], found[3]
            if all(item.function_name != name for item in backend.list_functions()):
                role = iam_backends[world.account]["aws"].create_role(name, "{}", "/", "", "", [], "3600").arn
                settings = {"Handler": "none", "Runtime": "python3.12", "Code": {"ZipFile": ""}, "Publish": True}
                backend.create_function({"FunctionName": name, "Role": role, **settings})
                yield f"function {name} (which nothing runs)"
            if alias and not alias.isdecimal():
                with suppress(ConflictException):  # the alias exists
                    backend.create_alias(alias, name, "1", "", "")


def _keys_and_profiles(world: World, named: Named) -> Iterator[str]:
    iam = iam_backends[world.account]["aws"]
    own = {text for key, text in named if key == "name"}  # of the stack's own key pairs, among others
    for key, text in named:
        if key == "key_name" and text not in {*world.ec2.key_pairs, *own}:
            world.ec2.create_key_pair(text, "rsa", {})
            yield f"key pair {text}"
        elif key == "iam_instance_profile" and text not in iam.instance_profiles:
            made = _make_role(iam, text)
            iam.create_instance_profile(text, "/", [text])  # named as its role, as the console does
            yield f"instance profile {text}{' (its role may do everything)' * made}"


def _make_role(iam: Any, name: str) -> bool:
    """Make a role for instances that may do everything, unless there is a role of that name."""
    try:
        iam.create_role(name, json.dumps(service_trust("ec2.amazonaws.com")), "/", "", "", [], "3600")
    except EntityAlreadyExists:
        return False
    everything = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    iam.put_role_policy(name, "all", json.dumps({"Version": "2012-10-17", "Statement": everything}))
    return True
