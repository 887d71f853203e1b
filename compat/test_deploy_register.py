"""Hosts that are not the region's instances: `aws deploy register`, the agent with its own folders, push, deployments, deregister.

Needs no root: the agent runs as whoever runs the tests.
"""
import os
import re
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import botocore.exceptions
import pytest
from harness import TRUST, until

ROLE = "arn:aws:iam::123456789012:role/deployer"


def code(call) -> str:
    with pytest.raises(botocore.exceptions.ClientError) as problem:
        call()
    return problem.value.response["Error"]["Code"]


class Host:
    """An on-premises host: the agent on this machine with everything of its own below one folder."""

    def __init__(self, region, name: str, folder: Path, tag: str):
        self.region, self.name, self.folder = region, name, folder
        folder.mkdir()
        said = region.run_aws("deploy", "register", "--instance-name", name, "--tags", f"Key=fleet,Value={tag}", cwd=str(folder))
        assert said.returncode == 0, said.stdout + said.stderr
        assert os.stat(folder / "codedeploy.onpremises.yml").st_mode & 0o077 == 0
        (folder / "agent.yml").write_text(
            f"---\n:root_dir: {folder}/root\n:log_dir: {folder}/log\n:pid_dir: {folder}/pid\n"
            f":on_premises_config_file: {folder}/codedeploy.onpremises.yml\n"
            f":deploy_control_endpoint: {region.url}\n:s3_endpoint_override: {region.url}\n:wait_between_runs: 1\n")
        self.agent: subprocess.Popen | None = None

    def start(self):
        with open(self.folder / "out.log", "ab") as log:
            self.agent = subprocess.Popen([self.region.binary, "agent", "--config", str(self.folder / "agent.yml")], stdout=log, stderr=log)
        until(lambda: "INFO host" in self.log(), 20, what="the agent's start")

    def log(self) -> str:
        return (self.folder / "out.log").read_text()

    def stop(self, number: int = signal.SIGTERM):
        if self.agent and self.agent.poll() is None:
            self.agent.send_signal(number)
            self.agent.wait(30)

    @property
    def target(self) -> Path:
        return self.folder / "target"


class Fleet:
    def __init__(self, region, folder: Path):
        self.region, self.folder = region, folder
        self.deploy, self.s3, self.iam = region.boto("codedeploy"), region.boto("s3"), region.boto("iam")
        self.iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=TRUST)
        self.s3.create_bucket(Bucket="releases")
        self.deploy.create_application(applicationName="app")
        self.host = Host(region, "host1", folder / "host1", "web")
        self.group("web")

    def group(self, name: str, tag: str = "web", application: str = "app"):
        self.deploy.create_deployment_group(
            applicationName=application, deploymentGroupName=name, serviceRoleArn=ROLE,
            onPremisesInstanceTagFilters=[{"Key": "fleet", "Value": tag, "Type": "KEY_AND_VALUE"}])

    def source(self, name: str, hooks: dict[str, str], timeout: int = 20) -> Path:
        """A bundle's folder: `hello.txt` for the host's target and a script per lifecycle event."""
        folder = self.folder / name
        (folder / "scripts").mkdir(parents=True)
        (folder / "hello.txt").write_text(name)
        text = f"version: 0.0\nos: linux\nfiles:\n  - source: /hello.txt\n    destination: {self.host.target}\nfile_exists_behavior: OVERWRITE\n"
        if hooks:
            text += "hooks:\n"
        for event, script in hooks.items():
            (folder / "scripts" / f"{event}.sh").write_text("#!/bin/bash\n" + script)
            (folder / "scripts" / f"{event}.sh").chmod(0o755)
            text += f"  {event}:\n    - location: scripts/{event}.sh\n      timeout: {timeout}\n"
        (folder / "appspec.yml").write_text(text)
        return folder

    def push(self, folder: Path, key: str, *more: str, application: str = "app") -> dict:
        said = self.region.aws("deploy", "push", "--application-name", application, "--s3-location", f"s3://releases/{key}", "--source", str(folder), *more)
        etag = re.search(r"eTag=([0-9a-f-]+)", said).group(1)
        return {"revisionType": "S3", "s3Location": {"bucket": "releases", "key": key, "bundleType": "zip", "eTag": etag}}

    def create(self, revision: dict, group: str = "web", application: str = "app") -> str:
        return self.deploy.create_deployment(applicationName=application, deploymentGroupName=group, revision=revision)["deploymentId"]

    def info(self, deployment: str) -> dict:
        return self.deploy.get_deployment(deploymentId=deployment)["deploymentInfo"]

    def end(self, deployment: str, timeout: float = 60) -> dict:
        until(lambda: self.info(deployment)["status"] in ("Succeeded", "Failed", "Stopped"), timeout, 0.05, "the deployment's end")
        return self.info(deployment)

    def events(self, deployment: str) -> dict[str, dict]:
        target = self.deploy.get_deployment_target(deploymentId=deployment, targetId="host1")["deploymentTarget"]["instanceTarget"]
        return {e["lifecycleEventName"]: e for e in target["lifecycleEvents"]}


