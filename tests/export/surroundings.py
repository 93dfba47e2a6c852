"""What a hand-made service has around it: a key pair, an instance profile, logs, HTTPS, DNS records. By the calls that people make."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.export.hand_made import by_ansible, elb_tags, image
from tests.harness import REGION, by_hand
from tests.kinds.test_listener import CERTIFICATES, upload_certificates
from tests.sandbox.authorities import server_certificate

if TYPE_CHECKING:
    from tests.harness import World

BUCKET, KEY, PROFILE = "acme-web-logs", "ops@acme", "acme.web"


def furnished(world: World) -> dict[str, Any]:
    """Ansible's service, and around it all that a network doesn't lead to."""
    zone_id = zone("example.com")
    made = by_ansible(world)
    return {
        **made,
        "zone": zone_id,
        "key": key_pair(world, made),
        "bucket": logs(world, made["balancer"]),
        **https(world, made["balancer"], zone_id),
        "record": record(zone_id, world, made["balancer"]),
    }


def key_pair(world: World, made: dict[str, Any]) -> str:
    """A key pair, and a target that was launched with it and with an instance profile."""
    ec2, iam = world.client("ec2"), by_hand("iam")
    key = str(ec2.create_key_pair(KeyName=KEY, KeyType="ed25519")["KeyPairId"])
    iam.create_instance_profile(InstanceProfileName=PROFILE, Path="/acme/")
    instance = launch(world, made, KeyName=KEY, IamInstanceProfile={"Name": PROFILE})
    targets = [{"Id": instance, "Port": 8080}]
    world.client("elbv2").register_targets(TargetGroupArn=made["group"], Targets=targets)
    return key


def launch(world: World, made: dict[str, Any], **more: Any) -> str:
    """One more instance in the network."""
    answer = world.client("ec2").run_instances(
        ImageId=image(world), InstanceType="t3.micro", MinCount=1, MaxCount=1, SubnetId=made["subnets"][0],
        SecurityGroupIds=[made["web"]], **more,
    )  # fmt: skip
    world.clock.advance(60)
    return str(answer["Instances"][0]["InstanceId"])


def logs(world: World, *balancers: str) -> str:
    """A bucket that load balancers write their logs to."""
    s3, elb = by_hand("s3"), world.client("elbv2")
    s3.create_bucket(Bucket=BUCKET)
    allowed = {
        "Effect": "Allow", "Principal": {"Service": "logdelivery.elasticloadbalancing.amazonaws.com"},
        "Action": "s3:PutObject", "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }  # fmt: skip
    s3.put_bucket_policy(Bucket=BUCKET, Policy=json.dumps({"Version": "2012-10-17", "Statement": [allowed]}))
    shut = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")
    s3.put_public_access_block(Bucket=BUCKET, PublicAccessBlockConfiguration=dict.fromkeys(shut, True))
    expiry = {"ID": "old", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 90}}
    s3.put_bucket_lifecycle_configuration(Bucket=BUCKET, LifecycleConfiguration={"Rules": [expiry]})
    for balancer in balancers:
        attributes = elb_tags(**{"access_logs.s3.enabled": "true", "access_logs.s3.bucket": BUCKET})
        elb.modify_load_balancer_attributes(LoadBalancerArn=balancer, Attributes=attributes)
    return f"arn:aws:s3:::{BUCKET}"


def zone(name: str, vpc: str = "", reference: str = "") -> str:
    """A hosted zone, private in a VPC; its id."""
    more: dict[str, Any] = {"CallerReference": reference or name}
    if vpc:
        more |= {"VPC": {"VPCRegion": REGION, "VPCId": vpc}, "HostedZoneConfig": {"PrivateZone": True, "Comment": ""}}
    made = by_hand("route53").create_hosted_zone(Name=name, **more)
    return str(made["HostedZone"]["Id"]).rpartition("/")[2]


def rows(zone_id: str) -> list[dict[str, Any]]:
    """A zone's record sets."""
    return list(by_hand("route53").list_resource_record_sets(HostedZoneId=zone_id)["ResourceRecordSets"])


