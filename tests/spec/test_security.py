"""Security Hub's controls: each with specs that don't meet it, and some that do; and what is accepted."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from alb_reconcile.model.controls import CONTROLS
from alb_reconcile.model.errors import SpecError
from alb_reconcile.spec.security import Audit, audit
from alb_reconcile.spec.stack import load_outline
from tests.spec.helpers import network

Spec = dict[str, Any]
ARN = "arn:aws:acm:eu-west-1:123456789012:certificate/a"
ACL = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/shop/0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f"
BALANCER, GROUP, INSTANCE = "load_balancers/public", "target_groups/web", "instances/web"
TO_HTTPS = {"redirect": {"protocol": "HTTPS", "port": 443, "status_code": "HTTP_301"}}
HTTP = {"protocol": "HTTP", "port": 80}
ALL_IPV4, ALL_IPV6 = {"cidr_block": "0.0.0.0/0"}, {"ipv6_cidr_block": "::/0"}


def safe() -> Spec:
    """A spec without a finding."""
    return {
        **network(),
        "security_groups": {
            "balancer": {"ingress": [{"protocol": "tcp", "port": 443, **ALL_IPV4}]},
            "web": {"ingress": [{"protocol": "tcp", "port": 8443, "security_group": "balancer"}]},
        },
        "instances": {
            "web": {"image_id": "ami-0123456789abcdef0", "instance_type": "t3.micro", "subnets": ["a", "b"], "security_groups": ["web"]}
        },
        "target_groups": {"web": {"protocol": "HTTPS", "port": 8443, "targets": ["web"], "health_check": {"protocol": "HTTPS"}}},
        "load_balancers": {
            "public": {
                "subnets": ["a", "b"],
                "security_groups": ["balancer"],
                "web_acl": ACL,
                "attributes": {
                    "routing.http.drop_invalid_header_fields.enabled": True,
                    "deletion_protection.enabled": True,
                    "access_logs.s3.enabled": True,
                    "access_logs.s3.bucket": "our-logs",
                },
                "listeners": {"https": {"protocol": "HTTPS", "port": 443, "certificate_arn": ARN, "default_action": {"forward": "web"}}},
            }
        },
    }  # fmt: skip


def changed(path: str, value: Any, spec: Spec | None = None) -> Spec:
    """The spec with a value at a path, whose keys have slashes between them; None takes it out."""
    spec = deepcopy(spec or safe())
    *parents, last = path.split("/")
    place = spec
    for key in parents:
        place = place.setdefault(key, {})
    place[last] = value
    if value is None:
        del place[last]
    return spec


def find(spec: Spec, folder: Path) -> Audit:
    file = folder / "spec.yaml"
    file.write_text(yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
    return audit(load_outline(str(file)))


def opened(*rules: dict[str, Any]) -> Spec:
    """The spec with further rules of the load balancer's group."""
    spec = safe()
    spec["security_groups"]["balancer"]["ingress"] += rules
    return spec


