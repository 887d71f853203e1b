"""EC2 as a person uses it with the CLI, what goes wrong around instances, and what an instance may not do."""
import json
import os
import signal
import subprocess
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import pytest
from harness import EC2_TRUST, READ_BUNDLES, until

pytestmark = pytest.mark.root


def code(call) -> str:
    with pytest.raises(botocore.exceptions.ClientError) as problem:
        call()
    return problem.value.response["Error"]["Code"]


class Machines:
    def __init__(self, region):
        self.region, self.ec2 = region, region.boto("ec2")
        iam = region.boto("iam")
        iam.create_role(RoleName="web", AssumeRolePolicyDocument=EC2_TRUST)
        iam.put_role_policy(RoleName="web", PolicyName="read", PolicyDocument=READ_BUNDLES)
        iam.create_instance_profile(InstanceProfileName="web")
        iam.add_role_to_instance_profile(InstanceProfileName="web", RoleName="web")
        self.image = self.ec2.describe_images()["Images"][0]["ImageId"]
        until(lambda: self.ec2.describe_images()["Images"][0]["State"] == "available", 180, 0.5, "the base image")

    def run(self, count: int = 1, **more) -> list[str]:
        made = self.ec2.run_instances(ImageId=self.image, MinCount=count, MaxCount=count, InstanceType=more.pop("InstanceType", "t2.nano"), **more)
        return [i["InstanceId"] for i in made["Instances"]]

    def one(self, instance: str) -> dict:
        return self.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]

    def wait(self, instance: str, state: str) -> dict:
        until(lambda: self.one(instance)["State"]["Name"] == state, 40, 0.1, f"{instance} {state}")
        return self.one(instance)

    def console(self, instance: str, word: str) -> str:
        def found():
            text = self.ec2.get_console_output(InstanceId=instance).get("Output", "")
            return text if word in text else None
        return until(found, 60, 0.3, f"{word!r} on the console")


@pytest.fixture(scope="module")
def machines(region):
    return Machines(region)


@pytest.fixture(scope="module")
def pet(machines):
    """An instance that tests may stop and start, but leave running."""
    instance = machines.run(IamInstanceProfile={"Name": "web"}, TagSpecifications=[
        {"ResourceType": "instance", "Tags": [{"Key": "Name", "Value": "pet one"}, {"Key": "stage", "Value": "test"}]}])[0]
    machines.wait(instance, "running")
    return instance


def test_the_cli_filters_queries_and_waits(region, machines, pet):
    found = region.aws("ec2", "describe-instances", "--filters", "Name=tag:Name,Values=pet*", "Name=instance-state-name,Values=running,pending",
                       "--query", "Reservations[].Instances[].[InstanceId,Tags[?Key=='stage']|[0].Value]", "--output", "text")
    assert found.split() == [pet, "test"]
    region.aws("ec2", "wait", "instance-status-ok", "--instance-ids", pet)
    assert machines.ec2.describe_instances(Filters=[{"Name": "tag:Name", "Values": ["nobody"]}])["Reservations"] == []
    assert code(lambda: machines.ec2.describe_instances(Filters=[{"Name": "no-such", "Values": ["x"]}])) == "InvalidParameterValue"
    assert machines.region.boto("ec2", region_name="mars-1").describe_instances()["Reservations"] == []


def test_tags_come_and_go(machines, pet):
    ec2 = machines.ec2
    ec2.create_tags(Resources=[pet], Tags=[{"Key": "a", "Value": "b"}])
    ec2.delete_tags(Resources=[pet], Tags=[{"Key": "a", "Value": "another"}])

    def tags() -> dict:
        return {t["Key"]: t["Value"] for t in ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [pet]}])["Tags"]}
    assert tags() == {"Name": "pet one", "stage": "test", "a": "b"}, "a tag of another value is not deleted"
    ec2.delete_tags(Resources=[pet], Tags=[{"Key": "a"}])
    assert "a" not in tags()
    assert code(lambda: ec2.create_tags(Resources=[pet], Tags=[{"Key": "aws:x", "Value": "y"}])) == "InvalidParameterValue"
    assert code(lambda: ec2.create_tags(Resources=["i-00000000000000000"], Tags=[{"Key": "x", "Value": "y"}])) == "InvalidInstanceID.NotFound"


