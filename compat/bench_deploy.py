"""CreateDeployment to Succeeded, and the same change made by Ansible."""
import contextlib
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

import fake_agents
from bench_report import Figure, Report
from benchkit import ROOT, median
from harness import EC2_TRUST, READ_BUNDLES, TRUST, Region, until

ANSIBLE = "ansible-core==2.19.14"
VENV = ROOT / ".venv-bench"
PAYLOAD = 64 << 10

APPSPEC = """version: 0.0
os: linux
files:
  - source: /files
    destination: /srv/bench
file_exists_behavior: OVERWRITE
permissions:
  - object: /srv/bench/index.html
    mode: "644"
hooks:
  ApplicationStop: [{location: scripts/stop.sh, timeout: 20}]
  BeforeInstall: [{location: scripts/before_install.sh, timeout: 20}]
  ApplicationStart: [{location: scripts/start.sh, timeout: 20}]
  ValidateService: [{location: scripts/validate.sh, timeout: 20}]
"""
# The same scripts for both; Ansible's hosts differ by BENCH_ROOT only.
SCRIPTS = {
    "stop.sh": "rm -f \"${BENCH_ROOT:-/srv/bench}/running\"",
    "before_install.sh": "mkdir -p \"${BENCH_ROOT:-/srv/bench}\"",
    "start.sh": "cp \"${BENCH_ROOT:-/srv/bench}/index.html\" \"${BENCH_ROOT:-/srv/bench}/running\"",
    "validate.sh": "cmp \"${BENCH_ROOT:-/srv/bench}/index.html\" \"${BENCH_ROOT:-/srv/bench}/running\"",
}
PLAYBOOK = """- hosts: all
  gather_facts: false
  environment: {BENCH_ROOT: "{{ root }}"}
  tasks:
    - {name: ApplicationStop, script: scripts/stop.sh}
    - {name: BeforeInstall, script: scripts/before_install.sh}
    - {name: Install, copy: {src: files/, dest: "{{ root }}/", mode: "644"}}
    - {name: ApplicationStart, script: scripts/start.sh}
    - {name: ValidateService, script: scripts/validate.sh}
"""


def application(folder: str, version: str) -> str:
    """The change, as a bundle's directory and as a playbook's: one page, one file of 64 KiB, four scripts."""
    for name in ("files", "scripts"):
        os.makedirs(os.path.join(folder, name))
    Path(folder, "files", "index.html").write_text(f"version {version}\n")
    Path(folder, "files", "asset.bin").write_bytes(os.urandom(PAYLOAD))
    for name, text in SCRIPTS.items():
        path = Path(folder, "scripts", name)
        path.write_text(f"#!/bin/sh\nset -e\n{text}\n")
        path.chmod(0o755)
    Path(folder, "appspec.yml").write_text(APPSPEC)
    Path(folder, "site.yml").write_text(PLAYBOOK)
    return folder


