"""`alb-reconcile verify` on specs/https.yaml: a redirect, rules by host and path, weights, a fixed response."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.verify import servers
from tests.verify.bench import QUICK, Bench, converged, shop, shop_balancer, to, to_https

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.harness import World
    from tests.verify.bench import Shown

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def account() -> Iterator[World]:
    """One for all tests here. Those that add a rule leave it to the others, who don't have it in their spec."""
    with converged(shop()) as found:
        yield found


@pytest.fixture
def bench(account: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(account, shop(), tmp_path, capsys)


def verify(bench: Bench, *options: str, plain: servers.Route = to_https, main: servers.Route | None = None) -> Shown:
    """With one load balancer's listeners at two local ports."""
    with servers.front(plain) as at_80, servers.front(main or shop_balancer(bench.instances())) as at_443:
        return bench.run(*to(at_80.port), *to(at_443.port, 443), *(options or QUICK))


def verify_behind(bench: Bench, priority: int, field: str, config: str, value: str, *options: str) -> Shown:
    """With a rule of somebody else's at port 443."""
    client = bench.account.client("elbv2")
    [balancer] = client.describe_load_balancers()["LoadBalancers"]
    listeners = client.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    [arn] = [item["ListenerArn"] for item in listeners if item["Port"] == 443]
    action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "418"}}
    condition = {"Field": field, f"{config}Config": {"Values": [value]}}
    made = client.create_rule(ListenerArn=arn, Priority=priority, Conditions=[condition], Actions=[action])
    try:
        return verify(bench, *QUICK, *options)
    finally:
        client.delete_rule(RuleArn=made["Rules"][0]["RuleArn"])


def test_everything_is_as_wanted(bench: Bench) -> None:
    shown = verify(bench, "--requests", "100", "--rate", "1000", "--format", "json")
    assert shown.code == 0, shown.text + shown.errors
    assert [item["address"] for item in shown.json["checks"]] == [
        "listener.public/http", "rule.public/https/api", "rule.public/https/canary", "rule.public/https/rest",
        "listener.public/https",
    ]  # fmt: skip
    api, canary, rest = (shown.check(f"rule.public/https/{name}") for name in ("api", "canary", "rest"))
    found = {item["name"]: (item["answers"], item["expected_share"]) for item in api["targets"]}
    assert found == {"stable-1": (45, 0.45), "stable-2": (45, 0.45), "canary-1": (10, 0.1)}
    assert (api["request"]["host"], api["request"]["path"]) == ("shop.example.com", "/api/")
    assert canary["targets"][0]["answers"] == 100
    assert rest["request"]["host"] == "verify.example.com"
    assert shown.check("listener.public/https")["statuses"] == {"404": 3}
    assert shown.check("listener.public/http")["statuses"] == {"301": 3}


def test_weights_that_are_not_kept(bench: Bench) -> None:
    """Half and half where 90 to 10 is wanted."""
    names = bench.instances()
    right = shop_balancer(names)
    wrong = servers.in_turn(names["stable-1"], names["canary-1"], names["stable-2"], names["canary-1"])

    def route(method: str, host: str, target: str, headers: Mapping[str, str]) -> servers.Answer:
        return (wrong if target.startswith("/api/") else right)(method, host, target, headers)

    shown = verify(bench, main=route)
    assert shown.code == 1
    assert "canary-1 answered 50.0% of the requests instead of 10.0%: more than chance" in shown.flat
    assert "Not verified: 4 of 5" in shown.text


def test_answers_by_the_wrong_action(bench: Bench) -> None:
    """A redirect elsewhere, another text, rules that aren't followed, and one that was never applied."""
    rules = bench.spec["load_balancers"]["public"]["listeners"]["https"]["rules"]
    rules["new"] = {"priority": 5, "conditions": [{"path_pattern": "/new"}], "action": {"forward": "stable"}}
    bench.write()

    def elsewhere(*_: object) -> servers.Answer:
        return 301, {"Location": "https://evil.example.com/"}, b""

    def lost(*_: object) -> servers.Answer:
        return 404, {"Content-Type": "text/plain"}, b"no such page"

    options = ("--requests", "5", "--rate", "1000", "--attribute", "json:instance_id")
    shown = verify(bench, *options, plain=elsewhere, main=lost)
    assert shown.code == 1
    assert 'redirected to "https://evil.example.com/" instead of "https://shop-public-' in shown.flat
    assert "3 of 3 requests: the body isn't the fixed response's" in shown.flat
    assert "5 answers have no JSON field" in shown.flat
    assert "rule.public/https/new doesn't exist; run apply first" in shown.text
    assert "Not verified: 0 of 6" in shown.text


@pytest.mark.parametrize(
    ("condition", "states", "code"),
    [
        (("host-header", "HostHeader", "*.EXAMPLE.com"), ["unreachable"] * 3 + ["ok"], 1),
        (("path-pattern", "PathPattern", "/api/*"), ["unreachable", "ok", "ok", "ok"], 1),
        (("source-ip", "SourceIp", "203.0.113.0/24"), ["skipped"] * 4, 0),
    ],
)
def test_rules_of_somebody_else_come_first(
    bench: Bench, condition: tuple[str, str, str], states: list[str], code: int
) -> None:
    shown = verify_behind(bench, 1, *condition, "--format", "json")
    assert ([item["state"] for item in shown.json["checks"]], shown.code) == (["ok", *states], code)


def test_a_default_action_that_nothing_is_left_for(bench: Bench) -> None:
    """A rule for everything at the end is usual, and no mistake."""
    shown = verify_behind(bench, 900, "path-pattern", "PathPattern", "*")
    assert shown.code == 0, shown.text
    assert "no request can reach it: the rules before it take all of them" in shown.flat
    assert "Verified: 4 of 5 listeners and rules" in shown.text
    assert "1 can't be checked" in shown.text
