"""Rounds of kill -9: random S3 and IAM writes and a running deployment over fake agents, a kill at a random moment, up again.

After each round: every answered write is there (or, for a key whose write was in flight, one of the two), bytes and ETags match, the
deployment ends as it must and no hook ran twice. Repeat a run with --seed."""
import argparse
import hashlib
import json
import os
import random
import sys
import tempfile
import threading
import time
import zipfile

import botocore.exceptions
from fake_agents import IN_PLACE, Fleet, register
from harness import TRUST, Region, until

GONE = (botocore.exceptions.ConnectionError, botocore.exceptions.HTTPClientError)


class Writer(threading.Thread):
    """Writes until the region is gone, and remembers what was answered and what was not."""

    def __init__(self, region: Region, number: int, seed: int):
        super().__init__(daemon=True)
        self.number, self.random = number, random.Random(seed * 1000 + number)
        self.s3, self.iam = region.boto("s3"), region.boto("iam")
        # key: the accepted states, (etag, size) or None when absent. One state unless a write was in flight.
        self.objects: dict[str, list] = {}
        self.users: dict[str, list] = {}
        self.history: dict[str, list[str]] = {}
        self.answered = 0
        self.wrong: list[str] = []
        self.halt = threading.Event()

    def run(self) -> None:
        while not self.halt.is_set():
            try:
                self.one()
                self.answered += 1
            except GONE:
                return
            except botocore.exceptions.ClientError as problem:
                # A region that is being killed may still answer 5xx; the write is then in doubt as any unanswered one is.
                if problem.response["ResponseMetadata"].get("HTTPStatusCode", 0) < 500:
                    self.wrong.append(str(problem))
                return

    def one(self) -> None:
        kind = self.random.random()
        if kind < 0.15:
            self.user()
        elif kind < 0.25 and any(states[0] for states in self.objects.values()):
            self.remove()
        elif kind < 0.30:
            self.multipart()
        else:
            self.put()

    def settle(self, table: dict, key: str, state, call) -> None:
        table[key] = [*table.get(key, [None]), state]
        self.history.setdefault(key, []).append(f"{state} asked")
        answer = call()
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        self.history[key].append(f"answered {headers}")
        if isinstance(state, tuple) and answer.get("ETag", "").strip('"') != state[0]:
            self.wrong.append(f"{key}: the answer is not this request's: {headers}, written was {state}")
        table[key] = [state]

    def put(self) -> None:
        key = f"w{self.number}/k{self.random.randrange(40)}"
        body = self.random.randbytes(self.random.choice([0, 10, 4096, 70_000, 1_500_000]))
        self.settle(self.objects, key, (hashlib.md5(body).hexdigest(), len(body)),
                    lambda: self.s3.put_object(Bucket="kept", Key=key, Body=body))

    def remove(self) -> None:
        key = self.random.choice([k for k, states in self.objects.items() if states[0]])
        self.settle(self.objects, key, None, lambda: self.s3.delete_object(Bucket="kept", Key=key))

    def multipart(self) -> None:
        key = f"w{self.number}/m{self.random.randrange(4)}"
        bodies = [self.random.randbytes(5 << 20), self.random.randbytes(1000)]
        digest = hashlib.md5(b"".join(hashlib.md5(b).digest() for b in bodies)).hexdigest() + "-2"
        upload = self.s3.create_multipart_upload(Bucket="kept", Key=key)["UploadId"]
        parts = [{"PartNumber": n + 1, "ETag": self.s3.upload_part(Bucket="kept", Key=key, UploadId=upload, PartNumber=n + 1, Body=b)["ETag"]}
                 for n, b in enumerate(bodies)]
        self.settle(self.objects, key, (digest, sum(map(len, bodies))), lambda: self.s3.complete_multipart_upload(
            Bucket="kept", Key=key, UploadId=upload, MultipartUpload={"Parts": parts}))

    def user(self) -> None:
        name = f"w{self.number}-u{len(self.users)}"
        self.settle(self.users, name, "exists", lambda: self.iam.create_user(UserName=name))

    # -- after the crash

    def check(self, region: Region) -> list[str]:
        """What is not as it was answered. Afterwards the doubtful states are settled."""
        s3, iam, wrong = region.boto("s3"), region.boto("iam"), list(self.wrong)
        self.wrong = []
        for key, states in self.objects.items():
            try:
                answer = s3.get_object(Bucket="kept", Key=key)
                body = answer["Body"].read()
                found = (answer["ETag"].strip('"'), len(body))
                if "-" not in found[0] and hashlib.md5(body).hexdigest() != found[0]:
                    wrong.append(f"{key}: its bytes are not those of its ETag")
            except s3.exceptions.NoSuchKey:
                found = None
            if found not in states:
                listed = [o["Size"] for o in s3.list_objects_v2(Bucket="kept", Prefix=key).get("Contents", []) if o["Key"] == key]
                wrong.append(f"{key}: found {found}, answered or in flight were {states}; the listing has {listed}; "
                             f"its history was {self.history.get(key)}")
            self.objects[key] = [found]
            self.history.setdefault(key, []).append(f"crash; found {found}")
        for name, states in list(self.users.items()):
            try:
                iam.get_user(UserName=name)
                found = "exists"
            except iam.exceptions.NoSuchEntityException:
                found = None
            if found not in states:
                wrong.append(f"user {name}: found {found}, answered or in flight were {states}")
            self.users[name] = [found]
        self.s3, self.iam = s3, iam
        return wrong


