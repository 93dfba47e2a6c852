"""What a stack names and doesn't declare, made in the local AWS under the very ids: others' networks, certificates, keys, profiles."""

import re
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, Final

import trustme
from moto.acm.models import CertBundle, acm_backends
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.ec2.models import security_groups, subnets, vpcs
from moto.iam.models import iam_backends

from alb_reconcile.sandbox.strict import StrictAws
from alb_reconcile.sandbox.strict.aws import replace
from alb_reconcile.sandbox.strict.world import World

_ID: Final = re.compile(r"(vpc|subnet|sg)-[0-9a-f]{8,17}")
_ACM: Final = re.compile(r"arn:aws:acm:([a-z0-9-]+):[0-9]{12}:certificate/.+")
_IAM: Final = re.compile(r"arn:aws:iam::[0-9]{12}:server-certificate(/.*?)([^/]+)")
_ANYWHERE: Final = "0.0.0.0/0"
Named = list[tuple[str, str]]
"""Texts, each with the key that it stands under."""


def make_others(strict: StrictAws, region: str, states: list[Any]) -> list[str]:
    """Returns what has been made, a line each; what is there already stays as it is."""
    named = list(dict.fromkeys(_texts("", states)))
    world = World(DEFAULT_ACCOUNT_ID, region)
    with strict._lock:  # between two requests
        strict._settle(world, strict.clock())
        strict.changes += 1
        return [*_networks(world, named), *_certificates(world, named), *_keys_and_profiles(world, named)]


def _texts(key: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, dict):
        for below, item in value.items():
            yield from _texts(below, item)
    elif isinstance(value, list):
        if len(value) > 1 and isinstance(value[0], str) and isinstance(value[1], list):
            yield from _texts(value[0], value[1])  # a condition: its field, its values, and what else it says
        else:
            for item in value:
                yield from _texts(key, item)


def _networks(world: World, named: Named) -> Iterator[str]:
    """A VPC (10.0.0.0/16) that reaches the internet, subnets in one zone after the other, groups that let everything in.

    Subnets and groups belong to the first VPC that is named, or to a new one.
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
            made = _make_vpc(world, vpc_id)
            home = home or made
            yield f"VPC {made} (10.0.0.0/16, with an internet gateway)"
    zones = [zone.name for zone in world.ec2.describe_availability_zones()]
    for name in missing_subnets:
        number = len(world.subnets(home))
        with ExitStack() as stack:
            replace(stack, subnets, "random_subnet_id", lambda name=name: name)
            world.ec2.create_subnet(home, f"10.0.{number}.0/24", availability_zone=zones[number % len(zones)])
        yield f"subnet {name} (10.0.{number}.0/24 in {zones[number % len(zones)]})"
    for name in missing_groups:
        with ExitStack() as stack:
            replace(stack, security_groups, "random_security_group_id", lambda name=name: name)
            world.ec2.create_security_group(f"prepared-{name}", "made by sandbox prepare", home)
        world.ec2.authorize_security_group_ingress(name, "-1", None, None, [{"CidrIp": _ANYWHERE}])
        yield f"security group {name} (lets everything in)"


def _make_vpc(world: World, name: str) -> str:
    with ExitStack() as stack:
        if name:
            replace(stack, vpcs, "random_vpc_id", lambda: name)
        vpc = world.ec2.create_vpc("10.0.0.0/16")
    gateway = world.ec2.create_internet_gateway()
    world.ec2.attach_internet_gateway(gateway.id, vpc.id)
    (main,) = (table for table in world.ec2.route_tables.values() if table.vpc_id == vpc.id)
    world.ec2.create_route(main.id, _ANYWHERE, gateway_id=gateway.id)
    return str(vpc.id)


def _certificates(world: World, named: Named) -> Iterator[str]:
    """For the hosts that rules ask for, which is what certificates are for."""
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


def _keys_and_profiles(world: World, named: Named) -> Iterator[str]:
    iam = iam_backends[world.account]["aws"]
    for key, text in named:
        if key == "key_name" and text not in world.ec2.key_pairs:
            world.ec2.create_key_pair(text, "rsa", {})
            yield f"key pair {text}"
        elif key == "iam_instance_profile" and text not in iam.instance_profiles:
            iam.create_instance_profile(text, "/", [])
            yield f"instance profile {text}"
