"""Imitates ACM's refusals and delays; moto issues at once, forgets tags, and deletes certificates that are in use."""

import base64
import copy
import functools
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from moto.acm.exceptions import AWSValidationException, CertificateNotFound
from moto.acm.models import AWSCertificateManagerBackend, acm_backends
from moto.acm.responses import AWSCertificateManagerResponse
from moto.acm.utils import make_arn_for_certificate
from moto.core.exceptions import AWSError
from moto.core.responses import ActionResult, EmptyResult

from .acm_validation import Requested, Watched
from .clock import Timing
from .rule import Call, around
from .world import World

NAMES: Final = 10
"""The most domain names of a certificate, including the first one (ACM, 'Quotas', L-FB94F0B0)."""
_LONGEST: Final = 64
"""RequestCertificate, DomainName: 'cannot exceed 64 octets'; additional names may."""
_REQUESTED: Final = ("RSA_2048", "EC_prime256v1", "EC_secp384r1")
"""RequestCertificate, KeyAlgorithm: 'Other listed algorithms are for imported certificates only'."""
_TOKEN: Final = 3600.0
"""RequestCertificate: 'Idempotency tokens time out after one hour'."""
_PAGE: Final = 1000


def refusal(kind: str, text: str) -> AWSError:
    return AWSError(text, exception_type=kind)


def users(arn: str) -> list[str]:
    """DescribeCertificate, InUseBy: the load balancers that have listeners with a certificate."""
    _, _, _, region, account, _ = arn.split(":", 5)
    found = World(account, region).elb.load_balancers.values()
    return [item.arn for item in found if any(arn in listener.certificates for listener in item.listeners.values())]


@around("ModifyListener", "DeleteListener", "DeleteLoadBalancer", "RemoveListenerCertificates")
def certificates_are_let_go(call: Call, proceed: Callable[[], Any]) -> Any:
    """'it can take around 10s for ACM to acknowledge that the certificate is no longer in use' (aws-cdk, issue 4179)."""
    before = {
        arn: users(arn)
        for listener in call.world.listeners()
        for arn in listener.certificates
        if ":acm:" in (arn or "")
    }
    result = proceed()
    for arn, had in before.items():
        if not users(arn):
            call.world.ledger.certificates_left[arn] = call.now, had
    return result


