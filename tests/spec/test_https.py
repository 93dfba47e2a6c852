"""The short form `https` of a load balancer: what it stands for, and what is in its way."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import SpecError
from alb_reconcile.spec.stack import load_stack
from tests.harness import demo

if TYPE_CHECKING:
    from pathlib import Path

    from alb_reconcile.spec.stack import Stack
    from tests.harness import Spec

NAMES = ["api.example.com", "*.api.example.com"]
REDIRECT = {"redirect": {"protocol": "HTTPS", "port": 443, "status_code": "HTTP_301"}}


def short(**https: Any) -> Spec:
    """The demo with the short form instead of its listener."""
    spec = demo()
    balancer = spec["load_balancers"]["public"]
    action = balancer.pop("listeners")["http"]["default_action"]
    balancer["https"] = {"names": NAMES, "zone": "example.com", "default_action": action, **https}
    return spec


def written_out() -> Spec:
    """The same without it."""
    spec = demo()
    balancer = spec["load_balancers"]["public"]
    action = balancer["listeners"]["http"]["default_action"]
    balancer["listeners"] = {
        "http": {"protocol": "HTTP", "port": 80, "default_action": REDIRECT},
        "https": {"protocol": "HTTPS", "port": 443, "certificate_arn": "public", "default_action": action},
    }
    first, *others = NAMES
    zone = {"zone": "example.com"}
    spec["certificates"] = {"public": {"domain_name": first, "subject_alternative_names": others, **zone}}
    spec["records"] = {
        "public-api-example-com": {"name": NAMES[0], "type": "A", "alias": "public", **zone},
        "public-any-api-example-com": {"name": NAMES[1], "type": "A", "alias": "public", **zone},
    }
    return spec


@pytest.fixture
def load(tmp_path: Path) -> Any:
    """Load a spec, from a mapping or text."""
    file = tmp_path / "spec.yaml"

    def read(spec: Spec | str) -> Stack:
        file.write_text(spec if isinstance(spec, str) else yaml.safe_dump(spec, sort_keys=False), encoding="utf-8")
        return load_stack(str(file))

    return read


def problems(load: Any, spec: Spec | str) -> list[str]:
    with pytest.raises(SpecError) as caught:
        load(spec)
    return [f"{item.path}: {item.message}" for item in caught.value.problems if not item.warning]


def listener(spec: Spec) -> Any:
    return spec["load_balancers"]["public"]["https"]


def test_it_means_what_it_is_written_out_as(load: Any) -> None:
    assert load(short()).desired == load(written_out()).desired


def test_keys_of_a_listener_are_those_of_the_listener(load: Any) -> None:
    rule = {"priority": 1, "conditions": [{"path_pattern": "/x"}], "action": {"forward": "web"}}
    attributes = {"routing.http.response.server.enabled": False}
    more = {"rules": {"x": rule}, "attributes": attributes, "ssl_policy": "ELBSecurityPolicy-TLS13-1-2-2021-06"}
    spec = written_out()
    spec["load_balancers"]["public"]["listeners"]["https"] |= more
    assert load(short(**more)).desired == load(spec).desired


def test_a_dual_stack_load_balancer_gets_both_records(load: Any) -> None:
    spec = short()
    spec["load_balancers"]["public"]["ip_address_type"] = "dualstack"
    spec["vpcs"]["main"]["amazon_provided_ipv6_cidr_block"] = True
    for number, subnet in enumerate(spec["subnets"].values()):
        subnet["ipv6_cidr_block"] = number
    found = [str(item) for item in load(spec).desired if item.kind == "record"]
    assert sorted(found) == [
        "record.public-any-api-example-com",
        "record.public-any-api-example-com-aaaa",
        "record.public-api-example-com",
        "record.public-api-example-com-aaaa",
    ]


def test_names_that_differ_in_a_dot_get_records_of_their_own(load: Any) -> None:
    found = [
        item for item in load(short(names=["a.b.example.com", "a-b.example.com"])).desired if item.kind == "record"
    ]
    assert found[0].name == "public-a-b-example-com"
    assert found[1].name.startswith("public-a-b-example-com-")


def test_a_name_that_is_given_twice_is_told_once(load: Any) -> None:
    assert ["given twice" in text for text in problems(load, short(names=["api.example.com", "API.example.com"]))] == [
        True
    ]


def test_without_a_zone_dns_is_somebody_elses_matter(load: Any) -> None:
    spec = short()
    del listener(spec)["zone"]
    stack = load(spec)
    assert not [item for item in stack.desired if item.kind == "record"]
    assert stack.desired[Address("certificate", "public")].state.zone is None


def test_a_certificate_that_there_is_isnt_requested(load: Any) -> None:
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f"
    stack = load(short(certificate=arn))
    assert not [item for item in stack.desired if item.kind == "certificate"]
    assert stack.desired[Address("listener", "public/https")].state.certificate_arn == arn


def test_port_80_can_be_left_alone(load: Any) -> None:
    stack = load(short(redirect=False))
    assert [item.name for item in stack.desired if item.kind == "listener"] == ["public/https"]


def test_two_load_balancers_can_share_what_they_say(load: Any) -> None:
    spec = short()
    spec["load_balancers"]["other"] = spec["load_balancers"]["public"]  # which YAML writes as an alias
    found = problems(load, spec)
    assert any("record" in item for item in found), "two load balancers can't have the same names"
    listener(spec)["names"] = NAMES
    other = {
        **spec["load_balancers"]["public"],
        "https": {
            **listener(spec),
            "names": ["other.example.com"],
            "default_action": {"fixed_response": {"status_code": 404}},
        },
    }
    spec["load_balancers"]["other"] = other
    stack = load(spec)
    assert stack.desired[Address("listener", "other/https")].state.certificate_arn == Address("certificate", "other")
    assert stack.desired[Address("listener", "public/https")].state.certificate_arn == Address("certificate", "public")


def test_what_has_the_name_already_is_in_the_way(load: Any) -> None:
    spec = short()
    spec["load_balancers"]["public"]["listeners"] = {
        "http": {"protocol": "HTTP", "port": 8080, "default_action": {"fixed_response": {"status_code": 404}}}
    }
    spec["certificates"] = {"public": {"domain_name": "x.example.com"}}
    found = problems(load, spec)
    assert [item.partition(":")[0] for item in found] == ["load_balancers.public.listeners.http", "certificates.public"]
    assert all("https of load_balancers.public makes an entry of that name" in item for item in found)


def test_more_names_than_aws_takes_by_default_are_told(load: Any) -> None:
    stack = load(short(names=[f"n{number}.example.com" for number in range(11)]))
    assert any("has 11 names, and AWS takes 10" in item.message for item in stack.warnings)


def test_entries_that_it_makes_stand_where_it_does(load: Any) -> None:
    stack = load(short())
    text = yaml.safe_dump(short(), sort_keys=False).splitlines()
    line = next(number for number, item in enumerate(text, 1) if item.strip() == "https:")
    for kind, name in (("certificate", "public"), ("record", "public-api-example-com"), ("listener", "public/http")):
        assert f"spec.yaml:{line}:" in stack.desired[Address(kind, name)].at()


def test_a_rules_host_that_isnt_among_its_names_is_warned_of(load: Any) -> None:
    """Of what the spec requests it says everything; of a certificate that exists only ACM can."""
    place = "load_balancers.public.listeners.https.certificate_arn"

    def told(hosts: Any, **https: Any) -> list[str]:
        rule = {
            "priority": 1,
            "conditions": [{"host_header": hosts}],
            "action": {"fixed_response": {"status_code": 200}},
        }
        stack = load(short(**https, rules={"a": rule}))
        return [item.message for item in stack.warnings if item.path == place]

    [text] = told(["API.example.com", "*.api.example.com", "shop.example.com", "*.org"])
    assert text.startswith(
        "its certificate is for *.api.example.com, api.example.com, so clients of *.org, shop.example.com "
    )
    assert told("API.example.com") == []
    assert len(told("shop.example.com")) == 1
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/0f0e0d0c-0000-4000-8000-0b0a09080706"
    assert told("shop.example.com", certificate=arn) == []
