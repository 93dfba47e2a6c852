"""Botocore alone: imports it and makes the clients that a plan has. `python -m tests.bench.bare`."""

from __future__ import annotations

from botocore.session import Session

REGION = "us-east-1"

if __name__ == "__main__":
    session = Session()
    for service in ("ec2", "elbv2", "sts"):
        session.create_client(service, region_name=REGION)
