"""Listeners: drift, strangers, ports."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.cli.render.status import StatusView, status_text
from alb_reconcile.cli.render.style import Style
from alb_reconcile.engine.discover import discover
from alb_reconcile.engine.plan.situation import situate
from alb_reconcile.engine.standing import find_standing
from tests.harness import REGION, Spec, by_hand, demo, load
from tests.kinds.example import Example, network
from tests.kinds.hand import calls, delete, edited, order, short, update

if TYPE_CHECKING:
    from tests.kinds.hand import Hand

HTTP, HTTPS = "listener.public/http", "listener.public/https"
ANSWER = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "503"}}
POLICY = "ELBSecurityPolicy-TLS13-1-2-Res-PQ-2025-09"
CERTIFICATES = [f"arn:aws:iam::123456789012:server-certificate/{name}" for name in ("one", "two", "three", "four")]


def upload_certificates() -> None:
    """They have names of our own, unlike those of ACM."""
    for arn in CERTIFICATES:
        by_hand("iam").upload_server_certificate(
            ServerCertificateName=arn.rpartition("/")[2], CertificateBody="x", PrivateKey="x"
        )


def answer(code: int) -> Spec:
    return {"fixed_response": {"status_code": code, "content_type": "text/plain", "message_body": "no"}}


SECRETS = (
    "kms:Decrypt",
    "secretsmanager:DescribeSecret",
    "secretsmanager:GetSecretValue",
    "ssm:DescribeParameters",
    "ssm:GetParameter",
)
LOGIN = {
    "cognito-idp:DescribeUserPoolClient": "AWS's own, where a user pool authenticates",
    **dict.fromkeys(SECRETS, "a client_secret there: login.yaml"),
}
EXAMPLE = Example(
    spec={
        **network("ab"),
        "load_balancers": {
            "public": {
                "scheme": "internal",
                "subnets": ["a", "b"],
                "listeners": {
                    "http": {"protocol": "HTTP", "port": 80, "default_action": answer(404)},
                    "https": {
                        "protocol": "HTTPS",
                        "port": 443,
                        "ssl_policy": POLICY,
                        "certificate_arn": CERTIFICATES[0],
                        "certificates": [CERTIFICATES[2]],
                        "mutual_authentication": {"mode": "passthrough"},
                        "attributes": {
                            "routing.http.response.server.enabled": False,
                            "routing.http.request.x_amzn_tls_version.header_name": "X-Tls",
                        },
                        "default_action": answer(404),
                    },
                },
            }
        },
    },
    address=HTTPS,
    changes={
        "port": 8443,
        "ssl_policy": "ELBSecurityPolicy-2016-08",
        "certificate_arn": CERTIFICATES[1],
        "certificates": [CERTIFICATES[3]],
        "mutual_authentication": {"mode": "off"},
        "attributes.routing.http.response.server.enabled": True,
        "attributes.routing.http.request.x_amzn_tls_version.header_name": "",
        "default_action": answer(503),
    },
    others={HTTP: {"protocol": "HTTPS"}},
    beside={"protocol": {"certificate_arn": CERTIFICATES[0]}},
    prepare=upload_certificates,
    uncalled={
        **LOGIN,
        "elasticloadbalancing:DeleteListener": "one that goes before its load balancer",
        "acm:DescribeCertificate": "a certificate that its spec doesn't declare: login.yaml",
    },
)


def secure() -> Spec:
    entry = {"protocol": "HTTPS", "port": 443, "certificate_arn": CERTIFICATES[0], "default_action": {"forward": "web"}}
    return edited(demo(), "load_balancers/public/listeners", {"https": entry})


def test_an_action_that_no_spec_can_say_is_shown_and_stays(hand: Hand) -> None:
    upload_certificates()
    hand.make(secure())

    def say(answer: Any) -> None:
        for item in [] if calls(hand.world, "modify_listener") else answer["Listeners"]:
            item["DefaultActions"] = [{"Type": "moon-check", "Order": 1}, {**item["DefaultActions"][0], "Order": 2}]

    hand.answers("describe_listeners", say)
    found = hand.world.plan(hand.spec)
    assert found.is_empty
    assert any("it stays: moon-check" in note for note in found.kept)
    # what isn't the action changes without it
    other = edited(hand.spec, "load_balancers/public/listeners/https/ssl_policy", "ELBSecurityPolicy-2016-08")
    assert short(hand.world.plan(other)) == [update(HTTPS, "ssl_policy")]
    # the action doesn't: botocore shows nothing of its settings, so nobody could say them again
    answering = edited(hand.spec, "load_balancers/public/listeners/https/default_action", answer(404))
    hand.refuses(answering, f"{HTTPS} would lose .*: moon-check; .* --allow remove-unsupported=1")
    assert not hand.world.sync(answering, apply_changes=True).outcomes
    hand.make(hand.spec, allow={"remove-unsupported": 1})
    (params,) = calls(hand.world, "modify_listener")
    assert [item["Type"] for item in params["DefaultActions"]] == ["forward"]


@pytest.mark.slow
def test_weights_and_stickiness_that_were_changed_by_hand_are_changed_back(hand: Hand) -> None:
    spec = demo()
    spec["target_groups"]["green"] = {"protocol": "HTTP", "port": 8080, "targets": ["web"]}
    spec["security_groups"]["web"]["ingress"].append(
        {"protocol": "tcp", "port": 8080, "security_group": "load-balancer"}
    )
    groups = [{"target_group": "web", "weight": 80}, {"target_group": "green", "weight": 20}]
    forward = {"target_groups": groups, "stickiness": {"enabled": True, "duration_seconds": 60}}
    spec = edited(spec, "load_balancers/public/listeners/http/default_action", {"forward": forward})
    hand.make(spec)
    config = hand.elb.describe_listeners(ListenerArns=[hand[HTTP]])["Listeners"][0]["DefaultActions"][0][
        "ForwardConfig"
    ]
    weights = [{**item, "Weight": 50} for item in config["TargetGroups"]]
    off = {"TargetGroupStickinessConfig": {"Enabled": False}}
    longer = {"TargetGroupStickinessConfig": {"Enabled": True, "DurationSeconds": 99}}
    for changed in ({"TargetGroups": weights}, longer, off):
        action = {"Type": "forward", "ForwardConfig": {**config, **changed}}
        hand.elb.modify_listener(ListenerArn=hand[HTTP], DefaultActions=[action])
        hand.repairs(update(HTTP, "default_action"), calls={"modify_listener": 1})
    without = {"Type": "forward", "ForwardConfig": {**config, "TargetGroups": config["TargetGroups"][:1]}}
    hand.elb.modify_listener(ListenerArn=hand[HTTP], DefaultActions=[without])
    # a group that nothing forwarded to is put back at weight 0 first, so that its targets are checked
    hand.repairs(update(HTTP, "default_action.forward"), update(HTTP, "default_action"), calls={"modify_listener": 2})


def test_a_listener_of_others_goes_unless_it_may_stay_or_is_another_stacks(hand: Hand) -> None:
    hand.make(demo())
    arn, port = hand["load_balancer.public"], {"Protocol": "HTTP", "Port": 9000, "DefaultActions": [ANSWER]}
    hand.elb.create_listener(LoadBalancerArn=arn, **port)
    assert hand.world.plan(edited(demo(), "load_balancers/public/others", "keep")).is_empty
    hand.repairs(delete("listener.public/:9000"), by="delete_listener", allow={"close": 1})
    hand.elb.create_listener(LoadBalancerArn=arn, **port, Tags=[{"Key": "alb-reconcile:stack", "Value": "other"}])
    plan = hand.world.plan(demo())
    assert plan.is_empty
    assert any("belongs to the stack other" in note for note in plan.kept)


def test_one_that_becomes_https_gets_the_policy_that_a_new_one_gets(hand: Hand) -> None:
    """AWS's own default is ELBSecurityPolicy-2016-08, with TLS 1.0. A policy that is there already stays."""
    upload_certificates()
    hand.make(demo())
    spec = demo()
    listener = spec["load_balancers"]["public"]["listeners"]["http"]
    listener |= {"protocol": "HTTPS", "port": 443, "certificate_arn": CERTIFICATES[0]}
    plan = hand.make(spec, allow={"close": 1}).plan
    paths = {item.path for step in plan.steps for item in step.changes if str(step.address) == HTTP}
    assert {"protocol", "ssl_policy"} <= paths
    (found,) = hand.elb.describe_listeners(ListenerArns=[hand[HTTP]])["Listeners"]
    assert found["SslPolicy"] == POLICY
    hand.elb.modify_listener(ListenerArn=hand[HTTP], SslPolicy="ELBSecurityPolicy-2016-08")
    assert hand.world.plan(spec).is_empty


