"""Measurements of what AWS's API takes, refuses and shows."""

from __future__ import annotations

import os
import time
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tests.account.bench import answer
from tests.account.inventory import ZONE
from tests.account.measurements.measurement import Measurement, measurement

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.account.answers import Facts
    from tests.account.bench import Bench

ALL: list[Measurement] = []
_alone = partial(measurement, on_service=False, into=ALL)
_on_service = partial(measurement, on_service=True, into=ALL)
MINUTES = "ALB_RECONCILE_TEST_MINUTES"
"""For how long it is asked whether a token can be used again (0: once)."""


@_on_service()
def http_tokens_alone(bench: Bench) -> str:
    """Does ModifyInstanceMetadataOptions take HttpTokens without HttpEndpoint, and beside a disabled endpoint?"""

    def change(**options: str) -> str:
        return answer(lambda: bench.ec2.modify_instance_metadata_options(InstanceId=bench.instances[0], **options))

    alone = change(HttpTokens="required")
    disabled = change(HttpTokens="required", HttpEndpoint="disabled")
    change(HttpEndpoint="enabled")
    return f"alone: {alone}; with HttpEndpoint=disabled: {disabled}"


def launch(bench: Bench, token: str, count: int = 1, **changed: Any) -> list[dict[str, Any]]:
    """Instances that are launched as the demo's are, unless something is changed. Raises ClientError."""
    found = bench.ec2.describe_instances(InstanceIds=bench.instances[:1])["Reservations"][0]["Instances"][0]
    usual = {"ImageId": found["ImageId"], "InstanceType": found["InstanceType"], "SubnetId": found["SubnetId"]}
    wanted = {**usual, "TagSpecifications": bench.tagged("instance"), **changed}
    return list(bench.ec2.run_instances(MinCount=count, MaxCount=count, ClientToken=token, **wanted)["Instances"])


def _launch(bench: Bench, token: str, **changed: Any) -> str:
    return str(launch(bench, token, **changed)[0]["InstanceId"])


@_on_service(instances=1)
def life_of_failed_client_tokens(bench: Bench) -> str:
    """Can the client token of a launch that was refused be used again with other parameters, and how soon?"""
    told = list[str]()
    unknown, outside = {"ImageId": "ami-0123456789abcdef0"}, {"PrivateIpAddress": "172.31.255.250"}
    for name, mistake in (("an image that doesn't exist", unknown), ("an address outside", outside)):
        token = f"{bench.run}-failed-{len(told)}"
        refused = answer(partial(_launch, bench, token, **mistake))
        told.append(f"{name} ({refused}): {_used_again(bench, partial(_launch, bench, token))}")
    return "; ".join(told)


def _used_again(bench: Bench, launch: Callable[[], str]) -> str:
    began, until = time.monotonic(), 60 * float(os.environ.get(MINUTES) or 0)
    while True:
        try:
            bench.ec2.terminate_instances(InstanceIds=[launch()])
        except ClientError as error:
            told, passed = error.response["Error"]["Code"], bench.tool.place.seconds(time.monotonic() - began)
        else:
            return f"yes, after {(time.monotonic() - began) / 60:.0f} min"
        if passed >= until:
            return f"no, {told}, for {passed / 60:.0f} min ({MINUTES} says how long it is asked)"
        bench.sleep(300)


@_on_service(instances=1)
def terminated_instances(bench: Bench) -> str:
    """How soon do terminated instances lose their tags, and what does their client token bring back?"""
    token = f"{bench.run}-terminated"
    made = _launch(bench, token)
    bench.ec2.terminate_instances(InstanceIds=[made])
    bench.ec2.get_waiter("instance_terminated").wait(InstanceIds=[made], WaiterConfig={"Delay": 2, "MaxAttempts": 300})
    again = answer(lambda: _same(_launch(bench, token), made))

    def tags() -> list[Any]:
        found = bench.ec2.describe_instances(InstanceIds=[made])["Reservations"]
        return [tag for each in found for item in each["Instances"] for tag in item.get("Tags", [])]

    gone = bench.until(lambda: not tags(), patience=900, poll=10)
    return f"tags: {'still there after 900 s' if gone is None else f'gone after {gone:.0f} s'}; the same launch again: {again}"


def _same(made: str, before: str) -> None:
    if made != before:
        raise ClientError({"Error": {"Code": "another instance", "Message": made}}, "RunInstances")


