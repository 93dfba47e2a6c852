"""The main job as a story, on an AWS that lives on this machine: `make demo`. Every claim in it is checked.

`make deploy-demo` brings an application's next versions beside the running one, under load: one that is good, and one that is not.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

import boto3
import httpx

from alb_reconcile.verification.attribution import Attribution
from alb_reconcile.verification.client import Client, Endpoint, Shot
from alb_reconcile.verification.load import send
from alb_reconcile.verification.matching import Request

if TYPE_CHECKING:
    from collections.abc import Callable

    from alb_reconcile.verification.load import Answer

TOOL = str(Path(sys.executable).parent / "alb-reconcile")
SPECS = Path(__file__).parent.parent / "specs"
SPEC = "specs/demo.yaml"
REGION = "us-east-1"
STACK = "alb-reconcile:stack"
SPEED = 60
"""How many times faster than AWS the sandbox runs. What is shown are AWS's times."""
DEPLOY_SPEED = 30
"""The same while versions are deployed: requests take their real time, and there are enough of them for a chart."""
SHOP = "specs/shop.yaml"
SERVICE = Path(__file__).parent / "shop.py"
APPLICATION = """\
    rollout: # asked of a new version before requests move to it
      checks: [{get: /health}, {get: /, within: 2s}]
    application:
      generation: 1
      artifact: s3://my-artifacts/app-${VERSION:-1}.tar.gz
      command: python3 app.py
      port: 8080
      environment: {VERSION: "${VERSION:-1}"}
"""
BROKEN = '500 if self.path != "/health" and next(VISITORS) % 3 == 0 else 200'
MARKS = (("░", "33"), ("█", "32"), ("▒", "31"))
"""Of versions in a chart, each with its colour."""
AS_ABOVE = "the plan, as above"
COLORED = sys.stdout.isatty() and not os.environ.get("NO_COLOR")


class Untrue(Exception):  # noqa: N818 (a claim of the story, not an error of the program)
    """The story said something that isn't so."""


def paint(text: str, code: str) -> str:
    return f"\x1b[{code}m{text}\x1b[0m" if COLORED else text


def heading(text: str) -> None:
    print(f"\n{paint('━━ ' + text + ' ' + '━' * max(0, 92 - len(text)), '1;36')}\n", flush=True)


def say(text: str) -> None:
    print(text, flush=True)


def check(holds: object, claim: str) -> None:
    """A claim of the story, which must hold."""
    if not holds:
        raise Untrue(claim)
    say(f"{paint('✓', '32')} {claim}")


class Status(NamedTuple):
    """A stack that runs."""

    url: str
    ids: dict[str, str]
    """Physical ids by address."""


