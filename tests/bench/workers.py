"""Workers on a queue of the sandbox's: how long one, two and four of them take beside what AWS's buckets allow."""

from __future__ import annotations

import json
import signal
import subprocess
import tempfile
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import boto3

from tests.bench import scale
from tests.bench.calls import Call
from tests.bench.fleet import allowed, by_bucket
from tests.bench.lab import ROOT, Lab, environment, run, server, tool
from tests.bench.table import Row, Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ACCOUNTS: Final = tuple(str(number) * 12 for number in range(1, 5))
REGIONS: Final = ("us-east-1", "us-west-2")
CELLS: Final = len(ACCOUNTS) * len(REGIONS)
STACKS: Final = 5
PACE: Final = 0.2
"""So that the buckets are what a cell of few stacks waits for."""
WORKERS: Final = (1, 2, 4)
BUCKET: Final = "fleet-results"
LONGEST: Final = 600.0
"""Seconds after which what doesn't end is a failure."""
_RECKONED: Final = {"sqs": scale.MESSAGES, "s3 Put": scale.PUTS, "s3 Get": scale.GETS, "sts": scale.ASSUMED}
_SPEC: Final = """\
stack: service-{number}
vpcs: {{main: {{cidr_block: 10.{number}.0.0/16}}}}
target_groups:
  api: {{vpc: main, port: 8080, protocol: HTTP}}
  web: {{vpc: main, port: 80, protocol: HTTP}}
  admin: {{vpc: main, port: 81, protocol: HTTP}}
"""