@pytest.fixture(scope="module")
def fleet(region, tmp_path_factory):
    made = Fleet(region, tmp_path_factory.mktemp("fleet"))
    made.host.start()
    yield made
    made.host.stop()


def test_register_makes_user_key_and_tags(fleet):
    known = fleet.deploy.get_on_premises_instance(instanceName="host1")["instanceInfo"]
    assert known["iamUserArn"] == "arn:aws:iam::123456789012:user/AWS/CodeDeploy/host1" and known["tags"] == [{"Key": "fleet", "Value": "web"}]
    assert fleet.deploy.list_on_premises_instances(tagFilters=[{"Key": "fleet", "Value": "web", "Type": "KEY_AND_VALUE"}])["instanceNames"] == ["host1"]
    assert code(lambda: fleet.deploy.register_on_premises_instance(instanceName="twin", iamUserArn=known["iamUserArn"])) \
        == "IamUserArnAlreadyRegisteredException"
    again = fleet.region.run_aws("deploy", "register", "--instance-name", "host1", cwd=str(fleet.folder))
    assert "EntityAlreadyExists" in again.stdout + again.stderr


def test_files_and_hooks_arrive(fleet):
    source = fleet.source("first", {"AfterInstall": "echo hook $LIFECYCLE_EVENT of $DEPLOYMENT_GROUP_NAME in $APPLICATION_NAME\n"})
    info = fleet.end(fleet.create(fleet.push(source, "first.zip")))
    assert info["status"] == "Succeeded", info.get("errorInformation")
    assert (fleet.host.target / "hello.txt").read_text() == "first"
    logs = "".join(p.read_text() for p in (fleet.host.folder / "root").glob("*/*/logs/scripts.log"))
    assert "hook AfterInstall of web in app" in logs


def test_push_leaves_hidden_files_and_big_bundles_whole(fleet):
    import io
    import zipfile
    source = fleet.source("hidden", {})
    (source / ".git").mkdir()
    (source / ".git" / "config").write_text("secret")
    (source / ".env").write_text("secret")
    (source / "blob").write_bytes(os.urandom(9 << 20))
    revision = fleet.push(source, "hidden.zip", "--ignore-hidden-files", "--description", "without hidden files")
    assert revision["s3Location"]["eTag"].endswith("-2"), "a big bundle goes up in parts"
    body = fleet.s3.get_object(Bucket="releases", Key="hidden.zip")["Body"].read()
    names = zipfile.ZipFile(io.BytesIO(body)).namelist()
    assert "blob" in names and not [n for n in names if n.startswith(".")]
    listed = fleet.deploy.list_application_revisions(applicationName="app", s3Bucket="releases", s3KeyPrefix="hidden")["revisions"]
    assert listed == [revision]
    described = fleet.deploy.get_application_revision(applicationName="app", revision=revision)["revisionInfo"]
    assert described["description"] == "without hidden files"
    assert fleet.end(fleet.create(revision))["status"] == "Succeeded"
    for wrong, words in [(["--application-name", "nope", "--s3-location", "s3://releases/x"], "ApplicationDoesNotExistException"),
                         (["--application-name", "app", "--s3-location", "s3://no-such-bucket-here/x"], "NoSuchBucket")]:
        small = fleet.folder / "first"
        assert words in fleet.region.aws_error("deploy", "push", *wrong, "--source", str(small))


