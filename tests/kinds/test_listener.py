"""Listeners: drift, strangers, ports."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from alb_reconcile.api.status import Status
from alb_reconcile.cli.render.plan import render_plan
from alb_reconcile.cli.render.status import StatusView, status_text, url_lines
from alb_reconcile.cli.render.style import Style
from alb_reconcile.engine.discover import discover
from alb_reconcile.engine.plan.situation import situate
from alb_reconcile.engine.standing import find_standing
from alb_reconcile.kinds._actions import actions_from_aws
from alb_reconcile.model.errors import RefusedError
from alb_reconcile.sandbox.client import Traffic
from alb_reconcile.sandbox.strict.elb_attributes import listener_defaults
from alb_reconcile.spec.schema import resolved
from tests.adoption.adopting import Keeper
from tests.harness import REGION, Spec, by_hand, demo, load
from tests.kinds.example import Example
from tests.kinds.hand import calls, create, delete, edited, order, short, update

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.harness import Result
    from tests.kinds.hand import Faults, Hand

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


EXAMPLE = Example(
    spec={
        "stack": "demo",
        "region": "us-east-1",
        "vpcs": {"main": {"cidr_block": "10.0.0.0/16"}},
        "subnets": {
            name: {"cidr_block": f"10.0.{number}.0/24", "availability_zone": name} for number, name in enumerate("ab")
        },
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
        "cognito-idp:DescribeUserPoolClient": "AWS's own, where a user pool authenticates",
        "elasticloadbalancing:DeleteListener": "one that goes before its load balancer",
        "acm:DescribeCertificate": "a certificate that its spec doesn't declare: login.yaml",
        "kms:Decrypt": "a client_secret there: login.yaml, cloudformation.yaml",
        "secretsmanager:DescribeSecret": "a client_secret there: login.yaml, cloudformation.yaml",
        "secretsmanager:GetSecretValue": "a client_secret there: login.yaml, cloudformation.yaml",
        "ssm:DescribeParameters": "a client_secret there: login.yaml",
        "ssm:GetParameter": "a client_secret there: login.yaml, cloudformation.yaml",
    },
)


def secure() -> Spec:
    entry = {"protocol": "HTTPS", "port": 443, "certificate_arn": CERTIFICATES[0], "default_action": {"forward": "web"}}
    return edited(demo(), "load_balancers/public/listeners", {"https": entry})


def test_an_action_that_no_spec_can_say_is_shown_and_stays(hand: Hand) -> None:
    upload_certificates()
    hand.make(secure())
    real = hand.world._call

    def call(service: str, operation: str, params: Mapping[str, Any]) -> dict[str, Any]:
        answer = real(service, operation, params)
        if operation == "describe_listeners" and not calls(hand.world, "modify_listener"):
            for item in answer["Listeners"]:
                item["DefaultActions"] = [{"Type": "moon-check", "Order": 1}, {**item["DefaultActions"][0], "Order": 2}]
        return answer

    hand.world._call = call  # type: ignore[method-assign]
    found = hand.world.plan(hand.spec)
    assert found.is_empty
    assert any("it stays: moon-check" in note for note in found.kept)
    # what isn't the action changes without it
    other = edited(hand.spec, "load_balancers/public/listeners/https/ssl_policy", "ELBSecurityPolicy-2016-08")
    assert short(hand.world.plan(other)) == [update(HTTPS, "ssl_policy")]
    # the action doesn't: botocore shows nothing of its settings, so nobody could say them again
    answering = edited(hand.spec, "load_balancers/public/listeners/https/default_action", answer(404))
    with pytest.raises(RefusedError, match=f"{HTTPS} would lose .*: moon-check; .* --allow remove-unsupported=1"):
        hand.world.plan(answering)
    assert not hand.world.sync(answering, apply_changes=True).outcomes
    hand.make(hand.spec, allow={"remove-unsupported": 1})
    (params,) = calls(hand.world, "modify_listener")
    assert [item["Type"] for item in params["DefaultActions"]] == ["forward"]


def test_two_ways_to_ask_who_comes_are_told_apart() -> None:
    forward = {"Type": "forward", "TargetGroupArn": "arn", "Order": 2}
    asked = [
        actions_from_aws([{"Type": kind, "Order": 1}, forward]) for kind in ("authenticate-oidc", "jwt-validation")
    ]
    assert asked[0] != asked[1]
    assert asked[0].forward == asked[1].forward == actions_from_aws([forward]).forward


def add(hand: Hand, port: int, **params: Any) -> str:
    answer = hand.elb.create_listener(
        LoadBalancerArn=hand["load_balancer.public"],
        Protocol="HTTP",
        Port=port,
        DefaultActions=[ANSWER],
        **params,
    )
    return str(answer["Listeners"][0]["ListenerArn"])


@pytest.mark.parametrize(
    ("action", "before"),
    [
        ({"redirect": {"protocol": "HTTPS", "port": "443", "status_code": "HTTP_301"}}, "redirect"),
        (
            {"fixed_response": {"status_code": 404, "content_type": "text/plain", "message_body": "no"}},
            "fixed-response",
        ),
        ({"forward": {"target_groups": [{"target_group": "web", "weight": 3}]}}, "forward"),
    ],
)
def test_every_sort_of_action_is_made_stable_and_repaired(hand: Hand, action: dict[str, Any], before: str) -> None:
    spec = edited(demo(), "load_balancers/public/listeners/http/default_action", action)
    hand.make(spec)
    found = hand.elb.describe_listeners(ListenerArns=[hand[HTTP]])["Listeners"][0]["DefaultActions"][0]
    assert found["Type"] == before
    hand.elb.modify_listener(ListenerArn=hand[HTTP], DefaultActions=[ANSWER])
    hand.repairs(update(HTTP, "default_action"), by="modify_listener")


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


def test_a_stray_listener_is_removed(hand: Hand) -> None:
    hand.make(demo())
    add(hand, 9000)
    hand.repairs(delete("listener.public/:9000"), by="delete_listener", allow={"close": 1})


def test_a_stray_listener_may_stay_where_the_spec_says_so(hand: Hand) -> None:
    spec = edited(demo(), "load_balancers/public/others", "keep")
    hand.make(spec)
    add(hand, 9000)
    assert hand.world.plan(spec).is_empty


def test_another_stacks_listener_is_shown_and_left_alone(hand: Hand) -> None:
    hand.make(demo())
    add(hand, 9000, Tags=[{"Key": "alb-reconcile:stack", "Value": "other"}])
    plan = hand.world.plan(demo())
    assert plan.is_empty
    assert any("belongs to the stack other" in note for note in plan.kept)


def test_a_stray_listener_on_a_port_that_the_spec_wants_is_to_be_adopted(hand: Hand) -> None:
    """To delete it first would leave the port unanswered meanwhile, and take others' rules along."""
    hand.make(demo())
    hand.elb.delete_listener(ListenerArn=hand[HTTP])
    add(hand, 80)
    adopt(hand)
    assert not order(hand.world, "delete_listener")


