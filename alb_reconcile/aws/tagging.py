"""Tags are written by the API of the service whose resource it is."""

from collections.abc import Mapping, Sequence

from alb_reconcile.aws.bucket_tags import change_bucket_tags
from alb_reconcile.aws.client import Aws
from alb_reconcile.model import tags


async def write_tags(aws: Aws, resources: Sequence[str], wanted: Mapping[str, str]) -> None:
    """Write tags to resources, by ids (EC2 CreateTags) or by ARNs (ELBv2 AddTags; IAM TagInstanceProfile and TagRole; S3 PutBucketTagging)."""
    pairs = tags.to_list(wanted)
    ids = [item for item in resources if not item.startswith("arn:")]
    arns = [item for item in resources if ":elasticloadbalancing:" in item]
    for item in resources:
        if ":iam:" in item:
            name = item.rpartition("/")[2]
            await aws.call("iam", "tag_instance_profile", InstanceProfileName=name, Tags=pairs)
            await aws.call("iam", "tag_role", RoleName=name, Tags=pairs)
        elif ":s3:::" in item:
            await change_bucket_tags(aws, item.rpartition(":")[2], wanted)
    if arns:
        await aws.call("elbv2", "add_tags", ResourceArns=arns, Tags=pairs)
    if ids:
        await aws.call("ec2", "create_tags", Resources=ids, Tags=pairs)
