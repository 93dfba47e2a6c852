"""Actions that authenticate: made, shown, repaired, never lifted unattended; client secrets, which nobody ever sees."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.style import Style
from alb_reconcile.model.errors import RefusedError
from tests.harness import SPECS, Spec, by_hand, demo, load
from tests.kinds.hand import calls, edited, short, update
from tests.kinds.test_listener import CERTIFICATES, answer, upload_certificates

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kinds.hand import Faults, Hand

HTTPS, A = "listener.public/https", "rule.public/https/a"
LISTENERS = "load_balancers/public/listeners"
ACTION = f"{LISTENERS}/https/default_action"
SECRET = "only the provider and the load balancer know this"
OIDC = {
    "issuer": "https://id.example.com",
    "authorization_endpoint": "https://id.example.com/authorize",
    "token_endpoint": "https://id.example.com/token",
    "user_info_endpoint": "https://id.example.com/userinfo",
    "client_id": "web",
}
COGNITO = {
    "user_pool_arn": "arn:aws:cognito-idp:us-east-1:123456789012:userpool/us-east-1_abc",
    "user_pool_client_id": "client",
    "user_pool_domain": "shop",
    "scope": "openid email",
    "session_timeout": 3600,
    "authentication_request_extra_params": {"display": "page", "prompt": "login"},
    "on_unauthenticated_request": "deny",
}
JWT = {
    "jwks_endpoint": "https://id.example.com/keys",
    "issuer": "https://id.example.com",
    "additional_claims": [
        {"name": "scope", "format": "space-separated-values", "values": ["read", "write"]},
        {"name": "aud", "format": "single-string", "values": ["shop"]},
    ],
}
WORD = {"remove-authentication": 1}


def behind(action: Spec, **routing: Any) -> Spec:
    """The demo behind HTTPS, with an authentication before its listener's routing, and before that of a rule."""
    entry = {
        "protocol": "HTTPS", "port": 443, "certificate_arn": CERTIFICATES[0],
        "default_action": {**action, **(routing or {"forward": "web"})},
        "rules": {"a": {"priority": 1, "conditions": [{"path_pattern": "/a"}], "action": {**action, **answer(404)}}},
    }  # fmt: skip
    return edited(demo(), LISTENERS, {"https": entry})


def oidc(**secret: str) -> Spec:
    return {"authenticate_oidc": {**OIDC, "client_secret": secret}}


def held(hand: Hand) -> list[str]:
    """The client secrets that AWS has, which its API never shows: the listener's, and the rule's."""
    from moto.core.models import DEFAULT_ACCOUNT_ID
    from moto.elbv2.models import elbv2_backends

    (balancer,) = elbv2_backends[DEFAULT_ACCOUNT_ID]["us-east-1"].load_balancers.values()
    (listener,) = balancer.listeners.values()
    return [rule.actions[0].data["AuthenticateOidcConfig"]["HiddenSecret"] for rule in listener.rules.values()]


def put(value: str = SECRET) -> None:
    by_hand("ssm").put_parameter(Name="/web/oidc", Value=value, Type="SecureString", Overwrite=True)


def ready(hand: Hand) -> None:
    upload_certificates()
    put()


@pytest.mark.parametrize(
    "action",
    [{"authenticate_cognito": COGNITO}, {"jwt_validation": JWT}, oidc(ssm="/web/oidc")],
    ids=lambda action: next(iter(action)),
)
def test_it_is_made_stable_and_repaired(hand: Hand, action: Spec) -> None:
    ready(hand)
    hand.make(behind(action))
    (kind,) = action
    (listener,) = hand.elb.describe_listeners(ListenerArns=[hand[HTTPS]])["Listeners"]
    assert [(item["Type"], item["Order"]) for item in listener["DefaultActions"]] == [
        (kind.replace("_", "-"), 1),
        ("forward", 2),
    ]
    # somebody opens the door
    hand.elb.modify_listener(ListenerArn=hand[HTTPS], DefaultActions=listener["DefaultActions"][1:])
    hand.repairs(
        update(HTTPS, "default_action"),
        by="modify_listener" if kind != "authenticate_oidc" else ("modify_listener", "add_tags"),
    )