@_alone()
def token_of_a_deleted_volume(bench: Bench) -> str:
    """What does CreateVolume answer to the client token of a volume that has been deleted?"""
    zone = bench.ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
    wanted = {"AvailabilityZone": zone, "Size": 1, "ClientToken": f"{bench.run}-volume"}
    wanted["TagSpecifications"] = bench.tagged("volume")
    made = bench.ec2.create_volume(**wanted)["VolumeId"]
    bench.ec2.get_waiter("volume_available").wait(VolumeIds=[made], WaiterConfig={"Delay": 2, "MaxAttempts": 60})
    bench.ec2.delete_volume(VolumeId=made)
    again: dict[str, Any] = {}
    told = answer(lambda: again.update(bench.ec2.create_volume(**wanted)))
    if not again:
        return told
    return f"accepted: {'the deleted one' if again['VolumeId'] == made else 'another one'}, {again['State']}"


@_alone()
def token_of_a_deleted_certificate(bench: Bench) -> str:
    """What does RequestCertificate answer to the token of a certificate that has been deleted, and for how long?"""
    acm, token = bench.tool.place.client("acm"), f"{bench.run}certificate"

    def request() -> str:
        wanted = {"DomainName": f"{bench.run}.example.com", "ValidationMethod": "DNS", "IdempotencyToken": token}
        return str(acm.request_certificate(**wanted, Tags=bench.tags)["CertificateArn"])

    first = request()
    until_shown(bench, acm, first)
    acm.delete_certificate(CertificateArn=first)
    if request() != first:
        return "another one at once"
    took = bench.until(lambda: request() != first, patience=4000, poll=60)
    return "the deleted one, still after an hour" if took is None else f"the deleted one, for {took / 60:.0f} min"


@_alone()
def overlapping_range(bench: Bench) -> str:
    """With which code does AWS refuse an overlapping range of a VPC?"""
    return answer(lambda: bench.ec2.associate_vpc_cidr_block(VpcId=bench.vpc, CidrBlock="10.77.128.0/20"))


@_on_service(addresses=2)
def address_of_an_associated_instance(bench: Bench) -> str:
    """Is AssociateAddress without permission to reassociate refused if the instance has another association?"""
    tags = bench.tagged("elastic-ip")
    made = [bench.ec2.allocate_address(Domain="vpc", TagSpecifications=tags)["AllocationId"] for _ in "ab"]
    give = partial(bench.ec2.associate_address, InstanceId=bench.instances[0], AllowReassociation=False)
    try:
        first, second = (answer(partial(give, AllocationId=each)) for each in made)
    finally:
        for item in bench.ec2.describe_addresses(AllocationIds=made)["Addresses"]:
            if "AssociationId" in item:
                bench.ec2.disassociate_address(AssociationId=item["AssociationId"])
            bench.ec2.release_address(AllocationId=item["AllocationId"])
    return f"the first: {first}; the second: {second}"


@_on_service()
def zone_of_an_address_outside(bench: Bench) -> str:
    """Does DescribeTargetHealth show the zone `all` of a target by address again?"""
    with bench.group(TargetType="ip") as group:
        target = {"Id": "172.31.255.250", "AvailabilityZone": "all"}
        bench.elb.register_targets(TargetGroupArn=group, Targets=[target])
        (shown,) = bench.elb.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        bench.elb.deregister_targets(TargetGroupArn=group, Targets=[target])
    return f"AvailabilityZone: {shown['Target'].get('AvailabilityZone', 'not shown')}"


@_alone(endpoints=1)
def subnets_of_an_endpoint(bench: Bench) -> str:
    """Does an interface endpoint give up a subnet and take another one of the same zone in one call?"""
    zone = bench.ec2.describe_availability_zones()["AvailabilityZones"][0]["ZoneName"]
    first, second = bench.subnets(bench.vpc, dict.fromkeys(("10.77.1.0/24", "10.77.2.0/24"), zone))
    made = bench.ec2.create_vpc_endpoint(
        VpcId=bench.vpc, VpcEndpointType="Interface", ServiceName=f"com.amazonaws.{bench.tool.place.region}.ssm",
        SubnetIds=[first], PrivateDnsEnabled=False, TagSpecifications=bench.tagged("vpc-endpoint"),
    )["VpcEndpoint"]["VpcEndpointId"]  # fmt: skip

    def state() -> str:
        return str(bench.ec2.describe_vpc_endpoints(VpcEndpointIds=[made])["VpcEndpoints"][0]["State"])

    bench.until(lambda: state() == "available", patience=600, poll=5)
    told = answer(
        partial(bench.ec2.modify_vpc_endpoint, VpcEndpointId=made, AddSubnetIds=[second], RemoveSubnetIds=[first])
    )
    bench.ec2.delete_vpc_endpoints(VpcEndpointIds=[made])
    return told


