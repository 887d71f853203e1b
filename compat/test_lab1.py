"""The lab that a new user sees, check by check, and what goes wrong when a bundle is wrong."""
import io
import os
import re
import subprocess
import sys
import tarfile
import zipfile

import pytest
from harness import EC2_TRUST, HERE, READ_BUNDLES, TRUST, Region, fetch, until, variant

pytestmark = pytest.mark.root


def test_the_tour_passes(binary):
    done = subprocess.run([sys.executable, str(HERE / "tour.py"), "--binary", binary], capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, "\n".join(line for line in done.stdout.splitlines() if "✗" in line) + done.stdout[-3000:]
    assert "0 failed" in done.stdout


class Fleet:
    def __init__(self, region: Region, count: int):
        self.region = region
        iam, ec2 = region.boto("iam"), region.boto("ec2")
        self.deploy, self.s3 = region.boto("codedeploy"), region.boto("s3")
        iam.create_role(RoleName="deployer", AssumeRolePolicyDocument=TRUST)
        iam.attach_role_policy(RoleName="deployer", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSCodeDeployRole")
        iam.create_role(RoleName="web", AssumeRolePolicyDocument=EC2_TRUST)
        iam.put_role_policy(RoleName="web", PolicyName="read", PolicyDocument=READ_BUNDLES)
        iam.create_instance_profile(InstanceProfileName="web")
        iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
        image = ec2.describe_images()["Images"][0]["ImageId"]
        until(lambda: ec2.describe_images()["Images"][0]["State"] == "available", 180, 0.5, "the base image")
        made = ec2.run_instances(ImageId=image, MinCount=count, MaxCount=count, IamInstanceProfile={"Name": "web"}, InstanceType="t2.nano",
                                 TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "fleet", "Value": "f"}]}])
        self.ids = [i["InstanceId"] for i in made["Instances"]]
        self.addresses = [i["PrivateIpAddress"] for i in made["Instances"]]
        self.ec2 = ec2
        until(lambda: len(self.running()) == count, 60, 0.2, "running instances")
        self.s3.create_bucket(Bucket="bundles")
        self.deploy.create_application(applicationName="app")
        self.group()

    def running(self):
        found = self.ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": ["running"]}])
        return [i for r in found["Reservations"] for i in r["Instances"]]

    def group(self, name: str = "group", **more):
        self.deploy.create_deployment_group(
            applicationName="app", deploymentGroupName=name, serviceRoleArn="arn:aws:iam::123456789012:role/deployer",
            ec2TagFilters=[{"Key": "fleet", "Value": "f", "Type": "KEY_AND_VALUE"}], **more)

    def put(self, key: str, body: bytes, kind: str) -> dict:
        self.s3.put_object(Bucket="bundles", Key=key, Body=body)
        return {"revisionType": "S3", "s3Location": {"bucket": "bundles", "key": key, "bundleType": kind}}

    def run(self, revision: dict, config: str = "CodeDeployDefault.AllAtOnce", **more) -> dict:
        made = self.deploy.create_deployment(applicationName="app", deploymentGroupName=more.pop("group", "group"), revision=revision,
                                             deploymentConfigName=config, **more)["deploymentId"]
        return self.finish(made)

    def finish(self, deployment: str) -> dict:
        def over():
            info = self.deploy.get_deployment(deploymentId=deployment)["deploymentInfo"]
            return info if info["status"] in ("Succeeded", "Failed", "Stopped") else None
        return until(over, 120, 0.1, "the deployment's end")

    def targets(self, deployment: str) -> list[dict]:
        answer = self.deploy.batch_get_deployment_targets(deploymentId=deployment, targetIds=self.ids)
        return [t["instanceTarget"] for t in answer["deploymentTargets"]]

    def spans(self, deployment: str):
        out = []
        for target in self.targets(deployment):
            times = [e[k].timestamp() for e in target["lifecycleEvents"] for k in ("startTime", "endTime") if k in e]
            out.append((min(times), max(times)))
        return sorted(out)