def test_stop_change_start_reboot(machines, pet):
    ec2 = machines.ec2
    assert code(lambda: ec2.modify_instance_attribute(InstanceId=pet, InstanceType={"Value": "t2.small"})) == "IncorrectInstanceState"
    address = machines.one(pet)["PrivateIpAddress"]
    ec2.stop_instances(InstanceIds=[pet])
    assert "User initiated" in machines.wait(pet, "stopped")["StateTransitionReason"]
    assert code(lambda: ec2.reboot_instances(InstanceIds=[pet])) == "IncorrectInstanceState"
    ec2.modify_instance_attribute(InstanceId=pet, InstanceType={"Value": "t2.micro"})
    ec2.start_instances(InstanceIds=[pet])
    again = machines.wait(pet, "running")
    assert (again["PrivateIpAddress"], again["InstanceType"]) == (address, "t2.micro")
    boots = machines.console(pet, "INFO host").count("INFO host")
    for _ in range(2):
        boots += 1
        ec2.reboot_instances(InstanceIds=[pet])
        until(lambda: ec2.get_console_output(InstanceId=pet).get("Output", "").count("INFO host") >= boots, 40, 0.2, "the next boot")
    assert machines.wait(pet, "running")["PrivateIpAddress"] == address


def test_dry_run_and_protection(machines, pet):
    ec2 = machines.ec2
    assert code(lambda: ec2.run_instances(ImageId=machines.image, MinCount=1, MaxCount=1, DryRun=True)) == "DryRunOperation"
    assert code(lambda: ec2.stop_instances(InstanceIds=[pet], DryRun=True)) == "DryRunOperation"
    ec2.modify_instance_attribute(InstanceId=pet, DisableApiTermination={"Value": True})
    assert code(lambda: ec2.terminate_instances(InstanceIds=[pet])) == "OperationNotPermitted"
    ec2.modify_instance_attribute(InstanceId=pet, DisableApiTermination={"Value": False})
    assert machines.one(pet)["State"]["Name"] == "running"


REFUSED = [
    ({"ImageId": "ami-12345678"}, "InvalidAMIID.NotFound"), ({"ImageId": "banana"}, "InvalidAMIID.Malformed"),
    ({"InstanceType": "t9.huge"}, "InvalidParameterValue"), ({"MinCount": 0, "MaxCount": 0}, "InvalidParameterValue"),
    ({"MinCount": 3, "MaxCount": 2}, "InvalidParameterValue"), ({"MinCount": 101, "MaxCount": 101}, "InstanceLimitExceeded"),
    ({"IamInstanceProfile": {"Name": "nope"}}, "InvalidParameterValue"), ({"KeyName": "k"}, "InvalidKeyPair.NotFound"),
    ({"SecurityGroups": ["nope"]}, "InvalidGroup.NotFound"), ({"SubnetId": "subnet-00000000"}, "InvalidSubnetID.NotFound"),
    ({"BlockDeviceMappings": [{"DeviceName": "/dev/xvda", "Ebs": {"VolumeSize": 20}}]}, "UnsupportedOperation"),
    ({"ClientToken": "t" * 65}, "InvalidParameterValue"), ({"UserData": "x" * 16385}, "InvalidParameterValue"),
    ({"PrivateIpAddress": "10.9.8.7"}, "InvalidParameterValue"),
]


@pytest.mark.parametrize("more, expected", REFUSED, ids=["-".join(r[0]) + f"-{n}" for n, r in enumerate(REFUSED)])
def test_run_instances_refuses_what_it_cannot_do(machines, more, expected):
    assert code(lambda: machines.ec2.run_instances(**{"ImageId": machines.image, "MinCount": 1, "MaxCount": 1, **more})) == expected
    assert code(lambda: machines.ec2.terminate_instances(InstanceIds=["i-00000000000000000"])) == "InvalidInstanceID.NotFound"


def test_a_client_token_starts_once_though_calls_race(machines):
    ask = dict(ImageId=machines.image, MinCount=1, MaxCount=1, InstanceType="t2.nano", ClientToken="only-once")
    with ThreadPoolExecutor(6) as pool:
        made = {i["InstanceId"] for answer in pool.map(lambda _: machines.ec2.run_instances(**ask), range(6)) for i in answer["Instances"]}
    assert len(made) == 1
    assert code(lambda: machines.ec2.run_instances(**{**ask, "MaxCount": 2})) == "IdempotentParameterMismatch"
    machines.ec2.terminate_instances(InstanceIds=list(made))
    machines.wait(made.pop(), "terminated")