@pytest.mark.parametrize(
    ("count", "order_of"), [(2, ["create_listener", "register_targets"]), (1, ["register_targets", "create_listener"])]
)
def test_one_that_was_deleted_waits_only_for_an_instance_without_which_nobody_serves(
    hand: Hand, count: int, order_of: list[str]
) -> None:
    spec = edited(demo(), "instances/web/count", count)
    hand.make(spec)
    hand.elb.delete_listener(ListenerArn=hand[HTTP])
    hand.ec2.terminate_instances(InstanceIds=[hand["instance.web-1"]])
    hand.wait(3600)
    hand.make(spec)
    assert order(hand.world, "create_listener", "register_targets") == order_of


def test_status_says_first_that_nobody_is_served_and_which_targets_wait(hand: Hand) -> None:
    hand.make(demo())
    hand.elb.delete_listener(ListenerArn=hand[HTTP])
    hand.wait(60)
    found = hand.world._run(lambda aws: discover(aws, "demo", load(demo()).desired))
    standing = find_standing(situate(load(demo()).target(), found))
    view = StatusView("demo", REGION, found, {}, standing)
    assert view.not_ready[0] == "load_balancer.public has no listener, so it serves nobody"
    assert re.search(r"registration\.web/web-1:80 +unused +i-[0-9a-f]+:80", status_text(view, Style(colored=False)))