def prepare(region: Region, work: str, hosts: int) -> list:
    s3, deploy, iam = region.boto("s3"), region.boto("codedeploy"), region.boto("iam")
    for bucket in ("kept", "releases"):
        s3.create_bucket(Bucket=bucket)
    bundle = os.path.join(work, "app.zip")
    with zipfile.ZipFile(bundle, "w") as out:
        out.writestr("appspec.yml", "version: 0.0\nos: linux\n")
    s3.upload_file(bundle, "releases", "app.zip")
    role = iam.create_role(RoleName="Deploy", AssumeRolePolicyDocument=TRUST)["Role"]["Arn"]
    iam.attach_role_policy(RoleName="Deploy", PolicyArn="arn:aws:iam::aws:policy/service-role/AWSCodeDeployRole")
    fleet = register(region, hosts, {"fleet": "soak"})
    deploy.create_application(applicationName="app")
    deploy.create_deployment_group(
        applicationName="app", deploymentGroupName="soak", serviceRoleArn=role,
        onPremisesInstanceTagFilters=[{"Key": "fleet", "Value": "soak", "Type": "KEY_AND_VALUE"}])
    return fleet


def begin(deploy, config: str) -> str:
    return deploy.create_deployment(
        applicationName="app", deploymentGroupName="soak", deploymentConfigName=f"CodeDeployDefault.{config}",
        revision={"revisionType": "S3", "s3Location": {"bucket": "releases", "key": "app.zip", "bundleType": "zip"}})["deploymentId"]


def ended(deploy, name: str) -> dict | None:
    info = deploy.get_deployment(deploymentId=name)["deploymentInfo"]
    return info if info["status"] in ("Succeeded", "Failed", "Stopped") else None


def one_round(number: int, region: Region, writers: list[Writer], fleet: Fleet, failing: dict, dice: random.Random) -> tuple[list[str], dict]:
    deploy = region.boto("codedeploy")
    config = dice.choice(["OneAtATime", "HalfAtATime", "AllAtOnce"])
    failing.clear()
    if bad := dice.random() < 0.3:
        failing[dice.choice(fleet.hosts).name] = dice.choice(IN_PLACE)
    for writer in writers:
        writer.start()
    name = begin(deploy, config)
    time.sleep(dice.uniform(0, 1.2))
    region.kill()
    for writer in writers:
        writer.join(30)
    seconds = region.up()
    wrong = [problem for writer in writers for problem in writer.check(region)]
    deploy = region.boto("codedeploy")
    info = until(lambda: ended(deploy, name), 150, 0.05, f"the end of {name} ({config}{', one host fails' if bad else ''})")
    counts = info["deploymentOverview"]
    total = sum(counts[k] for k in ("Succeeded", "Failed", "Skipped"))
    if total != len(fleet.hosts) or counts["Pending"] or counts["InProgress"]:
        wrong.append(f"{name}: the overview does not add up: {counts}")
    if not bad and (info["status"] != "Succeeded" or counts["Succeeded"] != len(fleet.hosts)):
        wrong.append(f"{name}: {info['status']} {counts} {info.get('errorInformation')}, though no hook failed")
    if bad and counts["Failed"] > 1:
        wrong.append(f"{name}: {counts['Failed']} hosts failed, one hook did: {info.get('errorInformation')}")
    for host in fleet.hosts:
        mine = [event for deployment, event in host.ran if deployment == name]
        if mine != IN_PLACE[:len(mine)] or not bad and len(mine) != len(IN_PLACE):
            wrong.append(f"{name} on {host.name} ran {mine}")
    wrong += [f"ran twice: {what}" for what in fleet.twice()] + fleet.problems
    fleet.problems.clear()
    return wrong, {"restart": seconds, "config": config, "status": info["status"], "answered": sum(w.answered for w in writers)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--hosts", type=int, default=6, help="at least 2: HalfAtATime starts nothing on one host")
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 30))
    parser.add_argument("--json", help="write the figures there")
    options = parser.parse_args()
    dice = random.Random(options.seed)
    region = Region(options.binary)
    failures, restarts, answered, ends = 0, [], 0, {}
    started = time.monotonic()
    print(f"kill -9: {options.rounds} rounds, seed {options.seed}", flush=True)
    try:
        region.up()
        with tempfile.TemporaryDirectory() as work:
            hosts = prepare(region, work, options.hosts)
        failing: dict[str, str] = {}
        writers: list[Writer] = []
        with Fleet(region, hosts, hook_seconds=0.03, fails=lambda host, deployment, event: failing.get(host.name) == event) as fleet:
            for number in range(options.rounds):
                fresh = [Writer(region, n, options.seed + number) for n in range(3)]
                for new, old in zip(fresh, writers):
                    new.objects, new.users, new.history = old.objects, old.users, old.history
                writers = fresh
                wrong, facts = one_round(number, region, writers, fleet, failing, dice)
                restarts.append(facts["restart"])
                answered += facts["answered"]
                ends[facts["status"]] = ends.get(facts["status"], 0) + 1
                print(f"  {'✗' if wrong else '✓'} round {number + 1}: {facts['answered']} answered writes, back in {facts['restart']:.2f} s, "
                      f"{facts['config']} ended {facts['status']}", flush=True)
                for problem in wrong[:10]:
                    print(f"      {problem}")
                failures += bool(wrong)
    except Exception as problem:  # noqa: BLE001 - a broken round is a failure, with the region's log
        failures += 1
        print(f"  ✗ {type(problem).__name__}: {problem}\n{region.log()}")
    finally:
        region.down()
    figures = {"rounds": len(restarts), "failed rounds": failures, "answered writes checked": answered, "deployments": ends,
               "slowest restart, s": round(max(restarts, default=0), 2), "seconds": round(time.monotonic() - started), "seed": options.seed}
    print(json.dumps(figures))
    if options.json:
        with open(options.json, "w") as out:
            json.dump(figures, out)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
