"""Trust stores, certificates by name and listener attributes as AWS takes them, on the strict AWS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kinds.test_listener import CERTIFICATES, upload_certificates
from tests.kinds.test_trust_store import upload
from tests.sandbox.strict_world import refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import VirtualClock
    from tests.sandbox.strict_world import Network


def bundle(key: str = "ca.pem") -> dict[str, str]:
    return {"CaCertificatesBundleS3Bucket": "our-ca", "CaCertificatesBundleS3Key": key}


@pytest.fixture
def store(elb: Any) -> str:
    upload()
    return str(elb.create_trust_store(Name="clients", **bundle())["TrustStores"][0]["TrustStoreArn"])


@pytest.fixture
def secure(network: Network) -> str:
    upload_certificates()
    params = {"Protocol": "HTTPS", "Certificates": [{"CertificateArn": CERTIFICATES[0]}]}
    return network.listener(network.balancer(), network.target_group(), 443, **params)


def test_it_takes_a_moment_and_a_bundle(elb: Any, clock: VirtualClock, store: str) -> None:
    assert elb.describe_trust_stores()["TrustStores"][0]["Status"] == "CREATING"
    clock.advance(10)
    assert elb.describe_trust_stores(Names=["clients"])["TrustStores"][0]["Status"] == "ACTIVE"
    refuses("DuplicateTrustStoreName", elb.create_trust_store, Name="clients", **bundle())
    refuses("CaCertificatesBundleNotFound", elb.create_trust_store, Name="other", **bundle("none"))
    refuses("InvalidCaCertificatesBundle", elb.modify_trust_store, TrustStoreArn=store, **bundle("broken.pem"))
    elb.modify_trust_store(TrustStoreArn=store, **bundle("other.pem"))
    assert elb.describe_trust_stores()["TrustStores"][0]["NumberOfCaCertificates"] == 2
    refuses("TrustStoreNotFound", elb.describe_trust_stores, Names=["other"])
    elb.add_tags(ResourceArns=[store], Tags=[{"Key": "a", "Value": "b"}])
    assert elb.describe_tags(ResourceArns=[store])["TagDescriptions"][0]["Tags"] == [{"Key": "a", "Value": "b"}]
    elb.remove_tags(ResourceArns=[store], TagKeys=["a"])
    assert not elb.describe_tags(ResourceArns=[store])["TagDescriptions"][0]["Tags"]
    elb.delete_trust_store(TrustStoreArn=store)
    refuses("TrustStoreNotFound", elb.describe_tags, ResourceArns=[store])


def test_revocations(elb: Any, store: str) -> None:
    add, held = elb.add_trust_store_revocations, {"TrustStoreArn": store}
    contents = {key: [{"S3Bucket": "our-ca", "S3Key": key}] for key in ("a.crl", "none", "ca.pem")}
    (item,) = add(**held, RevocationContents=contents["a.crl"])["TrustStoreRevocations"]
    (shown,) = elb.describe_trust_store_revocations(**held)["TrustStoreRevocations"]
    assert shown["RevocationId"] == item["RevocationId"]
    refuses("RevocationContentNotFound", add, **held, RevocationContents=contents["none"])
    refuses("InvalidRevocationContent", add, **held, RevocationContents=contents["ca.pem"])
    remove, ids = elb.remove_trust_store_revocations, [item["RevocationId"]]
    remove(**held, RevocationIds=ids)
    refuses("RevocationIdNotFound", remove, **held, RevocationIds=ids)


def test_a_listener_verifies_by_one_that_is_ready(elb: Any, clock: VirtualClock, store: str, secure: str) -> None:
    def change(**settings: str) -> None:
        elb.modify_listener(ListenerArn=secure, MutualAuthentication={"Mode": "verify", **settings})

    refuses("TrustStoreNotReady", change, TrustStoreArn=store)
    clock.advance(10)
    refuses("TrustStoreNotFound", change, TrustStoreArn=f"{store}0")
    refuses("InvalidConfigurationRequest", change)
    change(TrustStoreArn=store)
    refuses("TrustStoreInUse", elb.delete_trust_store, TrustStoreArn=store)
    elb.modify_listener(ListenerArn=secure, Port=8443)  # what isn't given stays
    assert elb.describe_listeners(ListenerArns=[secure])["Listeners"][0]["MutualAuthentication"]["Mode"] == "verify"
    elb.delete_listener(ListenerArn=secure)
    elb.delete_trust_store(TrustStoreArn=store)
    assert not elb.describe_trust_stores()["TrustStores"]


def test_certificates_by_name_and_attributes(elb: Any, secure: str) -> None:
    one, two = ({"CertificateArn": arn} for arn in CERTIFICATES[:2])
    held, add = {"ListenerArn": secure}, elb.add_listener_certificates
    for _ in range(2):
        add(**held, Certificates=[two])
    found = elb.describe_listener_certificates(**held)["Certificates"]
    assert found == [{**one, "IsDefault": True}, {**two, "IsDefault": False}]
    refuses("ValidationError", add, **held, Certificates=[one, two])
    refuses("CertificateNotFound", add, **held, Certificates=[{"CertificateArn": f"{CERTIFICATES[0]}0"}])
    refuses("OperationNotPermitted", elb.remove_listener_certificates, **held, Certificates=[one])
    strange, pair = (
        {"Key": key, "Value": value}
        for key, value in (("tcp.idle_timeout.seconds", "350"), ("routing.http.response.server.enabled", "false"))
    )
    refuses("ValidationError", elb.modify_listener_attributes, **held, Attributes=[strange])
    elb.modify_listener_attributes(**held, Attributes=[pair])
    assert pair in elb.describe_listener_attributes(**held)["Attributes"]


def test_an_action_that_authenticates(elb: Any, network: Network, secure: str) -> None:
    answer = {"Type": "fixed-response", "Order": 2, "FixedResponseConfig": {"StatusCode": "404"}}
    config = dict.fromkeys(("Issuer", "AuthorizationEndpoint", "TokenEndpoint", "UserInfoEndpoint"), "https://id")

    def oidc(**more: Any) -> dict[str, Any]:
        return {
            "Type": "authenticate-oidc",
            "Order": 1,
            "AuthenticateOidcConfig": {**config, "ClientId": "web", **more},
        }

    def change(*actions: dict[str, Any]) -> None:
        elb.modify_listener(ListenerArn=secure, DefaultActions=[*actions])

    keeps, told, code = oidc(UseExistingClientSecret=True), oidc(ClientSecret="x"), "InvalidLoadBalancerAction"
    refuses(f"{code}: client secret", change, oidc(), answer)
    refuses(f"{code}: client secret", change, keeps, answer)
    change(told, answer)
    change(keeps, answer)
    (shown, _) = elb.describe_listeners(ListenerArns=[secure])["Listeners"][0]["DefaultActions"]
    assert shown["AuthenticateOidcConfig"]["Scope"] == "openid"
    assert "ClientSecret" not in shown["AuthenticateOidcConfig"]
    refuses(f"{code}: last action", change, told)
    balancer = elb.describe_load_balancers()["LoadBalancers"][0]["LoadBalancerArn"]
    refuses(f"{code}: HTTPS", network.listener, balancer, "", DefaultActions=[told, answer])
