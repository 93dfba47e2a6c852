"""Listeners and their rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, client, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import StrictAws, VirtualClock

FIXED = {"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}
REDIRECT: dict[str, Any] = {"Type": "redirect", "RedirectConfig": {"StatusCode": "HTTP_301", "Protocol": "HTTPS"}}


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
    targets = [{"TargetGroupArn": group} for group in groups]
    return {"Type": "forward", "ForwardConfig": {"TargetGroups": targets, **more}}


def sticky(*groups: str, **settings: Any) -> dict[str, Any]:
    return forward(*groups, TargetGroupStickinessConfig={"Enabled": True, **settings})


def show(elb: Any, arn: str) -> dict[str, Any]:
    return dict(elb.describe_listeners(ListenerArns=[arn])["Listeners"][0])


def other(arn: str) -> str:
    """Of what isn't there."""
    return arn[:-1] + "z"


def test_actions_are_shown_whole(elb: Any, listener: str, group: str) -> None:
    config = {
        "TargetGroups": [{"TargetGroupArn": group, "Weight": 1}],
        "TargetGroupStickinessConfig": {"Enabled": False},
    }
    (shown,) = show(elb, listener)["DefaultActions"]
    assert shown == {"Type": "forward", "TargetGroupArn": group, "Order": 1, "ForwardConfig": config}
    assert "SslPolicy" not in show(elb, listener)
    elb.modify_listener(ListenerArn=listener, DefaultActions=[REDIRECT])
    rest = {"Port": "#{port}", "Host": "#{host}", "Path": "/#{path}", "Query": "#{query}"}
    assert show(elb, listener)["DefaultActions"][0]["RedirectConfig"] == {**REDIRECT["RedirectConfig"], **rest}


def test_sticky_groups_share_a_sticky_forward_alone(network: Network, elb: Any, listener: str, group: str) -> None:
    """The words are those of argo-rollouts, pull request 1577, and aws-load-balancer-controller, issue 2734."""

    def change(action: dict[str, Any]) -> None:
        elb.modify_listener(ListenerArn=listener, DefaultActions=[action])

    second = network.target_group("two")
    on = {"TargetGroupArn": second, "Attributes": [{"Key": "stickiness.enabled", "Value": "true"}]}
    refuses("ValidationError", change, sticky(group, second))
    change(forward(group, second))
    refuses("InvalidConfigurationRequest", elb.modify_target_group_attributes, **on)
    change(forward(group))
    elb.modify_target_group_attributes(**on)
    refuses("InvalidLoadBalancerAction", change, forward(group, second))
    change(sticky(group, second, DurationSeconds=1))
    (shown,) = show(elb, listener)["DefaultActions"]
    assert shown["ForwardConfig"]["TargetGroupStickinessConfig"] == {"Enabled": True, "DurationSeconds": 1}
    assert "TargetGroupArn" not in shown


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
    def make(**params: Any) -> str:
        return network.listener(balancer, group, 443, **{"Protocol": "HTTPS", **params})

    held = {"Certificates": [{"CertificateArn": certificate}]}
    refuses("ValidationError: certificate must be specified", make)
    refuses("CertificateNotFound", make, Certificates=[{"CertificateArn": certificate + "0"}])
    refuses("SSLPolicyNotFound", make, **held, SslPolicy="ELBSecurityPolicy-Nonsense")
    refuses("InvalidConfigurationRequest", make, **held, Protocol="HTTP")
    arn = make(**held)
    assert show(elb, arn)["SslPolicy"] == "ELBSecurityPolicy-2016-08"
    policy = "ELBSecurityPolicy-TLS13-1-2-2021-06"
    elb.modify_listener(ListenerArn=arn, SslPolicy=policy)
    elb.modify_listener(ListenerArn=arn, DefaultActions=[FIXED])
    more = client("acm").request_certificate(DomainName="other.example.com")["CertificateArn"]
    elb.add_listener_certificates(ListenerArn=arn, Certificates=[{"CertificateArn": more}])
    shown = show(elb, arn)
    assert (shown["SslPolicy"], shown["Certificates"]) == (policy, held["Certificates"])
    elb.modify_listener(ListenerArn=arn, Protocol="HTTP")
    shown = show(elb, arn)
    assert shown["Protocol"] == "HTTP"
    assert "SslPolicy" not in shown
    assert not shown.get("Certificates")


