"""Configures TLS of HTTPS listeners: certificates, versions by security policy, and clients that show a certificate."""

import re
from collections.abc import Sequence
from typing import Any, Final

from alb_reconcile.sandbox.traffic.certificates import Certificate
from alb_reconcile.sandbox.traffic.snapshot import Listener, Mutual

_POLICY: Final = re.compile(r"ELBSecurityPolicy-(?P<family>TLS13-|TLS-|FS-)1-(?P<least>[0-3])-")
_VERSIONS: Final = ("TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3")


def listener_context(found: Listener, certificates: Sequence[Certificate], protocols: Sequence[str]) -> dict[str, Any]:
    """What Envoy's DownstreamTlsContext says. The first certificate is the default one.

    AWS ELB, 'SSL certificates', 'SNI': the certificate for the name that a client asks for, else the default one.
    """
    pairs = [
        {"certificate_chain": {"filename": str(item.chain)}, "private_key": {"filename": str(item.key)}}
        for item in certificates
    ]
    common: dict[str, Any] = {"tls_certificates": pairs, "alpn_protocols": list(protocols)}
    if found.policy:
        least, most = versions(found.policy)
        common["tls_params"] = {"tls_minimum_protocol_version": least, "tls_maximum_protocol_version": most}
    if not found.mutual:
        return {"common_tls_context": common}
    common["validation_context"] = _validation(found.mutual)
    return {"common_tls_context": common, "require_client_certificate": found.mutual.mode == "verify"}


def versions(policy: str) -> tuple[str, str]:
    """The least and the highest version that a security policy speaks, by its name.

    AWS ELB, 'Security policies for your Application Load Balancer': TLS13-1-2-... speaks 1.2 and 1.3, TLS-1-2-... and
    FS-1-2-... only 1.2; those without a version in the name begin with 1.0 and end with 1.2.
    """
    named = _POLICY.match(policy)
    most = 3 if named and named["family"] == "TLS13-" else 2
    return _VERSIONS[int(named["least"]) if named else 0], _VERSIONS[most]


def _validation(mutual: Mutual) -> dict[str, Any]:
    """Envoy's CertificateValidationContext.

    AWS ELB, 'Mutual authentication with TLS': passthrough hands on what a client shows, if anything, and verifies nothing;
    verify wants a certificate by one of the trust store's authorities, and none that its lists revoke. Envoy refuses clients
    of an authority without a list as soon as another has one; what AWS does with them isn't documented.
    """
    if mutual.mode != "verify":
        return {"trust_chain_verification": "ACCEPT_UNTRUSTED"}
    context: dict[str, Any] = {
        "trusted_ca": {"inline_string": mutual.authorities},
        "allow_expired_certificate": mutual.ignores_expiry,
    }
    if mutual.revocations:
        context |= {"crl": {"inline_string": mutual.revocations}, "only_verify_leaf_cert_crl": True}
    return context