def zipped(folder: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for base, _, names in os.walk(folder):
            for name in names:
                path = os.path.join(base, name)
                archive.write(path, os.path.relpath(path, folder))
    return out.getvalue()


def tarred(folder: str, mode: str, wrap: str = ".") -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:
        archive.add(folder, arcname=wrap)
    return out.getvalue()


@pytest.fixture(scope="module")
def fleet(binary):
    region = Region(binary)
    try:
        region.up()
        yield Fleet(region, 4)
    finally:
        region.down()


def test_half_at_a_time_overlaps_two_of_four(fleet, tmp_path):
    info = fleet.run(fleet.put("v1.zip", zipped(variant("v1", str(tmp_path))), "zip"), "CodeDeployDefault.HalfAtATime")
    assert info["status"] == "Succeeded", info.get("errorInformation")
    spans = fleet.spans(info["deploymentId"])
    together = [sum(a <= t <= b for a, b in spans) for t, _ in spans]
    assert max(together) == 2, spans
    assert spans[2][0] >= min(spans[0][1], spans[1][1]), spans
    assert [fetch(f"http://{a}/index.html").strip() for a in fleet.addresses] == ["version 1"] * 4


@pytest.mark.parametrize("kind, mode, wrap", [("tar", "w", "."), ("tgz", "w:gz", "."), ("tgz", "w:gz", "repo-1.2")])
def test_tar_and_tgz_and_a_wrapping_directory(fleet, tmp_path, kind, mode, wrap):
    folder = variant("t", str(tmp_path), version=f"{kind} {wrap}")
    info = fleet.run(fleet.put(f"{kind}-{len(wrap)}", tarred(folder, mode, wrap), kind))
    assert info["status"] == "Succeeded", info.get("errorInformation")
    assert fetch(f"http://{fleet.addresses[0]}/index.html").strip() == f"version {kind} {wrap}"


def replaced(old: str, new: str):
    return lambda text: text.replace(old, new)


BROKEN_APPSPEC = [
    ("empty", lambda text: "", "empty"),
    ("not yaml", lambda text: "version: [0.0\nos: linux", ""),
    ("version", replaced("version: 0.0", "version: 1.0"), "version"),
    ("os", replaced("os: linux", "os: plan9"), "operating system"),
    ("no destination", replaced("    destination: /srv/web\n", "", ), "source"),
    ("bad behaviour", replaced("OVERWRITE", "MAYBE"), "file_exists_behavior"),
    ("bad mode", replaced('"644"', '"9"'), "mode"),
    ("bad timeout", replaced("timeout: 20", "timeout: never"), "timeout"),
    ("no location", replaced("location: scripts/before_install.sh", "location: ''"), "location"),
    ("no object", replaced("  - object: /srv/web/index.html\n    mode", "  - mode"), "object"),
    ("missing source", replaced("/index.html\n    destination", "/nothing.html\n    destination"), "nothing.html"),
]


@pytest.mark.parametrize("name, change, words", BROKEN_APPSPEC, ids=[b[0] for b in BROKEN_APPSPEC])
def test_a_broken_appspec_is_named(fleet, tmp_path, name, change, words):
    text = (HERE / "lab" / "v1" / "appspec.yml").read_text()
    assert change(text) != text
    folder = variant("b", str(tmp_path), files={"appspec.yml": change(text)})
    info = fleet.run(fleet.put("broken.zip", zipped(folder), "zip"))
    assert info["status"] == "Failed" and words in info["errorInformation"]["message"], info["errorInformation"]


def test_broken_bundles_are_named(fleet, tmp_path):
    folder = variant("x", str(tmp_path))
    os.remove(os.path.join(folder, "appspec.yml"))
    for key, body, kind, words in [("garbage.zip", b"this is no archive", "zip", ""), ("cut.zip", zipped(folder)[:200], "zip", ""),
                                   ("bare.zip", zipped(folder), "zip", "AppSpec"), ("garbage.tar", os.urandom(3000), "tar", "")]:
        info = fleet.run(fleet.put(key, body, kind))
        assert info["status"] == "Failed", key
        message = info["errorInformation"]["message"]
        assert any(i in message for i in fleet.ids) and words in message, message
    # A bundle that names a path outside leaves nothing there.
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("../../../../../../tmp/escaped", "x")
        archive.writestr("appspec.yml", "version: 0.0\nos: linux\n")
    info = fleet.run(fleet.put("evil.zip", out.getvalue(), "zip"))
    assert info["status"] == "Failed", info
    assert fleet.region.process.poll() is None


def test_a_missing_bundle_or_a_wrong_role_is_named(fleet):
    from botocore.exceptions import ClientError
    info = fleet.run({"revisionType": "S3", "s3Location": {"bucket": "bundles", "key": "none", "bundleType": "zip"}})
    assert info["status"] == "Failed" and "does not exist" in info["errorInformation"]["message"], info["errorInformation"]
    with pytest.raises(ClientError) as problem:
        fleet.deploy.create_deployment_group(applicationName="app", deploymentGroupName="r", serviceRoleArn="arn:aws:iam::123456789012:role/web")
    assert problem.value.response["Error"]["Code"] == "InvalidRoleException"


def test_stop_deployment_skips_the_rest(fleet, tmp_path):
    appspec = (HERE / "lab" / "v1" / "appspec.yml").read_text() + "  AfterInstall:\n    - location: scripts/slow.sh\n      timeout: 60\n"
    folder = variant("s", str(tmp_path), files={"appspec.yml": appspec, "scripts/slow.sh": "#!/bin/bash\nsleep 2\n"})
    made = fleet.deploy.create_deployment(applicationName="app", deploymentGroupName="group", revision=fleet.put("slow.zip", zipped(folder), "zip"),
                                          deploymentConfigName="CodeDeployDefault.OneAtATime")["deploymentId"]
    with pytest.raises(fleet.deploy.exceptions.DeploymentLimitExceededException):
        fleet.run(fleet.put("slow.zip", zipped(folder), "zip"))
    until(lambda: fleet.deploy.get_deployment(deploymentId=made)["deploymentInfo"]["deploymentOverview"]["InProgress"], 30)
    fleet.deploy.stop_deployment(deploymentId=made)
    info = fleet.finish(made)
    assert info["status"] == "Stopped" and info["deploymentOverview"]["Succeeded"] == 0, info["deploymentOverview"]
    events = [{e["lifecycleEventName"]: e["status"] for e in t["lifecycleEvents"]} for t in fleet.targets(made)]
    assert sum("Succeeded" in e.values() for e in events) <= 1, "one host was at work, the others were not touched"
    assert all(status in ("Succeeded", "Skipped") for e in events for status in e.values()), events


def test_a_host_whose_agent_is_gone_is_named_soon(fleet, tmp_path):
    """A stopped instance is targeted and fails; the answer says why."""
    fleet.ec2.stop_instances(InstanceIds=[fleet.ids[3]])
    until(lambda: len(fleet.running()) == 3, 40)
    try:
        info = fleet.run(fleet.put("v9.zip", zipped(variant("v9", str(tmp_path), version="9")), "zip"))
        assert info["deploymentOverview"]["Failed"] == 1, info["deploymentOverview"]
        states = {t["targetArn"].split("/")[-1] if "targetArn" in t else t["targetId"]: t["status"] for t in fleet.targets(info["deploymentId"])}
        assert states[fleet.ids[3]] == "Failed"
    finally:
        fleet.ec2.start_instances(InstanceIds=[fleet.ids[3]])
        until(lambda: len(fleet.running()) == 4, 40)


def test_instances_know_their_metadata_and_role(fleet):
    script = """#!/bin/bash
T=$(curl -sS -X PUT http://169.254.169.254/latest/api/token -H 'X-aws-ec2-metadata-token-ttl-seconds: 60')
g() { curl -sS -H "X-aws-ec2-metadata-token: $T" "http://169.254.169.254/latest/$1"; }
echo "META id=$(g meta-data/instance-id) role=$(g meta-data/iam/security-credentials/) ip=$(g meta-data/local-ipv4)"
echo "META region=$(g dynamic/instance-identity/document | tr -d ' \\n')"
echo "META key=$(g meta-data/iam/security-credentials/web | grep -o 'ASIA[A-Z0-9]*' | head -1)"
echo "META forwarded=$(curl -s -o /dev/null -w '%{http_code}' -X PUT -H 'X-Forwarded-For: 1.2.3.4' -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' http://169.254.169.254/latest/api/token)"
"""
    image = fleet.ec2.describe_images()["Images"][0]["ImageId"]
    made = fleet.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, IamInstanceProfile={"Name": "web"}, UserData=script)["Instances"][0]

    def console():
        text = fleet.ec2.get_console_output(InstanceId=made["InstanceId"]).get("Output", "")
        return text if text.count("META") >= 4 else None
    try:
        text = until(console, 40, 0.3, "the metadata on the console")
        assert f"id={made['InstanceId']} role=web ip={made['PrivateIpAddress']}" in text
        assert '"region":"us-east-1"' in text and re.search(r"key=ASIA\w+", text) and "forwarded=403" in text
    finally:
        fleet.ec2.terminate_instances(InstanceIds=[made["InstanceId"]])


def test_secrets_of_the_host_are_not_in_an_instance(fleet):
    script = "#!/bin/bash\necho \"LEAK shadow=$(grep -c ':\\$' /etc/shadow 2>/dev/null) root=$(ls -A /root | wc -l) home=$(ls -A /home | wc -l)\"\n" \
             f"ls {fleet.region.home} >/dev/null 2>&1 && echo LEAK home readable\necho LEAK done\n"
    image = fleet.ec2.describe_images()["Images"][0]["ImageId"]
    made = fleet.ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1, UserData=script)["Instances"][0]["InstanceId"]

    def console():
        text = fleet.ec2.get_console_output(InstanceId=made).get("Output", "")
        return text if "LEAK done" in text else None
    try:
        text = until(console, 40, 0.3, "the console")
        assert "home readable" not in text and re.search(r"shadow=0? ", text), text
    finally:
        fleet.ec2.terminate_instances(InstanceIds=[made])
