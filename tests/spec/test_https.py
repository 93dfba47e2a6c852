"""The short form `https` of a load balancer: what it stands for, and what is in its way."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alb_reconcile.model.address import Address
from alb_reconcile.model.errors import SpecError
from alb_reconcile.spec.stack import parse_stack
from tests.harness import demo, spec_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from alb_reconcile.model.errors import Problem
    from alb_reconcile.spec.stack import Stack
    from tests.harness import Spec

NAMES = ["api.example.com", "*.api.example.com"]
NOWHERE = {"fixed_response": {"status_code": 404}}
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


class _Plain(yaml.SafeDumper):
    """Without aliases, which stand for one place."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def load(spec: Spec) -> Stack:
    text = yaml.dump(spec, Dumper=_Plain, sort_keys=False)
    return parse_stack(text.encode(), "spec.yaml", spec_folder(), {}, None)


def state_of(stack: Stack, address: Address) -> Any:
    return stack.desired[address].state


def told_of(spec: Spec) -> list[Problem]:
    try:
        return list(load(spec).warnings)
    except SpecError as error:
        return list(error.problems)


def listener(spec: Spec) -> Any:
    return spec["load_balancers"]["public"]["https"]


def test_it_means_what_it_is_written_out_as() -> None:
    assert told_of(mistaken(lambda _: None)) == []
    assert told_of(mistaken(given(names=[LONG, "api.example.com"]))) == [], "not the first, which may be as long"
    assert load(short()).desired == load(written_out()).desired


def test_keys_of_a_listener_are_those_of_the_listener() -> None:
    rule = {"priority": 1, "conditions": [{"path_pattern": "/x"}], "action": {"forward": "web"}}
    attributes = {"routing.http.response.server.enabled": False}
    more = {"rules": {"x": rule}, "attributes": attributes, "ssl_policy": "ELBSecurityPolicy-TLS13-1-2-2021-06"}
    spec = written_out()
    spec["load_balancers"]["public"]["listeners"]["https"] |= more
    assert load(short(**more)).desired == load(spec).desired


def test_a_dual_stack_load_balancer_gets_both_records() -> None:
    spec = short()
    both_families(spec)
    names = ("public-any-api-example-com", "public-api-example-com")
    wanted = {name + kind for name in names for kind in ("", "-aaaa")}
    assert {item.name for item in load(spec).desired if item.kind == "record"} == wanted


def test_names_that_differ_in_a_dot_get_records_of_their_own() -> None:
    found = [
        item for item in load(short(names=["a.b.example.com", "a-b.example.com"])).desired if item.kind == "record"
    ]
    assert found[0].name == "public-a-b-example-com"
    assert found[1].name.startswith("public-a-b-example-com-")


def test_without_a_zone_dns_is_somebody_elses_matter() -> None:
    spec = short()
    del listener(spec)["zone"]
    stack = load(spec)
    assert not [item for item in stack.desired if item.kind == "record"]
    assert state_of(stack, Address("certificate", "public")).zone is None


def test_a_certificate_that_there_is_isnt_requested() -> None:
    stack = load(short(certificate=ARN))
    assert not [item for item in stack.desired if item.kind == "certificate"]
    assert state_of(stack, Address("listener", "public/https")).certificate_arn == ARN
    stack = load(short(redirect=False))
    assert [item.name for item in stack.desired if item.kind == "listener"] == ["public/https"], "port 80 is left alone"


def test_entries_that_it_makes_stand_where_it_does() -> None:
    stack = load(short())
    text = yaml.dump(short(), Dumper=_Plain, sort_keys=False).splitlines()
    line = next(number for number, item in enumerate(text, 1) if item.strip() == "https:")
    for kind, name in (("certificate", "public"), ("record", "public-api-example-com"), ("listener", "public/http")):
        assert f"spec.yaml:{line}:" in stack.desired[Address(kind, name)].at()


