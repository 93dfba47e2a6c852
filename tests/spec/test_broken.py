"""Broken specs: each file of the corpus says at its end what is wrong with it, and exactly that must be said."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from alb_reconcile.model.errors import Problem, SpecError
from alb_reconcile.spec.document import MAX_BYTES
from alb_reconcile.spec.stack import load_stack, parse_stack

BROKEN = Path(__file__).parent / "broken"
CASES = sorted(BROKEN.glob("*.yaml"))
assert len(CASES) >= 240, "a lost folder must not pass as no failures"
VARIABLES = {"REGION": "eu-west-1", "TEXT": "text", "BIG": "70000"}
EXPECTATION = re.compile(r"#(?P<sort>[!?]) (?P<line>\d+):(?P<column>\d+): (?P<path>.*?): (?P<fragment>.+)")
SPEC = """\
stack: shop
region: eu-west-1
vpcs:
  main: {cidr_block: 10.0.0.0/16}
subnets:
  a: {cidr_block: 10.0.1.0/24, availability_zone: a}
instances:
  web: {image_id: ami-0123456789abcdef0, instance_type: t3.micro, subnets: [a], user_data_file: FILE}
"""


def problems_of(data: bytes, folder: Path = BROKEN) -> tuple[Problem, ...]:
    """Every problem of a spec, warnings included."""
    try:
        return parse_stack(data, "spec.yaml", folder, VARIABLES).warnings
    except SpecError as error:
        return error.problems


def split(file: Path) -> tuple[str, list[re.Match[str]]]:
    """A case's spec, and what it expects."""
    text = file.read_text(encoding="utf-8")
    spec = re.split(r"^#[!?] ", text, maxsplit=1, flags=re.MULTILINE)[0]
    lines = text[len(spec) :].splitlines()
    found = [match for line in lines if (match := EXPECTATION.fullmatch(line))]
    assert len(found) == len(lines), f"{file.name} has an expectation that can't be read"
    return spec, found


def load_problems(file: Path | str) -> list[str]:
    """What `load_stack` refuses a file for."""
    with pytest.raises(SpecError) as caught:
        load_stack(str(file), VARIABLES)
    return str(caught.value).splitlines()


@pytest.mark.parametrize("file", CASES, ids=lambda file: file.stem)
def test_exactly_the_expected_problems_are_reported(file: Path) -> None:
    """All at once, each at its place, in the file's order, and nothing that merely follows from another; each in one line, with advice."""
    spec, expected = split(file)
    found = problems_of(spec.encode())
    for item in found:
        assert len(item.message) < 320
        assert item.render("x").isprintable()
        assert re.search(r"; \S", item.message) or item.warning, item.message
    assert [("?" if item.warning else "!", item.line, item.column, item.path) for item in found] == [
        (match["sort"], int(match["line"]), int(match["column"]), match["path"]) for match in expected
    ], "\n" + "\n".join(item.render(file.name) for item in found)
    for item, match in zip(found, expected, strict=True):
        assert re.search(re.escape(match["fragment"]).replace("\\ …\\ ", " .* "), item.message), item.message