def test_what_is_named_must_exist(network: Network, elb: Any, balancer: str, group: str, listener: str) -> None:
    gone = {"ListenerArn": other(listener)}
    refuses("ListenerNotFound", elb.describe_listeners, ListenerArns=[listener, other(listener)])
    refuses("ListenerNotFound", elb.modify_listener, **gone, Port=81)
    refuses("ListenerNotFound", elb.describe_listener_attributes, **gone)
    refuses("ListenerNotFound", elb.describe_rules, **gone)
    refuses("ListenerNotFound", network.rule, other(listener), 1)
    refuses("LoadBalancerNotFound", network.listener, "arn:x", group)
    refuses("TargetGroupNotFound", network.listener, balancer, group + "0", 81)
    groups = [network.target_group(f"tg{number}") for number in range(6)]
    change = elb.modify_listener
    refuses("TooManyTargetGroups", change, ListenerArn=listener, DefaultActions=[forward(*groups)])
    change(ListenerArn=listener, DefaultActions=[forward(*groups[:5])])


def priorities(elb: Any, listener: str) -> dict[str, str]:
    return {rule["RuleArn"]: rule["Priority"] for rule in elb.describe_rules(ListenerArn=listener)["Rules"]}


def test_rules_are_in_order_of_priorities_that_are_unique_and_may_be_swapped(
    network: Network, elb: Any, listener: str
) -> None:
    three, one, two = (network.rule(listener, priority) for priority in (20, 3, 4))
    held = priorities(elb, listener)
    assert list(held.values()) == ["3", "4", "20", "default"]
    refuses("PriorityInUse", network.rule, listener, 3)

    def move(*to: tuple[str, int]) -> None:
        elb.set_rule_priorities(RulePriorities=[{"RuleArn": rule, "Priority": priority} for rule, priority in to])

    move((one, 4), (two, 3))
    held |= {one: "4", two: "3"}
    assert priorities(elb, listener) == held
    refuses("PriorityInUse", move, (one, 20))
    refuses("PriorityInUse", move, (one, 9), (two, 9))
    refuses("RuleNotFound", move, (other(one), 7))
    assert priorities(elb, listener) == held
    assert held[three] == "20"
    default = next(arn for arn, priority in held.items() if priority == "default")
    refuses("OperationNotPermitted", move, (default, 7))
    refuses("OperationNotPermitted", elb.delete_rule, RuleArn=default)
    refuses("OperationNotPermitted", elb.modify_rule, RuleArn=default, Actions=[FIXED])


def test_conditions_are_shown_in_both_forms_and_with_transforms(network: Network, elb: Any, listener: str) -> None:
    arn = network.rule(listener, 1)

    def shown() -> dict[str, Any]:
        return dict(elb.describe_rules(RuleArns=[arn])["Rules"][0])

    both = {"Field": "path-pattern", "Values": ["/1"], "PathPatternConfig": {"Values": ["/1"]}}
    assert shown()["Conditions"] == [both]
    hosts = {"Field": "host-header", "HostHeaderConfig": {"Values": ["a.example", "b.example"]}}
    elb.modify_rule(RuleArn=arn, Conditions=[hosts])
    assert shown()["Conditions"] == [hosts | {"Values": ["a.example", "b.example"]}]
    assert shown()["Actions"] == [FIXED | {"Order": 1}]
    elb.modify_rule(RuleArn=arn, Conditions=shown()["Conditions"])
    many = {"Field": "path-pattern", "PathPatternConfig": {"Values": [f"/{n}" for n in range(6)]}}
    refuses("ValidationError", elb.modify_rule, RuleArn=arn, Conditions=[many])
    rewrite = {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "^/1", "Replace": "/"}]}}
    pattern = {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["^/[0-9]+$"]}}
    elb.modify_rule(RuleArn=arn, Conditions=[pattern], Transforms=[rewrite])
    elb.modify_rule(RuleArn=arn, Actions=[FIXED])
    assert shown()["Transforms"] == [rewrite]
    assert shown()["Conditions"] == [pattern | {"RegexValues": ["^/[0-9]+$"]}]
    refuses("ValidationError", elb.modify_rule, RuleArn=arn, Transforms=[rewrite], ResetTransforms=True)
    elb.modify_rule(RuleArn=arn, ResetTransforms=True)
    assert not shown().get("Transforms")


def test_a_certificate_is_in_use_as_long_as_a_listener_has_it_and_a_while(
    network: Network, clock: VirtualClock, elb: Any, balancer: str, group: str, certificate: str
) -> None:
    acm, held = client("acm"), {"CertificateArn": certificate}
    secure = {"Protocol": "HTTPS", "Certificates": [held]}
    arn = network.listener(balancer, group, 443, **secure)
    assert acm.describe_certificate(**held)["Certificate"]["InUseBy"] == [balancer]
    refuses("ResourceInUseException", acm.delete_certificate, **held)
    elb.delete_listener(ListenerArn=arn)
    refuses("ResourceInUseException", acm.delete_certificate, **held)
    clock.advance(20)
    acm.delete_certificate(**held)
    pending = acm.request_certificate(DomainName="api.example.com", ValidationMethod="DNS")["CertificateArn"]
    secure["Certificates"] = [{"CertificateArn": pending}]
    refuses("UnsupportedCertificate", network.listener, balancer, group, 443, **secure)