class Stage:
    """A folder with the specs, a sandbox of its own, and the command line."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.spec = SPEC
        shutil.copytree(SPECS, folder / "specs")
        kept = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR")
        self.environment = {name: os.environ[name] for name in kept if name in os.environ}
        self.summary = ""
        """The last plan's summary line."""
        self.environment |= {"ALB_RECONCILE_SANDBOX_DIR": str(folder / "sandbox"), "PYTHONUTF8": "1"}

    def run(self, *arguments: str, expect: int = 0, after: str = "", left_out: str = AS_ABOVE) -> str:
        """Show a command and its output (from the line that starts with `after` on; `left_out` says what stood before it). Returns all of
        the output."""
        say(paint("$ alb-reconcile " + " ".join(arguments), "1"))
        lines, shown = [], not after
        with subprocess.Popen(
            [TOOL, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if not shown and line.startswith(after):
                    shown = True
                    print(f"  [{left_out}]")
                if shown:
                    print(f"  {line.rstrip()}", flush=True)
        print()
        if process.returncode != expect:
            print("".join(lines) if not shown else "", end="", file=sys.stderr)
            raise Untrue(f"the command exits with {expect}; it was {process.returncode}")
        summary = next((line.partition(".")[0] for line in lines if line.startswith("Plan: ")), "")
        if after and left_out == AS_ABOVE and summary != self.summary:
            raise Untrue(f"the plan is as above; it was {summary}")
        self.summary = summary
        return "".join(lines)

    def quietly(self, *arguments: str) -> str:
        """Standard output of a command that isn't part of the story."""
        ended = subprocess.run(
            [TOOL, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            check=False,
        )
        if ended.returncode:
            raise Untrue(f"alb-reconcile {' '.join(arguments)} succeeds")
        return ended.stdout

    def plan(self, *arguments: str) -> dict[str, str]:
        """What would be done now: actions by address, the second half of replacements left out."""
        found = json.loads(self.quietly("plan", "--sandbox", "--format", "json", *arguments, self.spec))
        making = {step["address"] for step in found["steps"] if step["action"] != "delete"}
        return {
            step["address"]: step["action"]
            for step in found["steps"]
            if step["action"] != "delete" or step["address"] not in making
        }

    def show_plan(self, *arguments: str) -> tuple[str, dict[str, str]]:
        """Show the plan. Returns its text, and what it does, which a second process asks for at the same time."""
        with ThreadPoolExecutor() as pool:
            planned = pool.submit(self.plan, *arguments)
            return self.run("plan", "--sandbox", *arguments, self.spec), planned.result()

    def status(self) -> Status:
        """Where the load balancer answers, and which resources there are."""
        found = json.loads(self.quietly("status", "--sandbox", "--format", "json", self.spec))
        return Status(next(iter(found["urls"]), ""), {item["address"]: item["id"] for item in found["resources"]})

    def client(self, service: str) -> Any:
        """boto3, for what somebody does by hand."""
        state = json.loads((self.folder / "sandbox" / "sandbox.json").read_text())
        return boto3.Session("sandbox", "sandbox", region_name=REGION).client(
            service, endpoint_url=f"http://127.0.0.1:{state['port']}"
        )


def create(stage: Stage) -> Status:
    heading("1  One file, and nothing there yet")
    say(f"{SPEC} describes two small web APIs behind one load balancer. What would be done?\n")
    _, planned = stage.show_plan()
    check(set(planned.values()) == {"create"}, f"The plan creates {len(planned)} resources and nothing else.")

    heading("2  Apply")
    say("Everything that can is made at once; the command ends when the service answers.\n")
    status = apply_first(stage)
    ask(stage, status)

    heading("3  Plan again")
    output = stage.run("plan", "--sandbox", "--detailed-exitcode", SPEC)  # it would exit with 2 for a change
    check("No changes" in output, "Nothing is left to do. No state file was written: AWS itself is the state.")
    return status


def apply_first(stage: Stage) -> Status:
    stage.run("apply", "--sandbox", "--yes", stage.spec, after="Plan: " if stage.summary else "")
    with ThreadPoolExecutor() as pool:
        found = pool.submit(stage.status)
        output = stage.run("status", "--sandbox", stage.spec)
    check(output.count("healthy") == 2, "Both instances are healthy behind the load balancer.")
    return found.result()


def ask(stage: Stage, status: Status) -> None:
    """Real requests, by hand and by `verify`."""
    url, names = status.url, {known: name for name, known in status.ids.items()}
    say(f"\nIt answers at {url} (open it in a browser while the demo runs). Six requests:\n")
    answered = []
    with httpx.Client() as client:
        for _ in range(6):
            answer = client.get(url).json()
            answered.append(names.get(answer["instance_id"], answer["instance_id"]))
            say(f"  GET /  →  {answered[-1]}  {answer['instance_id']}  in {answer['availability_zone']}")
    check(answered[:2] * 3 == answered and len(set(answered)) == 2, "The two instances take turns.")
    say("\nThe runbook ends with “check that requests are balanced”. verify does:\n")
    output = stage.run("verify", "--sandbox", SPEC)
    check("web-1" in output and "web-2" in output, "Each instance answered its share of the requests.")


def drift(stage: Stage, before: Status) -> None:
    heading("4  Meanwhile, somebody works by hand")
    ec2, elb, known = stage.client("ec2"), stage.client("elbv2"), before.ids
    web, balancer = known["security_group.web"], known["security_group.load-balancer"]
    http = {
        "IpProtocol": "tcp",
        "FromPort": 80,
        "ToPort": 80,
        "UserIdGroupPairs": [{"GroupId": balancer}],
    }
    ssh = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    instance = known["instance.web-1"]
    deeds: tuple[tuple[str, Callable[[], object]], ...] = (
        (
            "revokes the rule that lets the load balancer in",
            lambda: ec2.revoke_security_group_ingress(GroupId=web, IpPermissions=[http]),
        ),
        (
            "opens SSH to the world",
            lambda: ec2.authorize_security_group_ingress(GroupId=web, IpPermissions=[ssh]),
        ),
        (
            "deregisters web-1 from the target group",
            lambda: elb.deregister_targets(TargetGroupArn=known["target_group.web"], Targets=[{"Id": instance}]),
        ),
        ("deletes the listener", lambda: elb.delete_listener(ListenerArn=known["listener.public/http"])),
        (
            "terminates web-2",
            lambda: ec2.terminate_instances(InstanceIds=[known["instance.web-2"]]),
        ),
    )
    for text, deed in deeds:
        deed()
        say(f"  boto3: somebody {text}")
    ec2.get_waiter("instance_terminated").wait(
        InstanceIds=[known["instance.web-2"]], WaiterConfig={"Delay": 0.2, "MaxAttempts": 300}
    )
    elb.get_waiter("target_deregistered").wait(
        TargetGroupArn=known["target_group.web"],
        Targets=[{"Id": instance}],
        WaiterConfig={"Delay": 0.2, "MaxAttempts": 300},
    )
    say("\nSome seconds later, what would be done?\n")
    output, planned = stage.show_plan()
    wanted = {
        "security_group_rules.web": "update",
        "registration.web/web-1:80": "create",
        "listener.public/http": "create",
        "instance.web-2": "create",
        "registration.web/web-2:80": "create",
    }
    check({key: planned.get(key) for key in wanted} == wanted, "The plan names each of them.")
    check(planned == wanted, "The plan names nothing else.")
    check("+ ingress tcp 80" in output, "The revoked rule comes back.")
    check("- ingress tcp 22" in output, "The stray one goes.")

    heading("5  Apply repairs each")
    stage.run("apply", "--sandbox", "--yes", SPEC, after="Plan: ")
    with ThreadPoolExecutor() as pool:
        planned_again, status = pool.submit(stage.plan), pool.submit(stage.status)
    check(not planned_again.result(), "Nothing is left to do.")
    rules = ec2.describe_security_groups(GroupIds=[web])["SecurityGroups"][0]["IpPermissions"]
    check([rule["FromPort"] for rule in rules] == [80], "AWS says so too: port 80 is open, port 22 isn't.")
    now = status.result().ids
    check(
        now["instance.web-1"] == instance and now["instance.web-2"] != known["instance.web-2"],
        "web-1 is the instance that it was; web-2 is a new one.",
    )


class Load(threading.Thread):
    """Requests at a fixed rate, whether or not earlier ones have been answered, until it is told to stop."""

    RATE = 60

    def __init__(self, url: str) -> None:
        super().__init__(daemon=True)
        parts = urlsplit(url)
        endpoint = Endpoint(str(parts.hostname), int(parts.port or 80), int(parts.port or 80))
        self.shot = Shot("demo", endpoint, Request(str(parts.hostname)))
        self.answers: list[Answer] = []
        self.ended = threading.Event()

    def run(self) -> None:
        asyncio.run(self._send())

    async def _send(self) -> None:
        shots = iter(lambda: None if self.ended.is_set() else self.shot, None)
        async with Client.opened(Attribution("json", "instance_id"), 30) as client:
            async for answer in send(shots, client, rate=self.RATE, concurrency=50):
                self.answers.append(answer)

    def stop(self) -> list[Answer]:
        """End it, and return the answers in the order of the requests."""
        self.ended.set()
        self.join()
        return sorted(self.answers, key=lambda answer: answer.at)


def chart(answers: list[Answer]) -> str:
    """Each version's share of the answers over time, a line for some seconds."""
    width, rows = 40, 12
    versions = sorted({str(answer.reply.version) for answer in answers})
    step = (answers[-1].at + 0.001) / rows
    lines = []
    for row in range(rows):
        part = [str(answer.reply.version) for answer in answers if row <= answer.at / step < row + 1]
        marks = [round(width * part.count(version) / len(part)) if part else 0 for version in versions]
        bar = "".join(paint(mark * many, color) for (mark, color), many in zip(MARKS, marks, strict=False))
        counts = "".join(f"   version {version} {part.count(version):4}" for version in versions)
        lines.append(f"  {row * step:5.1f} s  {bar}{counts}")
    return "\n".join(lines)


def pack(stage: Stage, version: int, status: str) -> None:
    """Write the application's archive and upload it, as a build would."""
    text = SERVICE.read_text(encoding="utf-8")
    if text.count("status = 200\n") != 1:
        raise Untrue("the service has one line that says the status")
    folder = stage.folder / f"version-{version}"
    folder.mkdir()
    (folder / "app.py").write_text(text.replace("status = 200\n", f"status = {status}\n"), encoding="utf-8")
    name = f"app-{version}.tar.gz"
    with tarfile.open(stage.folder / name, "w:gz") as archive:
        archive.add(folder / "app.py", "app.py")
    stage.run("sandbox", "put", name, f"s3://my-artifacts/{name}")


def write_shop(stage: Stage) -> None:
    """The spec that runs the service: that of the sample, with another application."""
    sample = (stage.folder / "specs" / "application.yaml").read_text(encoding="utf-8")
    text, found = re.subn(r"(?ms)^    rollout:.*?^(?=target_groups:)", f"{APPLICATION}\n", sample)
    if found != 1:
        raise Untrue("specs/application.yaml has one application")
    (stage.folder / SHOP).write_text(text, encoding="utf-8")
    stage.spec = SHOP


def run_first(stage: Stage) -> Status:
    heading("1  An application that runs")
    write_shop(stage)
    say(f"A small web service, and {SHOP}. Below the network and the load balancer that has:\n")
    say(textwrap.indent(f"instances:\n  web: # web-1 and web-2\n    …\n{APPLICATION}", "  "))
    pack(stage, 1, "200")
    stage.run("apply", "--sandbox", "--yes", "--set", "VERSION=1", SHOP, after="Converged", left_out="…")
    return stage.status()


def deploy(stage: Stage, running: Status) -> Status:
    heading("2  Version 2, under load")
    pack(stage, 2, "200")
    _, planned = stage.show_plan("--set", "VERSION=2")
    check(planned.get("target_group.web") == "replace", "Version 2 gets a target group of its own, beside version 1.")
    say(f"\nNow apply, while {Load.RATE} requests a second go through the load balancer.\n")
    answers = under_load(stage, running, 2)
    say(f"{chart(answers)}\n")
    count(answers)
    versions = [answer.reply.version for answer in answers]
    check(versions[0] == "1" and versions[-1] == "2", "Version 1 answered, and then version 2.")
    return stage.status()


def under_load(
    stage: Stage, running: Status, version: int, *, expect: int = 0, left_out: str = AS_ABOVE
) -> list[Answer]:
    """Apply a version while requests come. Returns their answers in the order of the requests."""
    load = Load(running.url)
    load.start()
    time.sleep(1)
    arguments = ("--set", f"VERSION={version}", SHOP)
    stage.run("apply", "--sandbox", "--yes", *arguments, after="Plan: ", left_out=left_out, expect=expect)
    time.sleep(1)
    return load.stop()


def count(answers: list[Answer]) -> None:
    failed = sum(answer.reply.status != 200 for answer in answers)
    say(f"requests sent: {len(answers)}   failed: {failed}\n")
    check(not failed, "No request failed.")


def refuse(stage: Stage, running: Status) -> None:
    heading("3  Version 3 answers wrongly, and its health check doesn't notice")
    say("Every third request to / gets a 500, and /health is always green:\n")
    say(f"  -        status = 200\n  +        status = {BROKEN}\n")
    pack(stage, 3, BROKEN)
    answers = under_load(stage, running, 3, expect=1, left_out="the plan, as for version 2")
    count(answers)
    met = sum(answer.reply.version == "3" for answer in answers)
    check(not met, f"Version 3 answered {met} of these {len(answers)} requests. Only apply has asked it.")
    say("\nWould it get through another time, by chance?\n")
    again = ("--set", "VERSION=3", SHOP)
    output = stage.run("apply", "--sandbox", "--yes", *again, after="the new", left_out="the plan", expect=4)
    check("failed its checks at" in output, "It isn't tried again without your word.")


def clean_up(stage: Stage, running: Status) -> None:
    heading("4  Back to version 2")
    say("It serves all the time, so this moves no request. Its instances stay, and those of version 3 go:\n")
    stage.run("apply", "--sandbox", "--yes", "--set", "VERSION=2", SHOP, after="Plan: ", left_out="the plan")
    now = stage.status().ids
    check(now == running.ids, "Its instances and its target group are the same as before.")
    check(not stage.plan(), "Nothing is left to do.")


def go_back(stage: Stage, running: Status) -> None:
    heading("5  A rollback, in seconds")
    say("Version 1 has stood by since version 2 took over. Somebody wants it back, whatever the spec says:\n")
    load = Load(running.url)
    load.start()
    time.sleep(1)
    began = time.monotonic()
    stage.run("rollback", "--sandbox", "--yes", SHOP)
    took = time.monotonic() - began
    time.sleep(2)
    answers = load.stop()
    say(f"{chart(answers)}\n")
    count(answers)
    versions = [answer.reply.version for answer in answers]
    check(versions[0] == "2" and versions[-1] == "1", f"Version 1 answers again. The command took {took:.1f} s.")


def destroy(stage: Stage, chapter: int) -> None:
    heading(f"{chapter}  Destroy")
    stage.run("destroy", "--sandbox", "--yes", stage.spec)
    output = stage.run("stacks", "--sandbox", "--region", REGION)
    check(output.startswith("No stack"), "No stack is listed any more.")
    ec2, elb = stage.client("ec2"), stage.client("elbv2")
    check(
        not ec2.describe_vpcs(Filters=[{"Name": "tag-key", "Values": [STACK]}])["Vpcs"]
        and not elb.describe_load_balancers()["LoadBalancers"]
        and not elb.describe_target_groups()["TargetGroups"],
        "AWS says so too: no network, no load balancer, no target group is left.",
    )


def perform(story: Callable[[Stage], None]) -> int:
    """Tell a story on a stage of its own. Returns 0 if all of it was true."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end as tidily as on Ctrl-C
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="alb-reconcile-demo-") as name:
        stage = Stage(Path(name))
        try:
            story(stage)
        except Untrue as claim:
            print(f"\n{paint('✗', '31')} This isn't true: {claim}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nThe demo was interrupted.", file=sys.stderr)
            return 130
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
            stage.quietly("sandbox", "stop")
    heading(f"The end, after {time.monotonic() - started:.0f} s")
    return 0


def story(stage: Stage) -> None:
    """From nothing to nothing, with drift by hand in between."""
    begin(stage, SPEED)
    drift(stage, create(stage))
    destroy(stage, 6)


def deployments(stage: Stage) -> None:
    """A good version and a broken one, each beside the one that serves, under load."""
    begin(stage, DEPLOY_SPEED)
    status = run_first(stage)
    status = deploy(stage, status)
    refuse(stage, status)
    clean_up(stage, status)
    go_back(stage, status)
    destroy(stage, 6)


def begin(stage: Stage, speed: int) -> None:
    say(
        "This is alb-reconcile on a local AWS: no account, no credentials, no Docker.\n"
        f"AWS's own waiting times pass {speed} times as fast here; times shown are AWS's.\n"
        "Waiting for the local AWS to start …"
    )
    stage.quietly("sandbox", "start", "--speed", str(speed))


STORIES: Final = {"demo": story, "deploy": deployments}


def main() -> int:
    """Tell the story that the command line names. Returns 0 if all of it was true."""
    name = sys.argv[1] if len(sys.argv) > 1 else "demo"
    code = perform(STORIES[name])
    if code == 0:
        say("The local AWS has ended. Your turn:")
        say(f"  {os.path.relpath(TOOL)} plan --sandbox specs/demo.yaml")
        if name == "demo":
            say("  make deploy-demo   # new versions, a good and a broken one, under load")
        else:
            say("An app of your own: docs/how-to/your-own-app.md")
    return code


if __name__ == "__main__":
    sys.exit(main())
