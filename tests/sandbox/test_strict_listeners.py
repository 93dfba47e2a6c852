"""Listeners and their rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, client, refused, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import StrictAws, VirtualClock

FIXED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}


@pytest.fixture
def balancer(network: Network) -> str:
    return network.balancer()


@pytest.fixture
def group(network: Network) -> str:
    return network.target_group()


@pytest.fixture
def listener(network: Network, balancer: str, group: str) -> str:
    return network.listener(balancer, group)


@pytest.fixture
def certificate(aws: StrictAws) -> str:
    return str(client("acm").request_certificate(DomainName="example.com")["CertificateArn"])


def forward(*groups: str, **more: Any) -> dict[str, Any]:
    return {
        "Type": "forward",
        "ForwardConfig": {"TargetGroups": [{"TargetGroupArn": group} for group in groups], **more},
    }


def show(elb: Any, arn: str) -> dict[str, Any]:
    return dict(elb.describe_listeners(ListenerArns=[arn])["Listeners"][0])


def test_actions_are_shown_whole(elb: Any, listener: str, group: str) -> None:
    assert show(elb, listener)["DefaultActions"] == [
        {
            "Type": "forward",
            "TargetGroupArn": group,
            "Order": 1,
            "ForwardConfig": {
                "TargetGroups": [{"TargetGroupArn": group, "Weight": 1}],
                "TargetGroupStickinessConfig": {"Enabled": False},
            },
        }
    ]
    redirect = {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Protocol": "HTTPS"}}
    elb.modify_listener(ListenerArn=listener, DefaultActions=[redirect])
    assert show(elb, listener)["DefaultActions"][0]["RedirectConfig"] == {
        "StatusCode": "HTTP_301",
        "Protocol": "HTTPS",
        "Port": "#{port}",
        "Host": "#{host}",
        "Path": "/#{path}",
        "Query": "#{query}",
    }


def test_stickiness_is_shown(network: Network, elb: Any, listener: str, group: str) -> None:
    sticky = {"Enabled": True, "DurationSeconds": 60}
    action = forward(group, network.target_group("two"), TargetGroupStickinessConfig=sticky)
    elb.modify_listener(ListenerArn=listener, DefaultActions=[action])
    (shown,) = show(elb, listener)["DefaultActions"]
    assert shown["ForwardConfig"]["TargetGroupStickinessConfig"] == sticky
    assert "TargetGroupArn" not in shown
    action["ForwardConfig"]["TargetGroupStickinessConfig"] = {"Enabled": True}
    refuses("ValidationError", elb.modify_listener, ListenerArn=listener, DefaultActions=[action])


def test_sticky_groups_share_a_sticky_forward_alone(network: Network, elb: Any, listener: str, group: str) -> None:
    """The words are those of argo-rollouts, pull request 1577, and aws-load-balancer-controller, issue 2734."""
    other, on = network.target_group("two"), [{"Key": "stickiness.enabled", "Value": "true"}]
    elb.modify_listener(ListenerArn=listener, DefaultActions=[forward(group, other)])
    refuses("InvalidConfigurationRequest", elb.modify_target_group_attributes, TargetGroupArn=other, Attributes=on)
    elb.modify_listener(ListenerArn=listener, DefaultActions=[forward(group)])
    elb.modify_target_group_attributes(TargetGroupArn=other, Attributes=on)
    with refused("InvalidLoadBalancerAction"):
        elb.modify_listener(ListenerArn=listener, DefaultActions=[forward(group, other)])
    sticky = {"Enabled": True, "DurationSeconds": 1}
    action = forward(group, other, TargetGroupStickinessConfig=sticky)
    elb.modify_listener(ListenerArn=listener, DefaultActions=[action])


def test_the_same_listener_again_is_the_same(
    network: Network, elb: Any, balancer: str, group: str, listener: str
) -> None:
    assert network.listener(balancer, group) == listener
    assert network.listener(balancer, group, DefaultActions=[forward(group)]) == listener
    refuses("DuplicateListener", network.listener, balancer, group, DefaultActions=[FIXED])
    second = network.listener(balancer, group, 81)
    refuses("DuplicateListener", elb.modify_listener, ListenerArn=second, Port=80)
    elb.modify_listener(ListenerArn=second, Port=82)
    assert show(elb, second)["Port"] == 82


def test_https(network: Network, elb: Any, balancer: str, group: str, certificate: str) -> None:
    refuses("ValidationError: certificate must be specified", network.listener, balancer, group, 443, Protocol="HTTPS")
    with refused("CertificateNotFound"):
        network.listener(balancer, group, 443, Protocol="HTTPS", Certificates=[{"CertificateArn": certificate + "0"}])
    secure = {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": certificate}]}
    with refused("SSLPolicyNotFound"):
        network.listener(balancer, group, 443, **secure, SslPolicy="ELBSecurityPolicy-Nonsense")
    refuses("InvalidConfigurationRequest", network.listener, balancer, group, 443, **secure | {"Protocol": "HTTP"})
    arn = network.listener(balancer, group, 443, **secure)
    assert show(elb, arn)["SslPolicy"] == "ELBSecurityPolicy-2016-08"
    policy = "ELBSecurityPolicy-TLS13-1-2-2021-06"
    elb.modify_listener(ListenerArn=arn, SslPolicy=policy)
    elb.modify_listener(ListenerArn=arn, DefaultActions=[FIXED])
    shown = show(elb, arn)
    assert shown["SslPolicy"] == policy
    assert shown["Certificates"] == [{"CertificateArn": certificate}]
    more = client("acm").request_certificate(DomainName="other.example.com")["CertificateArn"]
    elb.add_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": more}])
    assert show(elb, arn)["Certificates"] == [{"CertificateArn": certificate}]
    elb.modify_listener(ListenerArn=arn, Protocol="HTTP")
    shown = show(elb, arn)
    assert shown["Protocol"] == "HTTP"
    assert "SslPolicy" not in shown
    assert not shown.get("Certificates")


def test_http_has_no_policy(elb: Any, listener: str) -> None:
    assert "SslPolicy" not in show(elb, listener)


def test_forwards_are_checked(network: Network, elb: Any, balancer: str, group: str, listener: str) -> None:
    refuses("TargetGroupNotFound", network.listener, balancer, group + "0", 81)
    groups = [network.target_group(f"tg{number}") for number in range(6)]
    refuses("TooManyTargetGroups", elb.modify_listener, ListenerArn=listener, DefaultActions=[forward(*groups)])
    elb.modify_listener(ListenerArn=listener, DefaultActions=[forward(*groups[:5])])


def test_every_listener_named_must_exist(elb: Any, listener: str) -> None:
    refuses("ListenerNotFound", elb.describe_listeners, ListenerArns=[listener, listener[:-1] + "z"])
    refuses("ListenerNotFound", elb.modify_listener, ListenerArn=listener[:-1] + "z", Port=81)
    refuses("ListenerNotFound", elb.describe_listener_attributes, ListenerArn=listener[:-1] + "z")
    with refused("LoadBalancerNotFound"):
        elb.create_listener(LoadBalancerArn="arn:x", Protocol="HTTP", Port=1, DefaultActions=[FIXED])


def test_a_deleted_listener_takes_its_rules_along(network: Network, elb: Any, listener: str) -> None:
    rule = network.rule(listener, 1)
    elb.delete_listener(ListenerArn=listener)
    refuses("RuleNotFound", elb.describe_rules, RuleArns=[rule])
    refuses("ListenerNotFound", elb.delete_listener, ListenerArn=listener)


def priorities(elb: Any, listener: str) -> dict[str, str]:
    return {rule["RuleArn"]: rule["Priority"] for rule in elb.describe_rules(ListenerArn=listener)["Rules"]}


def test_rules_are_in_order(network: Network, elb: Any, listener: str) -> None:
    for priority in (20, 3, 100):
        network.rule(listener, priority)
    assert list(priorities(elb, listener).values()) == ["3", "20", "100", "default"]


def test_priorities_are_unique(network: Network, elb: Any, listener: str) -> None:
    network.rule(listener, 1)
    refuses("PriorityInUse", network.rule, listener, 1)
    refuses("ListenerNotFound", network.rule, listener[:-1] + "z", 1)


def test_priorities_may_be_swapped(network: Network, elb: Any, listener: str) -> None:
    one, two, three = (network.rule(listener, priority) for priority in (1, 2, 3))

    def move(**to: int) -> None:
        rules = {"one": one, "two": two, "three": three}
        moves = [{"RuleArn": rules[name], "Priority": priority} for name, priority in to.items()]
        elb.set_rule_priorities(RulePriorities=moves)

    move(one=2, two=1)
    held = priorities(elb, listener)
    assert (held[one], held[two], held[three]) == ("2", "1", "3")
    refuses("PriorityInUse", move, one=3)
    refuses("PriorityInUse", move, one=9, two=9)
    assert priorities(elb, listener) == held
    default = next(arn for arn, priority in held.items() if priority == "default")
    refuses("OperationNotPermitted", elb.set_rule_priorities, RulePriorities=[{"RuleArn": default, "Priority": 7}])
    refuses("RuleNotFound", elb.set_rule_priorities, RulePriorities=[{"RuleArn": one[:-1] + "z", "Priority": 7}])


def test_conditions_are_shown_in_both_forms(network: Network, elb: Any, listener: str) -> None:
    arn = network.rule(listener, 1)
    (shown,) = elb.describe_rules(RuleArns=[arn])["Rules"]
    both = {"Field": "path-pattern", "Values": ["/1"], "PathPatternConfig": {"Values": ["/1"]}}
    assert shown["Conditions"] == [both]
    hosts = {"Field": "host-header", "HostHeaderConfig": {"Values": ["a.example", "b.example"]}}
    elb.modify_rule(RuleArn=arn, Conditions=[hosts])
    (shown,) = elb.describe_rules(RuleArns=[arn])["Rules"]
    assert shown["Conditions"] == [hosts | {"Values": ["a.example", "b.example"]}]
    assert shown["Actions"] == [FIXED | {"Order": 1}]
    elb.modify_rule(RuleArn=arn, Conditions=shown["Conditions"])
    many = {"Field": "path-pattern", "PathPatternConfig": {"Values": [f"/{n}" for n in range(6)]}}
    refuses("ValidationError", elb.modify_rule, RuleArn=arn, Conditions=[many])


def test_regular_expressions_and_transforms_are_kept(network: Network, elb: Any, listener: str) -> None:
    arn = network.rule(listener, 1)
    rewrite = {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/1", "Replace": "/"}]}}
    pattern = {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/[0-9]+$"]}}
    elb.modify_rule(RuleArn=arn, Conditions=[pattern], Transforms=[rewrite])
    elb.modify_rule(RuleArn=arn, Actions=[FIXED])
    (shown,) = elb.describe_rules(RuleArns=[arn])["Rules"]
    assert shown["Transforms"] == [rewrite]
    assert shown["Conditions"] == [pattern | {"RegexValues": ["^/[0-9]+$"]}]
    refuses("ValidationError", elb.modify_rule, RuleArn=arn, Transforms=[rewrite], ResetTransforms=True)
    elb.modify_rule(RuleArn=arn, ResetTransforms=True)
    (shown,) = elb.describe_rules(RuleArns=[arn])["Rules"]
    assert not shown.get("Transforms")


def test_the_default_rule_stays(elb: Any, listener: str) -> None:
    (default,) = priorities(elb, listener)
    refuses("OperationNotPermitted", elb.delete_rule, RuleArn=default)
    refuses("OperationNotPermitted", elb.modify_rule, RuleArn=default, Actions=[FIXED])


def test_a_rule_that_is_gone(network: Network, elb: Any, listener: str) -> None:
    rule = network.rule(listener, 1)
    elb.delete_rule(RuleArn=rule)
    refuses("RuleNotFound", elb.delete_rule, RuleArn=rule)
    refuses("RuleNotFound", elb.describe_rules, RuleArns=[rule])
    refuses("ListenerNotFound", elb.describe_rules, ListenerArn=listener[:-1] + "z")


@pytest.mark.usefixtures("aws")
def test_a_certificate_is_in_use_as_long_as_a_listener_has_it_and_a_while(
    clock: VirtualClock, elb: Any, balancer: str, group: str, certificate: str
) -> None:
    acm = client("acm")
    wanted = {"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 443, "DefaultActions": [forward(group)]}
    made = elb.create_listener(**wanted, Certificates=[{"CertificateArn": certificate}])
    assert acm.describe_certificate(CertificateArn=certificate)["Certificate"]["InUseBy"] == [balancer]
    refuses("ResourceInUseException", acm.delete_certificate, CertificateArn=certificate)
    elb.delete_listener(ListenerArn=made["Listeners"][0]["ListenerArn"])
    refuses("ResourceInUseException", acm.delete_certificate, CertificateArn=certificate)
    clock.advance(20)
    acm.delete_certificate(CertificateArn=certificate)


def test_a_listener_takes_no_certificate_that_is_pending(elb: Any, balancer: str, group: str) -> None:
    arn = client("acm").request_certificate(DomainName="api.example.com", ValidationMethod="DNS")["CertificateArn"]
    wanted = {"LoadBalancerArn": balancer, "Protocol": "HTTPS", "Port": 443, "DefaultActions": [forward(group)]}
    refuses("UnsupportedCertificate", elb.create_listener, **wanted, Certificates=[{"CertificateArn": arn}])
