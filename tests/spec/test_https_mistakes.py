"""One mistake in the short form `https`, or beside it, gives one line: where it is, what is wrong, what to do."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alb_reconcile.model.errors import SpecError
from alb_reconcile.spec.stack import parse_stack
from tests.harness import demo, spec_folder

if TYPE_CHECKING:
    from collections.abc import Callable

    from alb_reconcile.model.errors import Problem
    from tests.harness import Spec

ARN = "arn:aws:acm:us-east-1:123456789012:certificate/0a1b2c3d-0000-4000-8000-0a1b2c3d4e5f"
NOWHERE = {"fixed_response": {"status_code": 404}}
TLS = {"protocol": "HTTPS", "port": 443, "certificate_arn": ARN, "default_action": NOWHERE}
PLAIN = {"protocol": "HTTP", "port": 80, "default_action": NOWHERE}
BACK = {"redirect": {"protocol": "HTTP", "status_code": "HTTP_301"}}
RULE = {"priority": 1, "conditions": [{"path_pattern": "/x"}], "action": {"forward": "web"}}
LONG = "a" * 40 + "." + "b" * 30 + ".example.com"
HTTPS, PUBLIC = "load_balancers.public.https", "load_balancers.public"
WRITTEN = "load_balancers.public.listeners.https"


def short() -> Spec:
    """The demo with the short form, in which several other parts of the spec name what it makes."""
    spec = demo()
    spec["security_groups"]["load-balancer"]["ingress"].append(
        {"protocol": "tcp", "port": 443, "cidr_block": "0.0.0.0/0"}
    )
    balancer = spec["load_balancers"]["public"]
    action = balancer.pop("listeners")["http"]["default_action"]
    balancer["https"] = {"names": ["api.example.com"], "zone": "example.com", "default_action": action}
    spec["security"] = {"accept": {"ELB.18": {"listener.public/http": "all it does is to redirect to HTTPS"}}}
    return spec


def given(*left_out: str, **https: Any) -> Callable[[Spec], Any]:
    """The short form with other keys."""

    def change(spec: Spec) -> None:
        entry = spec["load_balancers"]["public"]["https"]
        entry.update(https)
        for key in left_out:
            del entry[key]

    return change


def instead(key: str, word: str) -> Callable[[Spec], Any]:
    """One key under another name."""

    def change(spec: Spec) -> None:
        entry = spec["load_balancers"]["public"]["https"]
        entry[word] = entry.pop(key)

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
    """Two records of a name, and a CNAME in their way."""
    balancer = spec["load_balancers"]["public"]
    balancer["ip_address_type"] = "dualstack"
    spec["vpcs"]["main"]["amazon_provided_ipv6_cidr_block"] = True
    for number, subnet in enumerate(spec["subnets"].values()):
        subnet["ipv6_cidr_block"] = number
    for route in spec["route_tables"].values():
        route["routes"].append({"destination_ipv6_cidr_block": "::/0", "internet_gateway": "main"})
    for port in (80, 443):
        spec["security_groups"]["load-balancer"]["ingress"].append(
            {"protocol": "tcp", "port": port, "ipv6_cidr_block": "::/0"}
        )
    spec["records"] = {"mine": record("CNAME", resource_records=["x.example.net"])}


def record(kind: str = "A", name: str = "api.example.com", **entry: Any) -> Spec:
    return {"zone": "example.com", "name": name, "type": kind, **(entry or {"alias": "public"})}


MISTAKES: dict[str, tuple[Callable[[Spec], Any], str, str]] = {
    "nothing": (beside(https=None), HTTPS, "is empty; give it a mapping, or leave the key out"),
    "a name": (beside(https="api.example.com"), HTTPS, 'is the text "api.example.com"; give it a mapping'),
    "a list": (beside(https=["api.example.com"]), HTTPS, "is a list; give it a mapping"),
    "true": (beside(https=True), HTTPS, "is the boolean true; give it a mapping"),
    "misspelt": (lambda spec: beside(htps=spec["load_balancers"]["public"].pop("https"))(spec), f"{PUBLIC}.htps", "did you mean https?"),
    "at the top": (lambda spec: spec.update(https=spec["load_balancers"]["public"].pop("https")), "https", "unknown key"),
    "names missing": (given("names"), f"{HTTPS}.names", "is missing; it is the names that clients ask for"),
    "names misspelt": (instead("names", "name"), f"{HTTPS}.name", "did you mean names?"),
    "names called otherwise": (instead("names", "domains"), f"{HTTPS}.domains", "write names"),
    "names empty": (given(names=None), f"{HTTPS}.names", "is empty; give it a list"),
    "no names": (given(names=[]), f"{HTTPS}.names", "has 0 of at least 1"),
    "one name": (given(names="api.example.com"), f"{HTTPS}.names", "give it a list; write [api.example.com]"),
    "names mapped": (given(names={"a": 1}), f"{HTTPS}.names", "is a mapping; give it a list"),
    "a number": (given(names=[1]), f"{HTTPS}.names[0]", "is the number 1; give it a whole name such as api.example.com"),
    "a URL": (given(names=["https://api.example.com"]), f"{HTTPS}.names[0]", "give it a whole name"),
    "a dot at the end": (given(names=["api.example.com."]), f"{HTTPS}.names[0]", "give it a whole name"),
    "an asterisk within": (given(names=["api.*.example.com"]), f"{HTTPS}.names[0]", "give it a whole name such as api.example.com, or *.example.com"),
    "an asterisk for a zone": (given(names=["*.com"]), f"{HTTPS}.names[0]", "give it a whole name"),
    "too long": (given(names=["a" * 60 + ".b" * 97]), f"{HTTPS}.names[0]", "is 254 characters long; give it at most 253"),
    "too long to be first": (given(names=[LONG]), "certificates.public.domain_name", "has 83 characters, and ACM takes 64 of a certificate's first name; put a shorter name first"),
    "too many": (given(names=[f"n{number}.example.com" for number in range(101)]), f"{HTTPS}.names", "has 101 entries; give it at most 100"),
    "twice": (given(names=["api.example.com"] * 2), f"{HTTPS}.names[1]", "is given twice; keep one"),
    "twice in capitals": (given(names=["api.example.com", "API.example.com"]), f"{HTTPS}.names[1]", "is given twice; keep one"),
    "outside": (given(names=["api.example.org"]), f"{HTTPS}.names[0]", "api.example.org isn't in zone example.com; name the zone that it is in, or give it entries of its own"),
    "one outside": (given(names=["api.example.com", "*.api.example.org"]), f"{HTTPS}.names[1]", "isn't in zone example.com"),
    "beside the zone": (given(names=["apiexample.com"]), f"{HTTPS}.names[0]", "isn't in zone example.com"),
    "zone empty": (given(zone=None), f"{HTTPS}.zone", "is empty; give it a zone's name such as example.com, or its id"),
    "zone misspelt": (instead("zone", "zones"), f"{HTTPS}.zones", "did you mean zone?"),
    "zone called otherwise": (instead("zone", "hosted_zone_id"), f"{HTTPS}.hosted_zone_id", "write zone"),
    "zone private": (given(zone={"name": "example.com", "private": True}), f"{HTTPS}.zone", "takes no private zone, since ACM can't validate names there; give certificate"),
    "zone mapped": (given(zone={"name": "example.com"}), f"{HTTPS}.zone", "is a mapping; give it a zone's name such as example.com, or its id"),
    "zone id mistyped": (given(zone="z0123456789abcdefghij"), f"{HTTPS}.zone", "give it a zone's name such as example.com, or its id"),
    "zone id with its path": (given(zone="/hostedzone/Z0123456789ABCDEFGHIJ"), f"{HTTPS}.zone", "or its id (Z…)"),
    "action missing": (given("default_action"), f"{HTTPS}.default_action", "is missing; it is what happens to a request"),
    "action misspelt": (instead("default_action", "default"), f"{HTTPS}.default", "did you mean default_action?"),
    "action left out": (lambda spec: given("default_action", forward="web")(spec), f"{HTTPS}.forward", "write default_action: {forward: …}"),
    "action empty": (given(default_action=None), f"{HTTPS}.default_action", "is empty; give it one of forward, redirect and fixed_response"),
    "action without a word": (given(default_action={}), f"{HTTPS}.default_action", "says nothing; give one of forward"),
    "action a name": (given(default_action="web"), f"{HTTPS}.default_action", 'is the text "web"; give it one of forward'),
    "forward misspelt": (given(default_action={"forwrd": "web"}), f"{HTTPS}.default_action.forwrd", "did you mean forward?"),
    "two actions": (given(default_action={"forward": "web", **NOWHERE}), f"{HTTPS}.default_action", "has forward, fixed_response; give it one"),
    "no such group": (given(default_action={"forward": "wbe"}), f"{WRITTEN}.default_action.forward", 'there is no "wbe" under target_groups; did you mean web?'),
    "back to HTTP": (given(default_action=BACK), f"{HTTPS}.default_action.redirect.protocol", "AWS redirects nobody from HTTPS to HTTP"),
    "a rule back to HTTP": (given(rules={"x": {**RULE, "action": BACK}}), f"{HTTPS}.rules.x.action.redirect.protocol", "AWS redirects nobody from HTTPS to HTTP"),
    "rules listed": (given(rules=[RULE]), f"{HTTPS}.rules", "is a list; give it a mapping"),
    "one priority twice": (given(rules={"first": RULE, "second": {**RULE, "conditions": [{"path_pattern": "/y"}]}}), f"{WRITTEN}.rules.second.priority", "the rule first already has priority 1"),
    "redirect in words": (given(redirect="yes"), f"{HTTPS}.redirect", 'is the text "yes"; give it true or false'),
    "certificate unknown": (given(certificate="api"), f"{WRITTEN}.certificate_arn", 'there is no "api" under certificates'),
    "certificate's ARN without its beginning": (given(certificate=ARN[4:]), f"{HTTPS}.certificate", "give it the name of an entry under certificates, a certificate's ARN"),
    "certificate called otherwise": (given(certificate_arn=ARN), f"{HTTPS}.certificate_arn", "write certificate"),
    "ssl_policy": (given(ssl_policy="TLS13"), f"{HTTPS}.ssl_policy", "give it the name of an ELB security policy"),
    "port": (given(port=443), f"{HTTPS}.port", "leave it out: it is 443"),
    "another port": (given(port=8443), f"{HTTPS}.port", "leave it out: it is 443"),
    "a port for each name": (given(port={"api.example.com": 8443}), f"{HTTPS}.port", "leave it out: it is 443"),
    "another listener at 443": (beside(listeners={"tls": TLS}), f"{PUBLIC}.listeners.tls", "https of load_balancers.public listens at port 443; remove this listener, or write it all out"),
    "a listener https at 443": (beside(listeners={"https": TLS}), f"{PUBLIC}.listeners.https", "listens at port 443; remove this listener"),
    "another listener at 80": (beside(listeners={"web": PLAIN}), f"{PUBLIC}.listeners.web", "redirects port 80; remove this listener, or set https.redirect: false"),
    "a listener http at 80": (beside(listeners={"http": PLAIN}), f"{PUBLIC}.listeners.http", "redirects port 80; remove this listener"),
    "listeners in words": (beside(listeners="x"), f"{PUBLIC}.listeners", 'is the text "x"; give it a mapping'),
    "another load balancer's name": (another, "load_balancers.other.https.names[0]", "api.example.com leads to load_balancers.public already; keep it in one of them"),
    "a certificate of that entry": (top(certificates={"public": {"domain_name": "x.example.com"}}), "certificates.public", "https of load_balancers.public makes an entry of that name"),
    "a record of that entry": (top(records={"public-api-example-com": record(name="x.example.com")}), "records.public-api-example-com", "makes an entry of that name"),
    "a record of that name": (top(records={"mine": record()}), "records.public-api-example-com.name", "it is also that of records.mine; change one of them"),
    "a CNAME of that name": (both_families, "records.public-api-example-com.name", "a CNAME stands beside no other record of its name, as records.mine"),
    "records in words": (top(records="x"), "records", 'is the text "x"; give it a mapping'),
}  # fmt: skip


def problems(spec: Spec) -> list[Problem]:
    """All that is told."""

    class Plain(yaml.SafeDumper):
        """Without aliases, which stand for one place."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    try:
        text = yaml.dump(spec, Dumper=Plain, sort_keys=False)
        return list(parse_stack(text.encode(), "spec.yaml", spec_folder(), {}, None).warnings)
    except SpecError as error:
        return list(error.problems)


def test_without_a_mistake_there_is_no_line() -> None:
    assert problems(short()) == []


@pytest.mark.parametrize("mistake", MISTAKES)
def test_one_mistake_is_one_line(mistake: str) -> None:
    change, path, text = MISTAKES[mistake]
    spec = short()
    change(spec)
    found = problems(spec)
    assert [item.path for item in found] == [path], [item.render("spec.yaml") for item in found]
    assert text in found[0].message
    assert not found[0].warning


def test_a_name_that_is_too_long_to_be_first_comes_later() -> None:
    spec = short()
    given(names=[LONG, "api.example.com"])(spec)
    assert problems(spec) == []
