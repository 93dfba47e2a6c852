"""Imitates AWS's rules for trust stores and for listeners that use them; moto knows neither."""

import secrets
import zlib
from collections.abc import Callable
from typing import Any

from cryptography import x509
from moto.core.responses import ActionResult
from moto.elbv2.responses import ELBV2Response
from moto.s3.models import s3_backends

from .rule import Call, around, before, refuse
from .world import TrustStore

ACTIONS = (
    "create_trust_store", "modify_trust_store", "delete_trust_store", "describe_trust_stores",
    "add_trust_store_revocations", "remove_trust_store_revocations", "describe_trust_store_revocations",
)  # fmt: skip
MOST_REVOCATIONS, MOST_VERIFYING = 30, 2


def stub(_: Any) -> ActionResult:
    """Stands in for an action that moto doesn't have: a rule answers it."""
    return ActionResult({})


def patches() -> list[tuple[Any, str, Any]]:
    return [(ELBV2Response, name, stub) for name in ACTIONS]


def content(call: Call, bucket: str, key: str, version: str | None) -> bytes | None:
    """The content of an object in S3; None if it doesn't exist."""
    backend = s3_backends[call.world.account]["aws"]
    if bucket not in backend.buckets:
        return None
    found = backend.get_object(bucket, key, version_id=version)
    return None if found is None else bytes(found.value)


def bundle(call: Call) -> tuple[int, str]:
    """CreateTrustStore, ModifyTrustStore: CaCertificatesBundleNotFound, InvalidCaCertificatesBundle. Returns the
    number of certificates, and all of them as PEM."""
    where = [call.given(f"CaCertificatesBundleS3{part}") for part in ("Bucket", "Key", "ObjectVersion")]
    found = content(call, *where)
    if found is None:
        refuse("CaCertificatesBundleNotFound", "The specified ca certificate bundle does not exist.")
    try:
        count = len(x509.load_pem_x509_certificates(found))
    except ValueError:
        refuse(
            "InvalidCaCertificatesBundle", "The specified ca certificate bundle is in an invalid format, or corrupt."
        )
    return count, found.decode("ascii", "ignore")


def store_of(call: Call, arn: str | None = None) -> TrustStore:
    arn = arn or call.given("TrustStoreArn")
    found = call.world.ledger.trust_stores.get(str(arn))
    if found is None:
        refuse("TrustStoreNotFound", f"Trust store '{arn}' not found")
    return found


def show(call: Call, store: TrustStore) -> dict[str, Any]:
    return {
        "Name": store.name,
        "TrustStoreArn": store.arn,
        "Status": status(call, store),
        "NumberOfCaCertificates": store.certificates,
        "TotalRevokedEntries": sum(store.revocations.values()),
    }


def status(call: Call, store: TrustStore) -> str:
    """TrustStore: 'The current status', CREATING and then ACTIVE."""
    return "ACTIVE" if call.now >= store.since + call.timing.trust_store else "CREATING"


@around("CreateTrustStore")
def trust_store_is_made(call: Call, _: Callable[[], Any]) -> Any:
    """CreateTrustStore: DuplicateTrustStoreName; the bundle is read from S3."""
    name, stores = call.given("Name"), call.world.ledger.trust_stores
    if any(store.name == name for store in stores.values()):
        refuse("DuplicateTrustStoreName", f"A trust store with the name '{name}' already exists")
    count, pem = bundle(call)
    prefix = f"arn:aws:elasticloadbalancing:{call.world.region}:{call.world.account}:truststore"
    made = TrustStore(f"{prefix}/{name}/{secrets.token_hex(8)}", name, call.now, count, bundle=pem)
    stores[made.arn] = made
    call.world.elb.tagging_service.tag_resource(made.arn, call.given("Tags", []))
    return {"TrustStores": [show(call, made)]}


@around("ModifyTrustStore")
def trust_store_gets_another_bundle(call: Call, _: Callable[[], Any]) -> Any:
    """ModifyTrustStore: as CreateTrustStore."""
    found = store_of(call)
    found.certificates, found.bundle = bundle(call)
    return {"TrustStores": [show(call, found)]}


@around("DeleteTrustStore")
def trust_store_in_use_stays(call: Call, _: Callable[[], Any]) -> Any:
    """DeleteTrustStore: TrustStoreNotFound, TrustStoreInUse."""
    found = store_of(call)
    if any(item.get("TrustStoreArn") == found.arn for item in call.world.ledger.mutual.values()):
        refuse("TrustStoreInUse", f"Trust store '{found.arn}' is currently in use by a listener")
    del call.world.ledger.trust_stores[found.arn]
    call.world.elb.tagging_service.delete_all_tags_for_resource(found.arn)
    return {}


@around("DescribeTrustStores")
def trust_stores_are_described(call: Call, _: Callable[[], Any]) -> Any:
    """DescribeTrustStores: all, or those that are named; TrustStoreNotFound when any is missing."""
    stores = call.world.ledger.trust_stores
    chosen = [store_of(call, arn) for arn in call.given("TrustStoreArns", [])]
    for name in call.given("Names", []):
        named = [store for store in stores.values() if store.name == name]
        if not named:
            refuse("TrustStoreNotFound", f"Trust store '{name}' not found")
        chosen += named
    if not call.given("TrustStoreArns") and not call.given("Names"):
        chosen = list(stores.values())
    return {"TrustStores": [show(call, store) for store in chosen]}