ATTRIBUTES = f"{BALANCER}/attributes/"
LISTENERS = f"{BALANCER}/listeners/"
OTHER = {"conditions": [{"path_pattern": "/a"}], "priority": 1}
CASES: list[tuple[Spec, dict[str, str]]] = [
    (safe(), {}),
    (changed(f"{ATTRIBUTES}routing.http.drop_invalid_header_fields.enabled", None), {"ELB.4": "load_balancer.public"}),
    (changed(f"{ATTRIBUTES}routing.http.drop_invalid_header_fields.enabled", "false"), {"ELB.4": "load_balancer.public"}),
    (changed(f"{ATTRIBUTES}access_logs.s3.enabled", False), {"ELB.5": "load_balancer.public"}),
    (changed(f"{ATTRIBUTES}deletion_protection.enabled", None), {"ELB.6": "load_balancer.public"}),
    (changed(f"{ATTRIBUTES}routing.http.desync_mitigation_mode", "monitor"), {"ELB.12": "load_balancer.public"}),
    (changed(f"{ATTRIBUTES}routing.http.desync_mitigation_mode", "strictest"), {}),
    (changed(f"{BALANCER}/web_acl", None), {"ELB.16": "load_balancer.public"}),
    (changed(f"{BALANCER}/web_acl", "none"), {"ELB.16": "load_balancer.public"}),
    (changed(f"{LISTENERS}https/ssl_policy", "ELBSecurityPolicy-2016-08"), {"ELB.17": "listener.public/https"}),
    (changed(f"{LISTENERS}https/ssl_policy", "ELBSecurityPolicy-TLS13-1-2-Res-2021-06"), {}),
    (changed(f"{LISTENERS}http", {**HTTP, "default_action": TO_HTTPS}), {"ELB.18": "listener.public/http"}),
    (changed(f"{LISTENERS}http", {**HTTP, "default_action": {"forward": "web"}}), {"ELB.18": "listener.public/http", "ELB.1": "load_balancer.public"}),
    (changed(f"{LISTENERS}http", {**HTTP, "default_action": TO_HTTPS, "rules": {"a": {**OTHER, "action": {"forward": "web"}}}}), {"ELB.18": "listener.public/http", "ELB.1": "load_balancer.public"}),
    (changed(f"{LISTENERS}http", {**HTTP, "default_action": TO_HTTPS, "rules": {"a": {**OTHER, "action": TO_HTTPS}}}), {"ELB.18": "listener.public/http"}),
    (changed(f"{LISTENERS}http", {**HTTP, "default_action": {"redirect": {"status_code": "HTTP_301", "host": "a.example.com"}}}), {"ELB.18": "listener.public/http", "ELB.1": "load_balancer.public"}),
    (changed(f"{GROUP}/health_check", None), {"ELB.21": "target_group.web"}),
    (changed(f"{GROUP}/health_check/protocol", "HTTP"), {"ELB.21": "target_group.web"}),
    (changed(f"{GROUP}/protocol", "HTTP"), {"ELB.22": "target_group.web"}),
    (changed("target_groups/fun", {"target_type": "lambda", "targets": ["arn:aws:lambda:eu-west-1:123456789012:function:f"]}), {}),
    (changed(f"{INSTANCE}/root_volume", {"encrypted": False}), {"EC2.3": "instance.web"}),
    (changed(f"{INSTANCE}/root_volume", {"volume_size": 20}), {}),
    (changed(f"{INSTANCE}/data_volumes", {"data": {"device_name": "/dev/sdf", "volume_size": 8, "encrypted": False}}), {"EC2.3": "instance.web"}),
    (changed(f"{INSTANCE}/metadata_options", {"http_tokens": "optional"}), {"EC2.8": "instance.web"}),
    (changed(f"{INSTANCE}/metadata_options", {"http_put_response_hop_limit": 2}), {}),
    (changed(f"{INSTANCE}/associate_public_ip_address", True), {"EC2.9": "instance.web"}),
    (changed(f"{INSTANCE}/elastic_ip", "eipalloc-0a1b2c3d4e5f60718"), {"EC2.9": "instance.web"}),
    (changed(f"{INSTANCE}/source_dest_check", False), {"EC2.180": "instance.web"}),
    (changed("subnets/a/map_public_ip_on_launch", True), {"EC2.15": "subnet.a", "EC2.9": "instance.web"}),
    (changed("subnets/a/map_public_ip_on_launch", True, changed(f"{INSTANCE}/associate_public_ip_address", False)), {"EC2.15": "subnet.a"}),
    (changed("subnets/a/assign_ipv6_address_on_creation", True), {"EC2.15": "subnet.a"}),
    (opened({"protocol": "tcp", "port": 22, **ALL_IPV4}), dict.fromkeys(("EC2.13", "EC2.18", "EC2.19", "EC2.53"), "security_group.balancer")),
    (opened({"protocol": "tcp", "port": 3389, **ALL_IPV6}), dict.fromkeys(("EC2.14", "EC2.18", "EC2.19", "EC2.54"), "security_group.balancer")),
    (opened({"protocol": "tcp", "from_port": 440, "to_port": 450, **ALL_IPV4}), dict.fromkeys(("EC2.18", "EC2.19"), "security_group.balancer")),
    (opened({"protocol": "tcp", "port": 8443, **ALL_IPV4}), {"EC2.18": "security_group.balancer"}),
    (opened({"protocol": "udp", "port": 443, **ALL_IPV4}), {"EC2.18": "security_group.balancer"}),
    (opened({"protocol": "udp", "port": 3389, **ALL_IPV6}), dict.fromkeys(("EC2.18", "EC2.54"), "security_group.balancer")),
    (opened({"protocol": "all", **ALL_IPV6}), dict.fromkeys(("EC2.13", "EC2.14", "EC2.18", "EC2.19", "EC2.54"), "security_group.balancer")),
    (opened({"protocol": "tcp", "port": 22, "cidr_block": "203.0.113.0/24"}, {"protocol": "tcp", "port": 80, **ALL_IPV6}), {}),
    (opened({"protocol": "tcp", "port": 22, "prefix_list_id": "pl-0a1b2c3d4e5f60718"}, {"protocol": "icmp", "from_port": -1, "to_port": -1, **ALL_IPV4}), {}),
]  # fmt: skip


