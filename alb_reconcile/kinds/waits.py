"""AWS's error codes that mean "not yet", and how long each is waited for: all such codes and time-outs of the kinds.

In a table of codes, each code has seconds: a call that AWS refuses with the code is repeated for so long (`Aws.call(retry=…)`). Sources:
the time-outs of terraform-provider-aws and aws-load-balancer-controller, and EC2's "eventual consistency" and ELBv2's API
reference. All polls go through `aws.polling`.
"""

from collections.abc import Mapping
from typing import Final

Codes = Mapping[str, float]
"""Seconds by code; `code~text` means that code only with that text in AWS's message."""

LAG: Final = 120.0
"""Seconds for which a read may still show the state before a change."""
EARLIER_RUN: Final = 60
"""Seconds from a run's beginning for which a read may show the state before an earlier run's last call, if capacity depends on it."""
_NEW: Final = 300.0
"""Seconds for which other calls may not know a resource that was just created (EC2, eventual consistency)."""


def unknown(*codes: str) -> Codes:
    """A table of codes by which AWS refuses resources that were created a moment ago."""
    return dict.fromkeys(codes, _NEW)


# -- created a moment ago; plain "not found" codes are repeated by `aws.just_named`, for every call
TARGETS_VPC_UNKNOWN: Final = unknown("ValidationError~VPC ID")
ENDPOINT_UNKNOWN: Final[Codes] = {
    "InvalidParameter~enableDnsSupport": 60.0,  # the VPC's attributes are being set
    "InvalidParameter~must have a Gateway endpoint": 300.0,  # the gateway endpoint is being made
}
NAT_UNKNOWN: Final = unknown(
    "InvalidNatGatewayID.NotFound"
)  # also of a gateway that isn't available yet (kOps, pull request 944)
GROUP_UNKNOWN: Final = unknown("InvalidGroup.NotFound", "InvalidGroupId.NotFound")
ASSOCIATED_UNKNOWN: Final[Codes] = {
    "InvalidInstanceID~pending": 300.0,  # an instance that was just launched
    "IncorrectInstanceState": 300.0,
    "Gateway.NotAttached": 60.0,  # right after the gateway's attachment
}
TARGET_UNKNOWN: Final[Codes] = {
    "AccessDenied~permission to invoke": 120.0,  # load balancers may not know a new permission yet
    **unknown("TargetGroupNotFound", "InvalidTarget~running state", "InvalidTarget~not valid", "InvalidTarget~exist"),
    "InvalidTarget": 20.0,  # a target of another VPC or type is the user's mistake; or a temporary refusal in other words
}
FUNCTION_BUSY: Final[Codes] = {"ResourceConflictException~in progress": 120.0, "PreconditionFailedException": 30.0}
"""A function that is being updated, and a policy that another caller changes at the same time."""
PROFILE_UNKNOWN: Final[Codes] = {"InvalidParameterValue~Invalid IAM Instance Profile": 120.0}
"""EC2 learns late of a new instance profile in IAM."""
ROLE_UNKNOWN: Final[Codes] = {"NoSuchEntity~role": 60.0, "NoSuchEntity~Instance Profile": 60.0}
BALANCER_UNKNOWN: Final[Codes] = {
    "InvalidSubnet": 60.0,  # right after the gateway's attachment; else a user's mistake, which is reported after a minute
    **unknown("SubnetNotFound", "InvalidSecurityGroup", "SecurityGroupNotFound", "LoadBalancerNotFound"),
}
LISTENER_UNKNOWN: Final[Codes] = {
    "TrustStoreNotReady": 300.0,
    "UnsupportedCertificate": 60.0,  # also of a certificate that was just issued (terraform-provider-aws, issue 41789)
}
NAMED_UNKNOWN: Final[Codes] = {"LoadBalancerNotFound": LAG, "TargetGroupNotFound": LAG, "TrustStoreNotFound": LAG}
BUCKET_UNKNOWN: Final[Codes] = {"NoSuchBucket": 60.0, "OperationAborted": 120.0}
"""A bucket that was made a moment ago; and a bucket of which another change is under way."""
BUCKET_BUSY: Final[Codes] = {"OperationAborted": 120.0}
LOGS_DENIED: Final[Codes] = {"InvalidConfigurationRequest~Access Denied for bucket": 60.0}
"""AWS sees a bucket's new policy late."""