@around("AddTrustStoreRevocations")
def revocations_are_added(call: Call, _: Callable[[], Any]) -> Any:
    """AddTrustStoreRevocations: RevocationContentNotFound. 'Quotas': 30 lists a trust store. Here an id is derived from the place
    in S3; AWS doesn't document its ids."""
    found, made = store_of(call), dict[int, tuple[int, str]]()
    for item in call.given("RevocationContents", []):
        where = (item.get("S3Bucket"), item.get("S3Key"), item.get("S3ObjectVersion"))
        data = content(call, *where)
        if data is None:
            refuse("RevocationContentNotFound", "The specified revocation file does not exist.")
        try:
            entries = len(x509.load_pem_x509_crl(data))
        except ValueError:
            refuse("InvalidRevocationContent", "The provided revocation file is an invalid format")
        made[zlib.crc32(repr(where).encode())] = (entries, data.decode("ascii", "ignore"))
    if len(found.revocations.keys() | made) > MOST_REVOCATIONS:
        refuse("TooManyTrustStoreRevocationEntries", "The trust store has too many revocation lists")
    found.revocations |= {key: entries for key, (entries, _) in made.items()}
    found.lists |= {key: text for key, (_, text) in made.items()}
    return {"TrustStoreRevocations": [show_revocation(found, key) for key in made]}


def show_revocation(store: TrustStore, key: int) -> dict[str, Any]:
    return {
        "TrustStoreArn": store.arn,
        "RevocationId": key,
        "RevocationType": "CRL",
        "NumberOfRevokedEntries": store.revocations[key],
    }


@around("RemoveTrustStoreRevocations")
def revocations_are_removed(call: Call, _: Callable[[], Any]) -> Any:
    """RemoveTrustStoreRevocations: RevocationIdNotFound."""
    found = store_of(call)
    for key in map(int, call.given("RevocationIds", [])):
        if found.revocations.pop(key, None) is None:
            refuse("RevocationIdNotFound", f"The revocation ID '{key}' does not exist")
        found.lists.pop(key, None)
    return {}


@around("DescribeTrustStoreRevocations")
def revocations_are_described(call: Call, _: Callable[[], Any]) -> Any:
    """DescribeTrustStoreRevocations: doesn't show the place in S3."""
    found = store_of(call)
    return {"TrustStoreRevocations": [show_revocation(found, key) for key in sorted(found.revocations)]}


def set_mutual(call: Call, listener: Any, protocol: str) -> None:
    """CreateListener, ModifyListener: TrustStoreNotFound, TrustStoreNotReady; HTTPS only. 'Quotas': at most two listeners of a load
    balancer can verify. MutualAuthenticationAttributes: the default is off."""
    given, mutual = call.given("MutualAuthentication"), call.world.ledger.mutual
    check_mutual(call, protocol)
    if protocol != "HTTPS":
        mutual.pop(listener.arn, None)
        return
    if given is None:
        mutual.setdefault(listener.arn, {"Mode": "off"})
        return
    whole = dict(given)
    if whole["Mode"] == "verify":
        expired = str(whole.get("IgnoreClientCertificateExpiry", False)).lower() == "true"
        whole |= {"IgnoreClientCertificateExpiry": expired}
        whole.setdefault("AdvertiseTrustStoreCaNames", "off")
        others = call.world.elb.load_balancers[listener.load_balancer_arn].listeners
        verifying = [arn for arn in others if arn != listener.arn and mutual.get(arn, {}).get("Mode") == "verify"]
        if len(verifying) >= MOST_VERIFYING:
            refuse("InvalidConfigurationRequest", "The load balancer has too many listeners that verify certificates")
    mutual[listener.arn] = whole


def check_mutual(call: Call, protocol: str) -> None:
    """The checks for `set_mutual`, before anything is changed."""
    given = call.given("MutualAuthentication")
    if given is None:
        return
    mode, arn = given.get("Mode"), given.get("TrustStoreArn")
    if mode not in ("off", "passthrough", "verify"):
        refuse("ValidationError", f"Mutual authentication mode '{mode}' is not valid")
    if protocol != "HTTPS" and mode != "off":
        refuse("InvalidConfigurationRequest", f"Mutual authentication is not supported for {protocol} listeners")
    if (mode == "verify") != bool(arn):
        refuse("InvalidConfigurationRequest", "A trust store goes with the mode 'verify', and only with it")
    if arn and status(call, store_of(call, arn)) != "ACTIVE":
        refuse("TrustStoreNotReady", f"Trust store '{arn}' is not active")


@before("DeleteListener")
def mutual_authentication_goes_along(call: Call) -> None:
    """DeleteListener: the listener no longer uses its trust store."""
    call.world.ledger.mutual.pop(call.given("ListenerArn"), None)