def measure(table: Table) -> None:
    """A round over a few cells with each number of workers, in turn."""
    table.head(
        f"workers: {CELLS} cells of {STACKS} undisturbed stacks, {PACE:.0%} of AWS's buckets, a queue of the sandbox's SQS"
    )
    with _bench() as bench:
        for count in WORKERS:
            calls = bench.work(count)
            a_cell = Counter({named: tokens // CELLS for named, tokens in by_bucket(calls).items()})
            turns = -(-CELLS // count)
            began = min(call.started for call in calls if call.operation == "AssumeRole")
            ended = max(call.ended for call in calls if call.operation == "DeleteMessage")
            floor = turns * allowed(a_cell, PACE)
            table.add(
                Row(f"{count} at work, from the first cell's begin to the last one's end", ended - began, "s", floor)
            )
            requests = Counter(call.service + (f" {call.operation}" if call.service == "s3" else "") for call in calls)
            for what, reckoned in _RECKONED.items():
                table.add(Row(f"… requests a cell, and reckoned: {what}", requests[what] / CELLS, floor=reckoned))
    table.note("the floor is what the buckets allow for a cell's calls, times cells, divided among the workers")


class _Bench:
    """A sandbox with a fleet that is in sync, its queue, and a proxy before it that counts."""

    def __init__(self, folder: Path, state: dict[str, Any], proxy: int) -> None:
        self._folder = folder
        self.lab = Lab(state["port"], proxy, str(folder / "state"))
        self._url = _queue(state["port"])
        place = folder / "proxied"
        place.mkdir()
        (place / "sandbox.json").write_text(json.dumps({**state, "port": proxy}), encoding="utf-8")
        self._environment = _environment(folder, "proxied")

    def work(self, count: int) -> tuple[Call, ...]:
        """One round with so many workers. Returns the calls that they made."""
        with ExitStack() as stack:
            logs = [self._folder / f"{count}-{number}.log" for number in range(count)]
            workers = {log: stack.enter_context(self._worker(log)) for log in logs}
            _until(lambda: sum(len(_told(log, "worker_ready")) for log in logs) == count, workers)
            self.lab.calls()
            run(tool("fleet", "enqueue", self._file, "--sandbox", "--queue", self._url), self._environment)
            _until(lambda: sum(len(_told(log, "cell_done")) for log in logs) >= CELLS, workers)
            for worker in workers.values():
                worker.send_signal(signal.SIGTERM)
            for worker in workers.values():
                worker.wait(60)
        done = [(item["result"], item["message"]) for log in logs for item in _told(log, "cell_done")]
        if done != [("succeeded", "done")] * CELLS:
            raise RuntimeError(f"not all cells were in sync: {done}")
        return self.lab.calls()

    @property
    def _file(self) -> str:
        return str(self._folder / "fleet.yaml")

    @contextmanager
    def _worker(self, log: Path) -> Iterator[subprocess.Popen[bytes]]:
        command = tool("fleet", "worker", self._file, "--sandbox", "--pace", str(PACE), "--queue", self._url)
        with log.open("wb") as out, subprocess.Popen(
            command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()


@contextmanager
def _bench() -> Iterator[_Bench]:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        own = _environment(folder, "sandbox")
        run(tool("sandbox", "start", "--no-traffic", "--speed", "1"), own)
        try:
            state = json.loads((folder / "sandbox" / "sandbox.json").read_text(encoding="utf-8"))
            _write_fleet(folder)
            boto3.client("s3", **_there(state["port"])).create_bucket(Bucket=BUCKET)
            run(tool("fleet", "apply", str(folder / "fleet.yaml"), "--sandbox", "--yes"), own, timeout=LONGEST)
            with server("proxy", str(state["port"])) as proxy:
                bench = _Bench(folder, state, proxy)
                with bench.lab.delay(0):
                    yield bench
        finally:
            run(tool("sandbox", "stop"), own)


def _environment(folder: Path, sandbox: str) -> dict[str, str]:
    return environment(state=str(folder / "state")) | {
        "AWS_REGION": REGIONS[0],
        "ALB_RECONCILE_SANDBOX_DIR": str(folder / sandbox),
        "ALB_RECONCILE_LOCK_DIR": str(folder / "locks"),
    }


def _write_fleet(folder: Path) -> None:
    (folder / "stacks").mkdir()
    for number in range(STACKS):
        (folder / "stacks" / f"{number}.yaml").write_text(_SPEC.format(number=number), encoding="utf-8")
    told = {
        "fleet": "many",
        "results": f"s3://{BUCKET}/fleet",
        "operation_preferences": {"failure_tolerance": "100%"},
        "defaults": {"regions": list(REGIONS), "stacks": ["stacks"], "role": "reconciler", "schedule": "15m"},
        "accounts": [{"account_id": account} for account in ACCOUNTS],
    }
    (folder / "fleet.yaml").write_text(json.dumps(told), encoding="utf-8")  # YAML, too


def _there(port: int) -> dict[str, str]:
    return {
        "region_name": REGIONS[0], "endpoint_url": f"http://127.0.0.1:{port}",
        "aws_access_key_id": "testing", "aws_secret_access_key": "testing",
    }  # fmt: skip


def _queue(port: int) -> str:
    """One with a dead-letter queue."""
    sqs = boto3.client("sqs", **_there(port))
    dead = sqs.create_queue(QueueName="cells-dead")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    redrive = json.dumps({"deadLetterTargetArn": arn, "maxReceiveCount": "5"})
    attributes = {"VisibilityTimeout": "120", "RedrivePolicy": redrive}
    return str(sqs.create_queue(QueueName="cells", Attributes=attributes)["QueueUrl"])


def _told(log: Path, event: str) -> list[dict[str, Any]]:
    lines = [line for line in log.read_text(encoding="utf-8").splitlines(keepends=True) if line.endswith("}\n")]
    return [found for line in lines if (found := json.loads(line))["event"] == event]


def _until(holds: Callable[[], bool], workers: Mapping[Path, subprocess.Popen[bytes]]) -> None:
    deadline = time.monotonic() + LONGEST
    while not holds():
        ended = [log for log, worker in workers.items() if worker.poll() is not None]
        if ended or time.monotonic() > deadline:
            said = (ended or [*workers])[0].read_text(encoding="utf-8")
            raise RuntimeError(f"a worker {'ended' if ended else 'did nothing for ten minutes'}:\n{said[-2000:]}")
        time.sleep(0.1)
