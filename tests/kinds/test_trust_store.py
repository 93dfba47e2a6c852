"""Trust stores, and listeners that verify clients by them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID
from moto.s3.models import s3_backends

from alb_reconcile.kinds.trust_store import KIND
from alb_reconcile.model.address import Address
from alb_reconcile.model.resource import Observed
from tests.harness import Spec, by_hand, demo
from tests.kinds.example import STACK, Example
from tests.kinds.hand import edited, order
from tests.kinds.test_listener import CERTIFICATES, upload_certificates
from tests.sandbox.authorities import authority

if TYPE_CHECKING:
    from tests.kinds.hand import Hand

CLIENTS, HTTPS = "trust_store.clients", "listener.public/https"
PEM = authority("one").pem
FILES = {
    "ca.pem": PEM.encode(),
    "other.pem": (PEM + authority("two").pem).encode(),
    "broken.pem": b"-----BEGIN CERTIFICATE-----",
}
LISTS = {f"{name}.crl": authority("one").revoke().encode() for name in "abcd"}
VERIFY = "load_balancers/public/listeners/https/mutual_authentication"


def upload() -> None:
    """Certificates and revocation lists, in versioned buckets: of each file there are the versions 1 and 2."""
    s3, held = by_hand("s3"), s3_backends[DEFAULT_ACCOUNT_ID]["aws"]
    for bucket in ("our-ca", "our-ca-2"):
        s3.create_bucket(Bucket=bucket)
        s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        for key, body in {**FILES, **LISTS}.items():
            for number in ("1", "2"):  # by a tenth of a call's time
                held.put_object(bucket, key, body)._version_id = number


def revoked(*names: str) -> list[Spec]:
    return [{"s3_bucket": "our-ca", "s3_key": f"{name}.crl"} for name in names]


def store(**more: Any) -> Spec:
    return {"ca_certificates_bundle_s3_bucket": "our-ca", "ca_certificates_bundle_s3_key": "ca.pem", **more}


EXAMPLE = Example(
    spec={
        **STACK,
        "trust_stores": {"clients": store(revocations=revoked("a", "b"), ca_certificates_bundle_s3_object_version="1")},
    },
    address=CLIENTS,
    changes={
        "ca_certificates_bundle_s3_bucket": "our-ca-2",
        "ca_certificates_bundle_s3_key": "other.pem",
        "ca_certificates_bundle_s3_object_version": "2",
        "revocations": revoked("b", "c"),
    },
    prepare=upload,
    uncalled={
        "s3:GetObjectVersion": "a version of a file",
    },
)


def mutual(**more: Any) -> Spec:
    """The demo behind HTTPS, whose listener lets in only those whose certificate is of our CA."""
    entry = {
        "protocol": "HTTPS", "port": 443, "certificate_arn": CERTIFICATES[0], "default_action": {"forward": "web"},
        "mutual_authentication": {"mode": "verify", "trust_store": "clients", **more},
    }  # fmt: skip
    spec = edited(demo(), "load_balancers/public/listeners", {"https": entry})
    return {**spec, "trust_stores": {"clients": store()}}


def ready() -> None:
    upload()
    upload_certificates()


def test_a_listener_verifies_by_it_and_outlives_it(hand: Hand) -> None:
    ready()
    hand.make(mutual())
    assert order(hand.world, "create_trust_store", "create_listener") == ["create_trust_store", "create_listener"]
    hand.make(mutual(ignore_client_certificate_expiry=True, advertise_trust_store_ca_names="on"))
    open_to_all = edited(edited(mutual(), VERIFY, {"mode": "off"}), "trust_stores", None)
    hand.make(open_to_all, allow={"remove-authentication": 1})
    assert order(hand.world, "modify_listener", "delete_trust_store") == ["modify_listener", "delete_trust_store"]


@pytest.mark.parametrize("mode", ["off", "passthrough"])
def test_that_anybody_is_let_in_takes_a_persons_word(hand: Hand, mode: str) -> None:
    ready()
    hand.make(mutual())
    spec = edited(mutual(), VERIFY, {"mode": mode})
    hand.refuses(spec, f"{HTTPS} would let in whoever mutual authentication .* remove-authentication=1")
    assert not hand.world.sync(spec, apply_changes=True).outcomes


def test_somebody_who_let_everybody_in_is_corrected_unattended(hand: Hand) -> None:
    ready()
    hand.make(mutual())
    hand.elb.modify_listener(ListenerArn=hand[HTTPS], MutualAuthentication={"Mode": "off"})
    assert [item.how for item in hand.world.sync(mutual()).outcomes] == ["done"]
    assert hand.world.plan(mutual()).is_empty


def test_a_trust_store_of_somebody_else(hand: Hand) -> None:
    ready()
    bundle = {"CaCertificatesBundleS3Bucket": "our-ca", "CaCertificatesBundleS3Key": "ca.pem"}
    arn = hand.elb.create_trust_store(Name="theirs", **bundle)["TrustStores"][0]["TrustStoreArn"]
    hand.wait(60)
    hand.make(edited(edited(mutual(), f"{VERIFY}/trust_store", arn), "trust_stores", None))
    hand.world.destroy(hand.spec)
    assert hand.elb.describe_trust_stores()["TrustStores"]


def test_one_by_which_a_listener_verifies_is_used_by_it() -> None:
    state = SimpleNamespace(mutual_authentication=SimpleNamespace(trust_store="arn"))
    found = Observed(Address.parse(HTTPS), "listener", cast("Any", state), {}, "demo")
    (used,) = asyncio.run(KIND.find_used(cast("Any", None), [found]))
    assert (used.id, used.users) == ("arn", ("listener",))


def test_lists_are_added_before_others_are_removed(hand: Hand) -> None:
    upload()
    hand.make(EXAMPLE.spec)
    hand.make(EXAMPLE.with_change(CLIENTS, "revocations", revoked("b", "c", "d")))
    names = order(hand.world, "add_trust_store_revocations", "add_tags", "remove_trust_store_revocations")
    assert names[:2] == ["add_trust_store_revocations"] * 2
    assert names.index("remove_trust_store_revocations") > 1
    hand.make(EXAMPLE.with_change(CLIENTS, "revocations", []))
    (found,) = hand.elb.describe_trust_stores()["TrustStores"]
    assert found["TotalRevokedEntries"] == 0


@pytest.mark.parametrize(
    ("entry", "place", "file"),
    [
        (store(ca_certificates_bundle_s3_key="none.pem"), "ca_certificates_bundle_s3_key", "s3://our-ca/none.pem"),
        (store(revocations=revoked("a", "none")), "revocations", "s3://our-ca/none.crl"),
    ],
    ids=lambda item: item if isinstance(item, str) else "",
)
def test_a_file_that_isnt_there_is_told_before_anything_is_made(hand: Hand, entry: Spec, place: str, file: str) -> None:
    upload()
    spec = {**demo(), "trust_stores": {"clients": entry}}
    hand.refuses_run(spec, rf"trust_stores\.clients\.{place}: there is no {file}; upload it")
