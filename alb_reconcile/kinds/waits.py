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
"""Seconds for which a read may still show what was before."""
EARLIER_RUN: Final = 60
"""Seconds from the beginning of a run for which a read may show what was before an earlier run's last call, where capacity hangs on it."""
_NEW: Final = 300.0
"""Seconds for which a resource that we have just created may be unknown to other calls (EC2, eventual consistency)."""


def unknown(*codes: str) -> Codes:
    """What AWS says of resources that were created a moment ago."""
    return dict.fromkeys(codes, _NEW)


# -- created a moment ago; what is plainly "not found" is repeated by `aws.just_named`, for every call
TARGETS_VPC_UNKNOWN: Final = unknown("ValidationError~VPC ID")
ENDPOINT_UNKNOWN: Final[Codes] = {
    "InvalidParameter~enableDnsSupport": 60.0,  # the VPC's attributes are being set
    "InvalidParameter~must have a Gateway endpoint": 300.0,  # which is being made
}
NAT_UNKNOWN: Final = unknown(
    "InvalidNatGatewayID.NotFound"
)  # also of one that isn't available yet (kOps, pull request 944)
GROUP_UNKNOWN: Final = unknown("InvalidGroup.NotFound", "InvalidGroupId.NotFound")
ASSOCIATED_UNKNOWN: Final[Codes] = {
    "InvalidInstanceID~pending": 300.0,  # what AWS says of an instance that has just been launched
    "IncorrectInstanceState": 300.0,
    "Gateway.NotAttached": 60.0,  # right after the gateway's attachment
}
TARGET_UNKNOWN: Final[Codes] = {
    "AccessDenied~permission to invoke": 120.0,  # a permission that was given a moment ago may not have reached the load balancers yet
    **unknown("TargetGroupNotFound", "InvalidTarget~running state", "InvalidTarget~not valid", "InvalidTarget~exist"),
    "InvalidTarget": 20.0,  # of another VPC or type, which is the user's mistake; or in words that aren't known
}
FUNCTION_BUSY: Final[Codes] = {"ResourceConflictException~in progress": 120.0, "PreconditionFailedException": 30.0}
"""A function that is being updated, and a policy that somebody else changes at the same time."""
PROFILE_UNKNOWN: Final[Codes] = {"InvalidParameterValue~Invalid IAM Instance Profile": 120.0}
"""IAM is slow to tell EC2 of a new profile."""
ROLE_UNKNOWN: Final[Codes] = {"NoSuchEntity~role": 60.0, "NoSuchEntity~Instance Profile": 60.0}
BALANCER_UNKNOWN: Final[Codes] = {
    "InvalidSubnet": 60.0,  # right after the gateway's attachment; else it is the user's mistake, and told after a minute
    **unknown("SubnetNotFound", "InvalidSecurityGroup", "SecurityGroupNotFound", "LoadBalancerNotFound"),
}
LISTENER_UNKNOWN: Final[Codes] = {
    "TrustStoreNotReady": 300.0,
    "UnsupportedCertificate": 60.0,  # also of one that was issued a moment ago (terraform-provider-aws, issue 41789)
}
NAMED_UNKNOWN: Final[Codes] = {"LoadBalancerNotFound": LAG, "TargetGroupNotFound": LAG, "TrustStoreNotFound": LAG}
BUCKET_UNKNOWN: Final[Codes] = {"NoSuchBucket": 60.0, "OperationAborted": 120.0}
"""Of a bucket that was made a moment ago; while another change of it is under way."""
BUCKET_BUSY: Final[Codes] = {"OperationAborted": 120.0}
LOGS_DENIED: Final[Codes] = {"InvalidConfigurationRequest~Access Denied for bucket": 60.0}
"""A new policy of a bucket takes a while to be seen."""

WEB_ACL_UNKNOWN: Final[Codes] = {
    "WAFUnavailableEntityException": 300.0,  # of a web ACL or a load balancer that was made a moment ago
    "WAFNonexistentItemException": 60.0,
}

# -- busy with something else
INSTANCE_BUSY: Final[Codes] = {"IncorrectInstanceState": 300.0, **unknown("InvalidInstanceID.NotFound")}
ATTACHMENT_BUSY: Final[Codes] = {
    "IncorrectState": 120.0,  # of an instance that has just been started, or a volume that has just been made
    **INSTANCE_BUSY,
}
PROTECTION_LIFTED: Final[Codes] = {"OperationNotPermitted": 60.0}
"""A protection that we have just lifted may still be in the way."""

# -- deletes that wait for what still uses it
VPC_IN_USE: Final[Codes] = {"DependencyViolation": 300.0}
ROUTES_IN_USE: Final[Codes] = {"DependencyViolation": 300.0}
SUBNET_IN_USE: Final[Codes] = {"DependencyViolation": 1200.0}
GATEWAY_IN_USE: Final[Codes] = {"DependencyViolation": 1200.0}
"""Until no interface with a public address is left, which load balancers release late."""
RANGE_IN_USE: Final[Codes] = {"InvalidCidrBlock.InUse": 1200.0}
"""A range of a VPC, until no subnet is in it."""
ADDRESS_IN_USE: Final[Codes] = {
    "InvalidIPAddress.InUse": 300.0,
    "AuthFailure~permission to access": 300.0,  # what AWS says while its NAT gateway is being deleted
    "InvalidNetworkInterfaceID.NotFound": 300.0,  # and right after (terraform-provider-aws, issue 49299)
}
GROUP_IN_USE: Final[Codes] = {"DependencyViolation": 900.0, "InvalidGroup.InUse": 900.0}
TARGET_GROUP_IN_USE: Final[Codes] = {"ResourceInUse": 120.0}
TRUST_STORE_IN_USE: Final[Codes] = {"TrustStoreInUse": 120.0}

CERTIFICATE_IN_USE: Final[Codes] = {"ResourceInUseException": 1200.0, "ConflictException": 120.0}

# -- states, in seconds
CERTIFICATE_SHOWN: Final = 180.0
"""Until ACM shows a new certificate, and says which records validate it."""
CERTIFICATE_ISSUED: Final = 1800.0
"""ACM User Guide, "DNS validation": "can take up to 30 minutes"."""
CERTIFICATE_LET_GO: Final = 1200.0
"""Until ACM knows that no listener has it any more (terraform-provider-aws's time-out)."""
ENDPOINT_AVAILABLE: Final = 600.0
ENDPOINT_GONE: Final = 900.0
RANGE_ASSOCIATED: Final = 600.0
INSTANCE_STATE: Final = 600.0
METAL_STATE: Final = 2700.0
"""Bare metal takes many times as long to start and to stop."""
NAT_AVAILABLE: Final = 900.0
NAT_DELETED: Final = 1800.0
NAT_ADDRESSES: Final = 900.0
"""AWS lets the connections of an address that is taken away drain for 350 s."""
VOLUME_FREE: Final = 600.0
"""Until a volume that was made, or whose instance has ended, can be attached, or is."""
VOLUME_MODIFIED: Final = 900.0
"""Until a modified volume is used as it is to be (EBS User Guide, "Monitor the progress of volume modifications")."""
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
"""AWS's longest deregistration delay, and some."""
LOST_REPLY: Final = 29.0
"""For so long a read may not show what a create has made whose reply was lost: looks after about 1, 2, 4, 8, 16 and 31 s."""
