"""Actions that authenticate: what AWS refuses of their settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.sandbox.strict_world import Network, client, refuses

if TYPE_CHECKING:
    from alb_reconcile.sandbox.strict import StrictAws


@pytest.mark.parametrize(
    "claim",
    [
        {"Name": "exp", "Format": "single-string", "Values": ["1"]},
        {"Name": "scope", "Format": "space-separated-values", "Values": ["read write"]},
    ],
    ids=["validated by default", "spaces"],
)
def test_further_claims_that_cant_be_validated_are_refused(
    aws: StrictAws, elb: Any, network: Network, claim: dict[str, Any]
) -> None:
    certificate = client("acm").request_certificate(DomainName="example.com")["CertificateArn"]
    good = {"Name": "scope", "Format": "space-separated-values", "Values": ["read", "write"]}

    def listen(port: int, *claims: dict[str, Any]) -> Any:
        config = {"JwksEndpoint": "https://id/keys", "Issuer": "id", "AdditionalClaims": [*claims]}
        jwt = {"Type": "jwt-validation", "Order": 1, "JwtValidationConfig": config}
        fixed = {"Type": "fixed-response", "Order": 2, "FixedResponseConfig": {"StatusCode": "404"}}
        return elb.create_listener(
            LoadBalancerArn=balancer, Protocol="HTTPS", Port=port, Certificates=[{"CertificateArn": certificate}],
            DefaultActions=[jwt, fixed],
        )  # fmt: skip

    balancer = network.balancer()
    listen(443, good)
    refuses("InvalidLoadBalancerAction", listen, 8443, good, claim)