def sni(*names: str) -> Spec:
    entry = secure()["load_balancers"]["public"]["listeners"]["https"]
    arns = [f"arn:aws:iam::123456789012:server-certificate/{name}" for name in names]
    return edited(demo(), "load_balancers/public/listeners", {"https": {**entry, "certificates": arns}})


def test_certificates_are_added_before_others_are_removed(hand: Hand) -> None:
    upload_certificates()
    hand.make(sni("two", "three"))
    hand.repairs(
        update(HTTPS, "certificates"), spec=sni("two", "four"),
        calls={"add_listener_certificates": 1, "remove_listener_certificates": 1, "add_tags": 1},
    )  # fmt: skip
    assert order(hand.world, "add_listener_certificates", "remove_listener_certificates")[0].startswith("add")


def test_certificates_of_others_are_removed_unless_they_are_kept(hand: Hand) -> None:
    upload_certificates()
    hand.make(sni("two"))
    hand.elb.add_listener_certificates(ListenerArn=hand[HTTPS], Certificates=[{"CertificateArn": CERTIFICATES[3]}])
    hand.repairs(update(HTTPS, "certificates"), by="remove_listener_certificates")
    hand.elb.add_listener_certificates(ListenerArn=hand[HTTPS], Certificates=[{"CertificateArn": CERTIFICATES[3]}])
    assert hand.world.plan(edited(sni("two"), "load_balancers/public/listeners/https/others", "keep")).is_empty
    assert hand.world.plan(secure()).is_empty
