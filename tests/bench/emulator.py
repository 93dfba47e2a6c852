"""A plain moto server as a process of its own: `python -m tests.bench.emulator` prints its port and ends with stdin."""

from __future__ import annotations

import sys

from moto.core.responses import ActionResult
from moto.elbv2.responses import ELBV2Response
from moto.server import ThreadedMotoServer
from moto.servicequotas.resources.default_quotas.vpc import VPC_DEFAULT_QUOTAS


def main() -> None:
    """Serve on a free port of 127.0.0.1 until standard input ends, so that no orphan outlives the bench. Fifty stacks with a VPC each are in
    an account whose quotas have been raised: AWS's default is five VPCs, moto's is twenty load balancers."""
    ELBV2Response.describe_account_limits = lambda _: ActionResult({"Limits": []})  # type: ignore[assignment, method-assign]  # to raise them
    for quota in VPC_DEFAULT_QUOTAS:
        quota["Value"] = 100 * float(str(quota["Value"]))
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    print(server.get_host_and_port()[1], flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