@pytest.mark.parametrize(
    "action", [{"jwt_validation": JWT}, oidc(ssm="/web/oidc")], ids=lambda action: next(iter(action))
)
def test_it_is_removed_by_a_persons_word_only(hand: Hand, action: Spec) -> None:
    ready(hand)
    hand.make(behind(action))
    without = behind({})
    with pytest.raises(
        RefusedError, match=rf"{HTTPS} would let in whoever [a-z-]+ keeps out now; .* remove-authentication=2"
    ):
        hand.world.plan(without)
    assert not hand.world.sync(without, apply_changes=True).outcomes
    hand.make(without, allow={"remove-authentication": 2})


def test_one_that_was_put_there_by_hand_isnt_removed_unattended(hand: Hand) -> None:
    upload_certificates()
    hand.make(behind({}))
    (listener,) = hand.elb.describe_listeners(ListenerArns=[hand[HTTPS]])["Listeners"]
    jwt = {
        "Type": "jwt-validation",
        "Order": 1,
        "JwtValidationConfig": {"JwksEndpoint": "https://id/keys", "Issuer": "id"},
    }
    hand.elb.modify_listener(
        ListenerArn=hand[HTTPS], DefaultActions=[jwt, {**listener["DefaultActions"][0], "Order": 2}]
    )
    assert not hand.world.sync(hand.spec).outcomes
    with pytest.raises(RefusedError, match="--allow remove-authentication=1"):
        hand.world.plan(hand.spec)
    # nor with anything else that changes there
    other = edited(hand.spec, f"{LISTENERS}/https/port", 8443)
    assert not hand.world.sync(other, apply_changes=True).outcomes
    hand.make(hand.spec, allow=WORD)


def without_rule(spec: Spec) -> Spec:
    return edited(spec, f"{LISTENERS}/https/rules", {})


@pytest.mark.parametrize("action", [{"authenticate_cognito": COGNITO}, {"jwt_validation": JWT}], ids=["cognito", "jwt"])
def test_a_whole_rule_that_authenticates_is_deleted_by_a_persons_word_only(hand: Hand, action: Spec) -> None:
    upload_certificates()
    hand.make(behind(action))
    spec = {**without_rule(hand.spec), "sync": {"correct": ["create", "update", "replace", "delete"]}}
    with pytest.raises(
        RefusedError,
        match=rf"{A} would be deleted, and with it the check by [a-z-]+; .* --allow remove-authentication=1",
    ):
        hand.world.plan(spec)
    ending = hand.world.sync(spec, apply_changes=True)
    assert not ending.outcomes
    assert "authenticat" in str(ending.selection.withheld) or "jwt-validation" in str(ending.selection.withheld)
    hand.make(spec, allow=WORD)


def test_so_is_a_listener(hand: Hand) -> None:
    upload_certificates()
    hand.make(behind({"authenticate_cognito": COGNITO}))
    http = {"http": {"protocol": "HTTP", "port": 80, "default_action": {"forward": "web"}}}
    spec = {**edited(hand.spec, LISTENERS, http), "sync": {"correct": ["create", "update", "replace", "delete"]}}
    with pytest.raises(RefusedError, match=rf"(?m)^{HTTPS} would be deleted, .* --allow remove-authentication=1$"):
        hand.world.plan(spec)
    assert f"delete:{HTTPS}" not in str(hand.world.sync(spec, apply_changes=True).outcomes)
    hand.make(spec, allow={**WORD, "close": 1})  # its rules go with it, and need no word of their own


def test_a_stray_rule_that_authenticates_isnt_deleted_unattended(hand: Hand) -> None:
    upload_certificates()
    spec = {**behind({}), "sync": {"correct": ["create", "update", "replace", "delete"]}}
    hand.make(spec)
    jwt = {"JwksEndpoint": "https://id/keys", "Issuer": "id"}
    fixed = {"Type": "fixed-response", "Order": 2, "FixedResponseConfig": {"StatusCode": "404"}}
    hand.elb.create_rule(
        ListenerArn=hand[HTTPS], Priority=7, Conditions=[{"Field": "path-pattern", "Values": ["/b"]}],
        Actions=[{"Type": "jwt-validation", "Order": 1, "JwtValidationConfig": jwt}, fixed],
    )  # fmt: skip
    assert not hand.world.sync(spec).outcomes
    with pytest.raises(RefusedError, match="remove-authentication=1"):
        hand.world.plan(spec)


def test_a_rule_that_asks_nobody_is_deleted_as_ever(hand: Hand) -> None:
    upload_certificates()
    hand.make(behind({}))
    hand.make(without_rule(hand.spec))


