"""What somebody else does to the sandbox's account, for pages that show what comes of it: `python by_hand.py WHAT`."""

from __future__ import annotations

import json
import os
import re
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import boto3


def _client(service: str) -> Any:
    port = json.loads(Path(os.environ["ALB_RECONCILE_SANDBOX_DIR"], "sandbox.json").read_text())["port"]
    session = boto3.Session("someone", "else", region_name="us-east-1")
    return session.client(service, endpoint_url=f"http://127.0.0.1:{port}")


def bucket() -> None:
    """A bucket for the lease."""
    _client("s3").create_bucket(Bucket="my-bucket")


def interval() -> None:
    """Somebody changes the health check in the console."""
    client = _client("elbv2")
    (group,) = client.describe_target_groups()["TargetGroups"]
    client.modify_target_group(TargetGroupArn=group["TargetGroupArn"], HealthCheckIntervalSeconds=20)


def state() -> None:
    """Terraform's state file of what runs, with names of its own."""
    ec2, elb = _client("ec2"), _client("elbv2")
    (vpc,) = (item["VpcId"] for item in ec2.describe_vpcs()["Vpcs"] if not item["IsDefault"])
    where = [{"Name": "vpc-id", "Values": [vpc]}]
    subnets = sorted(ec2.describe_subnets(Filters=where)["Subnets"], key=lambda item: item["CidrBlock"])
    found: dict[tuple[str, str], list[str]] = {
        ("aws_vpc", "network"): [vpc],
        ("aws_subnet", "public"): [item["SubnetId"] for item in subnets],
        ("aws_lb", "edge"): [item["LoadBalancerArn"] for item in elb.describe_load_balancers()["LoadBalancers"]],
        ("aws_lb_target_group", "api"): [
            item["TargetGroupArn"] for item in elb.describe_target_groups()["TargetGroups"]
        ],
    }
    resources = [
        {
            "mode": "managed", "type": kind, "name": name,
            "instances": [
                {"attributes": {"id": item, "arn": item}, **({"index_key": number} if len(items) > 1 else {})}
                for number, item in enumerate(items)
            ],
        }
        for (kind, name), items in found.items()
    ]  # fmt: skip
    Path("terraform.tfstate").write_text(
        json.dumps({"version": 4, "terraform_version": "1.9.0", "resources": resources})
    )


def secret() -> None:
    """The secret that specs/application.yaml names."""
    _client("ssm").put_parameter(Name="/application/secret-key", Value="made up", Type="SecureString", Overwrite=True)


def wheels() -> None:
    """Flask and what it needs as wheels, made of what is installed here, so that the application's instances ask no index."""
    folder = Path("wheels").absolute()
    folder.mkdir()
    wanted, seen = ["Flask"], set[str]()
    while wanted:
        found = metadata.distribution(wanted.pop())
        if found.name in seen:
            continue
        seen.add(found.name)
        wanted += [
            re.split(r"[^\w.-]", need)[0] for need in found.requires or () if "extra ==" not in need and "<" not in need
        ]
        (tag,) = re.findall(r"^Tag: (\S+)", found.read_text("WHEEL") or "", re.MULTILINE)[:1]
        name = f"{re.sub(r'[-_.]+', '_', found.name)}-{found.version}-{tag}.whl"
        with zipfile.ZipFile(folder / name, "w") as wheel:
            for file in found.files or ():
                if ".." not in file.parts and "__pycache__" not in file.parts:
                    wheel.write(str(file.locate()), str(file))
    settings = Path("application/.config/pip/pip.conf")
    settings.parent.mkdir(parents=True)
    settings.write_text(f"[global]\nno-index = true\nfind-links = {folder}\n")


if __name__ == "__main__":
    {"bucket": bucket, "interval": interval, "secret": secret, "state": state, "wheels": wheels}[sys.argv[1]]()
