"""The long runs, each part alone or all together; `make soak` runs it. Figures and date go to docs/soak.md, newest first.

Parts: seeds (simulations with many seeds), tests (the black-box tests marked soak), kill (rounds of kill -9), big (a 1 GiB object in and
out with flat memory), scale (10,000 keys, 100 hosts), peers (the bench, with its peers)."""
import argparse
import hashlib
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from bench_report import END
from benchkit import ROOT, Signer, get_large, machine_facts, rss_mib, today
from fake_agents import IN_PLACE, Fleet
from harness import Region, until
from soak_kill import begin, ended, prepare

PAGE = ROOT / "docs" / "soak.md"
NEWEST = "<!-- runs: newest first; written by `make soak` -->"
PYTHON = sys.executable
GIB = 1 << 30


class Failed(Exception):
    """A part's check did not hold."""


def need(good: bool, what: str) -> None:
    if not good:
        raise Failed(what)


def tail(text: str, lines: int = 15) -> str:
    return "\n".join(text.strip().splitlines()[-lines:])


def program(command: list[str], limit: float, **environment: str) -> str:
    """Runs it with its output passed on, and answers the output. Failure raises."""
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               text=True)
    killer = threading.Timer(limit, process.kill)
    killer.start()
    lines = []
    for line in process.stdout:
        lines.append(line)
        if not re.match(r"Test (Case|Suite)|\[\d+/\d+\]", line):
            print("    " + line, end="", flush=True)
    code = process.wait()
    killer.cancel()
    text = "".join(lines)
    need(code == 0, f"{' '.join(command[:4])} … exited {code}: {tail(text, 5)}")
    return text


# -- parts; each answers its figures

def seeds(options) -> str:
    # A test bundle that is already built saves the build.
    bundle = os.environ.get("ROADSTEAD_TESTS")
    command = [bundle, "SimulationTests.DeploymentSimulationTests"] if bundle else ["swift", "test", "--filter", "SimulationTests"]
    text = program(command, options.limit, ROADSTEAD_SEEDS=str(options.seeds))
    executed = re.findall(r"Executed (\d+) tests?, with (?:(\d+) tests? skipped and )?(\d+) failures?", text)
    need(bool(executed), "swift test said nothing of what it executed")
    most = max(executed, key=lambda e: int(e[0]))
    return f"{options.seeds:,} seeds per engine, {most[0]} tests, {most[2]} failures"


def tests(options) -> str:
    text = program([PYTHON, "-m", "pytest", "compat", "-q", "-m", "soak", "--soak", "-p", "no:cacheprovider", "--binary", options.binary], options.limit)
    return tail(text, 1).strip("= ")


def kill(options) -> str:
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        program([PYTHON, "compat/soak_kill.py", "--binary", options.binary, "--rounds", str(options.rounds), "--seed", str(options.seed),
                 "--json", out.name], options.limit)
        figures = json.load(out)
    return ", ".join(f"{k} {v}" for k, v in figures.items())


