"""Measures the region and its peers in the same run and prints one table; `make bench` runs it.

Everything goes over loopback. A figure that cannot be taken here is printed as skipped, with the reason; an aim that is not met as
missed, with a profile. The table is kept in docs/benchmarks.md, newest first."""
import argparse
import hashlib
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import bench_deploy
from bench_report import Figure, Profile, Report
from benchkit import (CALLER_IDENTITY, FORM, Moto, Signer, family, get_large, median, memory_top_five, put_large, rss_mib,
                      run_load, shared_once_mib)
from harness import Region

CONNECTIONS = 16
SMALL, LARGE = 4096, 64 << 20
PARTS = ["start", "sts", "s3", "fake", "instances"]


class Bench:
    def __init__(self, options, report: Report, region: Region, work: str):
        self.options, self.report, self.region, self.work = options, report, region, work
        self.seconds = options.seconds
        self.moto: Moto | None = None

    def title(self, text: str) -> None:
        print(f"\n{text}", flush=True)

    def signer(self, service: str, peer: bool = False) -> Signer:
        e = self.region.environment
        return Signer("AKIAIOSFODNN7EXAMPLE", "peer", service) if peer else Signer(e["AWS_ACCESS_KEY_ID"], e["AWS_SECRET_ACCESS_KEY"], service)

    def missed(self, figure: str, load) -> None:
        """Runs a load again under the profiler."""
        with Profile(self.region.process.pid) as profile:
            load()
        self.report.profiles[figure] = profile.lines

    # -- parts

    def start(self) -> None:
        self.title("Region start and memory")
        time.sleep(2)
        pids = family(self.region.process.pid, self.region.home)
        idle = shared_once_mib(pids)
        figure = self.report.add(Figure(f"resident memory idle, {len(pids)} processes", idle, "MiB", aim="< 60 MiB", met=idle < 60))
        self.report.add(Figure("resident memory idle, shared pages counted for each process", sum(map(rss_mib, pids)), "MiB"))
        self.report.add(Figure("resident memory idle, control plane alone", rss_mib(self.region.process.pid), "MiB"))
        if not figure.met:
            self.report.profiles[figure.name] = memory_top_five(pids)
        times = []
        for _ in range(7):
            self.region.stop()
            times.append(self.region.up())
        figure = Figure("region start (median of 7)", median(times), "s", aim="< 0.3 s", met=median(times) < 0.3)
        self.report.add(figure)
        if figure.met is False:
            self.report.profiles[figure.name] = self.profile_start()

    def profile_start(self) -> list[str]:
        """A start is too short to attach to: `perf record` starts the region itself."""
        data = os.path.join(self.work, "start.perf")
        self.region.stop()
        binary, self.region.binary = self.region.binary, os.path.join(self.work, "up-under-perf")
        Path(self.region.binary).write_text(
            f'#!/bin/sh\n[ "$1" = up ] || exec {binary} "$@"\nexec perf record -q -e cpu-clock -F 1999 -o {data} {binary} "$@"\n')
        Path(self.region.binary).chmod(0o755)
        try:
            self.region.up()
            self.region.stop()
        except Exception as problem:  # noqa: BLE001 - without perf there is no profile, and the bench goes on
            return [f"no profile: {problem}"[:180]]
        finally:
            self.region.binary = binary
            self.region.up()
        return Profile.of_file(data)

    def sts(self) -> None:
        self.title(f"Signed GetCallerIdentity, {CONNECTIONS} connections, {self.seconds} s")

        def load(port: int, peer: bool, seconds: float) -> dict:
            request = self.signer("sts", peer).request("POST", f"127.0.0.1:{port}", "/", CALLER_IDENTITY, FORM)
            return run_load(port, [request], CONNECTIONS, seconds)
        load(self.region.port, False, 1)
        ours = load(self.region.port, False, self.seconds)
        peer = self.peer(lambda port: load(port, True, self.seconds))
        self.add_load("GetCallerIdentity", ours, peer, lambda: load(self.region.port, False, 5), factor=20)
        alone = run_load(self.region.port, [self.signer("sts").request("POST", f"127.0.0.1:{self.region.port}", "/", CALLER_IDENTITY, FORM)], 1, 3)
        self.report.add(Figure("GetCallerIdentity, one connection, median", alone["p50_ms"], "ms"))

    def peer(self, run):
        """What moto_server does; None when it is not there."""
        if not self.moto:
            return None
        try:
            return run(self.moto.port)
        except Exception as problem:  # noqa: BLE001 - the table then lacks the peer's cell
            self.report.note(f"moto_server: {type(problem).__name__}: {problem}")
            return None

    def add_load(self, name: str, ours: dict, peer: dict | None, again, factor: float | None = None) -> None:
        figure = Figure(f"{name}, requests a second", ours["rps"], "/s", peer and peer["rps"], "moto_server",
                        f"≥ {factor:.0f}×" if factor else "")
        if factor and peer:
            figure.met = figure.ratio() >= factor
        self.report.add(figure)
        self.report.add(Figure(f"{name}, p99", ours["p99_ms"], "ms", peer and peer["p99_ms"], "moto_server"))
        if figure.met is False:
            self.missed(figure.name, again)

    def s3(self) -> None:
        self.title(f"S3 objects of 4 KiB ({CONNECTIONS} connections, {self.seconds} s) and of 64 MiB (one after the other)")
        body, large = os.urandom(SMALL), os.urandom(1 << 20) * (LARGE >> 20)
        digest, large_digest = hashlib.sha256(body).hexdigest(), hashlib.sha256(large).hexdigest()

        def small(port: int, peer: bool, method: str) -> dict:
            signer, host = self.signer("s3", peer), f"127.0.0.1:{port}"
            data = body if method == "PUT" else b""
            requests = [signer.request(method, host, f"/bench/k{n:04}", data, body_hash=digest if data else None) for n in range(1000)]
            if method == "PUT":
                run_load(port, requests, 4, 60, most=1000)  # so that every key is there for the GETs
            return run_load(port, requests, CONNECTIONS, self.seconds)

        def bulk(port: int, peer: bool) -> tuple[float, float]:
            signer = self.signer("s3", peer)
            puts = [put_large(port, signer, "/bench/large", large, large_digest) for _ in range(4)][1:]
            gets = [get_large(port, signer, "/bench/large", LARGE) for _ in range(5)][1:]
            return median(puts), median(gets)

        def bucket(port: int, peer: bool) -> None:
            put_large(port, self.signer("s3", peer), "/bench", b"", hashlib.sha256(b"").hexdigest())
        bucket(self.region.port, False)
        self.peer(lambda port: bucket(port, True))
        for method in ("PUT", "GET"):
            ours = small(self.region.port, False, method)
            peer = self.peer(lambda port, method=method: small(port, True, method))
            self.add_load(f"S3 {method} 4 KiB", ours, peer, lambda: None)
        ours = bulk(self.region.port, False)
        peer = self.peer(lambda port: bulk(port, True)) or (None, None)
        for n, method in enumerate(("PUT", "GET")):
            size = LARGE / (1 << 20)
            self.report.add(Figure(f"S3 {method} 64 MiB", size / ours[n], "MiB/s", peer[n] and size / peer[n], "moto_server"))

    def instances(self, deployer: bench_deploy.Deployer, ansible: bench_deploy.Ansible | None) -> None:
        why = self.no_instances()
        count = self.options.hosts
        if why:
            for name in ("run-instances to first process", "run-instances to agent ready", "1 real host deployed", "20 real hosts deployed"):
                self.report.skip(name, why)
            return
        self.title(f"Instance start, {count} one after the other")
        machines = bench_deploy.Machines(self.region)
        try:
            for n in range(count):
                machines.start([name for name, size in (("one", 1), ("ten", 10), ("all", count)) if n < size])
            starts = {what: machines.all(what) for what in ("first process", "running", "agent")}
            for what, name, aim, limit in (("first process", "run-instances to exec of the first process", "< 50 ms", 0.05),
                                           ("running", "run-instances to running", "< 300 ms", 0.3),
                                           ("agent", "run-instances to agent ready", "< 300 ms", 0.3)):
                times = starts[what]
                figure = Figure(f"{name} (median of {len(times)})", median(times) * 1000, "ms", aim=aim, met=median(times) < limit)
                self.report.add(figure)
                self.report.add(Figure(f"{name}, slowest", max(times) * 1000, "ms"))
                if figure.met is False:
                    # Launcher, init and agent are processes of their own.
                    with Profile(None) as profile:
                        for _ in range(10):
                            machines.start([])
                    self.report.profiles[figure.name] = profile.lines
            self.title("Deployments to real instances, all at once, and the same change by Ansible over local connections")
            for name, hosts, rounds, aim, limit, factor in (
                    ("one", 1, 5, "< 0.5 s", 0.5, None), ("ten", 10, 3, "", None, None), ("all", count, 3, "≥ 20×", None, 20)):
                deployer.group(name, ec2TagFilters=[{"Key": f"bench-{name}", "Value": "yes", "Type": "KEY_AND_VALUE"}])
                label = f"CreateDeployment to Succeeded, {hosts} real host{'s' if hosts > 1 else ''}"
                if bench_deploy.compare(self.report, label, deployer.times(name, hosts, rounds), ansible, hosts, 1 if hosts > 9 else 3, aim, limit,
                                        factor):
                    self.missed(label, lambda name=name, hosts=hosts: [deployer.once(name, hosts) for _ in range(5)])
        finally:
            machines.end()

    def no_instances(self) -> str:
        """Why no instance can be started here, or nothing."""
        if os.geteuid() != 0:
            return "instances need root"
        doctor = subprocess.run([self.region.binary, "doctor", "--home", self.region.home], capture_output=True, text=True)
        lines = [line.strip() for line in doctor.stdout.splitlines() if line.strip().startswith(("✗", "no "))]
        return lines[0] if lines and doctor.returncode != 0 else ""

    def fake(self, deployer: bench_deploy.Deployer, ansible: bench_deploy.Ansible | None) -> None:
        self.title("100 fake agents, and Ansible on 100 local hosts")
        times = bench_deploy.fake_fleet(self.report, deployer, 100)
        bench_deploy.compare(self.report, "CreateDeployment to Succeeded, 100 fake agents", times, ansible, 100, 1)

    def run(self) -> None:
        parts = self.options.only
        if "start" in parts:
            self.start()
        if {"sts", "s3"} & set(parts):
            try:
                self.moto = None if self.options.no_peers else Moto().__enter__()
            except Exception as problem:  # noqa: BLE001
                self.report.note(f"no moto_server: {problem}")
            try:
                for part in ("sts", "s3"):
                    if part in parts:
                        getattr(self, part)()
            finally:
                if self.moto:
                    self.moto.__exit__()
        if {"fake", "instances"} & set(parts):
            ansible = None
            if not self.options.no_peers:
                try:
                    ansible = bench_deploy.Ansible(self.work)
                except Exception as problem:  # noqa: BLE001
                    self.report.note(f"no Ansible: {type(problem).__name__}: {problem}")
            deployer = bench_deploy.Deployer(self.region, self.work)
            for part in ("instances", "fake"):
                if part in parts:
                    getattr(self, part)(deployer, ansible)
        if "start" in parts and len(parts) > 1:
            time.sleep(2)
            pids = family(self.region.process.pid, self.region.home)
            self.report.add(Figure(f"resident memory after the load, {len(pids)} processes", shared_once_mib(pids), "MiB"))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--only", default=",".join(PARTS), help=f"some of {','.join(PARTS)}")
    parser.add_argument("--seconds", type=float, default=8, help="length of each load")
    parser.add_argument("--hosts", type=int, default=20, help="real instances; at least 10")
    parser.add_argument("--no-peers", action="store_true", help="measure only us")
    parser.add_argument("--no-write", action="store_true", help="leave docs/benchmarks.md alone")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}")
    kind = "release" if "/release" in os.path.realpath(options.binary) or "rel" in options.binary else "debug"
    report, region, started = Report(kind), Region(options.binary), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="bench-") as work:
        try:
            print(f"roadstead up: first start in {region.up():.2f} s")
            Bench(options, report, region, work).run()
        except Exception as problem:  # noqa: BLE001 - what was measured until then is still shown
            report.note(f"the bench ended early: {type(problem).__name__}: {problem}")
            print(region.log(), file=sys.stderr)
        finally:
            region.down()
    print(f"\n{report.terminal()}\n\n{time.monotonic() - started:.0f} s")
    for name, lines in report.profiles.items():
        print(f"missed: {name}; the profile's top five:\n    " + "\n    ".join(lines))
    for note in report.notes:
        print(f"note: {note}")
    if not options.no_write:
        report.write()
        print("written to docs/benchmarks.md")
    return 1 if any("ended early" in note for note in report.notes) else 0


if __name__ == "__main__":
    sys.exit(main())
