"""A stack of a run: a spec that comes with the program, under a name and a tag of the run's own, and its life by the command line."""

from __future__ import annotations

import json
import re
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx
import yaml

from tests.account.place import TAG, Untrue
from tests.account.role import make_role
from tests.demo import Load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from alb_reconcile.verification.load import Answer
    from tests.account.place import Place, Tool

SPECS: Final = Path(__file__).parent.parent.parent / "specs"
PROGRAM: Final = "user-data/web-api.py"
FIRST_ANSWER: Final = 600.0
"""Seconds that a load balancer's new name may take to lead there."""


def read_spec(name: str) -> dict[str, Any]:
    """A spec that comes with the program, or that of a file."""
    file = SPECS / f"{name}.yaml" if "/" not in name else Path(name)
    spec: dict[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))
    return spec


def of_run(spec: dict[str, Any], place: Place, run: str) -> dict[str, Any]:
    """The same with a name, a tag and names of resources that are this run's only, and instances that run the web API.

    The runbook's own images have a web API in them; here it comes as user data, and the key pair is the run's.
    """
    name = re.sub(r"\W", "", str(spec["stack"]).rpartition(":-")[2])
    tags = {**spec.get("tags", {}), TAG: run}
    made = {**spec, "stack": f"{name}-{run}", "region": place.region, "tags": tags}
    for section, entries in made.items():
        for entry in entries.values() if isinstance(entries, dict) else ():
            if isinstance(entry, dict) and "name" in entry:
                is_record, own = section == "records", entry["name"]
                entry["name"] = (
                    re.sub(r"^(\*\.)?", rf"\g<1>{run}.", own) if is_record else f"{re.sub(r'.*:-|}', '', own)}-{run}"
                )
    for entry in made.get("instances", {}).values():
        if "user_data" not in entry:
            entry.setdefault("user_data_file", PROGRAM)
        if "key_name" in entry:
            entry["key_name"] = key_of(run)
    return made


def key_of(run: str) -> str:
    """The name of a run's key pair."""
    return f"alb-reconcile-test-{run}"


@dataclass(frozen=True)
class Service:
    """One stack of a run. `file`: its spec."""

    tool: Tool
    spec: dict[str, Any]
    file: str

    @classmethod
    def written(cls, tool: Tool, spec: dict[str, Any], run: str) -> Service:
        """Its files, the key pair that its instances name, if they do, and the role that it lives under, unless one was named.

        Raises Refused where these credentials may not make the role.
        """
        shutil.copytree(SPECS / "user-data", tool.folder / "user-data", dirs_exist_ok=True)
        if any("key_name" in entry for entry in spec.get("instances", {}).values()):
            tags = [{"ResourceType": "key-pair", "Tags": [{"Key": TAG, "Value": run}]}]
            tool.place.client("ec2").create_key_pair(KeyName=key_of(run), TagSpecifications=tags)
        file = f"{spec['stack']}.yaml"
        # JSON has every text in quotes; PyYAML leaves 74e358 without, a number in YAML 1.2.
        (tool.folder / file).write_text(json.dumps(spec, indent=2), encoding="utf-8")
        role = tool.role or make_role(tool, file, str(spec["stack"]), run)
        return cls(replace(tool, role=role), spec, file)

    def apply(self) -> None:
        """Make it so. Raises Untrue unless it converges, and nothing is left to do."""
        said = self.tool.run("apply", "--yes", *(["--verify"] if self.serves else []), self.file)
        claim("Converged" in said, "apply says that it has converged")
        steps = json.loads(self.tool.run("plan", "--format", "json", self.file))["steps"]
        claim(not steps, "the next plan is empty")

    def destroy(self) -> None:
        """Remove it."""
        self.tool.run("destroy", "--yes", self.file)
        said = self.tool.run("stacks", "--format", "json", "--region", self.tool.place.region)
        claim(self.spec["stack"] not in said, "`stacks` doesn't list it any more")

    @property
    def serves(self) -> bool:
        """Whether it has a load balancer with instances behind."""
        return bool(self.spec.get("load_balancers") and self.spec.get("instances"))

    def status(self) -> tuple[str, dict[str, str]]:
        """Its URL, and physical ids by address."""
        told = json.loads(self.tool.run("status", "--format", "json", self.file))
        return str(told["urls"][0]), {item["address"]: item["id"] for item in told["resources"]}

    def roll(self) -> None:
        """Another version of the web API, under requests. Raises Untrue if one fails, or somebody else answers."""
        url, before = self.status()
        waited = until_it_answers(self.tool.place, url)
        print(f"  {url} answers, {waited:.0f} s after apply had ended", flush=True)
        with (self.tool.folder / PROGRAM).open("a", encoding="utf-8") as stream:
            stream.write("# 2\n")  # there isn't room for much more in user data
        with under_load(url) as answers:
            self.apply()
        after = self.status()[1]
        instances = [name for name in before if name.startswith("instance.")]
        claim(all(before[name] != after[name] for name in instances), "each instance is another one")
        judge(answers)


def claim(holds: object, text: str) -> None:
    """Something that must hold."""
    if not holds:
        raise Untrue(f"this doesn't hold: {text}")
    print(f"✓ {text}", flush=True)


def until_it_answers(place: Place, url: str) -> float:
    """Wait for the first answer with status 200 at a URL: a new name takes a while to be known.

    Returns how many seconds it took. Raises Untrue if there is none.
    """
    began = time.monotonic()
    while True:
        try:
            told = f"status {httpx.get(url, trust_env=False, timeout=10).status_code}"
        except httpx.TransportError as error:
            told = str(error)
        if told == "status 200":
            return place.seconds(time.monotonic() - began)
        if time.monotonic() - began > FIRST_ANSWER:
            raise Untrue(f"{url} doesn't answer {FIRST_ANSWER:.0f} s after apply has ended: {told}")
        time.sleep(place.real(2))


@contextmanager
def under_load(url: str) -> Iterator[list[Answer]]:
    """Requests for the length of the block, and a while before and after it. The answers are there when it has ended."""
    load, answers = Load(url), list[Any]()
    load.start()
    try:
        while len(load.answers) < 3 * Load.RATE and load.is_alive():
            time.sleep(0.05)
        yield answers
        enough = len(load.answers) + Load.RATE
        while len(load.answers) < enough and load.is_alive():
            time.sleep(0.05)
    finally:
        answers.extend(load.stop())


def judge(answers: list[Answer]) -> None:
    """What a roll under requests is held to. Raises Untrue."""
    failed = [answer for answer in answers if answer.reply.status != 200]
    claim(not failed, f"none of {len(answers)} requests failed" + (f": {failed[:3]}" if failed else ""))
    versions = [answer.reply.version for answer in answers]
    claim(
        versions[0] != versions[-1] and len(set(versions)) == 2,
        "the old version answered first, the new one last, nobody else",
    )