def test_an_instance_whose_first_process_is_killed_is_stopped_with_a_reason(region, machines):
    instance = machines.run(IamInstanceProfile={"Name": "web"})[0]
    machines.wait(instance, "running")
    init = int(open(os.path.join(region.home, "instances", instance, "init.pid")).read().split()[0])
    os.kill(init, signal.SIGKILL)
    stopped = machines.wait(instance, "stopped")
    assert stopped["StateReason"]["Code"] == "Server.InternalError" and "killed" in stopped["StateReason"]["Message"]
    published = os.listdir(os.path.join(region.home, "planes", "metadata"))
    assert not [name for name in published if instance in name], "its credentials are gone"
    machines.ec2.start_instances(InstanceIds=[instance])
    machines.wait(instance, "running")
    machines.ec2.terminate_instances(InstanceIds=[instance])
    machines.wait(instance, "terminated")
    assert not os.path.exists(os.path.join(region.home, "instances", instance))


def test_the_metadata_plane_comes_back(region, machines):
    lock = os.path.join(region.home, "planes", "metadata.lock")
    before = open(lock).read().strip()
    assert "plane" in open(f"/proc/{before}/cmdline").read() and region.home in open(f"/proc/{before}/cmdline").read()
    os.kill(int(before), signal.SIGKILL)
    until(lambda: open(lock).read().strip() not in ("", before), 20, 0.1, "a new metadata plane")
    instance = machines.run(UserData="#!/bin/bash\nfor i in $(seq 50); do T=$(curl -sf -m 5 -X PUT http://169.254.169.254/latest/api/token "
                            "-H 'X-aws-ec2-metadata-token-ttl-seconds: 60') && break; sleep .2; done\n"
                            "echo MD=$(curl -sS -H \"X-aws-ec2-metadata-token: $T\" http://169.254.169.254/latest/meta-data/instance-id)\n")[0]
    assert f"MD={instance}" in machines.console(instance, "MD=i-")
    machines.ec2.terminate_instances(InstanceIds=[instance])


# Signs with what an instance has: python3 and its role's credentials.
SIGNER = r"""
import datetime, hashlib, hmac, json, ssl, sys, urllib.error, urllib.request
keys, gateway = json.loads(sys.argv[1]), sys.argv[2]
context = ssl._create_unverified_context()
def call(service, body, target=None, method="POST", path="/"):
    time = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    body = body.encode(); digest = hashlib.sha256(body).hexdigest()
    headers = {"host": gateway + ":4567", "x-amz-date": time, "x-amz-security-token": keys["Token"], "x-amz-content-sha256": digest}
    if target: headers.update({"x-amz-target": target, "content-type": "application/x-amz-json-1.1"})
    elif service != "s3": headers["content-type"] = "application/x-www-form-urlencoded"
    names = ";".join(sorted(headers))
    text = "\n".join([method, path, "", "".join(f"{k}:{headers[k]}\n" for k in sorted(headers)), names, digest])
    scope = f"{time[:8]}/us-east-1/{service}/aws4_request"
    key = ("AWS4" + keys["SecretAccessKey"]).encode()
    for part in scope.split("/"): key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    to_sign = "\n".join(["AWS4-HMAC-SHA256", time, scope, hashlib.sha256(text.encode()).hexdigest()])
    signature = hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()
    headers["Authorization"] = f"AWS4-HMAC-SHA256 Credential={keys['AccessKeyId']}/{scope}, SignedHeaders={names}, Signature={signature}"
    request = urllib.request.Request(f"https://{gateway}:4567{path}", data=None if method == "GET" else body, method=method, headers=headers)
    try: return urllib.request.urlopen(request, context=context, timeout=10).read().decode()
    except urllib.error.HTTPError as problem: return problem.read().decode()
host = "arn:aws:ec2:us-east-1:%s:instance/%s"
commands = "CodeDeployCommandService_v20141006."
def show(name, text): print("SAID", name, text.replace("\n", " ")[:300])
poll = lambda account, instance: call("codedeploy-commands", json.dumps({"HostIdentifier": host % (account, instance)}), commands + "PollHostCommand")
show("poll-other", poll("123456789012", "OTHER"))
show("poll-account", poll("STRANGER", "OTHER"))
show("poll-garbage", call("codedeploy-commands", json.dumps({"HostIdentifier": "../../x"}), commands + "PollHostCommand"))
show("complete", call("codedeploy-commands", json.dumps({"HostCommandIdentifier": "AAAA", "CommandStatus": "Succeeded"}), commands + "PutHostCommandComplete"))
show("s3-own", call("s3", "", None, "GET", "/own-bucket/key"))
show("s3-stranger", call("s3", "", None, "GET", "/stranger-bucket/key"))
show("s3-put", call("s3", "x", None, "PUT", "/own-bucket/key2"))
show("terminate", call("ec2", "Action=TerminateInstances&Version=2016-11-15&InstanceId.1=OTHER"))
show("assume", call("sts", "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::STRANGER:role/x&RoleSessionName=sess"))
"""