def adopt(hand: Hand) -> None:
    """As the refusal says; then all is as the spec says."""
    with pytest.raises(RefusedError, match=r"alb-reconcile adopt spec\.yaml listener\.public/http=arn:"):
        hand.world.plan(demo())
    Keeper(hand.world).adopt(demo())
    hand.make(demo())


def test_a_port_is_handed_from_one_listener_to_another(hand: Hand) -> None:
    """Where nobody is told to `move` it instead: tests/plan/test_renames.py."""
    spec = demo()
    hand.make(spec)
    listeners = spec["load_balancers"]["public"]["listeners"]
    renamed = edited(
        edited(demo(), "load_balancers/public/listeners/http", None),
        "load_balancers/public/listeners/web",
        listeners["http"],
    )
    hand.make(renamed, check=False)
    assert order(hand.world, "delete_listener", "create_listener") == ["delete_listener", "create_listener"]


def test_a_listener_moves_to_another_port_in_one_call(hand: Hand) -> None:
    spec = demo()
    hand.make(spec)
    before = hand[HTTP]
    moved = edited(spec, "load_balancers/public/listeners/http/port", 8080)
    moved["security_groups"]["load-balancer"]["ingress"][0]["port"] = 8080
    hand.make(moved, allow={"close": 1})
    assert hand[HTTP] == before
    assert len(calls(hand.world, "modify_listener")) == 1