WEB_ACL_UNKNOWN: Final[Codes] = {
    "WAFUnavailableEntityException": 300.0,  # a web ACL or a load balancer that was made a moment ago
    "WAFNonexistentItemException": 60.0,
}

# -- busy with something else
INSTANCE_BUSY: Final[Codes] = {"IncorrectInstanceState": 300.0, **unknown("InvalidInstanceID.NotFound")}
ATTACHMENT_BUSY: Final[Codes] = {
    "IncorrectState": 120.0,  # an instance that was just started, or a volume that was just made
    **INSTANCE_BUSY,
}
PROTECTION_LIFTED: Final[Codes] = {"OperationNotPermitted": 60.0}
"""A protection that was just switched off may still be in the way."""

# -- deletes that wait until other resources don't use the resource any more
VPC_IN_USE: Final[Codes] = {"DependencyViolation": 300.0}
ROUTES_IN_USE: Final[Codes] = {"DependencyViolation": 300.0}
SUBNET_IN_USE: Final[Codes] = {"DependencyViolation": 1200.0}
GATEWAY_IN_USE: Final[Codes] = {"DependencyViolation": 1200.0}
"""Until no network interface with a public address is left. Load balancers release theirs late."""
RANGE_IN_USE: Final[Codes] = {"InvalidCidrBlock.InUse": 1200.0}
"""A range of a VPC, until no subnet is in it."""
ADDRESS_IN_USE: Final[Codes] = {
    "InvalidIPAddress.InUse": 300.0,
    "AuthFailure~permission to access": 300.0,  # while the address's NAT gateway is being deleted
    "InvalidNetworkInterfaceID.NotFound": 300.0,  # right after that delete (terraform-provider-aws, issue 49299)
}
GROUP_IN_USE: Final[Codes] = {"DependencyViolation": 900.0, "InvalidGroup.InUse": 900.0}
TARGET_GROUP_IN_USE: Final[Codes] = {"ResourceInUse": 120.0}
TRUST_STORE_IN_USE: Final[Codes] = {"TrustStoreInUse": 120.0}

CERTIFICATE_IN_USE: Final[Codes] = {"ResourceInUseException": 1200.0, "ConflictException": 120.0}

# -- states, in seconds
CERTIFICATE_SHOWN: Final = 180.0
"""Until ACM shows a new certificate and the records that validate it."""
CERTIFICATE_ISSUED: Final = 1800.0
"""ACM User Guide, "DNS validation": "can take up to 30 minutes"."""
CERTIFICATE_LET_GO: Final = 1200.0
"""Until ACM knows that no listener uses the certificate any more (terraform-provider-aws's time-out)."""
ENDPOINT_AVAILABLE: Final = 600.0
ENDPOINT_GONE: Final = 900.0
RANGE_ASSOCIATED: Final = 600.0
INSTANCE_STATE: Final = 600.0
METAL_STATE: Final = 2700.0
"""Bare-metal instances take many times as long to start and to stop."""
NAT_AVAILABLE: Final = 900.0
NAT_DELETED: Final = 1800.0
NAT_ADDRESSES: Final = 900.0
"""Until addresses are added or removed. The connections of a removed address drain for 350 s."""
VOLUME_FREE: Final = 600.0
"""Until a volume is attached, or can be: a new volume, or one of an instance that has ended."""
VOLUME_MODIFIED: Final = 900.0
"""Until AWS uses a modified volume with its new settings (EBS User Guide, "Monitor the progress of volume modifications")."""
BALANCER_ACTIVE: Final = 900.0
TRUST_STORE_ACTIVE: Final = 300.0
RECORDS_USUALLY: Final = 60.0
RECORDS_IN_SYNC: Final = 600.0
"""Until a change of records is on all name servers, "generally within 60 seconds" (Route 53 API Reference, GetChange)."""
INTERFACES_RELEASED: Final = 35 * 60.0
NODES_LEFT: Final = 120.0
"""Until a load balancer's nodes have left a subnet, if the role may not read network interfaces: DNS keeps the nodes' addresses for 60 s,
and open requests end (Application Load Balancers, "Delete an Application Load Balancer")."""
TARGET_DRAINED: Final = 3600 + 120.0
"""AWS's longest deregistration delay, and two minutes more."""
LOST_REPLY: Final = 29.0
"""After a create with a lost reply, a read may not show the resource for so long: reads after about 1, 2, 4, 8, 16 and 31 s."""
