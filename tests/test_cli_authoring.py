"""`validate`, `schema`, `init` and `explain`, as a user calls them."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from alb_reconcile.cli.commands.authoring import ExplainOptions, explain
from alb_reconcile.cli.main import main
from alb_reconcile.cli.render.editor_schema import accept_variables
from alb_reconcile.cli.render.schema import bundle
from alb_reconcile.model.errors import ExitCode
from alb_reconcile.spec import schema

ROOT = Path(__file__).parent.parent
SPECS = sorted([*(ROOT / "specs").glob("*.yaml"), *(ROOT / "specs/examples").glob("*.yaml")])
VALID = "stack: shop\nregion: eu-west-1\nvpcs:\n  main: {cidr_block: 10.0.0.0/16}\n"
BROKEN = VALID.replace("10.0.0.0/16", "10.0.0.0/40")


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    """A valid spec of four lines."""
    file = tmp_path / "stack.yaml"
    file.write_text(VALID, encoding="utf-8")
    return file


def write(folder: Path, name: str, text: str) -> str:
    file = folder / name
    file.write_text(text, encoding="utf-8")
    return str(file)


NETWORK = "vpcs: {main: {cidr_block: 10.0.0.0/16}}\n"


class TestValidate:
    """Exit codes 0, 3 and 64, and a line for each problem."""

    def test_a_folder_is_its_specs(self, tmp_path: Path, spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
        write(tmp_path, "bad.yaml", BROKEN.replace("shop", "other"))
        assert main(["validate", str(tmp_path)]) == 3
        lines = capsys.readouterr().out.splitlines()
        assert [line.split(":")[0] for line in lines[:-1]] == [str(tmp_path / "bad.yaml"), str(spec)]

    def test_annotations_in_a_workflow(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        file = write(tmp_path, "bad,100%.yaml", BROKEN)
        monkeypatch.setenv("GITHUB_ACTIONS", "true")
        assert main(["validate", "--format", "json", file]) == 3
        shown = capsys.readouterr()
        place = f"file={tmp_path}/bad%2C100%25.yaml,line=4,col=22,title=vpcs.main.cidr_block"
        assert shown.err.startswith(f'::error {place}::"10.0.0.0/40" is not an address range')
        assert not json.loads(shown.out)["specs"][0]["valid"]
        assert main(["plan", file, "--endpoint-url", "http://127.0.0.1:1"]) == 3
        assert f"\n::error {place}::" in capsys.readouterr().err
        assert main(["explain", "nonsense"]) == 64
        assert '\n::error title=alb-reconcile::there is no kind "nonsense"' in capsys.readouterr().err

    def test_two_specs_of_one_stack(self, tmp_path: Path, spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
        twin = write(tmp_path, "twin.yaml", "# a copy\n" + VALID)
        assert main(["validate", str(spec), twin]) == 3
        lines = capsys.readouterr().out.splitlines()
        assert lines[0] == f"{spec}: valid, 1 resources"
        assert lines[1].startswith(f'{twin}:2:1: stack: "shop" is also the stack of {spec}; ')
        other = write(tmp_path, "us.yaml", VALID.replace("eu-west-1", "us-east-1"))
        assert main(["validate", str(spec), other]) == 0, "in two regions it is two"
        assert main(["validate", str(spec), str(spec.parent / ".." / spec.parent.name / spec.name)]) == 0, "one file"

    def test_region(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        file = write(tmp_path, "s.yaml", VALID.replace("region: eu-west-1\n", ""))
        assert main(["validate", file, "--region", "eu-west-1"]) == 0
        assert main(["validate", str(ROOT / "specs/demo.yaml"), "--region", "eu-west-1"]) == 3
        assert "but --region says eu-west-1" in capsys.readouterr().out

    @pytest.mark.parametrize("region", ["Ireland", "eu-west-1a", "eu west", "EU-WEST-1", "eu-west-1\n"])
    def test_a_region_that_is_none_is_misuse(self, tmp_path: Path, region: str) -> None:
        file = write(tmp_path, "s.yaml", VALID.replace("region: eu-west-1\n", ""))
        assert main(["validate", file, "--region", region]) == 64

    def test_set(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """As often as wanted; the last one wins; the value may hold = and be empty; the next run has none of it."""
        file = write(tmp_path, "s.yaml", f"stack: ${{A}}\ntags: {{b: '${{B}}', c: '${{C}}'}}\n{NETWORK}")
        given = ["--set", "A=one", "--set", "A=shop", "--set", "B=x=y", "--set=C="]
        assert main(["validate", file, *given]) == 0
        assert capsys.readouterr().out == f"{file}: valid, 1 resources\n"
        assert main(["validate", file]) == 3

    @pytest.mark.parametrize("value", ["A", "=x", "1A=x", "A-B=x", " A=x", "É=x", "A\n=x"])
    def test_set_misuse(self, spec: Path, value: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["validate", str(spec), "--set", value]) == 64
        assert "--set expects NAME=VALUE" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("name", "told"),
        [
            ("VERSON", "in s.yaml; did you mean VERSION?"),
            ("PLAIN", "in s.yaml; leave it out"),
            ("SHELL", "in s.yaml, except in user_data, where it is the shell's and nothing is filled in; leave it out"),
        ],
    )
    def test_a_variable_that_nothing_uses_is_misuse(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, told: str
    ) -> None:
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("ENVIRONMENT", "may have more")
        used = "tags: {v: '${VERSION:-1}', p: '$${PLAIN}'}\ninstances: {a: {user_data: '${SHELL}'}}\n"
        write(tmp_path, "s.yaml", VALID + used)
        for command in (
            ["validate", "s.yaml"], ["plan", "s.yaml"], ["apply", "s.yaml", "--yes"], ["sync", "s.yaml"], ["report", "s.yaml"],
            ["diff", "s.yaml", "s.yaml"], ["history", "s.yaml"], ["status", "s.yaml"], ["destroy", "s.yaml", "--yes"],
        ):  # fmt: skip
            assert main([*command, "--set", "VERSION=2", "--set", f"{name}=secret"]) == 64
            files = told.replace("in s.yaml", "in s.yaml, s.yaml") if command[0] == "diff" else told
            assert capsys.readouterr().err == f"--set {name}: there is no ${{{name}}} {files}\n"

    def test_files_of_variables(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """A later file outranks an earlier one, --set outranks files wherever it stands, and a file may have what no spec here uses."""
        monkeypatch.chdir(tmp_path)
        monkeypatch.setenv("C", "environment")
        write(tmp_path, "s.yaml", VALID + "tags: {a: '${A}', b: '${B}', c: '${C}'}\n")
        write(tmp_path, "first.yaml", "A: 1\nB: first\nC: file\nOTHER: x\n")
        write(tmp_path, "second.yaml", "A: true\n")
        write(tmp_path, "wanted.yaml", VALID + "tags: {a: 'true', b: told, c: file}\n")
        files = ["--values", "first.yaml", "--set", "B=told", "--values", "second.yaml"]
        assert main(["diff", "wanted.yaml", "s.yaml", *files]) == 0
        assert "They want the same." in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("A: 1.30\n", "f.yaml:1:4: A: is the number 1.3 to YAML, without further zeros; put it in quotes"),
            ("A: [1]\n", "f.yaml:1:4: A: isn't one value; write a text"),
            ("A: 1\nB-C: 2\n", "f.yaml:2:1: B-C: isn't a variable's name"),
            ("- A\n", "f.yaml:1:1: isn't a mapping of variables"),
            ("", "f.yaml:1:1: is empty; give each variable a line"),
            ("A: 1\nA: 2\n", "f.yaml:2:1: A: "),
            (None, "f.yaml:1:1: can't be read: No such file or directory"),
        ],
    )
    def test_a_file_of_variables_that_is_wrong(
        self,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        text: str | None,
        told: str,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        write(tmp_path, "s.yaml", VALID)
        if text is not None:
            write(tmp_path, "f.yaml", text)
        assert main(["validate", "s.yaml", "--values", "f.yaml"]) == 64
        assert f"--values: {told}" in capsys.readouterr().err

    def test_findings_of_security(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Exit code 2 for what isn't accepted."""
        spec = VALID + "subnets:\n  a: {cidr_block: 10.0.1.0/24, availability_zone: a, map_public_ip_on_launch: true}\n"
        file = write(tmp_path, "s.yaml", spec)
        assert main(["validate", "--security", file]) == 2
        found, summary = capsys.readouterr().out.splitlines()
        assert found.startswith(f"{file}:6:54: medium EC2.15 (CKV_AWS_130): subnets.a.map_public_ip_on_launch: ")
        assert found.endswith("; write map_public_ip_on_launch: false")
        assert summary == f"{file}: valid, 2 resources; 1 finding (1 medium), 0 accepted"
        accepted = write(tmp_path, "s.yaml", spec + "security: {accept: {EC2.15: only the load balancer is here}}\n")
        assert main(["validate", "--security", accepted]) == 0
        assert capsys.readouterr().out == f"{file}: valid, 2 resources; no findings, 1 accepted\n"

    def test_json(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Of all specs, invalid ones too."""
        found = "subnets: {a: {cidr_block: 10.0.1.0/24, availability_zone: a, map_public_ip_on_launch: true}}\n"
        accept = "security: {accept: {EC2.15: {subnet.a: meant so}}}\n"
        good = write(tmp_path, "s.yaml", VALID + found + accept)
        bad = write(tmp_path, "bad.yaml", BROKEN.replace("shop", "other"))
        assert main(["validate", "--security", "--format", "json", good, bad]) == 3
        first, second = json.loads(capsys.readouterr().out)["specs"]
        assert (first["file"], first["valid"], first["resources"], first["problems"]) == (good, True, 2, [])
        (finding,) = first["findings"]
        assert (finding["id"], finding["severity"], finding["address"]) == ("EC2.15", "medium", "subnet.a")
        assert (finding["line"], finding["column"], finding["accepted"]) == (5, 62, "meant so")
        assert (second["valid"], second["resources"], "findings" in second) == (False, None, False)
        (problem,) = second["problems"]
        assert (problem["line"], problem["column"], problem["path"]) == (4, 22, "vpcs.main.cidr_block")
        assert main(["validate", "--security", good, bad]) == 3, "an invalid spec outranks findings"
        capsys.readouterr()
        assert main(["validate", "--format", "json", good]) == 0
        assert "findings" not in json.loads(capsys.readouterr().out)["specs"][0]


class TestMisuse:
    """Exit code 64, on standard error, with the way out."""

    def test_unknown_topics_name_the_known_ones(self, capsys: pytest.CaptureFixture[str]) -> None:
        for topic, told in {
            "vcp": "did you mean vpc?",
            "rollout.max_unavailable": "did you mean instance.rollout.max_unavailable?",
            "vpc.nothing": "known: cidr_block",
            "vpc.cidr_block.x": "vpc.cidr_block",
        }.items():
            assert main(["explain", topic]) == 64
            assert told in capsys.readouterr().err


class TestHelp:
    """It is a command, too, and what is mistyped is answered with what was meant."""

    def test_help_is_a_command_too(self, capsys: pytest.CaptureFixture[str]) -> None:
        for words in ([], ["plan"], ["lock", "break"]):
            main([*words, "--help"])
            shown = capsys.readouterr().out
            assert main(["help", *words]) == 0
            assert capsys.readouterr().out == shown
        assert main(["help", "plan", "x"]) == 64


@cache
def editors() -> Draft202012Validator:
    """What an editor holds a spec against."""
    return Draft202012Validator(accept_variables(bundle()))


class TestSchema:
    """The bundled JSON Schema."""

    def test_printed(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["schema"]) == 0
        assert json.loads(capsys.readouterr().out) == accept_variables(bundle())
        text = (ROOT / "alb_reconcile/starter.yaml").read_text(encoding="utf-8")
        assert editors().is_valid(yaml.safe_load(text))
        assert not editors().is_valid(yaml.safe_load(text.replace("vpcs:", "vpc:")))

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("vpcs/main/cidr_block", "10.0.0.0"),
            ("vpcs/main/cidr_block", "$x"),
            ("vpcs/main/enable_dns_hostnames", "yes"),
            ("target_groups/web/port", "eighty"),
            ("target_groups/web/port", 70000),
            ("target_groups/web/health_check", "${ALL}"),
            ("load_balancers/public/scheme", "inside"),
            ("load_balancers/public/listeners/http/default_action/forward", []),
        ],
    )
    def test_and_still_refuses_what_is_wrong(self, path: str, value: object) -> None:
        spec = yaml.safe_load((ROOT / "specs/demo.yaml").read_text(encoding="utf-8"))
        *parents, last = path.split("/")
        place = spec
        for part in parents:
            place = place[part]
        if isinstance(value, str):
            place[last] = "${ANY_VALUE}"
            assert editors().is_valid(spec) or value == "${ALL}"
        place[last] = value
        assert not editors().is_valid(spec)


class TestInit:
    """A first spec, never over another file."""

    @pytest.mark.parametrize(
        ("folder", "file", "name"),
        [
            ("Shop_API", "stack.yaml", "shop-api"),
            ("x", "orders.yaml", "orders"),
            ("9", "stack.yaml", "my-service"),
            ("internal-things", "stack.yaml", "my-service"),
        ],
    )
    def test_the_stack_is_named_after_file_or_folder(
        self, tmp_path: Path, folder: str, file: str, name: str, capsys: pytest.CaptureFixture[str]
    ) -> None:
        (tmp_path / folder).mkdir()
        assert main(["init", str(tmp_path / folder / file)]) == 0
        told = f"The stack is called {name}: the folder's name, {folder}, can't be used (2 to 40 lower-case letters"
        assert (told in capsys.readouterr().out) is (name not in (folder, "orders"))
        assert f"\nstack: {name} #" in (tmp_path / folder / file).read_text(encoding="utf-8")
        assert main(["init", "--stack", "mine", str(tmp_path / "own.yaml")]) == 0
        assert "\nstack: mine #" in (tmp_path / "own.yaml").read_text(encoding="utf-8")

    @pytest.mark.parametrize("name", [file.stem for file in SPECS])
    def test_templates(self, name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """Each spec that is shipped, with the files beside it."""
        file = tmp_path / "shop.yaml"
        assert main(["init", "--template", name, str(file)]) == 0
        text = file.read_text(encoding="utf-8")
        assert "\nstack: shop\n" in f"\n{text}"
        assert "yaml-language-server" not in text
        variables = ["--set", "EC2_SSH_KEY_NAME=key"] if name == "runbook" else []
        assert main(["validate", str(file), *variables]) == 0
        capsys.readouterr()

    def test_templates_are_listed_and_write_over_nothing(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["init", "--template", "list"]) == 0
        lines = capsys.readouterr().out.splitlines()
        assert [line.split()[0] for line in lines] == sorted(file.stem for file in SPECS)
        (tmp_path / "user-data").mkdir()
        (tmp_path / "user-data/web-api.py").write_text("mine")
        assert main(["init", "--template", "demo", str(tmp_path / "s.yaml")]) == 0
        assert (tmp_path / "user-data/web-api.py").read_text() == "mine"

    @pytest.mark.parametrize("words", [["--application"], ["--template", "application"]], ids=" ".join)
    def test_an_application_comes_with_its_files(
        self, words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """Files that are there stay, and the commands that are named next fit the file's place."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "shop/application").mkdir(parents=True)
        (tmp_path / "shop/application/app.py").write_text("mine")
        assert main(["init", *words, "shop/stack.yaml"]) == 0
        assert (tmp_path / "shop/application/app.py").read_text() == "mine"
        assert (tmp_path / "shop/application/requirements.txt").read_text().startswith("Flask")
        assert capsys.readouterr().out.splitlines()[1:] == [
            "shop/application/app.py, a part of the application, was there and was left unchanged",
            "Wrote shop/application/requirements.txt, a part of the application",
            "Then, without an account:",
            "  tar -czf app-1.tar.gz -C shop/application .",
            "  alb-reconcile sandbox put app-1.tar.gz s3://my-artifacts/app-1.tar.gz",
            "  alb-reconcile apply --sandbox --set VERSION=1 shop/stack.yaml",
        ]

    def test_an_application_and_another_template_are_refused(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["init", "--application", "--template", "demo", str(tmp_path / "s.yaml")]) == 64
        assert "--application is the template 'application'; give it or --template, not both" in capsys.readouterr().err
        assert not (tmp_path / "s.yaml").exists()

    def test_refuses_to_overwrite(self, spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["init", str(spec)]) == 4
        assert spec.read_text(encoding="utf-8") == VALID
        assert "already exists and was left unchanged" in capsys.readouterr().err
        (spec.parent / "link.yaml").symlink_to(spec.parent / "elsewhere.yaml")
        assert main(["init", str(spec.parent / "link.yaml")]) == 4
        assert not (spec.parent / "elsewhere.yaml").exists()


class TestExplain:
    """Something for every kind and every key."""

    @staticmethod
    def topics() -> list[str]:
        found: list[str] = []

        def walk(topic: str, item: dict[str, Any]) -> None:
            found.append(topic)
            for part in (item, item.get("items"), item.get("additionalProperties")):
                if isinstance(part, dict):
                    for key, below in part.get("properties", {}).items():
                        walk(f"{topic}.{key}", below)

        for name in ("stack", *schema.SECTIONS.values()):
            walk(name, schema.resolved(name))
        return found

    def test_every_topic(self, capsys: pytest.CaptureFixture[str]) -> None:
        topics = self.topics()
        assert len(topics) > 150
        for topic in topics:
            assert explain(ExplainOptions(topic)) is ExitCode.OK
            lines = capsys.readouterr().out.splitlines()
            assert lines[0] == topic
            assert lines[1].startswith("  ")
            assert lines[1] != "  (no description)"
            assert any(line.startswith("  type      ") for line in lines)
        assert main(["explain", "subnets.cidr_block"]) == 0, "a section is its kind"
        assert capsys.readouterr().out.startswith("subnet.cidr_block\n")
        assert main(["explain"]) == 0
        text = capsys.readouterr().out
        assert all(f"\n  {kind} " in text for kind in ("stack", *schema.SECTIONS.values()))
