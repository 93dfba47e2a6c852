"""Specs of any size."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from pathlib import Path


def _network() -> dict[str, Any]:
    return {
        "stack": "grown",
        "region": "us-west-2",
        "vpcs": {"main": {"cidr_block": "10.64.0.0/16", "enable_dns_hostnames": True}},
        "subnets": {
            zone: {
                "cidr_block": f"10.64.{number}.0/17",
                "availability_zone": zone,
                "map_public_ip_on_launch": True,
            }
            for number, zone in ((0, "a"), (128, "b"))
        },
        "internet_gateways": {"main": {}},
        "route_tables": {
            "main": {
                "subnets": ["a", "b"],
                "routes": [{"destination_cidr_block": "0.0.0.0/0", "internet_gateway": "main"}],
            }
        },
        "security_groups": {
            "web": {
                "description": "HTTP",
                "ingress": [{"protocol": "tcp", "port": 80, "cidr_block": "0.0.0.0/0"}],
            }
        },
    }


def _instance() -> dict[str, Any]:
    return {
        "image_id": "ami-0d53cc9bd365ad65b",
        "instance_type": "t3.micro",
        "subnets": ["a", "b"],
        "security_groups": ["web"],
        "user_data": "#!/bin/sh\nexec web-api\n",
    }


def _group(targets: list[str]) -> dict[str, Any]:
    return {"protocol": "HTTP", "port": 80, "targets": targets, "health_check": {"path": "/health"}}


def _balancer(groups: list[str]) -> dict[str, Any]:
    listener: dict[str, Any] = {"protocol": "HTTP", "port": 80, "default_action": {"forward": groups[0]}}
    if groups[1:]:
        listener["rules"] = {
            name: {
                "priority": number,
                "conditions": [{"path_pattern": f"/{name}/*"}],
                "action": {"forward": name},
            }
            for number, name in enumerate(groups[1:], 1)
        }
    return {"subnets": ["a", "b"], "security_groups": ["web"], "listeners": {"http": listener}}


def service(instances: int, groups: int) -> dict[str, Any]:
    """One load balancer before so many instances, which are targets of each of so many groups."""
    names = [f"group-{number}" for number in range(groups)]
    return {
        **_network(),
        "instances": {"web": {**_instance(), "count": instances}},
        "target_groups": {name: _group(["web"]) for name in names},
        "load_balancers": {"main": _balancer(names)},
    }


def fleet(count: int, folder: Path) -> Path:
    """A folder of so many specs: services of two instances, one target group and one load balancer, each in a VPC of
    its own."""
    folder.mkdir()
    for number in range(count):
        text = json.dumps(service(2, 1) | {"stack": f"service-{number:02}"})
        write(json.loads(text.replace("10.64.", f"10.{64 + number}.")), folder / f"{number:02}.yaml")
    return folder


def entries(total: int) -> dict[str, Any]:
    """A spec of so many entries, each written out: instances, and services of a load balancer and a target group."""
    spec = _network()
    rest = total - sum(len(section) for name, section in spec.items() if name not in ("stack", "region"))
    services = rest // 10
    names = [f"web-{number}" for number in range(rest - 2 * services)]
    targets = {f"group-{number}": _group(names[number::services]) for number in range(services)}
    return {
        **spec,
        "instances": {name: _instance() for name in names},
        "target_groups": targets,
        "load_balancers": {f"public-{number}": _balancer([group]) for number, group in enumerate(targets)},
    }


def write(spec: dict[str, Any], file: Path) -> Path:
    """As a file."""
    file.write_text(
        yaml.dump(spec, sort_keys=False, Dumper=getattr(yaml, "CSafeDumper", yaml.SafeDumper)),
        encoding="utf-8",
    )
    return file