def test_a_rules_host_that_isnt_among_its_names_is_warned_of() -> None:
    """Of what the spec requests it says everything; of a certificate that exists only ACM can."""
    place = "load_balancers.public.listeners.https.certificate_arn"

    def told(hosts: Any, **https: Any) -> list[str]:
        rule = {"priority": 1, "conditions": [{"host_header": hosts}], "action": NOWHERE}
        stack = load(short(**https, rules={"a": rule}))
        return [item.message for item in stack.warnings if item.path == place]

    [text] = told(["API.example.com", "*.api.example.com", "shop.example.com", "*.org"])
    assert text.startswith(
        "its certificate is for *.api.example.com, api.example.com, so clients of *.org, shop.example.com "
    )
    assert told("API.example.com") == []
    assert len(told("shop.example.com")) == 1
    assert told("shop.example.com", certificate=ARN) == []


# -- mistakes

ARN = "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f"
TLS = {"protocol": "HTTPS", "port": 443, "certificate_arn": ARN, "default_action": NOWHERE}
PLAIN = {"protocol": "HTTP", "port": 80, "default_action": NOWHERE}
BACK = {"redirect": {"protocol": "HTTP", "status_code": "HTTP_301"}}
RULE = {"priority": 1, "conditions": [{"path_pattern": "/x"}], "action": {"forward": "web"}}
LONG = "a" * 40 + "." + "b" * 30 + ".example.com"
HTTPS, PUBLIC = "load_balancers.public.https", "load_balancers.public"
WRITTEN = "load_balancers.public.listeners.https"


def mistaken(change: Callable[[Spec], Any]) -> Spec:
    """The short form, which several other parts of the spec rest on, with a change."""
    spec = short(names=["api.example.com"])
    tls = {"protocol": "tcp", "port": 443, "cidr_block": "0.0.0.0/0"}
    spec["security_groups"]["load-balancer"]["ingress"].append(tls)
    spec["security"] = {"accept": {"ELB.18": {"listener.public/http": "all it does is to redirect to HTTPS"}}}
    change(spec)
    return spec


def given(*left_out: str, **https: Any) -> Callable[[Spec], Any]:
    """The short form with other keys."""

    def change(spec: Spec) -> None:
        entry = spec["load_balancers"]["public"]["https"]
        entry.update(https)
        for key in left_out:
            del entry[key]

    return change


def beside(**balancer: Any) -> Callable[[Spec], Any]:
    """The load balancer with other keys."""
    return lambda spec: spec["load_balancers"]["public"].update(balancer)


def top(**sections: Any) -> Callable[[Spec], Any]:
    return lambda spec: spec.update(sections)


def another(spec: Spec) -> None:
    """A second load balancer with the same name."""
    other = copy.deepcopy(spec["load_balancers"]["public"])
    other["https"]["default_action"] = NOWHERE
    spec["load_balancers"]["other"] = other


def both_families(spec: Spec) -> None:
    """A load balancer with two records of each name."""
    spec["load_balancers"]["public"]["ip_address_type"] = "dualstack"
    spec["vpcs"]["main"]["amazon_provided_ipv6_cidr_block"] = True
    for number, subnet in enumerate(spec["subnets"].values()):
        subnet["ipv6_cidr_block"] = number
    for route in spec["route_tables"].values():
        route["routes"].append({"destination_ipv6_cidr_block": "::/0", "internet_gateway": "main"})
    for port in (80, 443):
        spec["security_groups"]["load-balancer"]["ingress"].append(
            {"protocol": "tcp", "port": port, "ipv6_cidr_block": "::/0"}
        )


def shadowed(spec: Spec) -> None:
    """Two records of a name, and a CNAME in their way."""
    both_families(spec)
    spec["records"] = {"mine": record("CNAME", resource_records=["x.example.net"])}


def record(kind: str = "A", name: str = "api.example.com", **entry: Any) -> Spec:
    return {"zone": "example.com", "name": name, "type": kind, **(entry or {"alias": "public"})}


