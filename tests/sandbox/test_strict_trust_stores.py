"""Trust stores, certificates by name and listener attributes as AWS takes them, on the strict AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import by_hand
from tests.kinds.test_listener import CERTIFICATES, upload_certificates
from tests.kinds.test_trust_store import upload
from tests.sandbox.strict_world import refused, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock
    from tests.sandbox.strict_world import Network

BUNDLE = {"CaCertificatesBundleS3Bucket": "our-ca", "CaCertificatesBundleS3Key": "ca.pem"}


@pytest.fixture
def store(elb: Any) -> str:
    upload()
    return str(elb.create_trust_store(Name="clients", **BUNDLE)["TrustStores"][0]["TrustStoreArn"])


@pytest.fixture
def secure(network: Network, elb: Any) -> str:
    upload_certificates()
    listener = network.listener(
        network.balancer(),
        network.target_group(),
        443,
        Protocol="HTTPS",
        Certificates=[{"CertificateArn": CERTIFICATES[0]}],
    )
    return str(listener)


def test_it_takes_a_moment_and_a_bundle(elb: Any, clock: VirtualClock, store: str) -> None:
    assert elb.describe_trust_stores()["TrustStores"][0]["Status"] == "CREATING"
    clock.advance(10)
    assert elb.describe_trust_stores(Names=["clients"])["TrustStores"][0]["Status"] == "ACTIVE"
    refuses("DuplicateTrustStoreName", elb.create_trust_store, Name="clients", **BUNDLE)
    with refused("CaCertificatesBundleNotFound"):
        elb.create_trust_store(Name="other", **{**BUNDLE, "CaCertificatesBundleS3Key": "none"})
    with refused("InvalidCaCertificatesBundle"):
        elb.modify_trust_store(TrustStoreArn=store, **{**BUNDLE, "CaCertificatesBundleS3Key": "broken.pem"})
    elb.modify_trust_store(TrustStoreArn=store, **{**BUNDLE, "CaCertificatesBundleS3Key": "other.pem"})
    assert elb.describe_trust_stores()["TrustStores"][0]["NumberOfCaCertificates"] == 2
    refuses("TrustStoreNotFound", elb.describe_trust_stores, Names=["other"])


def test_revocations(elb: Any, store: str) -> None:
    content = {"S3Bucket": "our-ca", "S3Key": "a.crl"}
    added = elb.add_trust_store_revocations(TrustStoreArn=store, RevocationContents=[content])
    (item,) = added["TrustStoreRevocations"]
    (shown,) = elb.describe_trust_store_revocations(TrustStoreArn=store)["TrustStoreRevocations"]
    assert shown["RevocationId"] == item["RevocationId"]
    with refused("RevocationContentNotFound"):
        elb.add_trust_store_revocations(TrustStoreArn=store, RevocationContents=[{**content, "S3Key": "none"}])
    with refused("InvalidRevocationContent"):
        elb.add_trust_store_revocations(TrustStoreArn=store, RevocationContents=[{**content, "S3Key": "ca.pem"}])
    elb.remove_trust_store_revocations(TrustStoreArn=store, RevocationIds=[item["RevocationId"]])
    with refused("RevocationIdNotFound"):
        elb.remove_trust_store_revocations(TrustStoreArn=store, RevocationIds=[item["RevocationId"]])


def test_a_listener_verifies_by_one_that_is_ready(elb: Any, clock: VirtualClock, store: str, secure: str) -> None:
    verify = {"Mode": "verify", "TrustStoreArn": store}
    refuses("TrustStoreNotReady", elb.modify_listener, ListenerArn=secure, MutualAuthentication=verify)
    clock.advance(10)
    with refused("TrustStoreNotFound"):
        elb.modify_listener(ListenerArn=secure, MutualAuthentication={**verify, "TrustStoreArn": f"{store}0"})
    with refused("InvalidConfigurationRequest"):
        elb.modify_listener(ListenerArn=secure, MutualAuthentication={"Mode": "verify"})
    elb.modify_listener(ListenerArn=secure, MutualAuthentication=verify)
    refuses("TrustStoreInUse", elb.delete_trust_store, TrustStoreArn=store)
    # what isn't given stays
    elb.modify_listener(ListenerArn=secure, Port=8443)
    assert elb.describe_listeners(ListenerArns=[secure])["Listeners"][0]["MutualAuthentication"]["Mode"] == "verify"
    elb.delete_listener(ListenerArn=secure)
    elb.delete_trust_store(TrustStoreArn=store)
    assert not elb.describe_trust_stores()["TrustStores"]


def test_certificates_by_name(elb: Any, secure: str) -> None:
    one, two = ({"CertificateArn": arn} for arn in CERTIFICATES[:2])
    for _ in range(2):
        elb.add_listener_certificates(ListenerArn=secure, Certificates=[two])
    found = elb.describe_listener_certificates(ListenerArn=secure)["Certificates"]
    assert [(item["CertificateArn"], item["IsDefault"]) for item in found] == [
        (CERTIFICATES[0], True),
        (CERTIFICATES[1], False),
    ]
    refuses("ValidationError", elb.add_listener_certificates, ListenerArn=secure, Certificates=[one, two])
    with refused("CertificateNotFound"):
        elb.add_listener_certificates(ListenerArn=secure, Certificates=[{"CertificateArn": f"{CERTIFICATES[0]}0"}])
    refuses("OperationNotPermitted", elb.remove_listener_certificates, ListenerArn=secure, Certificates=[one])


def test_listener_attributes(elb: Any, secure: str) -> None:
    with refused("ValidationError"):
        elb.modify_listener_attributes(
            ListenerArn=secure, Attributes=[{"Key": "tcp.idle_timeout.seconds", "Value": "350"}]
        )
    pair = {"Key": "routing.http.response.server.enabled", "Value": "false"}
    elb.modify_listener_attributes(ListenerArn=secure, Attributes=[pair])
    assert pair in elb.describe_listener_attributes(ListenerArn=secure)["Attributes"]


def test_an_action_that_authenticates(elb: Any, network: Network, secure: str) -> None:
    answer = {"Type": "fixed-response", "Order": 2, "FixedResponseConfig": {"StatusCode": "404"}}
    config = dict.fromkeys(("Issuer", "AuthorizationEndpoint", "TokenEndpoint", "UserInfoEndpoint"), "https://id")
    oidc: dict[str, Any] = {
        "Type": "authenticate-oidc",
        "Order": 1,
        "AuthenticateOidcConfig": {**config, "ClientId": "web"},
    }
    with refused("InvalidLoadBalancerAction", "client secret"):
        elb.modify_listener(ListenerArn=secure, DefaultActions=[oidc, answer])
    keeps = {**oidc, "AuthenticateOidcConfig": {**oidc["AuthenticateOidcConfig"], "UseExistingClientSecret": True}}
    with refused("InvalidLoadBalancerAction", "client secret"):
        elb.modify_listener(ListenerArn=secure, DefaultActions=[keeps, answer])
    told = {**oidc, "AuthenticateOidcConfig": {**oidc["AuthenticateOidcConfig"], "ClientSecret": "x"}}
    elb.modify_listener(ListenerArn=secure, DefaultActions=[told, answer])
    elb.modify_listener(ListenerArn=secure, DefaultActions=[keeps, answer])
    (shown, _) = elb.describe_listeners(ListenerArns=[secure])["Listeners"][0]["DefaultActions"]
    assert shown["AuthenticateOidcConfig"]["Scope"] == "openid"
    assert "ClientSecret" not in shown["AuthenticateOidcConfig"]
    refuses("InvalidLoadBalancerAction: last action", elb.modify_listener, ListenerArn=secure, DefaultActions=[told])
    with refused("InvalidLoadBalancerAction", "HTTPS"):
        elb.create_listener(
            LoadBalancerArn=elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"], Protocol="HTTP", Port=80,
            DefaultActions=[told, answer],
        )  # fmt: skip


@pytest.mark.parametrize(
    "condition",
    [
        {"Field": "http-header", "HttpHeaderConfig": {"HttpHeaderName": "Host", "Values": ["x"]}},
        {"Field": "http-request-method", "HttpRequestMethodConfig": {"Values": ["get"]}},
        {"Field": "source-ip", "SourceIpConfig": {"Values": ["10.0.0.1"]}},
        {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["(?=a)"]}},
        {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": ["("]}},
    ],
    ids=str,
)
def test_conditions_that_aws_refuses(elb: Any, network: Network, secure: str, condition: dict[str, Any]) -> None:
    rule = network.rule(secure, 7)
    refuses("ValidationError", elb.modify_rule, RuleArn=rule, Conditions=[condition])


def test_a_star_or_plus_that_stands_for_itself_is_no_possessive_quantifier(
    elb: Any, network: Network, secure: str
) -> None:
    rule = network.rule(secure, 7)
    for text in (r"^/[\w.*+]+$", r"^/a\*+$", r"^/\\1$"):
        condition = {"Field": "path-pattern", "PathPatternConfig": {"RegexValues": [text]}}
        elb.modify_rule(RuleArn=rule, Conditions=[condition])


def test_transforms_that_aws_refuses(elb: Any, network: Network, secure: str) -> None:
    rule = network.rule(secure, 7)
    rewrite = {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "a", "Replace": "b"}]}}
    refuses("ValidationError", elb.modify_rule, RuleArn=rule, Transforms=[rewrite, rewrite])
    broken = {"Type": "url-rewrite", "UrlRewriteConfig": {"Rewrites": [{"Regex": "a++", "Replace": "b"}]}}
    refuses("ValidationError", elb.modify_rule, RuleArn=rule, Transforms=[broken])


def test_its_tags(elb: Any, store: str) -> None:
    elb.add_tags(ResourceArns=[store], Tags=[{"Key": "a", "Value": "b"}])
    assert elb.describe_tags(ResourceArns=[store])["TagDescriptions"][0]["Tags"] == [{"Key": "a", "Value": "b"}]
    elb.remove_tags(ResourceArns=[store], TagKeys=["a"])
    assert not elb.describe_tags(ResourceArns=[store])["TagDescriptions"][0]["Tags"]
    by_hand("elbv2").delete_trust_store(TrustStoreArn=store)
    refuses("TrustStoreNotFound", elb.describe_tags, ResourceArns=[store])