class Deployer:
    """An application with a group per number of hosts."""

    def __init__(self, region: Region, work: str):
        self.region, self.work = region, work
        self.s3, self.deploy, self.iam = region.boto("s3"), region.boto("codedeploy"), region.boto("iam")
        self.s3.create_bucket(Bucket="bench-releases")
        self.role = self.iam.create_role(RoleName="BenchDeploy", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
        self.iam.attach_role_policy(RoleName="BenchDeploy", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSCodeDeployRole")
        self.deploy.create_application(applicationName="bench")
        for version in ("1", "2"):
            folder = application(os.path.join(work, f"v{version}"), version)
            bundle = os.path.join(work, f"v{version}.zip")
            with zipfile.ZipFile(bundle, "w", zipfile.ZIP_DEFLATED) as out:
                for path in sorted(Path(folder).rglob("*")):
                    if path.name != "site.yml":
                        out.write(path, path.relative_to(folder))
            self.s3.upload_file(bundle, "bench-releases", f"v{version}.zip")
        self.turn = 0

    def group(self, name: str, **filters) -> None:
        self.deploy.create_deployment_group(applicationName="bench", deploymentGroupName=name, serviceRoleArn=self.role,
                                            deploymentConfigName="CodeDeployDefault.AllAtOnce", **filters)

    def once(self, group: str, hosts: int, limit: float = 120) -> float:
        """Seconds from the call of CreateDeployment until GetDeployment says Succeeded."""
        self.turn += 1
        started = time.monotonic()
        name = self.deploy.create_deployment(
            applicationName="bench", deploymentGroupName=group, revision={"revisionType": "S3", "s3Location": {
                "bucket": "bench-releases", "key": f"v{1 + self.turn % 2}.zip", "bundleType": "zip"}})["deploymentId"]
        info: dict = {}

        def over() -> bool:
            info.update(self.deploy.get_deployment(deploymentId=name)["deploymentInfo"])
            return info["status"] in ("Succeeded", "Failed", "Stopped")
        until(over, limit, 0.02, f"the end of {name}")
        took = time.monotonic() - started
        if info["status"] != "Succeeded" or info["deploymentOverview"]["Succeeded"] != hosts:
            raise RuntimeError(f"{name} ended {info['status']} {info['deploymentOverview']}: {info.get('errorInformation')}")
        return took

    def times(self, group: str, hosts: int, rounds: int) -> list[float]:
        self.once(group, hosts)  # the first deployment of a group is another change than an update
        return [self.once(group, hosts) for _ in range(rounds)]


class Ansible:
    """Ansible in an environment of its own: hosts are directories of this machine, reached by its local connection, which costs less
    than ssh. Pipelining on, facts off, as many forks as pay."""

    def __init__(self, work: str):
        self.work = work
        if not (VENV / "bin" / "ansible-playbook").exists():
            print(f"  (installing {ANSIBLE} into {VENV.name})", flush=True)
            subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
            subprocess.run([str(VENV / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", ANSIBLE], check=True, timeout=300)

    def run(self, hosts: int, version: str) -> float:
        folder = os.path.join(self.work, f"v{version}")
        roots = os.path.join(self.work, "ansible-hosts")
        inventory = os.path.join(self.work, "inventory")
        with open(inventory, "w") as out:
            for n in range(hosts):
                out.write(f"h{n:03} ansible_connection=local ansible_python_interpreter={VENV}/bin/python root={roots}/h{n:03}\n")
        environment = {**os.environ, "ANSIBLE_PIPELINING": "1", "ANSIBLE_NOCOLOR": "1", "ANSIBLE_HOME": os.path.join(self.work, "ansible"),
                       "ANSIBLE_LOCALHOST_WARNING": "0", "PATH": f"{VENV}/bin:{os.environ['PATH']}"}
        started = time.monotonic()
        done = subprocess.run([str(VENV / "bin" / "ansible-playbook"), "-i", inventory, "-f", str(min(hosts, 20)), "site.yml"], cwd=folder,
                              capture_output=True, text=True, env=environment, timeout=400)
        took = time.monotonic() - started
        if done.returncode != 0:
            raise RuntimeError(f"ansible-playbook exited {done.returncode}: {(done.stdout + done.stderr)[-600:]}")
        wanted = f"version {version}\n"
        if any(Path(roots, f"h{n:03}", "running").read_text() != wanted for n in range(hosts)):
            raise RuntimeError("ansible-playbook succeeded and not every host has the change")
        return took

    def time(self, hosts: int, rounds: int) -> float:
        self.run(hosts, "1")
        return median([self.run(hosts, str(2 - n % 2)) for n in range(rounds)])


def compare(report: Report, name: str, ours: list[float] | None, ansible: Ansible | None, hosts: int, rounds: int, aim: str = "",
            limit: float | None = None, factor: float | None = None, skipped: str = "") -> bool:
    """One row. Answers whether its aim was missed."""
    if ours is None:
        report.skip(name, skipped, aim)
        return False
    peer = None
    if ansible:
        try:
            peer = ansible.time(hosts, rounds)
        except Exception as problem:  # noqa: BLE001 - a peer that is not there leaves its cell empty
            report.note(f"Ansible with {hosts} hosts: {type(problem).__name__}: {problem}")
    figure = Figure(name, median(ours), "s", peer, "Ansible", aim)
    if limit:
        figure.met = figure.ours < limit
    if factor and peer:
        figure.met = figure.ratio() >= factor
    report.add(figure)
    return figure.met is False


def fake_fleet(report: Report, deployer: Deployer, count: int) -> list[float]:
    region = deployer.region
    hosts = fake_agents.register(region, count, {"bench": "fake"})
    deployer.group("fake", onPremisesInstanceTagFilters=[{"Key": "bench", "Value": "fake", "Type": "KEY_AND_VALUE"}])
    process = multiprocessing.get_context("fork").Process(
        target=fake_agents.serve, args=(region.port, region.environment["AWS_DEFAULT_REGION"], hosts), daemon=True)
    process.start()
    try:
        time.sleep(2)
        return deployer.times("fake", count, 3)
    finally:
        process.terminate()
        process.join(10)


class Machines:
    """Real instances, started one by one so that each start is measured."""

    USER_DATA = "#!/bin/bash\nprintf '%s\\n' \"$EPOCHREALTIME\" > /started\n"

    def __init__(self, region: Region):
        self.region, self.ec2, self.iam = region, region.boto("ec2"), region.boto("iam")
        self.ids: list[str] = []
        self.starts: list[dict[str, float]] = []
        self.image = self.ec2.describe_images(Owners=["amazon"])["Images"][0]["ImageId"]
        until(lambda: self.ec2.describe_images(ImageIds=[self.image])["Images"][0]["State"] == "available", 240, 0.5, "the built-in image")
        self.iam.create_role(RoleName="BenchHost", AssumeRolePolicyDocument=EC2_TRUST)
        self.iam.put_role_policy(RoleName="BenchHost", PolicyName="bundles", PolicyDocument=READ_BUNDLES)
        self.iam.create_instance_profile(InstanceProfileName="BenchHost")
        self.iam.add_role_to_instance_profile(InstanceProfileName="BenchHost", RoleName="BenchHost")

    def start(self, groups: list[str]) -> None:
        begun = time.time()
        made = self.ec2.run_instances(
            ImageId=self.image, MinCount=1, MaxCount=1, InstanceType="t2.micro", IamInstanceProfile={"Name": "BenchHost"},
            UserData=self.USER_DATA, TagSpecifications=[{"ResourceType": "instance", "Tags": [
                {"Key": f"bench-{g}", "Value": "yes"} for g in groups]}])["Instances"][0]["InstanceId"]
        self.ids.append(made)
        upper = Path(self.region.home, "instances", made, "upper")
        log = upper / "var/log/aws/codedeploy-agent/codedeploy-agent.log"
        seen: dict[str, float] = {}

        def watch() -> bool:
            if "first process" not in seen:
                with contextlib.suppress(OSError, ValueError):
                    seen["first process"] = float((upper / "started").read_text()) - begun
            if "agent" not in seen:
                with contextlib.suppress(OSError):
                    if " host arn:" in log.read_text(errors="replace"):
                        seen["agent"] = time.time() - begun
            if "running" not in seen:
                state = self.ec2.describe_instances(InstanceIds=[made])["Reservations"][0]["Instances"][0]["State"]["Name"]
                if state == "running":
                    seen["running"] = time.time() - begun
            return len(seen) == 3
        until(watch, 30, 0.001, f"the start of {made}")
        self.starts.append(seen)

    def all(self, what: str) -> list[float]:
        return [start[what] for start in self.starts]

    def end(self) -> None:
        if self.ids:
            self.ec2.terminate_instances(InstanceIds=self.ids)
            until(lambda: not self.ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running", "shutting-down"]}])
                  ["Reservations"], 60, 0.1, "the end of the instances")