@pytest.mark.parametrize(
    ("data", "place", "fragment"),
    [
        (b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR", "1:1", "is not UTF-8 text"),
        (b"stack: shop\nregion: eu\xffwest\n", "2:11", "is not UTF-8 text"),
        ("\ufeffstack: é".encode() + b"\nregion: \xc3\n", "2:9", "is not UTF-8 text"),
        (b"stack: shop\ntags: {a: \x00}\n", "2:11", "control character"),
        (b"stack: sh\x1bop\n", "1:10", "control character"),
        ("stack: sh\u0080op\n".encode(), "1:10", "control character"),
        ("stack: ab\nregion: \ufffe\n".encode(), "2:9", "control character"),
        (b"#" * (MAX_BYTES + 1), "1:1", "is larger than 1024 KiB"),
        (b"", "1:1", "is empty"),
        (b"%YAML 3.0\n---\nstack: shop\n", "1:1", "not valid YAML"),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else "",
)
def test_what_is_no_text_is_refused_at_its_place(data: bytes, place: str, fragment: str) -> None:
    (problem,) = problems_of(data)
    assert f"{problem.line}:{problem.column}" == place
    assert fragment in problem.message


def test_exactly_the_largest_size_is_read() -> None:
    spec = b"stack: shop\nvpcs: {main: {cidr_block: 10.0.0.0/16}}\n#"
    assert problems_of(spec + b"x" * (MAX_BYTES - len(spec))) == ()


@pytest.mark.parametrize("entry", ["{<<: *a}", "{protocol: HTTP, prt: 80}"])
def test_five_hundred_mistakes_are_told_and_what_comes_behind_is_not_looked_at(entry: str) -> None:
    groups = "".join(f"  group-{number}: {entry}\n" for number in range(600))
    spec = f"stack: shop\ntarget_groups:\n  a: &a {{<<: x}}\n{groups}load_balancers: {{p: {{listeners: {{h: {{port: {{}}}}}}}}}}\n"
    assert len(problems_of(spec.encode())) >= 500
    junk = "stack: shop\nvpcs: {" + ",".join(f"v{number}: 1" for number in range(600)) + "}\n"
    for tail in ("instances: {a: {count: abc}}", "subnets: {a: {availability_zone: 5}}"):
        assert len(problems_of((junk + tail).encode())) == 500


def test_files_that_cant_be_read(tmp_path: Path) -> None:
    """Not more is read than the limit, of whatever it is."""
    (huge := tmp_path / "huge.yaml").touch()
    os.truncate(huge, 8 << 30)
    (closed := tmp_path / "closed.yaml").touch(0)
    wanted: dict[Path | str, str] = {
        tmp_path / "none.yaml": "1:1: can't be read: No such file or directory.* init",
        tmp_path: "can't be read: Is a directory",
        "a\0b": "can't be read: .*embedded null (byte|character)",  # as Python words it
        "a" * 300: "can't be read: File name too long",
        huge: "is larger than 1024 KiB",
        "/dev/zero": "can't be read: it isn't a regular file",
    }
    if os.geteuid():  # root reads every file
        wanted[closed] = "can't be read: Permission denied"
    for file, text in wanted.items():
        (line,) = load_problems(file)
        assert re.search(text, line)


def test_a_symlink_to_a_spec_is_read_beside_the_link(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/real.yaml").write_text(SPEC.replace("FILE", "boot.sh"), encoding="utf-8")
    (tmp_path / "specs/link.yaml").symlink_to(tmp_path / "elsewhere/real.yaml")
    assert 'there is no file "boot.sh"' in load_problems(tmp_path / "specs/link.yaml")[0]
    (tmp_path / "specs/boot.sh").write_text("#!/bin/sh\n", encoding="utf-8")
    assert len(load_stack(str(tmp_path / "specs/link.yaml")).desired) == 3


@pytest.mark.parametrize(
    ("target", "fragment"),
    [
        ("outside.sh", "is outside the spec's folder"),
        ("link-out.sh", '"link-out.sh" is outside the spec\'s folder'),
        ("folder-out/outside.sh", "is outside the spec's folder"),
        ("loop.sh", "can't be read: "),
        ("dangling.sh", 'there is no file "dangling.sh"'),
        ("pipe", 'there is no file "pipe"'),
        ("large.sh", "is 16,385 bytes; AWS takes at most 16,384"),
        ("n" * 300, "can't be read: File name too long"),
        ('"two\\nlines.sh"', 'there is no file "two\\nlines.sh"'),
    ],
)
def test_files_that_a_spec_may_not_name(tmp_path: Path, target: str, fragment: str) -> None:
    """Neither by path nor by symlink does a spec reach out of its folder, and nothing blocks."""
    folder = tmp_path / "specs"
    folder.mkdir()
    outside = tmp_path / "outside.sh"
    outside.write_text("secret", encoding="utf-8")
    (folder / "link-out.sh").symlink_to(outside)
    (folder / "folder-out").symlink_to(tmp_path)
    (folder / "loop.sh").symlink_to("loop.sh")
    (folder / "dangling.sh").symlink_to("none.sh")
    os.mkfifo(folder / "pipe")
    (folder / "large.sh").write_bytes(b"#" * 16_385)
    name = str(outside) if target == "outside.sh" else target
    (problem,) = problems_of(SPEC.replace("FILE", name).encode(), folder)
    assert problem.path == "instances.web.user_data_file"
    assert fragment in problem.message
    assert "secret" not in problem.message


@pytest.mark.parametrize("name", ["boot.sh", "./boot.sh", "sub/../boot.sh", "link-in.sh"])
def test_files_inside_the_folder_are_taken(tmp_path: Path, name: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "boot.sh").write_bytes(b"#" * 16_384)
    (tmp_path / "link-in.sh").symlink_to("boot.sh")
    assert problems_of(SPEC.replace("FILE", name).encode(), tmp_path) == ()
