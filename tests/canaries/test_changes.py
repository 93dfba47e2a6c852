"""Values that are secret by where they come from: both sides of a change of each, in all that commands say, keep and send."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from alb_reconcile.model.errors import AwsError
from tests.canaries.canaries import plain_canary
from tests.canaries.test_canaries import Office
from tests.canaries.test_canaries import office as office
from tests.harness import by_hand, demo

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.slow

WANTED = {
    "marked": plain_canary("marked"),
    "named tag": plain_canary("named"),
    "header": plain_canary("header"),
    "query": plain_canary("query"),
    "redirect": plain_canary("redirect"),
}
FOUND = {f"{name} before": plain_canary(f"old{len(name)}{name[0]}") for name in WANTED}
"""What somebody has written in their place."""
VALUES = WANTED | FOUND
READERS = {
    "plan shop.yaml -vv": 0,
    "plan --format json shop.yaml": 0,
    "plan --format markdown shop.yaml": 0,
    "plan --format html shop.yaml": 0,
    "graph shop.yaml": 0,
    "status -vv shop.yaml": 0,
    "status --format json shop.yaml": 0,
    "report . -v": 1,
    "diff --format json before.yaml shop.yaml": 0,
    "diff before.yaml shop.yaml": 0,
    "verify --requests 1 --timeout 1s --connect-to 80=127.0.0.1:1 shop.yaml": 1,
    "verify --requests 1 --timeout 1s --connect-to 80=127.0.0.1:1 --format json shop.yaml": 1,
    "validate -v shop.yaml": 0,
    "validate --security --format json shop.yaml": 2,
}
"""Commands that change nothing, with their exit codes."""


def spec(values: Mapping[str, str], marked: str = "${MARKED}") -> dict[str, Any]:
    """The demo with a secret in a tag, in the conditions of rules and in a redirect; one by a variable, in a longer text."""
    found = demo()
    found["vpcs"]["main"]["tags"] = {"db_password": values["named tag"], "dsn": f"postgres://shop:{marked}@db"}
    found["secret_variables"] = ["MARKED"]
    found["target_groups"]["web"]["health_check"]["path"] = f"/{marked}"
    listener = found["load_balancers"]["public"]["listeners"]["http"]
    (group,) = found["target_groups"]
    to_shop = {"forward": group}
    header = {"http_header": {"http_header_name": "X-Origin-Verify", "values": [values["header"]]}}
    query = {"query_string": [{"key": "page", "value": values["query"]}]}
    away = {"redirect": {"status_code": "HTTP_302", "host": "example.com", "query": f"key={values['redirect']}"}}
    listener["rules"] = {
        "origin": {"priority": 1, "conditions": [header], "action": to_shop},
        "query": {"priority": 2, "conditions": [query], "action": to_shop},
        "away": {"priority": 3, "conditions": [{"path_pattern": "/away"}], "action": away},
    }
    return found


@pytest.fixture
def shop(office: Office, monkeypatch: pytest.MonkeyPatch) -> Office:
    """An office with that stack, applied."""
    monkeypatch.setenv("MARKED", VALUES["marked"])
    write(office, "shop.yaml", spec(VALUES))
    other = {name: FOUND[f"{name} before"] for name in WANTED}
    write(office, "before.yaml", spec(other, "${MARKED}"))
    office.run("apply --yes -v shop.yaml RECORD", 0)
    return office


def write(office: Office, name: str, data: dict[str, Any]) -> None:
    office.write(name, yaml.safe_dump(data, sort_keys=False, allow_unicode=True))


def change_by_hand() -> None:
    """Somebody gives each a value of their own."""
    (vpc,) = [item["VpcId"] for item in by_hand("ec2").describe_vpcs()["Vpcs"] if not item["IsDefault"]]
    dsn = f"postgres://shop:{FOUND['marked before']}@db"
    tags = [{"Key": "db_password", "Value": FOUND["named tag before"]}, {"Key": "dsn", "Value": dsn}]
    by_hand("ec2").create_tags(Resources=[vpc], Tags=tags)
    elb = by_hand("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    (listener,) = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    rules = {item["Priority"]: item for item in elb.describe_rules(ListenerArn=listener["ListenerArn"])["Rules"]}
    header = {"HttpHeaderName": "X-Origin-Verify", "Values": [FOUND["header before"]]}
    query = {"Values": [{"Key": "page", "Value": FOUND["query before"]}]}
    elb.modify_rule(RuleArn=rules["1"]["RuleArn"], Conditions=[{"Field": "http-header", "HttpHeaderConfig": header}])
    elb.modify_rule(RuleArn=rules["2"]["RuleArn"], Conditions=[{"Field": "query-string", "QueryStringConfig": query}])
    (group,) = elb.describe_target_groups()["TargetGroups"]
    path = f"/{FOUND['marked before']}"
    elb.modify_target_group(TargetGroupArn=group["TargetGroupArn"], HealthCheckPath=path)
    away = rules["3"]["Actions"][0]["RedirectConfig"] | {"Query": f"key={FOUND['redirect before']}"}
    elb.modify_rule(RuleArn=rules["3"]["RuleArn"], Actions=[{"Type": "redirect", "RedirectConfig": away}])


def leaks_of(office: Office) -> dict[str, set[str]]:
    """AWS's own tags have what the spec says: that is what it is for."""
    return {place: names for place, names in office.leaks(VALUES).items() if place != "tags"}