class Watch(threading.Thread):
    """The highest resident memory of a process while a block runs, MiB."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.pid, self.most, self.halt = pid, 0.0, threading.Event()

    def run(self) -> None:
        while not self.halt.wait(0.02):
            self.most = max(self.most, rss_mib(self.pid))

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.halt.set()
        self.join()


class Pattern:
    """A gigabyte that is not in memory: a file object over a repeated random block."""

    def __init__(self, size: int):
        self.size, self.at, self.block = size, 0, random.Random(1).randbytes(1 << 20)

    def read(self, count: int = -1) -> bytes:
        count = min(self.size - self.at if count < 0 else count, self.size - self.at)
        start = self.at % len(self.block)
        self.at += count
        return (self.block * (2 + count // len(self.block)))[start:start + count]

    def seek(self, at: int, whence: int = 0) -> int:
        self.at = at if whence == 0 else self.at + at if whence == 1 else self.size + at
        return self.at

    def tell(self) -> int:
        return self.at

    def md5(self) -> str:
        digest = hashlib.md5()
        for _ in range(self.size // len(self.block)):
            digest.update(self.block)
        return digest.hexdigest()


def big(options) -> str:
    with Region(options.binary) as region:
        s3 = region.boto("s3", config={"read_timeout": 600})
        s3.create_bucket(Bucket="big-objects")
        s3.put_object(Bucket="big-objects", Key="warm", Body=b"w" * (8 << 20))
        s3.get_object(Bucket="big-objects", Key="warm")["Body"].read()
        before = rss_mib(region.process.pid)
        body, started = Pattern(GIB), time.monotonic()
        with Watch(region.process.pid) as putting:
            tag = s3.put_object(Bucket="big-objects", Key="one", Body=body)["ETag"].strip('"')
        put = time.monotonic() - started
        need(tag == body.md5(), f"the ETag of the 1 GiB object is {tag}, its MD5 {body.md5()}")
        e = region.environment
        with Watch(region.process.pid) as getting:
            got = get_large(region.port, Signer(e["AWS_ACCESS_KEY_ID"], e["AWS_SECRET_ACCESS_KEY"], "s3"), "/big-objects/one", GIB)
        grown = max(putting.most, getting.most) - before
        need(grown < 64, f"memory grew by {grown:.0f} MiB ({before:.0f} before, {putting.most:.0f} in PUT, {getting.most:.0f} in GET)")
        return (f"1 GiB in at {1024 / put:.0f} MiB/s (the client's hashing included), out at {1024 / got:.0f} MiB/s; "
                f"memory {before:.0f} MiB before, at most {putting.most:.0f} in PUT and {getting.most:.0f} in GET")


def scale(options) -> str:
    with Region(options.binary) as region, tempfile.TemporaryDirectory() as work:
        hosts = prepare(region, work, 100)
        put, listed, pages = keys(region)
        with Fleet(region, hosts) as fleet:
            deploy = region.boto("codedeploy")
            times = {}
            for config in ("AllAtOnce", "HalfAtATime", "OneAtATime"):
                started = time.monotonic()
                name = begin(deploy, config)
                info = until(lambda name=name: ended(deploy, name), 300, 0.05, f"the end of {name}")
                times[config] = time.monotonic() - started
                need(info["status"] == "Succeeded" and info["deploymentOverview"]["Succeeded"] == 100,
                     f"{config}: {info['status']} {info['deploymentOverview']} {info.get('errorInformation')}")
                for host in hosts:
                    ran = [event for deployment, event in host.ran if deployment == name]
                    need(ran == IN_PLACE, f"{config}: {host.name} ran {ran}")
            need(not fleet.problems and not fleet.twice(), f"{fleet.problems[:3]} {fleet.twice()[:3]}")
        memory = rss_mib(region.process.pid)
    return (f"10,000 keys put in {put:.1f} s, listed in {pages} pages in {listed:.2f} s; 100 hosts: "
            + ", ".join(f"{config} {seconds:.2f} s" for config, seconds in times.items()) + f"; memory after {memory:.0f} MiB")


def keys(region: Region) -> tuple[float, float, int]:
    from concurrent.futures import ThreadPoolExecutor
    s3 = region.boto("s3", config={"max_pool_connections": 16})
    s3.create_bucket(Bucket="many")
    names = sorted(f"d{n % 100:02}/k{n:05}" for n in range(10_000))
    started = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(lambda key: s3.put_object(Bucket="many", Key=key, Body=key.encode()), names))
    put = time.monotonic() - started
    started = time.monotonic()
    pages = [page["Contents"] for page in s3.get_paginator("list_objects_v2").paginate(Bucket="many")]
    listed = time.monotonic() - started
    need([o["Key"] for page in pages for o in page] == names, "the listing is not the 10,000 keys in order")
    prefixes = [p["Prefix"] for p in s3.list_objects_v2(Bucket="many", Delimiter="/")["CommonPrefixes"]]
    need(prefixes == [f"d{n:02}/" for n in range(100)], "the 100 common prefixes")
    return put, listed, len(pages)


def peers(options) -> str:
    text = program([PYTHON, "compat/bench.py", "--binary", options.binary], options.limit)
    rows = [line.split() for line in text.splitlines() if line.endswith((" met", " missed"))]
    met = len({" ".join(row) for row in rows if row[-1] == "met"})
    missed = len({" ".join(row) for row in rows if row[-1] == "missed"})
    return f"see docs/benchmarks.md ({met} lines met, {missed} missed)"


PARTS = {"seeds": seeds, "tests": tests, "kill": kill, "big": big, "scale": scale, "peers": peers}


def write(rows: list[tuple[str, bool, str, float]]) -> None:
    text = PAGE.read_text() if PAGE.exists() else f"# Soak runs\n\n{NEWEST}\n{END}\n"
    before, _, rest = text.partition(NEWEST)
    older, _, after = rest.partition(END)
    out = [f"## {today()}", "", machine_facts() + ".", "", "| part | | figures | seconds |", "|---|---|---|---|"]
    out += [f"| {name} | {'passed' if good else '**failed**'} | {said.replace('|', '/')} | {seconds:.0f} |" for name, good, said, seconds in rows]
    table = "\n".join(out)
    PAGE.write_text(f"{before}{NEWEST}\n\n{table}\n\n{older.strip()}\n\n{END}{after}".replace("\n\n\n", "\n\n"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"some of {', '.join(PARTS)}; all when none is named")
    parser.add_argument("--binary", required=True)
    parser.add_argument("--seeds", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=60, help="of kill -9")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30), help="of the kill -9 rounds")
    parser.add_argument("--limit", type=float, default=5400, help="seconds for one part")
    parser.add_argument("--no-write", action="store_true", help="leave docs/soak.md alone")
    options = parser.parse_args()
    options.binary = str(Path(options.binary).resolve())
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    rows = []
    for name in options.parts or PARTS:
        print(f"\n== {name}", flush=True)
        started = time.monotonic()
        try:
            good, said = True, PARTS[name](options)
        except Exception as problem:  # noqa: BLE001 - the other parts still run
            good, said = False, str(problem).splitlines()[0] if isinstance(problem, Failed) else f"{type(problem).__name__}: {problem}"
        rows.append((name, good, said[:600], time.monotonic() - started))
        print(f"{'✓' if good else '✗'} {name}: {said} ({rows[-1][3]:.0f} s)", flush=True)
    if not options.no_write:
        write(rows)
        print("\nwritten to docs/soak.md")
    return 0 if all(good for _, good, _, _ in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