def test_one_that_becomes_https_gets_the_policy_that_a_new_one_gets(hand: Hand) -> None:
    """AWS's own default is ELBSecurityPolicy-2016-08, with TLS 1.0. A policy that is there already stays."""
    upload_certificates()
    hand.make(demo())
    secure = {"protocol": "HTTPS", "port": 443, "certificate_arn": CERTIFICATES[0]}
    spec = edited(
        demo(),
        "load_balancers/public/listeners/http",
        {**demo()["load_balancers"]["public"]["listeners"]["http"], **secure},
    )
    plan = hand.world.plan(spec, allow={"close": 1})
    paths = {item.path for step in plan.steps for item in step.changes if str(step.address) == HTTP}
    assert {"protocol", "ssl_policy"} <= paths
    hand.world.converge(spec, allow={"close": 1})
    elbv2 = by_hand("elbv2")
    (balancer,) = elbv2.describe_load_balancers()["LoadBalancers"]
    (found,) = elbv2.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    assert found["SslPolicy"] == POLICY
    elbv2.modify_listener(ListenerArn=found["ListenerArn"], SslPolicy="ELBSecurityPolicy-2016-08")
    assert hand.world.plan(spec).is_empty


def test_a_listener_whose_load_balancer_was_deleted_by_hand_comes_back_with_it(hand: Hand) -> None:
    hand.make(demo())
    hand.elb.delete_load_balancer(LoadBalancerArn=hand["load_balancer.public"])
    hand.wait(120)
    hand.repairs(
        create("load_balancer.public"), create(HTTP),
        by=("create_load_balancer", "modify_load_balancer_attributes", "create_listener"),
    )  # fmt: skip


def deleted_with_an_instance(hand: Hand, spec: Spec) -> Result:
    """Somebody deletes the listener and the first instance; then the stack is repaired."""
    hand.make(spec)
    hand.elb.delete_listener(ListenerArn=hand[HTTP])
    hand.ec2.terminate_instances(InstanceIds=[hand["instance.web-1"]])
    hand.wait(3600)
    return hand.make(spec)


def test_one_that_was_deleted_comes_back_before_an_instance_that_was_deleted_with_it(hand: Hand) -> None:
    """The other instance has served all the time, and can at once."""
    result = deleted_with_an_instance(hand, demo())
    ended = [str(event.step.address) for event in result.events if event.what == "done"]
    assert ended[0] == HTTP, ended
    assert order(hand.world, "create_listener", "register_targets") == ["create_listener", "register_targets"]
    text = render_plan(result.plan, Style(colored=False))
    assert re.search(r"^Takes about \d+s to 1m 30s\.$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("path", "value"),
    [("instances/web/count", 1), ("target_groups/web/min_healthy", 2)],
    ids=["nobody serves", "one doesn't suffice"],
)
def test_one_that_was_deleted_waits_for_an_instance_without_which_it_has_too_few(
    hand: Hand, path: str, value: object
) -> None:
    deleted_with_an_instance(hand, edited(demo(), path, value))
    assert order(hand.world, "create_listener", "register_targets") == ["register_targets", "create_listener"]