def test_both_sides_of_a_change_are_hidden(shop: Office) -> None:
    """As a plan, as drift with its issue, message and history, and as it is set right."""
    change_by_hand()
    for line, code in READERS.items():
        shop.run(line, code)
    assert all("x-origin-verify" in told for line, told in shop.said.items() if line.startswith("verify"))
    told = shop.said["plan shop.yaml -vv"]
    for path in ("tags.db_password", "tags.dsn"):
        assert f"{path} *** → *** (changed)" in " ".join(told.split())
    assert "+ conditions http_header x-origin-verify: *** (changed)" in told
    assert "+ conditions query_string page=*** (changed)" in told
    assert "query *** (changed)" in told
    write(shop, "held.yaml", spec(VALUES) | {"sync": {"report": ["update"]}})
    shop.run("sync --issue github:acme/ops -v held.yaml RECORD", 2)
    shop.run("sync shop.yaml RECORD", 2)
    shop.run("history shop.yaml", 0)
    shop.run("history --format json shop.yaml", 0)
    assert leaks_of(shop) == {}
    for place in ("history shop.yaml", "history --format json shop.yaml"):
        assert "*** (changed)" in shop.said[place]
    assert any("tags.dsn: *** → *** (changed)" in str(item) for item in shop.github.issues)


def test_an_answer_that_repeats_the_whole_request_shows_no_secret(shop: Office) -> None:
    """AWS's validation errors repeat what they refuse, here all of it, as JSON and as Python has it."""
    change_by_hand()
    world = shop.account
    real = world._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        if operation in ("modify_rule", "create_tags"):
            raise AwsError(service, operation, "ValidationError", f"refused: {json.dumps(params)}, {params}", "req-1")
        return real(service, operation, params)

    world._call = call  # type: ignore[method-assign]  # this account's answers, for this test only
    shop.run("apply --yes -v shop.yaml RECORD", 1)
    assert "ValidationError" in shop.said["apply --yes -v shop.yaml RECORD"]
    shop.run("history --format json shop.yaml", 0)
    assert leaks_of(shop) == {}


def test_headers_that_are_no_secret_can_be_shown(shop: Office) -> None:
    """With a list, those in it are secret, and those whose names say so."""
    found = spec(VALUES) | {"secret_headers": ["x-ORIGIN-verify"]}
    rules = found["load_balancers"]["public"]["listeners"]["http"]["rules"]
    for number, (name, value) in enumerate((("X-Beta", "blue"), ("X-Api-Key", "green"))):
        header = {"http_header": {"http_header_name": name, "values": [value]}}
        rules[f"more-{number}"] = {**rules["origin"], "priority": 10 + number, "conditions": [header]}
    write(shop, "shop.yaml", found)
    shop.run("plan shop.yaml", 0)
    assert "http_header x-beta: blue" in shop.said["plan shop.yaml"]
    assert "http_header x-api-key: ***" in shop.said["plan shop.yaml"]
    assert leaks_of(shop) == {}


def test_a_saved_plan_with_secrets_is_taken(shop: Office) -> None:
    change_by_hand()
    shop.run("plan --out plan.json shop.yaml", 0)
    shop.run("apply --yes --plan plan.json shop.yaml RECORD", 0)
    shop.run("plan --detailed-exitcode shop.yaml", 0)
    assert leaks_of(shop) == {}


def test_a_mistake_about_a_marked_value_does_not_show_it(shop: Office) -> None:
    found = spec(VALUES)
    found["instances"]["web"]["count"] = "${MARKED}"
    found["vpcs"]["main"]["tags"]["db_password"] += "!"
    rules = found["load_balancers"]["public"]["listeners"]["http"]["rules"]
    rules["origin"]["conditions"][0]["http_header"]["values"] = {VALUES["header"]: 1}
    rules["query"]["conditions"][0]["query_string"][0]["value"] += "é"
    rules["away"]["action"]["redirect"]["query"] += "é"
    write(shop, "shop.yaml", found)
    shop.run("validate shop.yaml", 3)
    shop.run("validate --format json shop.yaml", 3)
    assert shop.said["validate shop.yaml"].count("***") == 2
    assert leaks_of(shop) == {}


def test_a_policy_says_what_it_is_for(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stars in it would be a right to everything."""
    monkeypatch.setenv("MARKED", "my-leases")
    write(office, "shop.yaml", demo() | {"secret_variables": ["MARKED"], "lease": "s3://${MARKED}/x"})
    office.run("iam-policy --for apply shop.yaml", 0)
    told = office.said["iam-policy --for apply shop.yaml"]
    assert "arn:aws:s3:::my-leases/x/" in told
    assert "***" not in told


def test_adopt_writes_no_secret_into_a_spec(shop: Office) -> None:
    change_by_hand()
    before = (shop.folder / "shop.yaml").read_text(encoding="utf-8")
    shop.run("adopt --write --yes shop.yaml", 0)
    assert "which --write never writes" in shop.said["adopt --write --yes shop.yaml"]
    assert (shop.folder / "shop.yaml").read_text(encoding="utf-8") == before
    assert leaks_of(shop) == {}
