"""Log lines and what is masked in them: no secret and no control character, in whichever way it comes."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from typing import TYPE_CHECKING, Any, NoReturn

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alb_reconcile.journal.log import about, configure_logs, tell
from alb_reconcile.journal.mask import Mask
from alb_reconcile.model.secrets import HIDDEN

if TYPE_CHECKING:
    from collections.abc import Iterator

SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"


def fail(error: Exception) -> NoReturn:
    raise error


class Lines(list[str]):
    """The lines that were written."""

    def start(self, *, terminal: bool = False, mask: Mask | None = None, verbose: bool = False) -> None:
        self.clear()
        logging.getLogger().handlers.clear()  # pytest's own raise what they can't write
        configure_logs(self.append, terminal=terminal, mask=mask or Mask(), verbose=verbose)

    @property
    def last(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self[-1])
        return found


@pytest.fixture
def lines() -> Iterator[Lines]:
    root, own = logging.getLogger(), logging.getLogger("alb_reconcile")
    before = (root.level, own.level)
    yield Lines()
    for handler in root.handlers[:]:
        if type(handler).__module__.startswith("alb_reconcile"):
            root.removeHandler(handler)
    root.setLevel(before[0])
    own.setLevel(before[1])


def test_json(lines: Lines) -> None:
    lines.start()
    tell("step_done", step="vpc.main", seconds=1.5, changes=["a", 1, None], ok=True)
    assert len(lines) == 1
    assert lines.last.pop("time").endswith("Z")
    fields = {"step": "vpc.main", "seconds": 1.5, "changes": ["a", 1, None], "ok": True}
    assert lines.last | {"time": 0} == {"time": 0, "level": "info", "event": "step_done", **fields}


def test_a_terminal(lines: Lines) -> None:
    lines.start(terminal=True)
    tell("step_failed", level=logging.ERROR, step="vpc.main", error="it was denied", forged="a step=b")
    assert lines[0][8:] == '  error: step_failed  step=vpc.main  error="it was denied"  forged="a step=b"'
    tell("round ended")
    assert lines[1][8:] == "  round ended"


def test_stacks_in_parallel_have_their_own_fields(lines: Lines) -> None:
    lines.start()

    async def run(name: str) -> None:
        with about(stack=name):
            for _ in range(3):
                await asyncio.sleep(0)
                tell("looked", by=name)

    async def main() -> None:
        with about(round=1):
            await asyncio.gather(run("a"), run("b"))

    asyncio.run(main())
    tell("outside")
    told = [json.loads(line) for line in lines]
    assert all(line["stack"] == line["by"] and line["round"] == 1 for line in told[:6])
    assert "stack" not in told[6]


def test_levels_and_libraries(lines: Lines) -> None:
    lines.start()
    logging.getLogger("httpx").info("HTTP Request: POST https://hooks.example.com/?key=%s", SECRET)
    tell("detail", level=logging.DEBUG)
    assert lines == []
    logging.getLogger("botocore").warning("refreshing\nfailed")
    assert (lines.last["logger"], lines.last["event"]) == ("botocore", "refreshing\\nfailed")
    lines.start(verbose=True)
    tell("detail", level=logging.DEBUG)
    assert [json.loads(line)["event"] for line in lines] == ["detail"]


def test_a_traceback_is_one_line(lines: Lines) -> None:
    lines.start(mask=Mask([SECRET]))
    try:
        fail(ValueError(f"bad {SECRET}\n\x1b[2J"))
    except ValueError:
        logging.getLogger("library").exception("it broke")
    assert "bad ***\\n\\x1b[2J" in lines.last["exception"]
    assert "\\n  File" in lines.last["exception"]


ANY_TEXT = st.text(max_size=40)
LONG_TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=8, max_size=60)


@pytest.mark.slow
@settings(max_examples=30)
@given(
    LONG_TEXT.filter(lambda text: len(set(text) - set(HIDDEN)) > 3), ANY_TEXT, ANY_TEXT, st.booleans(), st.booleans()
)
def test_no_known_secret_gets_into_a_line(secret: str, before: str, after: str, terminal: bool, quoted: bool) -> None:
    """Wherever it stands: in the event, a field, a field of a field, an argument, an exception; raw or encoded."""
    lines: list[str] = []
    root, own = logging.getLogger(), logging.getLogger("alb_reconcile")
    saved = (root.handlers[:], root.level, own.level)
    try:
        configure_logs(lines.append, terminal=terminal, mask=Mask([secret]))
        encoded = base64.b64encode(secret.encode()).decode()
        text = f"{before} {json.dumps(secret) if quoted else secret} {after}"
        tell("said", text=text, nested={"a": [text, {"b": encoded}]}, user_data="x")
        logging.getLogger("library").warning("%s and %s", text, encoded)
        try:
            fail(RuntimeError(text))
        except RuntimeError:
            logging.getLogger("library").exception("it broke")
    finally:
        root.handlers[:] = saved[0]
        root.setLevel(saved[1])
        own.setLevel(saved[2])
    assert len(lines) == 3
    for line in lines:
        assert line.isprintable()
        assert secret not in line
        assert encoded.rstrip("=") not in line
        if not terminal:
            assert secret not in "".join(_texts(json.loads(line)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield f"\0{key}\0"
            yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    else:
        yield f"\0{value}\0"


UNKNOWN = "hunter2hunter2"


@pytest.mark.parametrize(
    "text",
    [
        f"https://ops:{UNKNOWN}@hooks.example.com/a",
        f"https://{UNKNOWN}@hooks.example.com/a",
        f"GET https://hooks.example.com/a?key={UNKNOWN}&b=1 failed",
        f"https://hooks.example.com#{UNKNOWN}",
        f"Authorization: AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/2026, SignedHeaders=host, Signature={UNKNOWN}",
        f'{{"SecretAccessKey": "{UNKNOWN}", "a": 1}}',
        f'a string of JSON: "{{\\"SessionToken\\": \\"{UNKNOWN}\\"}}"',
        f"aws_secret_access_key = {UNKNOWN}",
        f"AWS_SESSION_TOKEN={UNKNOWN}",
        f"X-Amz-Security-Token: {UNKNOWN}",
        f"password: {UNKNOWN}",
        f"db_password='{UNKNOWN} and more {UNKNOWN}'",
        f"Bearer {UNKNOWN}",
        f"Cookie: a=b; session={UNKNOWN}",
        f"user_data = '#!/bin/sh\nexport X={UNKNOWN}'",
        f"-----BEGIN RSA PRIVATE KEY-----\n{UNKNOWN}\n-----END RSA PRIVATE KEY-----",
        f"-----BEGIN PRIVATE KEY-----\n{UNKNOWN}",
        f"eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.{UNKNOWN}",
    ],
)  # fmt: skip
def test_what_looks_like_a_secret(text: str) -> None:
    shown = Mask().line(text)
    assert UNKNOWN not in shown
    assert HIDDEN in shown
    assert "AKIA" not in shown


@pytest.mark.parametrize(
    "text",
    [
        "CreateVpc: ExpiredToken: The security token included in the request is expired (request 7f3a); log in again",
        "DescribeVpcs: InvalidClientTokenId: The security token included in the request is invalid; check the credentials",
        "SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided",
        "no usable AWS credentials: Unable to locate credentials; set AWS_PROFILE or --profile, or log in",
        "UnauthorizedOperation: You are not authorized. Encoded authorization failure message: 4GIOHlTkIaWH",
        "http://demo-public-1c56909d.us-east-1.elb.amazonaws.com/",
        "arn:aws:elasticloadbalancing:us-east-1:123456789012:targetgroup/demo/d85d07007b2273b2",
        "instance.web-1 waits for i-a9d6000957ceae4f5 to be running (now pending) (7 s)",
    ],
)  # fmt: skip
def test_what_does_not(text: str) -> None:
    assert Mask().line(text) == text


def test_fields_by_name() -> None:
    data = {"UserData": "#!/bin/sh", "token": {"a": 1}, "ApiKey": 7, "deep": [{"db_password": "y", "n": 1}]}
    hidden = {"UserData": HIDDEN, "token": HIDDEN, "ApiKey": HIDDEN, "deep": [{"db_password": HIDDEN, "n": 1}]}
    assert Mask().field("data", data) == hidden


def test_cut_after_masking() -> None:
    """A secret at the place of the cut is hidden first."""
    for at in range(5, 60):
        shown = Mask([SECRET]).line("x" * at + SECRET + "y" * 100, 50)
        assert len(shown) <= 50
        assert SECRET[:4] not in shown


def test_the_environments_secrets_are_known() -> None:
    mask = Mask.of({"AWS_SESSION_TOKEN": SECRET, "PATH": "/usr/local/bin"}, "one more secret")
    assert mask(f"{SECRET} /usr/local/bin one more secret") == "*** /usr/local/bin ***"


def test_long_texts_take_no_long_time() -> None:
    """Texts made to be hard on patterns; a quadratic one would take minutes for these."""
    pieces = ("token", "https://", "a:", "secret=", "-----BEGIN PRIVATE KEY-----", "eyJ.", "user data \\", "AKIA")
    for piece in pieces:
        text = piece * (100_000 // len(piece))
        assert len(Mask([SECRET]).line(text)) <= 500