def test_sync_goes_both_ways(fleet):
    source, back = fleet.folder / "first", fleet.folder / "back"
    fleet.region.aws("s3", "sync", str(source), "s3://releases/sync/", "--quiet")
    (source / "hello.txt").rename(source / "moved.txt")
    said = fleet.region.run_aws("s3", "sync", str(source), "s3://releases/sync/", "--delete", "--no-progress").stdout
    assert said.count("upload:") == 1 and said.count("delete:") == 1
    fleet.region.aws("s3", "sync", "s3://releases/sync/", str(back), "--quiet")
    assert sorted(p.relative_to(back) for p in back.rglob("*")) == sorted(p.relative_to(source) for p in source.rglob("*"))


@pytest.mark.parametrize("redirect, succeeds", [(">/dev/null 2>&1 </dev/null", True), ("", False)], ids=["closed", "held"])
def test_a_hook_that_leaves_a_daemon(fleet, redirect, succeeds):
    """As with AWS's agent: a daemon that holds the hook's output fails the event at its timeout and is left running."""
    pid = fleet.folder / f"daemon{succeeds}.pid"
    source = fleet.source(f"daemon{succeeds}", {"ApplicationStart": f"sleep 300 {redirect} &\necho $! > {pid}\necho started\n"}, timeout=3)
    made = fleet.create(fleet.push(source, "daemon.zip"))
    info = fleet.end(made, 30)
    try:
        assert info["status"] == ("Succeeded" if succeeds else "Failed"), info.get("errorInformation")
        if not succeeds:
            assert "failed to close STDOUT" in fleet.events(made)["ApplicationStart"]["diagnostics"]["message"]
        os.kill(int(pid.read_text()), 0)
    finally:
        os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_failing_hook_is_named_and_a_hanging_one_ends_at_its_timeout(fleet):
    info = fleet.end(fleet.create(fleet.push(fleet.source("fails", {"BeforeInstall": "echo because of this >&2\nexit 7\n"}), "fails.zip")))
    message = info["errorInformation"]["message"]
    assert info["status"] == "Failed" and all(w in message for w in ("host1", "BeforeInstall", "7", "because of this")), message
    source = fleet.source("hangs", {"BeforeInstall": f"echo $$ > {fleet.folder}/hang.pid\nsleep 60\n"}, timeout=1)
    made = fleet.create(fleet.push(source, "hangs.zip"))
    assert fleet.end(made, 30)["status"] == "Failed"
    assert fleet.events(made)["BeforeInstall"]["diagnostics"]["errorCode"] == "ScriptTimedOut"
    with pytest.raises(ProcessLookupError):
        os.kill(int((fleet.folder / "hang.pid").read_text()), 0)


def test_an_agent_killed_between_deployments_comes_back(fleet):
    fleet.host.stop(signal.SIGKILL)
    made = fleet.create(fleet.push(fleet.source("later", {}), "later.zip"))
    time.sleep(0.5)
    assert fleet.info(made)["status"] in ("Created", "Queued", "InProgress"), "no host has answered yet"
    fleet.host.start()
    assert fleet.end(made)["status"] == "Succeeded"
    assert (fleet.host.target / "hello.txt").read_text() == "later"


def test_of_many_parallel_deployments_one_wins(fleet):
    fleet.group("race")
    revision = fleet.push(fleet.source("race", {"BeforeInstall": "sleep 1\n"}), "race.zip")

    def one(_) -> str:
        try:
            return fleet.create(revision, "race")
        except botocore.exceptions.ClientError as problem:
            return problem.response["Error"]["Code"]
    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(one, range(20)))
    won = [r for r in results if r.startswith("d-")]
    assert len(won) == 1 and results.count("DeploymentLimitExceededException") == 19, results
    assert fleet.end(won[0])["status"] == "Succeeded"


