"""What the measuring scripts share: signed requests, the load generator, the peers, memory, facts of the machine."""
import datetime
import hashlib
import hmac
import http.client
import json
import os
import platform
import shutil
import socket
import statistics
import struct
import subprocess
import tempfile
import time
import urllib.parse
from pathlib import Path

from harness import HERE, tool

ROOT = HERE.parent
CACHE = ROOT / ".build" / "bench"


# -- signing

class Signer:
    """Signature Version 4 of one key. Keeps the day's signing key, so that a request costs one HMAC."""

    def __init__(self, access: str, secret: str, service: str, region: str = "us-east-1", token: str | None = None):
        self.access, self.secret, self.service, self.region, self.token = access, secret, service, region, token
        self.day, self.key = "", b""

    def headers(self, method: str, host: str, path: str, body: bytes, more: dict[str, str] | None = None,
                body_hash: str | None = None) -> dict[str, str]:
        """All headers of a signed request; `path` is already encoded and without a query."""
        stamp = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        body_hash = body_hash or hashlib.sha256(body).hexdigest()
        headers = {"host": host, "x-amz-date": stamp, "x-amz-content-sha256": body_hash}
        headers.update({k.lower(): v for k, v in (more or {}).items()})
        if self.token:
            headers["x-amz-security-token"] = self.token
        names = sorted(headers)
        signed = ";".join(names)
        canonical = "\n".join([method, path, "", *(f"{n}:{headers[n].strip()}" for n in names), "", signed, body_hash])
        day = stamp[:8]
        scope = f"{day}/{self.region}/{self.service}/aws4_request"
        text = "\n".join(["AWS4-HMAC-SHA256", stamp, scope, hashlib.sha256(canonical.encode()).hexdigest()])
        signature = hmac.new(self.signing_key(day), text.encode(), hashlib.sha256).hexdigest()
        headers["authorization"] = f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, SignedHeaders={signed}, Signature={signature}"
        headers["content-length"] = str(len(body))
        return headers

    def signing_key(self, day: str) -> bytes:
        if day != self.day:
            key = ("AWS4" + self.secret).encode()
            for part in (day, self.region, self.service, "aws4_request"):
                key = hmac.new(key, part.encode(), hashlib.sha256).digest()
            self.day, self.key = day, key
        return self.key

    def request(self, method: str, host: str, path: str, body: bytes = b"", more: dict[str, str] | None = None,
                            body_hash: str | None = None) -> bytes:
        """The request's bytes."""
        headers = self.headers(method, host, path, body, more, body_hash)
        head = "".join(f"{k}: {v}\r\n" for k, v in headers.items())
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body


FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
CALLER_IDENTITY = b"Action=GetCallerIdentity&Version=2011-06-15"


# -- the load generator

def load_program() -> str:
    """The generator, compiled when its source is newer."""
    source, program = HERE / "load.c", CACHE / "load"
    CACHE.mkdir(parents=True, exist_ok=True)
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if not compiler:
            raise RuntimeError("no C compiler (cc, gcc or clang) for the load generator: apt-get install gcc libc6-dev")
        subprocess.run([compiler, "-O2", "-o", str(program), str(source)], check=True)
    return str(program)


def run_load(port: int, requests: list[bytes], connections: int, seconds: float, most: int | None = None) -> dict:
    """Requests, each sent again and again in turn, for so long. Raises when not one was answered well."""
    with tempfile.NamedTemporaryFile(prefix="load-") as file:
        for request in requests:
            file.write(struct.pack("<I", len(request)) + request)
        file.flush()
        command = [load_program(), str(port), str(connections), str(seconds), file.name] + ([str(most)] if most else [])
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60)
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip())
    answer = json.loads(done.stdout)
    if answer["errors"] > max(3, answer["requests"] // 1000):
        raise RuntimeError(f"{answer['errors']} of {answer['requests'] + answer['errors']} requests failed ({answer['first_error']})")
    return answer


# -- the peer

class Moto:
    """A moto_server of our own, on a free port."""

    def __enter__(self):
        self.port = free_port()
        self.process = subprocess.Popen([tool("moto_server"), "-p", str(self.port), "-H", "127.0.0.1"], stdout=subprocess.DEVNULL,
                                                                        stderr=subprocess.DEVNULL)
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return self
            except OSError:
                time.sleep(0.1)
        self.__exit__()
        raise RuntimeError("moto_server did not start within 60 s")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(20)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


# -- large objects, by hand, so that the client costs as little as can be

def put_large(port: int, signer: Signer, path: str, body: bytes, body_hash: str) -> float:
    """Seconds of one PUT."""
    host = f"127.0.0.1:{port}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    headers = signer.headers("PUT", host, path, body, body_hash=body_hash)
    started = time.monotonic()
    connection.request("PUT", path, body, headers)
    answer = connection.getresponse()
    text = answer.read()
    took = time.monotonic() - started
    connection.close()
    if answer.status != 200:
        raise RuntimeError(f"PUT {path}: {answer.status} {text[:300]!r}")
    return took


def get_large(port: int, signer: Signer, path: str, size: int) -> float:
    """Seconds of one GET, the bytes counted and thrown away."""
    host = f"127.0.0.1:{port}"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
    buffer, total = bytearray(1 << 20), 0
    started = time.monotonic()
    connection.request("GET", path, headers=signer.headers("GET", host, path, b""))
    answer = connection.getresponse()
    while count := answer.readinto(buffer):
        total += count
    took = time.monotonic() - started
    connection.close()
    if answer.status != 200 or total != size:
        raise RuntimeError(f"GET {path}: {answer.status}, {total} of {size} bytes")
    return took


# -- numbers

def median(values: list[float]) -> float:
    return statistics.median(values)


def p99(values: list[float]) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(0.99 * (len(ordered) - 1)))]


def rss_mib(pid: int) -> float:
    """Resident memory of one process, MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def family(pid: int, home: str) -> list[int]:
    """A region's process and the planes that belong to its home."""
    pids = {pid}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                command = Path("/proc", entry, "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if b"plane" in command and home.encode() in b"\0".join(command):
                pids.add(int(entry))
    return sorted(pids)


def shared_once_mib(pids: list[int]) -> float:
    """Memory of processes together, MiB: resident pages, those they share counted once (the kernel's proportional set size)."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                total += int(line.split()[1])
    return total / 1024


def memory_top_five(pids: list[int]) -> list[str]:
    """The mappings that hold most of the resident memory."""
    sizes: dict[str, int] = {}
    for pid in pids:
        kind = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1].decode()
        name = ""
        for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
            fields = line.split()
            if "-" in fields[0] and not fields[0].endswith(":"):
                where = os.path.basename(fields[5]) if len(fields) > 5 else "anonymous memory"
                name = f"{kind}: {where} ({'code' if 'x' in fields[1] else 'writable' if 'w' in fields[1] else 'read-only'})"
            elif fields[0] == "Rss:":
                sizes[name] = sizes.get(name, 0) + int(fields[1])
    return [f"{size / 1024:7.1f} MiB  {name}" for name, size in sorted(sizes.items(), key=lambda s: -s[1])[:5]]


def machine_facts() -> str:
    memory = next(int(line.split()[1]) for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemTotal"))
    model = next((line.split(":", 1)[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines()
                                if line.startswith("model name")), platform.machine())
    kernel = ".".join(platform.release().split("-")[0].split(".")[:3])
    return f"{os.cpu_count()} cores ({model}), {memory / 1024 / 1024:.0f} GiB memory, Linux {kernel}"


def today() -> str:
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")


def quote_key(key: str) -> str:
    return urllib.parse.quote(key, safe="/~-_.")
