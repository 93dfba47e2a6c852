#!/usr/bin/env python3
"""Installs and starts this instance's application, as /etc/alb-reconcile/application.json says. Needs Python 3.9 and no packages.

`install` fetches the artifact from S3 and runs `setup`, once. `start` reads the secrets and becomes the command, at each start of the unit.
Both run as the application's user, with the permissions of the instance's role.
"""

import datetime
import hashlib
import hmac
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
import zlib
from functools import partial
from typing import Any, Callable, Dict

Texts = Dict[str, str]
ROOT = os.environ.get("ALB_RECONCILE_ROOT", "")
METADATA = os.environ.get("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://169.254.169.254")
FOLDER = ROOT + "/opt/application"
PATIENCE = 300  # seconds: IAM takes a while to know a new role, and S3 a new object
# The program of a plain command; of any other only the shell knows it.
PLAIN = re.compile(r"(?:exec\s+|(?!PATH=)\w+=[\w./:,@+-]*\s+)*([\w./][\w./+-]*)(?=\s|$)")
SETTINGS: Any = {}


def metadata(path: str, token: str = "") -> str:
    """A text of the metadata service (IMDSv2)."""
    headers = {"X-aws-ec2-metadata-token": token} if token else {"X-aws-ec2-metadata-token-ttl-seconds": "60"}
    request = urllib.request.Request(METADATA + path, headers=headers, method="GET" if token else "PUT")
    with urllib.request.urlopen(request, timeout=5) as answer:
        return str(answer.read().decode())


def credentials() -> Any:
    """The credentials of the instance's role."""
    token, path = metadata("/latest/api/token"), "/latest/meta-data/iam/security-credentials/"
    return json.loads(metadata(path + metadata(path, token).split()[0], token))


def ask(service: str, method: str, path: str, query: Texts, headers: Texts, body: bytes) -> Any:
    """The answer to a request that is signed by Signature Version 4."""
    region, key = SETTINGS["region"], credentials()
    base = os.environ.get("AWS_ENDPOINT_URL") or f"https://{service}.{region}.{SETTINGS['domain']}"
    path, asked = urllib.parse.quote(path, safe="/-_.~"), urllib.parse.urlencode(query, quote_via=urllib.parse.quote)
    now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    content = hashlib.sha256(body).hexdigest()
    own = {"host": urllib.parse.urlsplit(base).netloc, "x-amz-content-sha256": content, "x-amz-date": now}
    sent = {**headers, **own, "x-amz-security-token": key["Token"]}
    names = ";".join(sorted(sent))
    lines = "".join(f"{name}:{sent[name]}\n" for name in sorted(sent))
    request = "\n".join([method, path, asked, lines, names, content])
    scope = f"{now[:8]}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", now, scope, hashlib.sha256(request.encode()).hexdigest()])
    secret = ("AWS4" + key["SecretAccessKey"]).encode()
    for part in [*scope.split("/"), text]:
        secret = hmac.new(secret, part.encode(), hashlib.sha256).digest()
    credential = f"AWS4-HMAC-SHA256 Credential={key['AccessKeyId']}/{scope}"
    sent["authorization"] = f"{credential}, SignedHeaders={names}, Signature={secret.hex()}"
    url = base + path + ("?" + asked if asked else "")
    return urllib.request.urlopen(
        urllib.request.Request(url, data=body or None, headers=sent, method=method), timeout=60
    )


def patiently(what: str, attempt: Callable[[], Any]) -> Any:
    """What `attempt` returns; it is repeated for some minutes, unless AWS says that the object isn't there or has changed."""
    end, told = time.monotonic() + PATIENCE, ""
    while True:
        try:
            return attempt()
        except (OSError, ValueError, LookupError) as error:
            why = f"{what}: {error}"
            if isinstance(error, urllib.error.HTTPError) and str(error.url).startswith(METADATA):
                why = f"{what}: the metadata service has no role for this instance ({error})"
            elif isinstance(error, urllib.error.HTTPError):
                why = f"{what}: {error}: {error.read(300).decode(errors='replace')}"
                if error.code in (404, 412):
                    sys.exit(why)
        if time.monotonic() > end:
            sys.exit(why)
        if why != told:
            print(why, flush=True)
            told = why
        time.sleep(2)


def secret(place: str) -> str:
    """The present value of `ssm:NAME`, `secretsmanager:NAME` or `secretsmanager:NAME#KEY`."""
    service, _, name = place.partition(":")
    name, _, key = name.partition("#") if service == "secretsmanager" else (name, "", "")
    target, asked = "AmazonSSM.GetParameter", {"Name": name, "WithDecryption": True}
    if service == "secretsmanager":
        target, asked = "secretsmanager.GetSecretValue", {"SecretId": name}
    headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": target}
    with ask(service, "POST", "/", {}, headers, json.dumps(asked).encode()) as answer:
        found = json.load(answer)
    text = found["SecretString"] if service == "secretsmanager" else found["Parameter"]["Value"]
    return str(json.loads(text)[key]) if key else text


def environment() -> Texts:
    """The application's environment, without its secrets."""
    usual = {"HOST": "0.0.0.0", "PORT": str(SETTINGS["port"])}
    return {**usual, **os.environ, **SETTINGS["environment"], "HOME": FOLDER}


def fetch(file: Any) -> None:
    """Write the artifact to a file, in the version that the plan has seen."""
    found = SETTINGS["artifact"]
    query = {"versionId": found["version"]} if "version" in found else {}
    headers = {"if-match": found["etag"]} if "etag" in found else {}
    with ask("s3", "GET", f"/{found['bucket']}/{found['key']}", query, headers, b"") as answer:
        file.seek(0)
        shutil.copyfileobj(answer, file)
        file.truncate()
        file.seek(0)


def install() -> None:
    """Unpack the artifact, and run `setup` in it."""
    name = "s3://{bucket}/{key}".format(**SETTINGS["artifact"])
    os.chdir(FOLDER)
    safely: Any = {"filter": "tar"} if hasattr(tarfile, "tar_filter") else {}
    with tempfile.TemporaryFile(dir=FOLDER) as file:
        patiently(name, partial(fetch, file))
        try:
            with tarfile.open(fileobj=file) as archive:
                archive.extractall(FOLDER, **safely)
        except (tarfile.TarError, EOFError, zlib.error) as error:
            why = str(error).partition("\n")[0].rstrip(":")
            sys.exit(f"{name} can't be unpacked: {why}; make it with tar")
    for line in SETTINGS["setup"]:
        print(f"setup: {line}", flush=True)
        code = subprocess.run(["/bin/sh", "-c", line], env=environment(), check=False).returncode
        if code:
            sys.exit(f"setup failed with exit code {code}: {line}")
    found = PLAIN.match(SETTINGS["command"])
    look = ["/bin/sh", "-c", 'command -v "$0" > /dev/null']
    if found and subprocess.run([*look, found[1]], env=environment(), check=False).returncode:
        sys.exit(f"{name} has no {found[1]}, and setup has made none: `command` can't be run")


def start() -> None:
    """Become the command."""
    os.chdir(FOLDER)
    given = environment()
    for name, place in SETTINGS["secrets"].items():
        given[name] = patiently(f"secret {name}, {place}", partial(secret, place))
    os.execve("/bin/sh", ["sh", "-c", SETTINGS["command"]], given)


if __name__ == "__main__":
    with open(ROOT + "/etc/alb-reconcile/application.json", encoding="utf-8") as settings:
        SETTINGS.update(json.load(settings))
    install() if sys.argv[1] == "install" else start()