MISTAKES: dict[str, tuple[Callable[[Spec], Any], str, str]] = {
    "names missing": (given("names"), f"{HTTPS}.names", "is missing; it is the names that clients ask for"),
    "a number": (given(names=[1]), f"{HTTPS}.names[0]", "is the number 1; give it a whole name such as api.example.com"),
    "a URL": (given(names=["https://api.example.com"]), f"{HTTPS}.names[0]", "give it a whole name"),
    "an asterisk within": (given(names=["api.*.example.com"]), f"{HTTPS}.names[0]", "give it a whole name such as api.example.com, or *.example.com"),
    "too long": (given(names=["a" * 60 + ".b" * 97]), f"{HTTPS}.names[0]", "is 254 characters long; give it at most 253"),
    "too long to be first": (given(names=[LONG]), "certificates.public.domain_name", "has 83 characters, and ACM takes 64 of a certificate's first name; put a shorter name first"),
    "twice in capitals": (given(names=["api.example.com", "API.example.com"]), f"{HTTPS}.names[1]", "is given twice; keep one"),
    "outside": (given(names=["api.example.org"]), f"{HTTPS}.names[0]", "api.example.org isn't in zone example.com; name the zone that it is in, or give it entries of its own"),
    "beside the zone": (given(names=["apiexample.com"]), f"{HTTPS}.names[0]", "isn't in zone example.com"),
    "zone private": (given(zone={"name": "example.com", "private": True}), f"{HTTPS}.zone", "takes no private zone, since ACM can't validate names there; give certificate"),
    "zone mapped": (given(zone={"name": "example.com"}), f"{HTTPS}.zone", "is a mapping; give it a zone's name such as example.com, or its id"),
    "action missing": (given("default_action"), f"{HTTPS}.default_action", "is missing; it is what happens to a request"),
    "back to HTTP": (given(default_action=BACK), f"{HTTPS}.default_action.redirect.protocol", "AWS redirects nobody from HTTPS to HTTP"),
    "one priority twice": (given(rules={"first": RULE, "second": {**RULE, "conditions": [{"path_pattern": "/y"}]}}), f"{WRITTEN}.rules.second.priority", "the rule first already has priority 1"),
    "certificate unknown": (given(certificate="api"), f"{WRITTEN}.certificate_arn", 'there is no "api" under certificates'),
    "certificate's ARN without its beginning": (given(certificate=ARN[4:]), f"{HTTPS}.certificate", "give it the name of an entry under certificates, a certificate's ARN"),
    "another listener at 443": (beside(listeners={"tls": TLS}), f"{PUBLIC}.listeners.tls", "https of load_balancers.public listens at port 443; remove this listener, or write it all out"),
    "another listener at 80": (beside(listeners={"web": PLAIN}), f"{PUBLIC}.listeners.web", "redirects port 80; remove this listener, or set https.redirect: false"),
    "another load balancer's name": (another, "load_balancers.other.https.names[0]", "api.example.com leads to load_balancers.public already; keep it in one of them"),
    "a certificate of that entry": (top(certificates={"public": {"domain_name": "x.example.com"}}), "certificates.public", "https of load_balancers.public makes an entry of that name"),
    "a record of that entry": (top(records={"public-api-example-com": record(name="x.example.com")}), "records.public-api-example-com", "makes an entry of that name"),
    "a record of that name": (top(records={"mine": record()}), "records.public-api-example-com.name", "it is also that of records.mine; change one of them"),
    "a CNAME of that name": (shadowed, "records.public-api-example-com.name", "a CNAME stands beside no other record of its name, as records.mine"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_one_mistake_is_one_line(mistake: str) -> None:
    change, path, text = MISTAKES[mistake]
    found = told_of(mistaken(change))
    assert [item.path for item in found] == [path], [item.render("spec.yaml") for item in found]
    assert text in found[0].message
    assert not found[0].warning