def test_status_says_first_that_nobody_is_served_and_which_targets_wait(hand: Hand) -> None:
    hand.make(demo())
    found = hand.world._run(lambda aws: discover(aws, "demo", load(demo()).desired))
    (line,) = url_lines(found, {}, Traffic())
    assert line.endswith(".amazonaws.com/  (a local URL comes when the load balancer is active; status shows it)")
    held_up, line = url_lines(found, {}, Traffic(problem="Envoy has ended by itself"))
    assert held_up == "Traffic is held up: Envoy has ended by itself"
    assert line.endswith(".amazonaws.com/")
    hand.elb.delete_listener(ListenerArn=hand[HTTP])
    hand.wait(60)
    found = hand.world._run(lambda aws: discover(aws, "demo", load(demo()).desired))
    standing = find_standing(situate(load(demo()).target(), found))
    view = StatusView("demo", REGION, found, {}, standing)
    assert view.not_ready == [
        "load_balancer.public has no listener, so it serves nobody",
        "target_group.web has targets, but no listener or rule forwards to it, so it serves nobody",
        "1 resource is missing; plan shows what apply would make",
    ]
    assert re.search(r"registration\.web/web-1:80 +unused +i-[0-9a-f]+:80", status_text(view, Style(colored=False)))
    assert Status("demo", REGION, found, standing).not_ready == tuple(view.not_ready)


@pytest.mark.parametrize("code", ["LoadBalancerNotFound", "TargetGroupNotFound", "CertificateNotFound"])
def test_what_aws_does_not_know_yet_is_asked_for_again(hand: Hand, faults: Faults, code: str) -> None:
    faults.refuse("create_listener", code, times=2)
    hand.make(demo())
    assert faults.made["create_listener"] == 3


def test_a_stranger_on_the_port_who_comes_meanwhile_is_never_adopted(hand: Hand, faults: Faults) -> None:
    hand.make(demo())
    hand.elb.delete_listener(ListenerArn=hand[HTTP])
    real = faults._real

    def stranger_comes_first(service: str, operation: str, params: Any) -> Any:
        if operation == "create_listener":
            add(hand, 80)
        return real(service, operation, params)

    faults._real = stranger_comes_first
    result = hand.world.apply(demo())
    assert [outcome.how for outcome in result.outcomes] == ["failed"]
    faults._real = real
    adopt(hand)


def test_a_stranger_with_the_same_settings_who_comes_meanwhile_is_never_adopted(hand: Hand, faults: Faults) -> None:
    hand.make(demo())
    hand.elb.delete_listener(ListenerArn=hand[HTTP])
    real = faults._real

    def stranger_comes_first(service: str, operation: str, params: Any) -> Any:
        if operation == "create_listener":
            hand.elb.create_listener(**{key: value for key, value in params.items() if key != "Tags"})
        return real(service, operation, params)

    faults._real = stranger_comes_first
    result = hand.world.apply(demo())
    assert [outcome.how for outcome in result.outcomes] == ["failed"]
    faults._real = real
    adopt(hand)


# -- certificates by name (SNI)


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


def test_what_isnt_declared_isnt_read(hand: Hand) -> None:
    upload_certificates()
    hand.make(secure())
    hand.world.plan(secure())
    names = {name for name, _ in hand.world.log}
    assert not {name for name in names if "listener_" in name or "trust_store" in name or name == "get_parameter"}


def test_a_run_that_ends_before_the_certificates_is_finished_by_the_next(hand: Hand, faults: Faults) -> None:
    upload_certificates()
    faults.refuse("add_listener_certificates", "AccessDenied")
    assert hand.world.apply(sni("two")).failures
    hand.make(sni("two"))


def test_attributes_that_the_spec_leaves_out_are_left_alone(hand: Hand) -> None:
    upload_certificates()
    hand.make(secure())
    pair = {"Key": "routing.http.response.server.enabled", "Value": "false"}
    hand.elb.modify_listener_attributes(ListenerArn=hand[HTTPS], Attributes=[pair])
    assert hand.world.plan(secure()).is_empty


def test_every_attribute_is_taken_and_read_back(hand: Hand) -> None:
    upload_certificates()
    attributes = {key: value or "x" for key, value in listener_defaults().items()}
    assert attributes.keys() == set(resolved("listener")["properties"]["attributes"]["propertyNames"]["enum"])
    hand.make(edited(secure(), "load_balancers/public/listeners/https/attributes", attributes))
    found = hand.elb.describe_listener_attributes(ListenerArn=hand[HTTPS])["Attributes"]
    assert {item["Key"]: item["Value"] for item in found} == attributes
