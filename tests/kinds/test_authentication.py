"""Actions that authenticate: made, shown, repaired, never lifted unattended; client secrets, which nobody ever sees."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.model.errors import RefusedError
from alb_reconcile.model.secrets import hide
from tests.harness import SPECS, Spec, by_hand, demo
from tests.kinds.hand import calls, edited, short, update
from tests.kinds.test_listener import CERTIFICATES, answer, upload_certificates

if TYPE_CHECKING:
    from collections.abc import Callable
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


@pytest.mark.slow
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


def with_open(spec: Spec, path: str, priority: int, **action: Any) -> Spec:
    """With a rule beside the one that asks, which asks nobody."""
    rule = {"priority": priority, "conditions": [{"path_pattern": path}], "action": action or {"forward": "web"}}
    return edited(spec, f"{LISTENERS}/https/rules/open", rule)


def without_rule(spec: Spec) -> Spec:
    return edited(spec, f"{LISTENERS}/https/rules", {})


OPEN, ASKS, CHECKS = behind({}), behind({"authenticate_cognito": COGNITO}), behind({"jwt_validation": JWT})
LETS_THROUGH = behind({"authenticate_cognito": {**COGNITO, "on_unauthenticated_request": "allow"}})
HTTP = {"http": {"protocol": "HTTP", "port": 80, "default_action": {"forward": "web"}}}
AT_FIVE = edited(edited(CHECKS, ACTION, {"forward": "web"}), f"{LISTENERS}/https/rules/a/priority", 5)
TWO_PATHS = edited(AT_FIVE, f"{LISTENERS}/https/rules/a/conditions", [{"path_pattern": ["/a/*", "/b"]}])
BEFORE = rf"rule.public/https/open would let in whom {A} keeps out now, before it; .* remove-authentication=1$"
CORRECT = {"sync": {"correct": ["create", "update", "replace", "delete"]}}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "refused", "free"),
    [
        (
            ASKS,
            [
                (OPEN, rf"{HTTPS} would let in whoever authenticate-cognito keeps out now; .* remove-authentication=2"),
                (LETS_THROUGH, "--allow remove-authentication=2"),
                (without_rule(ASKS), rf"{A} would be deleted, and with it the check by [a-z-]+; .* remove-authentication=1"),
                (edited(ASKS, LISTENERS, HTTP), rf"(?m)^{HTTPS} would be deleted, .* --allow remove-authentication=1$"),
            ],
            [edited(ASKS, "load_balancers", None), CHECKS],
        ),
        (
            CHECKS,
            [(OPEN, f"{HTTPS} would let in whoever jwt-validation keeps out now")],
            [],
        ),
        (AT_FIVE, [(with_open(AT_FIVE, "/*", 2), BEFORE)], [with_open(AT_FIVE, "/*", 9), with_open(AT_FIVE, "/b", 2)]),
        (with_open(AT_FIVE, "/*", 9), [(with_open(AT_FIVE, "/*", 2), BEFORE)], []),
        (with_open(AT_FIVE, "/b", 2), [(with_open(AT_FIVE, "/*", 2), BEFORE)], []),
        (
            without_rule(CHECKS),
            [(with_open(without_rule(CHECKS), "/*", 2), rf"open would let in whom {HTTPS} keeps out now, before it; .*=1$")],
            [with_open(without_rule(CHECKS), "/about/*", 2)],
        ),
        (
            TWO_PATHS,
            [(with_open(TWO_PATHS, "/b", 2), BEFORE)],  # all of one value
            [with_open(TWO_PATHS, "/*", 2, **answer(503)), with_open(TWO_PATHS, "/a/health", 2)],
        ),
        (with_open(AT_FIVE, "/*", 2), [], [with_open(AT_FIVE, "/*", 2, forward={"target_groups": [{"target_group": "web"}]})]),
        (OPEN, [], [without_rule(OPEN)]),
    ],
)  # fmt: skip
def test_it_is_removed_by_a_persons_word_only(
    hand: Hand, before: Spec, refused: list[tuple[Spec, str]], free: list[Spec]
) -> None:
    upload_certificates()
    hand.make(before)
    for after, told in refused:
        with pytest.raises(RefusedError, match=told):
            hand.world.plan(after)
        ending = hand.world.sync({**after, **CORRECT}, apply_changes=True)
        assert not {HTTPS, A} & {str(item.step.address) for item in ending.outcomes}
    for spec in free:
        hand.world.plan(spec, allow={"delete-load-balancer": 1})
    if refused:
        hand.make(refused[0][0], allow={"remove-authentication": 2})


def test_what_was_put_there_by_hand_isnt_removed_unattended(hand: Hand) -> None:
    upload_certificates()
    spec = {**OPEN, **CORRECT}
    hand.make(spec)
    jwt = {"JwksEndpoint": "https://id/keys", "Issuer": "id"}
    first = {"Type": "jwt-validation", "Order": 1, "JwtValidationConfig": jwt}
    (listener,) = hand.elb.describe_listeners(ListenerArns=[hand[HTTPS]])["Listeners"]
    hand.elb.modify_listener(
        ListenerArn=hand[HTTPS], DefaultActions=[first, {**listener["DefaultActions"][0], "Order": 2}]
    )
    hand.elb.create_rule(
        ListenerArn=hand[HTTPS], Priority=7, Conditions=[{"Field": "path-pattern", "Values": ["/b"]}],
        Actions=[first, {"Type": "fixed-response", "Order": 2, "FixedResponseConfig": {"StatusCode": "404"}}],
    )  # fmt: skip
    # nor with anything else that changes there
    for other in (spec, edited(spec, f"{LISTENERS}/https/port", 8443)):
        assert not hand.world.sync(other, apply_changes=other is not spec).outcomes
    with pytest.raises(RefusedError, match="--allow remove-authentication=2"):
        hand.world.plan(spec)
    hand.make(spec, allow={"remove-authentication": 2})


def test_an_order_by_hand_in_which_it_is_asked_stays(hand: Hand) -> None:
    upload_certificates()
    spec = with_open(AT_FIVE, "/*", 2)
    hand.make(spec)
    hand.elb.set_rule_priorities(RulePriorities=[{"RuleArn": hand[A], "Priority": 1}])
    assert not hand.world.sync(spec).outcomes
    hand.make(spec, allow=WORD)


# -- client secrets


def of_ssm() -> tuple[dict[str, str], Callable[[str], object]]:
    for number in range(3):  # it is told from others below it
        by_hand("ssm").put_parameter(Name=f"/web/oidc/{number}", Value="other", Type="SecureString")
    put()
    return {"ssm": "/web/oidc"}, put


def of_manager() -> tuple[dict[str, str], Callable[[str], object]]:
    manager = by_hand("secretsmanager")
    arn = manager.create_secret(Name="web/oidc", SecretString=SECRET)["ARN"]
    return {"secretsmanager": arn}, lambda value: manager.put_secret_value(SecretId=arn, SecretString=value)


def of_json() -> tuple[dict[str, str], Callable[[str], object]]:
    manager = by_hand("secretsmanager")
    arn = manager.create_secret(Name="web/oidc", SecretString=json.dumps({"client_secret": SECRET, "old": "x"}))["ARN"]

    def rotate(value: str) -> None:
        manager.put_secret_value(SecretId=arn, SecretString=json.dumps({"client_secret": value, "old": "former"}))

    return {"secretsmanager": arn, "json_key": "client_secret"}, rotate


@pytest.mark.parametrize("source", [of_ssm, of_manager, of_json])
def test_a_rotation_is_seen_by_the_version_and_written_once(
    hand: Hand, source: Callable[[], tuple[dict[str, str], Callable[[str], object]]]
) -> None:
    upload_certificates()
    secret, rotate = source()
    spec = behind(oidc(**secret))
    hand.make(spec)
    assert held(hand) == [SECRET, SECRET]
    assert SECRET not in hide(f"it was {SECRET}"), "from then on nothing shows it"
    rotate("the next one")
    assert short(hand.world.plan(spec)) == sorted([update(HTTPS, "default_action"), update(A, "action")])
    hand.make(spec)
    assert held(hand) == ["the next one", "the next one"]
    if "json_key" in secret:
        hand.make(behind(oidc(**{**secret, "json_key": "old"})))  # another key of the same version
        assert held(hand) == ["former", "former"]
    if "ssm" in secret:
        by_hand("ssm").delete_parameter(Name="/web/oidc")
        hand.refuses_run(spec, "there is no SSM parameter /web/oidc in this region and account")


@pytest.mark.slow
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
        ({"secretsmanager": "gone"}, "gone is scheduled for deletion; restore it"),
        ({"secretsmanager": "hidden"}, "may not look at.*hidden.*secretsmanager:DescribeSecret"),
    ],
    ids=lambda item: "".join(item.values()) if isinstance(item, dict) else "",
)
def test_one_that_cant_be_read_is_told_before_anything_is_made(
    hand: Hand, faults: Faults, secret: dict[str, str], words: str
) -> None:
    upload_certificates()
    by_hand("secretsmanager").create_secret(Name="gone", SecretString=SECRET)
    by_hand("secretsmanager").delete_secret(SecretId="gone", RecoveryWindowInDays=7)
    if "hidden" in secret.values():
        faults.refuse("describe_secret", "AccessDeniedException", times=9)
    with pytest.raises(RefusedError, match=rf"spec.yaml:\d+:\d+: .*{words}"):
        hand.world.apply(behind(oidc(**secret)))
    assert not hand.elb.describe_load_balancers()["LoadBalancers"]


def test_a_run_that_ends_between_the_secret_and_its_tag_writes_it_again(hand: Hand, faults: Faults) -> None:
    ready(hand)
    spec = behind(oidc(ssm="/web/oidc"))
    hand.make(spec)
    put("the next one")
    faults.refuse("add_tags", "AccessDenied")
    assert hand.world.apply(spec).failures
    hand.make(spec)
    assert held(hand) == ["the next one", "the next one"]


@pytest.mark.slow
@pytest.mark.parametrize("port", [80, 8080], ids=["another scope", "another target group"])
def test_an_unchanged_secret_isnt_said_again(hand: Hand, port: int) -> None:
    ready(hand)
    spec = behind(oidc(ssm="/web/oidc"))
    hand.make(spec)
    scope = {"authenticate_oidc": {**OIDC, "client_secret": {"ssm": "/web/oidc"}, "scope": "openid email"}}
    hand.make(edited(behind(scope) if port == 80 else spec, "target_groups/web/port", port), allow={"replace": 9})
    told = [params["DefaultActions"] for params in calls(hand.world, "modify_listener")]
    told += [params["Actions"] for params in calls(hand.world, "modify_rule")]
    assert told
    for first, *_ in told:
        assert first["AuthenticateOidcConfig"]["UseExistingClientSecret"] is True
        assert "ClientSecret" not in first["AuthenticateOidcConfig"]
    assert held(hand) == [SECRET, SECRET]