def test_what_an_instance_may_not_do(region, machines, pet):
    made = subprocess.run([region.binary, "account", "create", "stranger", "--home", region.home], capture_output=True, text=True, check=True).stdout.split()
    theirs = region.boto("s3", aws_access_key_id=made[3], aws_secret_access_key=made[5])
    for s3, bucket in [(region.boto("s3"), "own-bucket"), (theirs, "stranger-bucket")]:
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="key", Body=f"content of {bucket}".encode())
    other = machines.one(pet)
    script = f"""#!/bin/bash
G=$(ip route | awk '/default/{{print $3}}')
say() {{ echo "SAID $1 $(tr '\\n' ' ' | head -c 300)"; }}
curl -sk -m 5 https://$G:4567/own-bucket/key | say unsigned
curl -sk -m 5 -H 'X-Forwarded-For: 127.0.0.1' https://$G:4567/own-bucket/key | say forwarded
(timeout 2 bash -c 'echo > /dev/tcp/'$G'/{region.port}' && echo open || echo closed) 2>/dev/null | say listener
curl -s -m 3 http://127.0.0.1:{region.port}/ | say loopback
T=$(curl -sS -m 5 -X PUT http://169.254.169.254/latest/api/token -H 'X-aws-ec2-metadata-token-ttl-seconds: 60')
md() {{ curl -s --path-as-is -m 3 -H "X-aws-ec2-metadata-token: $T" "$@"; }}
for p in ../../{pet} meta-data/../../../{pet} %2e%2e/%2e%2e/{pet}/meta-data/instance-id; do
  md -o /dev/null -w '%{{http_code}} ' "http://169.254.169.254/latest/$p"; done | say traversal
ls -A {region.home} 2>&1 | say home
mount -t tmpfs t /mnt 2>&1 | say mount
mknod /tmp/disk b 8 0 2>&1 | say mknod
ip addr add {other['PrivateIpAddress']}/16 dev eth0 2>&1 | say address
cat > /tmp/signer.py <<'END_OF_SIGNER'
{SIGNER.replace('OTHER', pet).replace('STRANGER', made[1])}
END_OF_SIGNER
python3 /tmp/signer.py "$(md http://169.254.169.254/latest/meta-data/iam/security-credentials/web)" $G 2>&1
echo SAID all
"""
    spy = machines.run(IamInstanceProfile={"Name": "web"}, UserData=script)[0]
    text = machines.console(spy, "SAID all")
    said = {line.split(" ", 2)[1]: line.split(" ", 2)[2] if line.count(" ") > 1 else "" for line in text.splitlines() if line.startswith("SAID ")}
    machines.ec2.terminate_instances(InstanceIds=[spy])
    expected = {
        "unsigned": "AccessDenied", "forwarded": "AccessDenied", "listener": "closed", "traversal": "404 404 404", "home": "No such file",
        "mount": "permission denied", "mknod": "not permitted", "address": "not permitted",
        "poll-other": "may not speak for host", "poll-account": "AccessDenied", "poll-garbage": "__type", "complete": "__type",
        "s3-own": "content of own-bucket", "s3-stranger": "AccessDenied", "s3-put": "AccessDenied", "terminate": "UnauthorizedOperation",
        "assume": "AccessDenied",
    }
    wrong = {name: said.get(name, text[-1500:]) for name, words in expected.items() if words not in said.get(name, "")}
    assert not wrong, json.dumps(wrong, indent=1)
    assert said["loopback"] == "", "the host's loopback is not the instance's"
    assert machines.one(pet)["State"]["Name"] == "running"