@pytest.mark.parametrize(
    ("spec", "expected"), CASES, ids=lambda value: ", ".join(value) if "stack" not in value else ""
)
def test_controls(spec: Spec, expected: dict[str, str], tmp_path: Path) -> None:
    """Each finding by its id, with the address of the entry."""
    found = find(spec, tmp_path)
    assert {item.control.id: item.address for item in found.open} == expected
    for item in found.open:
        assert item.change.startswith(("write ", "name ", "leave "))
    is_redirect = expected == {"ELB.18": "listener.public/http"}
    assert is_redirect == any("or accept ELB.18 for listener.public/http, as" in item.change for item in found.open)


def test_every_control_has_a_case() -> None:
    assert {control for _, expected in CASES for control in expected} == set(CONTROLS)


def test_a_finding_stands_at_the_line_to_change(tmp_path: Path) -> None:
    """At the key, and where that is missing at what it would be in."""
    spec = changed(f"{LISTENERS}https/ssl_policy", "ELBSecurityPolicy-2016-08", changed(f"{BALANCER}/web_acl", None))
    found = find(changed(f"{ATTRIBUTES}deletion_protection.enabled", False, spec), tmp_path)
    lines = (tmp_path / "spec.yaml").read_text(encoding="utf-8").splitlines()
    assert {item.control.id: lines[item.line - 1][item.column - 1 :] for item in found.open} == {
        "ELB.6": "deletion_protection.enabled: false",
        "ELB.16": "public:",
        "ELB.17": "ssl_policy: ELBSecurityPolicy-2016-08",
    }


REASON = "a test"


def accepting(spec: Spec, **accept: Any) -> Spec:
    return {**spec, "security": {"accept": {key.replace("_", "."): value for key, value in accept.items()}}}


def test_what_is_accepted_has_its_reason(tmp_path: Path) -> None:
    spec = opened({"protocol": "tcp", "port": 8443, **ALL_IPV4})
    for accepted in (REASON, {"security_group.balancer": REASON}):
        found = find(accepting(spec, EC2_18=accepted), tmp_path)
        assert (found.open, found.unused) == ((), ())
        assert [(item.control.id, item.reason) for item in found.accepted] == [("EC2.18", REASON)]


def test_an_address_is_accepted_and_others_are_not(tmp_path: Path) -> None:
    spec = changed("subnets/b/map_public_ip_on_launch", True, changed("subnets/a/map_public_ip_on_launch", True))
    spec = changed(f"{INSTANCE}/associate_public_ip_address", False, spec)
    found = find(accepting(spec, EC2_15={"subnet.a": REASON}), tmp_path)
    assert [item.address for item in found.open] == ["subnet.b"]
    assert [item.address for item in found.accepted] == ["subnet.a"]


def test_what_is_accepted_in_vain_is_told(tmp_path: Path) -> None:
    found = find(accepting(safe(), EC2_15={"subnet.a": REASON}, ELB_6=REASON), tmp_path)
    assert [item.path for item in found.unused] == ["security.accept.EC2.15.subnet.a", "security.accept.ELB.6"]


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        ({"accept": {"ELB.61": REASON}}, 'security.accept.ELB.61: unknown key "ELB.61"; did you mean ELB.6?'),
        ({"accept": {"CKV_AWS_91": REASON}}, 'unknown key "CKV_AWS_91"; it is ELB.5 here'),
        ({"accept": {"ELB.6": "  "}}, "give it the reason, or a reason for each address"),
        ({"accept": {"ELB.6": {"load_balancer.public": ""}}}, "security.accept.ELB.6.load_balancer.public: "),
        ({"accept": {"ELB.6": {"load_balancer.publik": REASON}}}, 'there is no "load_balancer.publik"; did you mean load_balancer.public?'),
        ({"accept": {"ELB.6": {"x": REASON}}}, 'there is no "x"; write an address such as load_balancer.public'),
        ({}, "security: says nothing; give one of accept"),
    ],
    ids=str,
)  # fmt: skip
def test_what_cannot_be_accepted(security: Any, expected: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        find({**safe(), "security": security}, tmp_path)
    [problem] = caught.value.problems
    assert expected in problem.render("spec.yaml")


@pytest.mark.parametrize("name", ["application", "demo", "https", "private", "existing-vpc", "runbook"])
def test_the_shipped_specs_accept_what_is_found(repository: Path, name: str) -> None:
    """And nothing else."""
    found = audit(load_outline(str(repository / f"specs/{name}.yaml"), {"EC2_SSH_KEY_NAME": "key"}))
    assert (found.open, found.unused) == ((), ())
    assert found.accepted
