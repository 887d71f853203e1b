"""Drives the built binary from outside, as a user would: a region in a temporary home, and the real aws CLI pointed at it."""
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
LAB = HERE / "lab"


def image_cache() -> str:
    """One base image for all runs of this machine: making it costs up to a minute."""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return os.environ.get("ROADSTEAD_IMAGE_CACHE") or os.path.join(base, "roadstead", "images")


def tool(name: str) -> str:
    """A program of the Python environment that runs us, else of the PATH."""
    beside = Path(sys.executable).with_name(name)
    return str(beside) if beside.exists() else name


class Region:
    """A running `roadstead up`."""

    def __init__(self, binary: str, home: str | None = None, *flags: str):
        self.binary = str(Path(binary).resolve())
        self.home = home or tempfile.mkdtemp(prefix="roadstead-")
        self.flags = flags
        self.process: subprocess.Popen | None = None
        self.port = 0
        self.environment: dict[str, str] = {}

    # -- life

    def up(self, timeout: float = 60) -> float:
        """Starts the region and waits until it says where it listens. Answers the seconds that took."""
        started = time.monotonic()
        log = open(os.path.join(self.home, "up.log"), "ab")
        self.process = subprocess.Popen(
            [self.binary, "up", "--home", self.home, "--port", str(self.port), *self.flags],
            stdout=subprocess.PIPE, stderr=log, env={**os.environ, "ROADSTEAD_IMAGE_CACHE": image_cache()})
        log.close()
        found = None
        while time.monotonic() - started < timeout:
            line = self.process.stdout.readline().decode()
            if not line:
                raise RuntimeError(f"the region ended at its start (exit {self.process.wait()}):\n{self.log()}")
            found = re.search(r"listening on (http://[^\s:]+:(\d+))", line)
            if found:
                break
        if not found:
            raise RuntimeError(f"the region was not ready within {timeout} s:\n{self.log()}")
        seconds = time.monotonic() - started
        self.port = int(found.group(2))
        exports = subprocess.run([self.binary, "env", "--home", self.home], check=True, capture_output=True, text=True).stdout
        self.environment = dict(re.findall(r"^export (\w+)='?([^'\n]*)'?$", exports, re.M))
        return seconds

    def kill(self) -> None:
        """kill -9, as a crash."""
        self.process.kill()
        self.process.wait()

    def stop(self, timeout: float = 60) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise

    def down(self) -> None:
        """Stops everything and removes every trace, whatever state the region is in."""
        if self.process and self.process.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.stop()
        subprocess.run([self.binary, "down", "--home", self.home], capture_output=True, timeout=120)
        shutil.rmtree(self.home, ignore_errors=True)

    def log(self) -> str:
        with open(os.path.join(self.home, "up.log"), errors="replace") as log:
            return log.read()[-4000:]

    def __enter__(self):
        self.up()
        return self

    def __exit__(self, *_):
        self.down()

    @property
    def url(self) -> str:
        return self.environment["AWS_ENDPOINT_URL"]

    # -- clients

    def env(self, **more: str) -> dict[str, str]:
        clean = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}
        return {**clean, **self.environment, "AWS_PAGER": "", "AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
                "AWS_EC2_METADATA_DISABLED": "true", "AWS_MAX_ATTEMPTS": "1", **more}

    def run_aws(self, *args: str, timeout: float = 300, env: dict | None = None, cwd: str | None = None) -> subprocess.CompletedProcess:
        return subprocess.run([tool("aws"), *args], capture_output=True, text=True, timeout=timeout, env=env or self.env(), cwd=cwd)

    def aws(self, *args: str, **options):
        """The answer, parsed when it is JSON. A failure raises with the CLI's own words."""
        done = self.run_aws(*args, **options)
        if done.returncode != 0:
            raise AssertionError(f"aws {' '.join(args)} exited {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
        text = done.stdout.strip()
        try:
            return json.loads(text) if text else None
        except json.JSONDecodeError:
            return text

    def aws_error(self, *args: str, **options) -> str:
        """The CLI's error text of a call that must fail."""
        done = self.run_aws(*args, **options)
        assert done.returncode != 0, f"aws {' '.join(args)} succeeded: {done.stdout}"
        return done.stderr.strip()

    def boto(self, service: str, **options):
        import boto3
        from botocore.config import Config
        return boto3.session.Session().client(
            service, endpoint_url=self.url, region_name=options.pop("region_name", self.environment["AWS_DEFAULT_REGION"]),
            aws_access_key_id=options.pop("aws_access_key_id", self.environment["AWS_ACCESS_KEY_ID"]),
            aws_secret_access_key=options.pop("aws_secret_access_key", self.environment["AWS_SECRET_ACCESS_KEY"]),
            config=Config(retries={"total_max_attempts": 1}, **options.pop("config", {})), **options)


def fetch(url: str, timeout: float = 5) -> str:
    return urllib.request.urlopen(url, timeout=timeout).read().decode()


def until(check, timeout: float = 60, interval: float = 0.05, what: str = "the condition"):
    """Waits for `check()` to answer something true; exceptions count as not yet."""
    end = time.monotonic() + timeout
    last = None
    while time.monotonic() < end:
        try:
            value = check()
            if value:
                return value
        except Exception as problem:  # noqa: BLE001 - the last one is shown
            last = problem
        time.sleep(interval)
    raise AssertionError(f"{what} did not come true within {timeout} s" + (f" ({last})" if last else ""))


TRUST = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "codedeploy.amazonaws.com"}, "Action": "sts:AssumeRole"}]})
EC2_TRUST = TRUST.replace("codedeploy.amazonaws.com", "ec2.amazonaws.com")
READ_BUNDLES = json.dumps({
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "s3:List*"], "Resource": "*"}]})
USER_DATA = "#!/bin/bash\necho \"user data ran on $(hostname)\"\ndate -u +%FT%TZ > /var/log/user-data-ran\n"


def variant(name: str, target: str, *, version: str = "1", files: dict[str, str] | None = None) -> str:
    """A copy of the lab application with some files replaced; answers its folder."""
    folder = os.path.join(target, name)
    shutil.copytree(LAB / "v1", folder)
    Path(folder, "index.html").write_text(f"version {version}\n")
    for path, text in (files or {}).items():
        Path(folder, path).write_text(text)
        if path.startswith("scripts/"):
            os.chmod(Path(folder, path), 0o755)
    return folder
