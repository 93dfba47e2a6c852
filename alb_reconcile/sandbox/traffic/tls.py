"""Configures TLS of HTTPS listeners: certificates, versions by security policy, and clients that show a certificate."""

import re
from collections.abc import Sequence
from typing import Any, Final

from alb_reconcile.sandbox.traffic.certificates import Certificate
from alb_reconcile.sandbox.traffic.snapshot import Listener, Mutual

_POLICY: Final = re.compile(r"ELBSecurityPolicy-(?P<family>TLS13-|TLS-|FS-)1-(?P<least>[0-3])-")
_VERSIONS: Final = ("TLSv1_0", "TLSv1_1", "TLSv1_2", "TLSv1_3")


def listener_context(found: Listener, certificates: Sequence[Certificate], protocols: Sequence[str]) -> dict[str, Any]:
    """Envoy's DownstreamTlsContext for a listener. The first certificate is the default one.

    AWS ELB, 'SSL certificates', 'SNI': a client gets the certificate for the name that it asks for, else the default one.
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
    """The lowest and the highest TLS version of a security policy, by the policy's name.

    AWS ELB, 'Security policies for your Application Load Balancer': TLS13-1-2-... has 1.2 and 1.3, TLS-1-2-... and
    FS-1-2-... only 1.2; policies without a version in the name have 1.0 to 1.2.
    """
    named = _POLICY.match(policy)
    most = 3 if named and named["family"] == "TLS13-" else 2
    return _VERSIONS[int(named["least"]) if named else 0], _VERSIONS[most]


def _validation(mutual: Mutual) -> dict[str, Any]:
    """Envoy's CertificateValidationContext for mutual TLS.

    AWS ELB, 'Mutual authentication with TLS': `passthrough` passes a client's certificate on, if there is one, without verifying it;
    `verify` requires a certificate of one of the trust store's CAs that its revocation lists don't contain. If only some of the CAs have a
    revocation list, Envoy refuses the clients of the others; what AWS does then isn't documented.
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