def change(world: World, zone_id: str, **row: Any) -> None:
    """Make a record set, and wait until all name servers have it."""
    batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": row}]}
    by_hand("route53").change_resource_record_sets(HostedZoneId=zone_id, ChangeBatch=batch)
    world.clock.advance(60)


def issued(world: World, *names: str, zone_id: str) -> str:
    """A certificate for these names, which records in a zone validate."""
    acm = by_hand("acm")
    told: dict[str, Any] = {"SubjectAlternativeNames": list(names[1:])} if names[1:] else {}
    arn = str(acm.request_certificate(DomainName=names[0], ValidationMethod="DNS", **told)["CertificateArn"])
    world.clock.advance(60)
    options = acm.describe_certificate(CertificateArn=arn)["Certificate"]["DomainValidationOptions"]
    for name, value in {item["ResourceRecord"]["Name"]: item["ResourceRecord"]["Value"] for item in options}.items():
        change(world, zone_id, Name=name, Type="CNAME", TTL=300, ResourceRecords=[{"Value": value}])
    acm.describe_certificate(CertificateArn=arn)  # ACM of the emulator looks when it is asked
    world.clock.advance(3600)
    assert acm.describe_certificate(CertificateArn=arn)["Certificate"]["Status"] == "ISSUED"
    return arn


def https(world: World, balancer: str, zone_id: str) -> dict[str, str]:
    """A listener with three certificates: requested by default; by name one from files, and one of IAM's."""
    own = issued(world, "shop.example.com", "*.shop.example.com", zone_id=zone_id)
    certificate, key = server_certificate("old.example.org")
    bought = by_hand("acm").import_certificate(Certificate=certificate.encode(), PrivateKey=key.encode())[
        "CertificateArn"
    ]
    world.clock.advance(60)
    upload_certificates()
    elb = world.client("elbv2")
    listener = elb.create_listener(
        LoadBalancerArn=balancer, Protocol="HTTPS", Port=443, Certificates=[{"CertificateArn": own}],
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    )["Listeners"][0]["ListenerArn"]  # fmt: skip
    for arn in (bought, CERTIFICATES[0]):
        elb.add_listener_certificates(ListenerArn=listener, Certificates=[{"CertificateArn": arn}])
    return {"https": listener, "certificate": own, "bought": bought}


def record(zone_id: str, world: World, balancer: str, name: str = "shop.example.com", **more: Any) -> str:
    """An alias that leads to a load balancer."""
    found = world.client("elbv2").describe_load_balancers(LoadBalancerArns=[balancer])["LoadBalancers"][0]
    target = {"DNSName": f"dualstack.{found['DNSName']}.", "HostedZoneId": found["CanonicalHostedZoneId"]}
    change(world, zone_id, Name=name, Type="A", AliasTarget={**target, "EvaluateTargetHealth": False}, **more)
    return f"arn:aws:route53:::hostedzone/{zone_id}/recordset/{'/'.join(filter(None, (name, 'A', more.get('SetIdentifier'))))}"


def neighbour(world: World, made: dict[str, Any]) -> str:
    """Another load balancer in the VPC, which has the first one's security group, certificate and bucket, and an instance with its
    key pair."""
    elb = world.client("elbv2")
    other = elb.create_load_balancer(Name="other", Subnets=made["subnets"], SecurityGroups=[made["front"]])
    arn = str(other["LoadBalancers"][0]["LoadBalancerArn"])
    attributes = elb_tags(**{"access_logs.s3.enabled": "true", "access_logs.s3.bucket": BUCKET})
    elb.modify_load_balancer_attributes(LoadBalancerArn=arn, Attributes=attributes)
    elb.create_listener(
        LoadBalancerArn=arn, Protocol="HTTPS", Port=443, Certificates=[{"CertificateArn": made["certificate"]}],
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "404"}}],
    )  # fmt: skip
    launch(world, made, KeyName=KEY)
    return arn