@_on_service()
def default_certificate_in_the_list(bench: Bench) -> str:
    """Does DescribeListenerCertificates show a default certificate once more among those that were added?"""
    acm = bench.tool.place.client("acm")
    first, second = (imported(bench, acm, f"{name}.example.com") for name in "ab")
    listener = https(bench, bench.id("load_balancer.public"), first)
    add = partial(bench.elb.add_listener_certificates, ListenerArn=listener)
    try:
        added, twice = (answer(partial(add, Certificates=[{"CertificateArn": each}])) for each in (second, first))
        shown = bench.elb.describe_listener_certificates(ListenerArn=listener)["Certificates"]
    finally:
        bench.elb.delete_listener(ListenerArn=listener)
    names = {first: "the default one", second: "the added one"}
    rows = [f"{names[item['CertificateArn']]} (IsDefault: {item.get('IsDefault')})" for item in shown]
    return f"{', '.join(rows)}; another one added: {added}; the default one added: {twice}"


def imported(bench: Bench, acm: Any, name: str) -> str:
    """A certificate that is shown."""
    arn = str(acm.import_certificate(**_self_signed(name), Tags=bench.tags)["CertificateArn"])
    until_shown(bench, acm, arn)
    return arn


def https(bench: Bench, balancer: str, certificate: str) -> str:
    """A listener that has a certificate, and answers by itself."""
    made = bench.elb.create_listener(
        LoadBalancerArn=balancer, Protocol="HTTPS", Port=8443, Certificates=[{"CertificateArn": certificate}],
        SslPolicy="ELBSecurityPolicy-TLS13-1-2-2021-06", Tags=bench.tags,
        DefaultActions=[{"Type": "fixed-response", "FixedResponseConfig": {"StatusCode": "200"}}],
    )  # fmt: skip
    return str(made["Listeners"][0]["ListenerArn"])


def until_shown(bench: Bench, acm: Any, arn: str) -> None:
    """Until ACM shows a new certificate. DescribeCertificate: "there is a delay of several seconds before you can retrieve"."""
    bench.until(lambda: answer(lambda: acm.describe_certificate(CertificateArn=arn)) == "accepted", patience=60)


def _self_signed(name: str) -> dict[str, bytes]:
    """A certificate and its key, as ImportCertificate takes them."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(subject).issuer_name(subject).public_key(key.public_key())
        .serial_number(x509.random_serial_number()).not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False).sign(key, hashes.SHA256())
    )  # fmt: skip
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return {"Certificate": made.public_bytes(pem), "PrivateKey": private}


def _zone(bench: Bench) -> tuple[str, str]:
    """The id and name of a hosted zone of the run's own. Deleted within twelve hours, it costs nothing."""
    route53, name = bench.tool.place.client("route53"), f"{bench.run}.{ZONE}"
    for item in route53.list_hosted_zones_by_name(DNSName=name, MaxItems="1")["HostedZones"]:
        if item["Name"] == name:
            return item["Id"], name
    return route53.create_hosted_zone(Name=name, CallerReference=f"{bench.run}-{time.time()}")["HostedZone"]["Id"], name


def _record(bench: Bench, action: str, name: str, kind: str, **what: Any) -> str:
    identifier, zone = _zone(bench)
    change = {"Action": action, "ResourceRecordSet": {"Name": f"{name}.{zone}", "Type": kind, **what}}
    ask = bench.tool.place.client("route53").change_resource_record_sets
    return answer(partial(ask, HostedZoneId=identifier, ChangeBatch={"Changes": [change]}))


@_alone()
def words_of_route53(bench: Bench) -> Facts:
    """In what words does ChangeResourceRecordSets refuse?"""
    value, other, name = (
        {"TTL": 60, "ResourceRecords": [{"Value": each}]} for each in ("192.0.2.1", "192.0.2.2", "example.com")
    )
    _record(bench, "CREATE", "there", "A", **value)
    return {
        "created again": _record(bench, "CREATE", "there", "A", **value),
        "deleted with another value": _record(bench, "DELETE", "there", "A", **other),
        "deleted and not there": _record(bench, "DELETE", "absent", "A", **value),
        "a CNAME beside it": _record(bench, "CREATE", "there", "CNAME", **name),
        "weighted beside it": _record(bench, "CREATE", "there", "A", SetIdentifier="one", Weight=1, **value),
    }


@_on_service(balancers=1, addresses=2)
def alias_to_a_new_load_balancer(bench: Bench) -> str:
    """Is an alias to a load balancer that was made a moment ago refused for a while?"""
    identifier, zone = _zone(bench)
    with bench.balancer("alias") as made:
        target = {"HostedZoneId": made["CanonicalHostedZoneId"], "DNSName": made["DNSName"]}
        row = {"Name": f"alias.{zone}", "Type": "A", "AliasTarget": {**target, "EvaluateTargetHealth": False}}
        batch = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": row}]}
        change = bench.tool.place.client("route53").change_resource_record_sets
        return bench.until_taken(lambda: change(HostedZoneId=identifier, ChangeBatch=batch), poll=5)
