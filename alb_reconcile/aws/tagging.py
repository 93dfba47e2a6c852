"""Names the AWS services that have resources with tags, and the calls that read and write the tags: a row for each service that has calls
of its own for that, and one row for all services that have TagResource."""

import asyncio
import re
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache, partial
from typing import Any, Final

from alb_reconcile.aws import shapes
from alb_reconcile.aws.bucket_tags import change_bucket_tags
from alb_reconcile.aws.client import Aws
from alb_reconcile.aws.record_tags import write_record_tags
from alb_reconcile.model import tags
from alb_reconcile.model.errors import ignoring


@dataclass(frozen=True)
class TaggedService:
    """How a service's resources are named and tagged."""

    name: str
    """botocore's name of the service."""
    ids: str
    """A regular expression of the service's ids or ARNs; TYPE stands for the kind's `arn_type`."""
    most: int
    """The most resources in one call that writes tags."""
    actions: tuple[str, ...]
    """The IAM actions that write tags."""
    write: Callable[[Aws, Sequence[str], Mapping[str, str]], Awaitable[object]]
    """Writes tags to up to `most` resources."""
    remove: Callable[[Aws, Sequence[str], Sequence[str]], Awaitable[object]]
    """Removes tags from up to `most` resources, by the tags' keys."""
    gone: str = "*NotFound*"
    """AWS's code for a resource that doesn't exist, as a pattern."""

    def names(self, resource: str, arn_type: str = "") -> bool:
        """Whether a text is the id or ARN of a resource of the service; of type `arn_type`, where it is given."""
        kind = re.escape(arn_type) if arn_type else "[a-z-]+(/app|/net|/gwy)?"
        return re.fullmatch(self.ids.replace("TYPE", kind), resource) is not None

    def is_gone(self, code: str) -> bool:
        """Whether an error's code says that a resource doesn't exist."""
        return fnmatchcase(code, self.gone)


async def _write_ec2(aws: Aws, resources: Sequence[str], wanted: Mapping[str, str]) -> None:
    await aws.call("ec2", "create_tags", Resources=list(resources), Tags=tags.to_list(wanted))


async def _remove_ec2(aws: Aws, resources: Sequence[str], keys: Sequence[str]) -> None:
    await aws.call("ec2", "delete_tags", Resources=list(resources), Tags=[{"Key": key} for key in keys])


async def _write_elb(aws: Aws, resources: Sequence[str], wanted: Mapping[str, str]) -> None:
    await aws.call("elbv2", "add_tags", ResourceArns=list(resources), Tags=tags.to_list(wanted))


async def _remove_elb(aws: Aws, resources: Sequence[str], keys: Sequence[str]) -> None:
    await aws.call("elbv2", "remove_tags", ResourceArns=list(resources), TagKeys=list(keys))


async def _write_iam(aws: Aws, resources: Sequence[str], wanted: Mapping[str, str]) -> None:
    """Write the tags of an instance profile and its role, which have one name."""
    for name in map(_last, resources):
        told: dict[str, Any] = {"Tags": tags.to_list(wanted)}
        await aws.call("iam", "tag_instance_profile", InstanceProfileName=name, **told)
        await aws.call("iam", "tag_role", RoleName=name, **told)


async def _remove_iam(aws: Aws, resources: Sequence[str], keys: Sequence[str]) -> None:
    for name in map(_last, resources):
        await aws.call("iam", "untag_instance_profile", InstanceProfileName=name, TagKeys=list(keys))
        await aws.call("iam", "untag_role", RoleName=name, TagKeys=list(keys))


async def _write_s3(aws: Aws, resources: Sequence[str], wanted: Mapping[str, str]) -> None:
    for name in map(_last, resources):
        await change_bucket_tags(aws, name, wanted)


async def _remove_s3(aws: Aws, resources: Sequence[str], keys: Sequence[str]) -> None:
    for name in map(_last, resources):
        await change_bucket_tags(aws, name, {}, keys)


async def _write_route53(aws: Aws, resources: Sequence[str], wanted: Mapping[str, str]) -> None:
    await write_record_tags(aws, resources, wanted)


async def _remove_route53(aws: Aws, resources: Sequence[str], keys: Sequence[str]) -> None:
    await write_record_tags(aws, resources, {}, keys)


async def _write_acm(aws: Aws, resources: Sequence[str], wanted: Mapping[str, str]) -> None:
    for arn in resources:
        await aws.call("acm", "add_tags_to_certificate", CertificateArn=arn, Tags=tags.to_list(wanted))