def test_deleting_what_deploys_does_not_lose_the_deployment(fleet):
    fleet.deploy.create_application(applicationName="gone")
    fleet.group("gone", application="gone")
    revision = fleet.push(fleet.source("gone", {"BeforeInstall": "sleep 1\n"}), "gone.zip", application="gone")
    made = fleet.create(revision, "gone", "gone")
    fleet.deploy.delete_deployment_group(applicationName="gone", deploymentGroupName="gone")
    fleet.deploy.delete_application(applicationName="gone")
    assert fleet.end(made)["status"] in ("Succeeded", "Failed", "Stopped")
    assert code(lambda: fleet.create(revision, "gone", "gone")) == "ApplicationDoesNotExistException"


def test_sigterm_during_a_deployment_and_up_again(fleet):
    marks = fleet.folder / "marks"
    hooks = {event: f"echo {event} >> {marks}\nsleep 1\n" for event in ("BeforeInstall", "AfterInstall", "ApplicationStart")}
    made = fleet.create(fleet.push(fleet.source("term", hooks), "term.zip"))
    until(marks.exists, 20, what="the first hook")
    began = time.monotonic()
    assert fleet.region.stop(40) == 0 and time.monotonic() - began < 20
    fleet.region.up()
    info = fleet.end(made)
    assert info["status"] == "Succeeded", info.get("errorInformation")
    assert marks.read_text().split() == ["BeforeInstall", "AfterInstall", "ApplicationStart"], "no hook ran twice"


REFUSED = [
    ("create_application", {"applicationName": "x" * 101}, "InvalidApplicationNameException"),
    ("create_application", {"applicationName": "日本"}, "InvalidApplicationNameException"),
    ("create_application", {"applicationName": "app"}, "ApplicationAlreadyExistsException"),
    ("create_deployment_group", {"applicationName": "app", "deploymentGroupName": "a/../b", "serviceRoleArn": ROLE}, "InvalidDeploymentGroupNameException"),
    ("create_deployment_group", {"applicationName": "app", "deploymentGroupName": "r", "serviceRoleArn": ROLE + "-none"}, "InvalidRoleException"),
    ("create_deployment_group", {"applicationName": "app", "deploymentGroupName": "r", "serviceRoleArn": "banana"}, "InvalidRoleException"),
    ("create_deployment", {"applicationName": "app", "deploymentGroupName": "web"}, "RevisionRequiredException"),
    ("get_deployment", {"deploymentId": "d-XXXXXXXXX"}, "DeploymentDoesNotExistException"),
    ("get_deployment", {"deploymentId": "banana"}, "InvalidDeploymentIdException"),
    ("stop_deployment", {"deploymentId": "d-XXXXXXXXX"}, "DeploymentDoesNotExistException"),
    ("batch_get_deployments", {"deploymentIds": ["d-XXXXXXXXX"] * 101}, "BatchLimitExceededException"),
    ("list_applications", {"nextToken": "forged"}, "InvalidNextTokenException"),
    ("get_on_premises_instance", {"instanceName": "nobody"}, "InstanceNotRegisteredException"),
    ("register_on_premises_instance", {"instanceName": "x", "iamUserArn": "banana"}, "InvalidIamUserArnException"),
]


@pytest.mark.parametrize("operation, arguments, expected", REFUSED, ids=[f"{r[0]}-{r[2]}" for r in REFUSED])
def test_codedeploy_refuses_by_its_own_codes(fleet, operation, arguments, expected):
    assert code(lambda: getattr(fleet.deploy, operation)(**arguments)) == expected


def test_deregister_takes_everything_away(fleet):
    """Last: the fleet's host leaves."""
    said = fleet.region.run_aws("deploy", "deregister", "--instance-name", "host1")
    assert said.returncode == 0, said.stdout + said.stderr
    assert fleet.deploy.get_on_premises_instance(instanceName="host1")["instanceInfo"]["deregisterTime"]
    assert code(lambda: fleet.iam.get_user(UserName="host1")) == "NoSuchEntity"
    assert fleet.deploy.list_on_premises_instances(registrationStatus="Registered")["instanceNames"] == []
    info = fleet.end(fleet.create({"revisionType": "S3", "s3Location": {"bucket": "releases", "key": "first.zip", "bundleType": "zip"}}))
    assert info["status"] == "Failed" and info["errorInformation"]["code"] == "NO_INSTANCES"
