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


@pytest.fixture(scope="module")
def account() -> Iterator[World]:
    """One for all tests here. Those that add a rule leave it to the others, who don't have it in their spec."""
    with converged(shop()) as found:
        yield found


@pytest.fixture
def bench(account: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Bench:
    return Bench(account, shop(), tmp_path, capsys)


def add_by_hand(bench: Bench, priority: int, condition: dict[str, object]) -> str:
    """A rule of somebody else's at port 443. Returns its ARN."""
    client = bench.account.client("elbv2")
    [balancer] = client.describe_load_balancers()["LoadBalancers"]
    listeners = client.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    [arn] = [item["ListenerArn"] for item in listeners if item["Port"] == 443]
    action = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "418"}}
    made = client.create_rule(ListenerArn=arn, Priority=priority, Conditions=[condition], Actions=[action])
    return str(made["Rules"][0]["RuleArn"])


def test_everything_is_as_wanted(bench: Bench) -> None:
    with servers.front(to_https) as plain, servers.front(shop_balancer(bench.instances())) as main:
        ways = (*to(plain.port), *to(main.port, 443))
        shown = bench.run(*ways, "--requests", "100", "--rate", "1000", "--format", "json")
        text = bench.run(*ways, *QUICK)
    assert (shown.code, text.code) == (0, 0), text.text + text.errors
    assert [item["address"] for item in shown.json["checks"]] == [
        "listener.public/http",
        "rule.public/https/api",
        "rule.public/https/canary",
        "rule.public/https/rest",
        "listener.public/https",
    ]
    api, canary, rest = (shown.check(f"rule.public/https/{name}") for name in ("api", "canary", "rest"))
    assert {item["name"]: item["expected_share"] for item in api["targets"]} == {
        "stable-1": 0.45,
        "stable-2": 0.45,
        "canary-1": 0.1,
    }
    assert {item["name"]: item["answers"] for item in api["targets"]} == {
        "stable-1": 45,
        "stable-2": 45,
        "canary-1": 10,
    }
    assert (api["request"]["host"], api["request"]["path"]) == ("shop.example.com", "/api/")
    assert canary["targets"][0]["answers"] == 100
    assert rest["request"]["host"] == "verify.example.com"
    assert shown.check("listener.public/https")["statuses"] == {"404": 3}
    assert shown.check("listener.public/http")["statuses"] == {"301": 3}
    assert "Verified: 5 of 5 listeners and rules" in text.text


def test_weights_that_are_not_kept(bench: Bench) -> None:
    """Half and half where 90 to 10 is wanted."""
    names = bench.instances()
    right = shop_balancer(names)
    wrong = servers.in_turn(names["stable-1"], names["canary-1"], names["stable-2"], names["canary-1"])

    def route(method: str, host: str, target: str, headers: Mapping[str, str]) -> servers.Answer:
        return (wrong if target.startswith("/api/") else right)(method, host, target, headers)

    with servers.front(to_https) as plain, servers.front(route) as main:
        shown = bench.run(*to(plain.port), *to(main.port, 443), *QUICK)
    assert shown.code == 1
    assert "canary-1 answered 50.0% of the requests instead of 10.0%: more than chance" in shown.flat
    assert "Not verified: 4 of 5" in shown.text


def test_answers_by_the_wrong_action(bench: Bench) -> None:
    """A redirect elsewhere, another text, and rules that aren't followed."""

    def elsewhere(*_: object) -> servers.Answer:
        return 301, {"Location": "https://evil.example.com/"}, b""

    def lost(*_: object) -> servers.Answer:
        return 404, {"Content-Type": "text/plain"}, b"no such page"

    with servers.front(elsewhere) as plain, servers.front(lost) as main:
        ways = (*to(plain.port), *to(main.port, 443))
        shown = bench.run(*ways, "--requests", "5", "--rate", "1000", "--attribute", "json:instance_id")
    assert shown.code == 1
    assert 'redirected to "https://evil.example.com/" instead of "https://shop-public-' in shown.flat
    assert "3 of 3 requests: the body isn't the fixed response's" in shown.flat
    assert "5 answers have no JSON field" in shown.flat
    assert "Not verified: 0 of 5" in shown.text


def test_a_rule_that_was_never_applied(bench: Bench) -> None:
    rules = bench.spec["load_balancers"]["public"]["listeners"]["https"]["rules"]
    rules["new"] = {"priority": 5, "conditions": [{"path_pattern": "/new"}], "action": {"forward": "stable"}}
    bench.write()
    with servers.front(to_https) as plain, servers.front(shop_balancer(bench.instances())) as main:
        shown = bench.run(*to(plain.port), *to(main.port, 443), *QUICK)
    assert shown.code == 1
    assert "rule.public/https/new doesn't exist; run apply first" in shown.text


@pytest.mark.parametrize(
    ("condition", "states", "code"),
    [
        (
            {"Field": "host-header", "HostHeaderConfig": {"Values": ["*.EXAMPLE.com"]}},
            {"api": "unreachable", "canary": "unreachable", "rest": "unreachable", "": "ok"},
            1,
        ),
        (
            {"Field": "path-pattern", "PathPatternConfig": {"Values": ["/api/*"]}},
            {"api": "unreachable", "canary": "ok", "rest": "ok", "": "ok"},
            1,
        ),
        (
            {"Field": "source-ip", "SourceIpConfig": {"Values": ["203.0.113.0/24"]}},
            {"api": "skipped", "canary": "skipped", "rest": "skipped", "": "skipped"},
            0,
        ),
    ],
    ids=["host", "path", "source"],
)
def test_rules_of_somebody_else_come_first(
    bench: Bench, condition: dict[str, object], states: dict[str, str], code: int
) -> None:
    arn = add_by_hand(bench, 1, condition)
    try:
        with servers.front(to_https) as plain, servers.front(shop_balancer(bench.instances())) as main:
            shown = bench.run(*to(plain.port), *to(main.port, 443), *QUICK, "--format", "json")
    finally:
        bench.account.client("elbv2").delete_rule(RuleArn=arn)
    found = {item["address"]: item["state"] for item in shown.json["checks"]}
    assert shown.code == code
    assert found.pop("listener.public/http") == "ok"
    assert found == {
        f"rule.public/https/{name}" if name else "listener.public/https": state for name, state in states.items()
    }


def test_a_default_action_that_nothing_is_left_for(bench: Bench) -> None:
    """A rule for everything at the end is usual, and no mistake."""
    arn = add_by_hand(bench, 900, {"Field": "path-pattern", "PathPatternConfig": {"Values": ["*"]}})
    try:
        with servers.front(to_https) as plain, servers.front(shop_balancer(bench.instances())) as main:
            shown = bench.run(*to(plain.port), *to(main.port, 443), *QUICK)
    finally:
        bench.account.client("elbv2").delete_rule(RuleArn=arn)
    assert shown.code == 0, shown.text
    assert "no request can reach it: the rules before it take all of them" in shown.flat
    assert "Verified: 4 of 5 listeners and rules" in shown.text
    assert "1 can't be checked" in shown.text