async def _remove_acm(aws: Aws, resources: Sequence[str], keys: Sequence[str]) -> None:
    named: list[dict[str, str]] = [{"Key": key} for key in keys]
    for arn in resources:
        await aws.call("acm", "remove_tags_from_certificate", CertificateArn=arn, Tags=named)


def _last(arn: str) -> str:
    """The name in an ARN."""
    return re.split("[:/]", arn)[-1]


SERVICES: Final = {
    row.name: row
    for row in (
        # CreateTags takes 1,000 resources, AddTags 20
        TaggedService("ec2", "[a-z-]+-([0-9a-f]{8}|[0-9a-f]{17})", 500, ("ec2:CreateTags",), _write_ec2, _remove_ec2),
        TaggedService(
            "elbv2", "arn:[a-z-]+:elasticloadbalancing:[a-z0-9-]+:[0-9]{12}:TYPE/.+", 20,
            ("elasticloadbalancing:AddTags",), _write_elb, _remove_elb,
        ),
        TaggedService(
            "iam", "arn:[a-z-]+:iam::[0-9]{12}:TYPE/.+", 1,
            ("iam:TagInstanceProfile", "iam:TagRole"), _write_iam, _remove_iam, gone="NoSuchEntity",
        ),
        TaggedService(
            "s3", "arn:[a-z-]+:s3:::[a-z0-9.-]+", 1, ("s3:PutBucketTagging",), _write_s3, _remove_s3, gone="NoSuchBucket"
        ),
        TaggedService(
            "acm", "arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:TYPE/.+", 1, ("acm:AddTagsToCertificate",),
            _write_acm, _remove_acm, gone="ResourceNotFoundException",
        ),
        TaggedService(
            "route53", "arn:[a-z-]+:route53:::hostedzone/[A-Z0-9]+/recordset/.+", 25,
            ("route53:ChangeResourceRecordSets",), _write_route53, _remove_route53, gone="NoSuchHostedZone",
        ),
    )
}  # fmt: skip
"""The services, by botocore's name."""


@cache
def service_named(name: str) -> TaggedService:
    """A service by botocore's name: the service's own row, or the row of all services that have TagResource, with the parameters' names
    from botocore's model."""
    return SERVICES.get(name) or TaggedService(
        name, f"arn:[a-z-]+:{name}:[a-z0-9-]*:[0-9]{{12}}:TYPE[:/].+", 1, (f"{name}:TagResource",),
        partial(_write, name), partial(_remove, name),
    )  # fmt: skip


async def _write(service: str, aws: Aws, resources: Sequence[str], wanted: Mapping[str, str]) -> None:
    told = shapes.tags_for(service, "TagResource", wanted)
    for arn in resources:
        await aws.call(service, "tag_resource", **shapes.of_resource(service, "TagResource", arn), **told)


async def _remove(service: str, aws: Aws, resources: Sequence[str], keys: Sequence[str]) -> None:
    told: dict[str, Any] = {shapes.keys_parameter(service, "UntagResource"): list(keys)}
    for arn in resources:
        await aws.call(service, "untag_resource", **shapes.of_resource(service, "UntagResource", arn), **told)


async def read_resource_tags(aws: Aws, service: str, arn: str) -> dict[str, str]:
    """The tags of a resource of a service that has TagResource (ListTagsForResource). Raises AwsError."""
    operation = "ListTagsForResource"
    answer = await aws.call(service, "list_tags_for_resource", **shapes.of_resource(service, operation, arn))
    return shapes.tags_from(service, operation, answer)


def service_of(resource: str) -> TaggedService:
    """The service of a resource, by its id or ARN. Raises ValueError for a resource that this tool can't tag."""
    if not resource.startswith("arn:"):
        return SERVICES["ec2"]
    for row in SERVICES.values():
        if row.names(resource):
            return row
    name = resource.split(":")[2]
    shapes.model_of(name, "TagResource")
    return service_named(name)


async def write_tags(aws: Aws, resources: Sequence[str], wanted: Mapping[str, str]) -> None:
    """Write tags to resources, by ids or ARNs: not more of one service than one call takes. Raises AwsError."""
    parts = _by_service(resources)
    await asyncio.gather(*(service_named(name).write(aws, part, wanted) for name, part in parts.items()))


async def remove_tags(aws: Aws, resources: Sequence[str], keys: Sequence[str]) -> None:
    """Remove tags from resources, if they are still there. Raises AwsError."""
    for name, part in _by_service(resources).items():
        service = service_named(name)
        with ignoring(service.gone):
            await service.remove(aws, part, keys)


def _by_service(resources: Sequence[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for resource in resources:
        found[service_of(resource).name].append(resource)
    return found