def test_with_its_load_balancer_it_needs_no_word_of_its_own(hand: Hand) -> None:
    upload_certificates()
    hand.make(behind({"authenticate_cognito": COGNITO}))
    hand.make(edited(hand.spec, "load_balancers", None), allow={"delete-load-balancer": 1})


def test_letting_everybody_through_is_the_same(hand: Hand) -> None:
    upload_certificates()
    hand.make(behind({"authenticate_cognito": COGNITO}))
    open_door = behind({"authenticate_cognito": {**COGNITO, "on_unauthenticated_request": "allow"}})
    with pytest.raises(RefusedError, match="--allow remove-authentication=2"):
        hand.world.plan(open_door)


def test_another_way_to_ask_needs_no_word(hand: Hand) -> None:
    upload_certificates()
    hand.make(behind({"authenticate_cognito": COGNITO}))
    hand.make(behind({"jwt_validation": JWT}))


def with_open(spec: Spec, path: str, priority: int, **action: Any) -> Spec:
    """With a rule beside the one that asks, which asks nobody."""
    rule = {
        "priority": priority,
        "conditions": [{"path_pattern": path}],
        "action": action or {"forward": "web"},
    }
    return edited(spec, f"{LISTENERS}/https/rules/open", rule)


def asking_at_five() -> Spec:
    """Only a rule asks, at priority 5."""
    spec = edited(behind({"jwt_validation": JWT}), ACTION, {"forward": "web"})
    return edited(spec, f"{LISTENERS}/https/rules/a/priority", 5)


BEFORE = rf"rule.public/https/open would let in whom {A} keeps out now, before it; .* remove-authentication=1$"


def test_a_rule_before_it_that_asks_nobody_needs_a_word(hand: Hand) -> None:
    upload_certificates()
    spec = asking_at_five()
    hand.make(spec)
    before = with_open(spec, "/*", 2)
    with pytest.raises(RefusedError, match=BEFORE):
        hand.world.plan(before)
    assert not hand.world.sync(before, apply_changes=True).outcomes
    behind_it = with_open(spec, "/*", 9)
    hand.make(behind_it)
    with pytest.raises(RefusedError, match=BEFORE):  # in another order
        hand.world.plan(before)
    assert not hand.world.sync(before, apply_changes=True).outcomes
    elsewhere = with_open(spec, "/b", 2)
    hand.make(elsewhere)
    with pytest.raises(RefusedError, match=BEFORE):  # with other conditions
        hand.world.plan(before)
    hand.make(before, allow=WORD)
    hand.make(
        edited(
            before, f"{LISTENERS}/https/rules/open/action", {"forward": {"target_groups": [{"target_group": "web"}]}}
        )
    )


def test_so_does_one_that_takes_all_from_a_default_action_that_asks(hand: Hand) -> None:
    upload_certificates()
    spec = edited(behind({"jwt_validation": JWT}), f"{LISTENERS}/https/rules", {})
    hand.make(spec)
    before = with_open(spec, "/*", 2)
    with pytest.raises(
        RefusedError, match=rf"rule.public/https/open would let in whom {HTTPS} keeps out now, before it; .*=1$"
    ):
        hand.world.plan(before)
    assert not hand.world.sync(before, apply_changes=True).outcomes
    hand.make(with_open(spec, "/about/*", 2))
    hand.make(before, allow=WORD)


def test_an_order_by_hand_in_which_it_is_asked_stays(hand: Hand) -> None:
    upload_certificates()
    spec = with_open(asking_at_five(), "/*", 2)
    hand.make(spec)
    hand.elb.set_rule_priorities(RulePriorities=[{"RuleArn": hand[A], "Priority": 1}])
    assert not hand.world.sync(spec).outcomes
    hand.make(spec, allow=WORD)


def test_a_page_or_a_part_before_it_needs_no_word(hand: Hand) -> None:
    upload_certificates()
    paths = [{"path_pattern": ["/a/*", "/b"]}]
    spec = edited(asking_at_five(), f"{LISTENERS}/https/rules/a/conditions", paths)
    hand.make(spec)
    hand.make(with_open(spec, "/*", 2, **answer(503)))  # maintenance: nobody gets in
    hand.make(with_open(spec, "/a/health", 2))
    with pytest.raises(RefusedError, match=BEFORE):  # all of one value
        hand.world.plan(with_open(spec, "/b", 2))


