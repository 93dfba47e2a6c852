"""Explains the errors of AWS and of the network, and says what a user can do about each error."""

import re
from typing import Final

from alb_reconcile.aws.endpoint import without_passwords
from alb_reconcile.model.errors import THROTTLED, AwsError, UnreachableError
from alb_reconcile.model.text import camel, printable

DENIED: Final = ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException")
"""AWS's codes for a call that the identity may not make."""
_HINTS: Final = {
    **dict.fromkeys(
        DENIED,
        "allow the IAM action {action} to this identity (`alb-reconcile iam-policy SPEC` prints all that it needs)",
    ),
    **dict.fromkeys(("ExpiredToken", "ExpiredTokenException"), "log in again{profile}"),
    **dict.fromkeys(
        ("AuthFailure", "InvalidClientTokenId", "UnrecognizedClientException"),
        "check the credentials, and that the region is enabled in the account",
    ),
    **dict.fromkeys(
        ("OptInRequired", "RegionDisabledException"), "enable the region in the account, or choose another"
    ),
    "SignatureDoesNotMatch": "check the credentials",
    "RequestExpired": "log in again{profile}, and check this machine's clock",
    "InsufficientInstanceCapacity": "AWS has no capacity for this type in that zone now: try later, or use another type or zone",
    "DependencyViolation": "something still uses it; find it in the console and run again",
    "create_load_balancer OperationNotPermitted": "AWS doesn't let this account make load balancers yet; ask AWS Support to allow it, then run again",
    "OperationNotPermitted": "protection is on; lift it by hand, or in the spec, and run again",
    "Unsupported": "this type isn't offered in this zone; choose another",
    "IdempotentParameterMismatch": "AWS still remembers an earlier run's request; run again in a few minutes",
    "InvalidKeyPair.NotFound": "create the key pair, or correct key_name",
    "CertificateNotFound": "check certificate_arn: its region and account must be the stack's",
    "VolumeModificationRateExceeded": "AWS changes a volume again some hours after the last change, at the latest six; apply then",
    "IncorrectModificationState": "AWS is still busy with the last change of the volume; apply when that is done",
    "InvalidAMIID.NotFound": "check image_id: AMIs differ by region",
    "InvalidTarget": "a target must run, in the VPC of the target group; correct targets",
    "TargetGroupAssociationLimit": "a target group serves one load balancer; it is in use by another",
}

_PREFIXES: Final = {
    "elbv2": "elasticloadbalancing",
    "resourcegroupstaggingapi": "tag",
    "service-quotas": "servicequotas",
}
_S3_ACTIONS: Final = {
    "list_buckets": "ListAllMyBuckets",
    "list_objects_v2": "ListBucket",
    "head_object": "GetObject",
    "get_bucket_lifecycle_configuration": "GetLifecycleConfiguration",
    "put_bucket_lifecycle_configuration": "PutLifecycleConfiguration",
    "delete_bucket_lifecycle": "PutLifecycleConfiguration",
    "get_public_access_block": "GetBucketPublicAccessBlock",
    "put_public_access_block": "PutBucketPublicAccessBlock",
    "delete_public_access_block": "PutBucketPublicAccessBlock",
}
"""Where S3's actions have other names than its calls."""
_ACTION: Final = re.compile(r"not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)")
_NO_CREDENTIALS: Final = (
    "NoCredentialsError",
    "PartialCredentialsError",
    "CredentialRetrievalError",
    "TokenRetrievalError",
    "NoAuthTokenError",
    "SSOError",
    "LoginError",  # of `aws login`
)
"""botocore's errors, with their subclasses, that mean that there are no credentials, or that they have expired."""


def explain_code(service: str, operation: str, code: str, message: str = "", profile: str | None = None) -> str:
    """What a user can do about an error code; empty without advice. `message` is AWS's, `profile` the name of the profile with the
    credentials that were used, if any."""
    if code in THROTTLED:
        return "AWS throttles this account's calls: see what else calls so often, and run again"
    if code.endswith(("LimitExceeded", "LimitExceededException")) or code.startswith("TooMany"):
        return "an account quota is reached: raise it in Service Quotas, or delete what isn't needed"
    named = _ACTION.search(message)  # often an action other than the call's: iam:PassRole
    action = named[1] if named else iam_action(service, operation)
    told = _HINTS.get(f"{operation} {code}") or _HINTS.get(code, "")
    hint = told.format(action=action, profile=f" with the profile {profile}" if profile else "")
    is_function = (operation, code) == ("register_targets", "AccessDenied")
    return hint + ", or a function's policy keeps load balancers out: see it" * is_function


def iam_action(service: str, operation: str) -> str:
    """The action that a call needs, as IAM names it (Service Authorization Reference)."""
    name = _S3_ACTIONS.get(operation) if service == "s3" else None
    return f"{_PREFIXES.get(service, service)}:{name or camel(operation)}"


NO_CREDENTIALS: Final = "no usable AWS credentials"


def transport_error(service: str, operation: str, error: Exception) -> AwsError:
    """An error that botocore itself raised, as an AwsError."""
    name = type(error).__name__
    if any(kind.__name__ in _NO_CREDENTIALS for kind in type(error).__mro__):
        return UnreachableError(f"{NO_CREDENTIALS}: {_one_line(error)}; set AWS_PROFILE or --profile, or log in")
    # then comes the header: perhaps a token
    if name == "HTTPClientError" and "Invalid header" in str(error):
        return UnreachableError(
            "the AWS credentials can't be used: the access key or the session token has a character that no header can have, such as "
            "a line break at its end; correct it"
        )
    if name == "HTTPClientError" and "Failed to parse" in str(error):  # the text goes on with what may be a password
        return UnreachableError("the proxy in HTTP_PROXY or HTTPS_PROXY isn't an address; write http://HOST:PORT")
    if name in (
        "EndpointConnectionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "ConnectionClosedError",
        "ProxyConnectionError",
        "SSLError",
        "HTTPClientError",
    ):
        hint = "check the network, the region and the endpoint"
        return AwsError(service, operation, name, _one_line(error), "", hint=hint, ambiguous=True)
    return AwsError(service, operation, name, _one_line(error), "")


def unusable(error: Exception) -> UnreachableError:
    """An error that botocore raised at the user's settings, as an UnreachableError."""
    return UnreachableError(f"the AWS settings can't be used: {_one_line(error)}")


def _one_line(error: Exception) -> str:
    return printable(re.sub(r"\s+", " ", without_passwords(str(error))).strip().rstrip("."))