class Acm:
    """Answers requests to ACM in one strict AWS."""

    def __init__(
        self, clock: Callable[[], float], moment: Callable[[float], datetime], timing: Timing, lag: Callable[[], float]
    ) -> None:
        self._watched = Watched(clock, moment, timing, lag, users)

    def patches(self) -> list[tuple[Any, str, Any]]:
        response, backend = AWSCertificateManagerResponse, AWSCertificateManagerBackend
        return [
            (response, "request_certificate", self._request(response.request_certificate)),
            (response, "import_certificate", self._import(response.import_certificate)),
            (response, "describe_certificate", lambda told: self._describe(told)),
            (response, "list_certificates", lambda told: self._list(told)),
            (response, "delete_certificate", lambda told: self._delete(told)),
            (response, "get_certificate", lambda told: self._get(told)),
            (response, "list_tags_for_certificate", self._visible(response.list_tags_for_certificate)),
            (backend, "import_certificate", keep_tags(backend.import_certificate)),
        ]

    def _request(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """RequestCertificate. Without `ValidationMethod: DNS`, validation is by mail: moto issues the certificate at once, as if a person
        had approved it."""

        @functools.wraps(original)
        def request_certificate(told: Any) -> Any:
            if told._get_param("ValidationMethod") != "DNS":
                return original(told)
            names = tuple(
                dict.fromkeys(
                    name.lower()
                    for name in (told._get_param("DomainName"), *(told._get_param("SubjectAlternativeNames") or ()))
                )
            )
            algorithm = told._get_param("KeyAlgorithm") or "RSA_2048"
            if len(names) > NAMES:
                raise refusal(
                    "LimitExceededException", f"The number of domain names is more than the quota of {NAMES}."
                )
            if len(names[0]) > _LONGEST:
                raise AWSValidationException(f"The first domain name can be no longer than {_LONGEST} characters.")
            if algorithm not in _REQUESTED:
                raise AWSValidationException(f"KeyAlgorithm {algorithm} is not supported for requested certificates.")
            backend, now = told.acm_backend, self._watched.clock()
            token = told._get_param("IdempotencyToken")
            known, when = backend.__dict__.setdefault("strict_tokens", {}).get(token, ("", 0.0))
            if token and known and now < when + _TOKEN:
                return ActionResult({"CertificateArn": known})  # also if the certificate was deleted meanwhile
            arn = make_arn_for_certificate(told.current_account, told.region)
            made = Requested(self._watched, told.current_account, arn, names, algorithm, now)
            made.tags.add(told._get_param("Tags") or [])
            backend._certificates[arn] = made
            if token:
                backend.strict_tokens[token] = (arn, now)
            return ActionResult({"CertificateArn": arn})

        return request_certificate

    def _import(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        """ImportCertificate: the key must match the certificate. ACM User Guide, 'Reimport a certificate': 'The key type and size
        cannot be changed', 'You cannot apply resource tags when reimporting a certificate'."""

        @functools.wraps(original)
        def import_certificate(told: Any) -> Any:
            try:
                leaf = x509.load_pem_x509_certificate(base64.b64decode(told._get_param("Certificate")))
                key = load_pem_private_key(base64.b64decode(told._get_param("PrivateKey")), None)
            except (ValueError, TypeError):
                raise AWSValidationException(
                    "The certificate or the private key is not PEM-encoded or is not valid."
                ) from None
            if leaf.public_key() != key.public_key():
                raise AWSValidationException("The certificate field and the private key field don't match.")
            arn = told._get_param("CertificateArn")
            if arn:
                if told._get_param("Tags"):
                    raise AWSValidationException("Tagging is not permitted on re-import.")
                before = told.acm_backend.get_certificate(arn)
                if before.type != "IMPORTED":
                    raise AWSValidationException("The certificate was not imported.")
                old: Any = before._cert.public_key()
                new: Any = leaf.public_key()
                if (type(old), old.key_size) != (type(new), new.key_size):
                    raise AWSValidationException("The key type and size cannot be changed.")
            answer = original(told)
            if not arn:
                found = told.acm_backend._certificates[answer.result["CertificateArn"]]
                found.strict_since = self._watched.clock()
            return answer

        return import_certificate

    def _find(self, told: Any) -> Any:
        """The certificate that a request names, brought to the present. 'there is a delay of several seconds before you can retrieve
        information about it'."""
        arn = told._get_param("CertificateArn")
        found = told.acm_backend.get_certificate(arn)
        if not self._shows(found):
            raise CertificateNotFound(arn=arn, account_id=told.current_account)
        return found

    def _shows(self, found: Any) -> bool:
        since = found.since if isinstance(found, Requested) else getattr(found, "strict_since", None)
        behind = max(self._watched.lag(), self._watched.timing.certificate_visible)
        return since is None or self._watched.clock() >= since + behind

    def _visible(self, original: Callable[[Any], Any]) -> Callable[[Any], Any]:
        @functools.wraps(original)
        def ask(told: Any) -> Any:
            self._find(told)
            return original(told)

        return ask

    def _describe(self, told: Any) -> Any:
        answer = self._find(told).describe()
        using = self._users(answer["Certificate"]["CertificateArn"])
        answer["Certificate"]["InUseBy"] = using
        if using and answer["Certificate"]["Type"] == "AMAZON_ISSUED":
            answer["Certificate"]["RenewalEligibility"] = "ELIGIBLE"
        return ActionResult(answer)

    def _list(self, told: Any) -> Any:
        """ListCertificates: 'Default filtering returns only RSA_2048 certificates'; summaries, at most 1,000 a page."""
        wanted = (told._get_param("Includes") or {}).get("keyTypes") or ["RSA_2048"]
        statuses = told._get_param("CertificateStatuses")
        rows = []
        for found in list(told.acm_backend._certificates.values()):
            found.check()
            if self._shows(found) and (not statuses or found.status in statuses):
                row = found.describe()["Certificate"]
                if row["KeyAlgorithm"] in wanted:
                    rows.append(summary(row))
        start = int(told._get_param("NextToken") or 0)
        most = int(told._get_param("MaxItems") or _PAGE)
        result: dict[str, Any] = {"CertificateSummaryList": rows[start : start + most]}
        if start + most < len(rows):
            result["NextToken"] = str(start + most)
        return ActionResult(result)

    def _users(self, arn: str) -> list[str]:
        """The load balancers that use a certificate, as ACM sees it: for a while also those that no longer use it."""
        _, _, _, region, account, _ = arn.split(":", 5)
        when, had = World(account, region).ledger.certificates_left.get(arn, (0.0, []))
        lingers = bool(had) and self._watched.clock() < when + self._watched.timing.certificate_in_use
        return users(arn) or (had if lingers else [])

    def _delete(self, told: Any) -> Any:
        """DeleteCertificate: ResourceInUseException while the certificate is in use, and some seconds longer."""
        found = self._find(told)
        if self._users(found.arn):
            raise refusal("ResourceInUseException", f"Certificate {found.arn} is in use.")
        del told.acm_backend._certificates[found.arn]
        return EmptyResult()

    def _get(self, told: Any) -> Any:
        """GetCertificate: RequestInProgressException if the certificate isn't issued; an imported one has the chain that was given."""
        found = self._find(told)
        if isinstance(found, Requested):
            text = (
                "The certificate request is in progress."
                if found.status != "ISSUED"
                else "The emulator has no file of it."
            )
            raise refusal("RequestInProgressException", text)
        chain = getattr(found, "strict_chain", found.chain)
        result = {"Certificate": found.cert.decode()}
        return ActionResult(result | ({"CertificateChain": chain.decode()} if chain else {}))


def summary(row: Mapping[str, Any]) -> dict[str, Any]:
    """A certificate as a CertificateSummary."""
    names: Sequence[str] = row.get("SubjectAlternativeNames") or ()
    kept = (
        "CertificateArn",
        "DomainName",
        "Status",
        "Type",
        "KeyAlgorithm",
        "NotBefore",
        "NotAfter",
        "CreatedAt",
        "IssuedAt",
        "ImportedAt",
    )
    told = {key: row[key] for key in kept if row.get(key) is not None}
    return {
        **told,
        "SubjectAlternativeNameSummaries": list(names)[:100],
        "HasAdditionalSubjectAlternativeNames": len(names) > 100,
        "InUse": bool(users(row["CertificateArn"])),
    }


def keep_tags(original: Callable[..., str]) -> Callable[..., str]:
    """ImportCertificate: a certificate that is imported again keeps its tags (moto drops them), and the chain is what was given."""

    @functools.wraps(original)
    def import_certificate(
        self: Any, certificate: bytes, private_key: bytes, chain: bytes | None, arn: str | None, tags: Any
    ) -> str:
        before = self._certificates.get(arn) if arn else None
        made = original(self, certificate, private_key, chain=chain, arn=arn, tags=tags)
        bundle = self._certificates[made]
        bundle.strict_chain = chain
        if before is not None:
            bundle.tags = before.tags
            bundle.strict_since = getattr(before, "strict_since", None)
        return made

    return import_certificate


def copied(account: str, region: str) -> dict[str, Any]:
    """A copy of ACM's state in an account and region, which can be restored."""
    backend = acm_backends[account][region]
    found: dict[str, Any] = {}
    held: dict[str, Any] = backend._certificates
    for arn, item in held.items():
        found[arn] = item.copied() if isinstance(item, Requested) else copy.copy(item)
        found[arn].tags = copy.copy(item.tags)
    return {"_certificates": found, "strict_tokens": dict(backend.__dict__.get("strict_tokens", {}))}