def test_a_target_group_behind_it_is_replaced_with_it_in_place(hand: Hand) -> None:
    ready(hand)
    spec = behind(oidc(ssm="/web/oidc"))
    hand.make(spec)
    hand.make(edited(spec, "target_groups/web/port", 8080), allow={"replace": 9})
    told = [item for params in calls(hand.world, "modify_listener") for item in params["DefaultActions"]]
    assert {item["Type"] for item in told} == {"authenticate-oidc", "forward"}
    assert all("ClientSecret" not in item.get("AuthenticateOidcConfig", {}) for item in told)
    assert held(hand) == [SECRET, SECRET]


# -- client secrets


def test_a_rotation_is_seen_by_the_version_and_written_once(hand: Hand) -> None:
    ready(hand)
    spec = behind(oidc(ssm="/web/oidc"))
    hand.make(spec)
    assert held(hand) == [SECRET, SECRET]
    put("the next one")
    assert short(hand.world.plan(spec)) == sorted([update(HTTPS, "default_action"), update(A, "action")])
    hand.make(spec)
    assert held(hand) == ["the next one", "the next one"]
    assert hand.world.plan(spec).is_empty


def test_a_parameter_is_told_from_others_below_it(hand: Hand) -> None:
    for number in range(3):
        by_hand("ssm").put_parameter(Name=f"/web/oidc/{number}", Value="other", Type="SecureString")
    ready(hand)
    hand.make(behind(oidc(ssm="/web/oidc")))
    assert held(hand) == [SECRET, SECRET]
    by_hand("ssm").delete_parameter(Name="/web/oidc")
    with pytest.raises(RefusedError, match="there is no SSM parameter /web/oidc in this region and account"):
        hand.world.apply(hand.spec)


def test_a_secret_of_secrets_manager(hand: Hand) -> None:
    upload_certificates()
    manager = by_hand("secretsmanager")
    arn = manager.create_secret(Name="web/oidc", SecretString=SECRET)["ARN"]
    spec = behind(oidc(secretsmanager=arn))
    hand.make(spec)
    manager.put_secret_value(SecretId=arn, SecretString="the next one")
    hand.make(spec)
    assert held(hand) == ["the next one", "the next one"]


def test_one_key_of_a_json_secret(hand: Hand) -> None:
    upload_certificates()
    manager = by_hand("secretsmanager")
    whole = json.dumps({"client_id": "web", "client_secret": SECRET, "old": "former"})
    arn = manager.create_secret(Name="web/oidc", SecretString=whole)["ARN"]
    spec = behind(oidc(secretsmanager=arn, json_key="client_secret"))
    hand.make(spec)
    assert held(hand) == [SECRET, SECRET]
    manager.put_secret_value(SecretId=arn, SecretString=json.dumps({"client_secret": "the next one", "old": "former"}))
    hand.make(spec)
    assert held(hand) == ["the next one", "the next one"]
    hand.make(behind(oidc(secretsmanager=arn, json_key="old")))  # another key of the same version
    assert held(hand) == ["former", "former"]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"SecretString": json.dumps({"other": SECRET})}, "has no text under the key client_secret"),
        ({"SecretString": json.dumps({"client_secret": [SECRET]})}, "has no text under the key client_secret"),
        ({"SecretString": SECRET}, "isn't a JSON object"),
        ({"SecretBinary": SECRET.encode()}, "holds bytes, not text"),
    ],
    ids=["no such key", "no text", "no JSON", "bytes"],
)
def test_a_json_secret_that_isnt_one_says_so_and_not_itself(hand: Hand, value: dict[str, Any], words: str) -> None:
    upload_certificates()
    by_hand("secretsmanager").create_secret(Name="web/oidc", **value)
    result = hand.world.apply(behind(oidc(secretsmanager="web/oidc", json_key="client_secret")))
    assert words in str(result.failures)
    assert SECRET not in str(result.failures)


def test_one_that_these_credentials_may_not_see_is_told_before_anything_is_made(hand: Hand, faults: Faults) -> None:
    upload_certificates()
    by_hand("secretsmanager").create_secret(Name="web/oidc", SecretString=SECRET)
    faults.refuse("describe_secret", "AccessDeniedException", times=9)
    with pytest.raises(
        RefusedError, match=r"spec.yaml:\d+:\d+: .*may not look at.*web/oidc.*secretsmanager:DescribeSecret"
    ):
        hand.world.apply(behind(oidc(secretsmanager="web/oidc")))
    assert not hand.elb.describe_load_balancers()["LoadBalancers"]


def test_one_that_is_to_be_deleted_is_told(hand: Hand) -> None:
    upload_certificates()
    manager = by_hand("secretsmanager")
    manager.create_secret(Name="web/oidc", SecretString=SECRET)
    manager.delete_secret(SecretId="web/oidc", RecoveryWindowInDays=7)
    with pytest.raises(RefusedError, match="web/oidc is scheduled for deletion; restore it"):
        hand.world.apply(behind(oidc(secretsmanager="web/oidc")))


def test_a_secret_of_the_environment_or_a_file_changes_with_its_version(
    hand: Hand, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    upload_certificates()
    monkeypatch.setenv("OIDC_SECRET", SECRET)
    hand.make(behind(oidc(env="OIDC_SECRET", version="1")))
    monkeypatch.setenv("OIDC_SECRET", "the next one")
    assert hand.world.plan(hand.spec).is_empty
    hand.make(behind(oidc(env="OIDC_SECRET", version="2")))
    assert held(hand) == ["the next one", "the next one"]
    assert str(SPECS) not in hand.world.plan(behind(oidc(env="OIDC_SECRET", version="3"))).to_json()
    file = tmp_path / "secret"
    file.write_text("of a file\n")
    hand.make(behind(oidc(file=str(file))))
    assert held(hand) == ["of a file", "of a file"]


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ({"env": "NOT_THERE"}, "the environment variable NOT_THERE is not set; set it"),
        ({"file": "not-there"}, "the file not-there is not there"),
        ({"ssm": "/not/there"}, "there is no SSM parameter /not/there in this region and account"),
        ({"secretsmanager": "not-there"}, "there is no secret in Secrets Manager not-there in this region and account"),
    ],
    ids=lambda item: next(iter(item)) if isinstance(item, dict) else "",
)
def test_one_that_cant_be_read_is_told_before_anything_is_made(hand: Hand, secret: dict[str, str], words: str) -> None:
    upload_certificates()
    with pytest.raises(RefusedError, match=rf"spec.yaml:\d+:\d+: .*: {words}"):
        hand.world.apply(behind(oidc(**secret)))
    assert not hand.elb.describe_load_balancers()["LoadBalancers"]


def test_only_one_call_says_the_secret(hand: Hand) -> None:
    """It is in no plan, no tag and no other call; a plan doesn't ask for it."""
    ready(hand)
    spec = behind(oidc(ssm="/web/oidc"))
    before = hand.world.plan(spec)
    assert not calls(hand.world, "get_parameter")
    hand.make(spec)
    said = {name for name, params in hand.world.log if SECRET in str(params)}
    assert said == {"create_listener", "create_rule"}
    put("the next one")
    after = hand.world.plan(spec)
    texts = [text for plan in (before, after) for text in (plan.to_json(), render_plan(plan, Style(colored=False)))]
    texts += [str(hand.world.strict.inventory()), str(load(spec).desired)]
    assert not [text for text in texts if SECRET in text or "the next one" in text]
    assert any("ssm /web/oidc version 1" in text and "ssm /web/oidc version 2" in text for text in texts)


def test_a_run_that_ends_between_the_secret_and_its_tag_writes_it_again(hand: Hand, faults: Faults) -> None:
    ready(hand)
    spec = behind(oidc(ssm="/web/oidc"))
    hand.make(spec)
    put("the next one")
    faults.refuse("add_tags", "AccessDenied")
    assert hand.world.apply(spec).failures
    hand.make(spec)
    assert held(hand) == ["the next one", "the next one"]


def test_an_unchanged_secret_isnt_said_again(hand: Hand) -> None:
    ready(hand)
    hand.make(behind(oidc(ssm="/web/oidc")))
    changed = {"authenticate_oidc": {**OIDC, "client_secret": {"ssm": "/web/oidc"}, "scope": "openid email"}}
    hand.make(behind(changed))
    for name, key in (("modify_listener", "DefaultActions"), ("modify_rule", "Actions")):
        (params,) = calls(hand.world, name)
        config = params[key][0]["AuthenticateOidcConfig"]
        assert config["UseExistingClientSecret"] is True
        assert "ClientSecret" not in config
    assert held(hand) == [SECRET, SECRET]
