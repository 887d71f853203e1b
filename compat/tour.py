"""Lab 1, run for real: a throw-away region, three instances, CodeDeploy, a failing release, a rollback and two crashes.

Prints each aws command before it runs, a progress line while something goes on, and a check with ✓ or ✗ after it.
Exits non-zero when a check failed."""
import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import threading
import time

from harness import EC2_TRUST, READ_BUNDLES, TRUST, USER_DATA, Region, fetch, until, variant

FAST = sys.stdout.isatty()


class Tour:
    def __init__(self, region: Region, work: str):
        self.region, self.work = region, work
        self.passed = self.failed = 0
        self.ids: list[str] = []
        self.addresses: dict[str, str] = {}

    # -- showing

    def title(self, text: str) -> None:
        print(f"\n\033[1m{text}\033[0m" if FAST else f"\n{text}", flush=True)

    def check(self, text: str, good: bool, detail: str = "") -> bool:
        self.passed, self.failed = self.passed + bool(good), self.failed + (not good)
        print(f"  {'✓' if good else '✗'} {text}" + (f": {detail}" if detail else ""), flush=True)
        return bool(good)

    def aws(self, *args: str, fails: bool = False, quiet: bool = False):
        """Prints the command, runs it with a progress line, answers its output."""
        shown = " ".join(shlex.quote(a) if len(a) < 90 else "'…'" for a in args)
        if not quiet:
            print(f"  $ aws {shown}", flush=True)
        with Progress():
            done = self.region.run_aws(*args)
        if (done.returncode != 0) != fails:
            self.check(f"aws {args[0]} {args[1]} exits {'non-zero' if fails else '0'}", False, (done.stderr or done.stdout).strip())
        text = (done.stderr if fails else done.stdout).strip()
        try:
            return json.loads(text) if text else {}
        except json.JSONDecodeError:
            return text

    def pages(self) -> list[str]:
        out = []
        for address in self.addresses.values():
            try:
                out.append(fetch(f"http://{address}/index.html").strip())
            except OSError as problem:
                out.append(f"no answer ({problem})")
        return out

    # -- the lab

    def identity(self) -> None:
        self.title("1. Roles and an instance profile")
        self.aws("iam", "create-role", "--role-name", "CodeDeployServiceRole", "--assume-role-policy-document", TRUST)
        self.aws("iam", "attach-role-policy", "--role-name", "CodeDeployServiceRole",
                 "--policy-arn", "arn:aws:iam::aws:policy/service-role/AWSCodeDeployRole")
        self.aws("iam", "create-role", "--role-name", "WebServerRole", "--assume-role-policy-document", EC2_TRUST)
        self.aws("iam", "put-role-policy", "--role-name", "WebServerRole", "--policy-name", "ReadBundles", "--policy-document", READ_BUNDLES)
        self.aws("iam", "create-instance-profile", "--instance-profile-name", "WebServer")
        self.aws("iam", "add-role-to-instance-profile", "--instance-profile-name", "WebServer", "--role-name", "WebServerRole")
        profile = self.aws("iam", "get-instance-profile", "--instance-profile-name", "WebServer")
        roles = [r["RoleName"] for r in profile.get("InstanceProfile", {}).get("Roles", [])]
        self.check("the profile holds the role", roles == ["WebServerRole"], ", ".join(roles))

    def storage(self) -> None:
        self.title("2. A bucket for the bundles")
        self.aws("s3", "mb", "s3://releases")
        note = os.path.join(self.work, "note.txt")
        with open(note, "w") as out:
            out.write("kept for real\n")
        self.aws("s3", "cp", note, "s3://releases/note.txt")
        listing = self.aws("s3", "ls", "s3://releases")
        self.check("the object is listed", "note.txt" in str(listing), str(listing))
        back = os.path.join(self.work, "back.txt")
        self.aws("s3api", "get-object", "--bucket", "releases", "--key", "note.txt", back)
        self.check("its bytes come back", os.path.exists(back) and open(back).read() == "kept for real\n")

    def machines(self) -> None:
        self.title("3. Three instances")
        image = self.aws("ec2", "describe-images", "--owners", "amazon")["Images"][0]
        self.check("the built-in image is listed", image["ImageId"].startswith("ami-"), f"{image['ImageId']} {image['State']}")
        if image["State"] != "available":
            print("    the image is being made from this host, once; this takes up to a minute")
            self.aws("ec2", "wait", "image-available", "--image-ids", image["ImageId"])
        group = self.aws("ec2", "create-security-group", "--group-name", "web", "--description", "web servers")
        script = os.path.join(self.work, "user-data.sh")
        with open(script, "w") as out:
            out.write(USER_DATA)
        started = time.monotonic()
        made = self.aws("ec2", "run-instances", "--image-id", image["ImageId"], "--count", "3", "--instance-type", "t2.micro",
                        "--iam-instance-profile", "Name=WebServer", "--security-group-ids", group["GroupId"],
                        "--user-data", f"file://{script}",
                        "--tag-specifications", "ResourceType=instance,Tags=[{Key=Name,Value=web},{Key=fleet,Value=lab1}]")
        self.ids = [i["InstanceId"] for i in made["Instances"]]
        self.aws("ec2", "wait", "instance-running", "--instance-ids", *self.ids)
        print(f"    {time.monotonic() - started:.1f} s from the call to all running, two CLI starts included")
        found = self.aws("ec2", "describe-instances", "--filters", "Name=tag:fleet,Values=lab1", "Name=instance-state-name,Values=running")
        rows = [i for r in found["Reservations"] for i in r["Instances"]]
        self.addresses = {i["InstanceId"]: i["PrivateIpAddress"] for i in rows}
        self.check("three are running, each with its own address", len(set(self.addresses.values())) == 3, ", ".join(self.addresses.values()))
        print(f"  $ aws ec2 get-console-output --instance-id {self.ids[0]}")

        def console() -> str | None:
            text = str(self.aws("ec2", "get-console-output", "--instance-id", self.ids[0], "--output", "text", quiet=True))
            return text if "user data ran on" in text else None
        text = until(console, 20, 0.3, "user data on the console")
        self.check("user data ran", "user data ran on" in text)

    def application(self) -> None:
        self.title("4. An application, its group and its first revision")
        self.aws("deploy", "create-application", "--application-name", "web")
        role = self.aws("iam", "get-role", "--role-name", "CodeDeployServiceRole", "--query", "Role.Arn", "--output", "text", quiet=True)
        self.aws("deploy", "create-deployment-group", "--application-name", "web", "--deployment-group-name", "lab1",
                 "--service-role-arn", role, "--ec2-tag-filters", "Key=fleet,Value=lab1,Type=KEY_AND_VALUE",
                 "--auto-rollback-configuration", "enabled=true,events=DEPLOYMENT_FAILURE")
        self.push("v1", version="1")
        revisions = self.aws("deploy", "list-application-revisions", "--application-name", "web")
        keys = [r["s3Location"]["key"] for r in revisions.get("revisions", [])]
        self.check("the revision is registered", keys == ["v1.zip"], ", ".join(keys))

    def push(self, name: str, **changes) -> None:
        folder = variant(name, self.work, **changes)
        said = self.aws("deploy", "push", "--application-name", "web", "--s3-location", f"s3://releases/{name}.zip", "--source", folder)
        self.check(f"{name} is pushed; the CLI prints the next command", "create-deployment" in str(said))

    def deploy(self, name: str, config: str) -> str:
        made = self.aws("deploy", "create-deployment", "--application-name", "web", "--deployment-group-name", "lab1",
                        "--deployment-config-name", f"CodeDeployDefault.{config}",
                        "--s3-location", f"bucket=releases,key={name}.zip,bundleType=zip")
        return made["deploymentId"]

    def spans(self, deployment: str) -> list[tuple[float, float]]:
        """Begin and end of each host's work, in order of beginning."""
        answer = self.aws("deploy", "batch-get-deployment-targets", "--deployment-id", deployment, "--target-ids", *self.ids, quiet=True)
        out = []
        for target in answer["deploymentTargets"]:
            events = target["instanceTarget"]["lifecycleEvents"]
            times = [stamp(e[k]) for e in events for k in ("startTime", "endTime") if k in e]
            out.append((min(times), max(times)))
        return sorted(out)

    def deployments(self) -> None:
        self.title("5. Deployments: one at a time, half at a time, all at once")
        first = self.deploy("v1", "OneAtATime")
        self.aws("deploy", "wait", "deployment-successful", "--deployment-id", first)
        info = self.aws("deploy", "get-deployment", "--deployment-id", first)["deploymentInfo"]
        self.check("it succeeded on three hosts", info["status"] == "Succeeded" and info["deploymentOverview"]["Succeeded"] == 3,
                   json.dumps(info["deploymentOverview"]))
        self.check("it is listed", first in self.aws("deploy", "list-deployments", "--application-name", "web",
                                                     "--deployment-group-name", "lab1")["deployments"])
        listed = self.aws("deploy", "list-deployment-instances", "--deployment-id", first)["instancesList"]
        self.check("its instances are listed", sorted(listed) == sorted(self.ids))
        summary = self.aws("deploy", "get-deployment-instance", "--deployment-id", first, "--instance-id", self.ids[0])["instanceSummary"]
        events = [(e["lifecycleEventName"], e["status"]) for e in summary["lifecycleEvents"]]
        self.check("every lifecycle event succeeded", len(events) >= 7 and all(s in ("Succeeded", "Skipped") for _, s in events),
                   ", ".join(n for n, _ in events))
        self.check("each host serves version 1", self.pages() == ["version 1"] * 3, ", ".join(self.pages()))
        one = self.spans(first)
        self.check("one at a time: no two hosts overlap", all(a[1] <= b[0] for a, b in zip(one, one[1:])), show(one))
        for config, rule in (("HalfAtATime", "exactly one host works at first, two never three at once"), ("AllAtOnce", "all three overlap")):
            name = self.deploy("v1", config)
            self.aws("deploy", "wait", "deployment-successful", "--deployment-id", name)
            spans = self.spans(name)
            together = max(sum(a <= t <= b for a, b in spans) for t, _ in spans)
            # Three hosts at 50 %: two must stay healthy, so one may be down. All at once: three.
            self.check(f"{config}: {rule}" if config == "AllAtOnce" else f"{config} of three keeps two healthy",
                       together == (3 if config == "AllAtOnce" else 1), show(spans))

    def failure(self) -> None:
        self.title("6. A release whose ValidateService fails, and the rollback")
        bad = "#!/bin/bash\necho checking the shop front\necho 'the cart answers 500' >&2\nexit 1\n"
        self.push("v2", version="2", files={"scripts/validate.sh": bad})
        failed = self.deploy("v2", "OneAtATime")
        said = self.aws("deploy", "wait", "deployment-successful", "--deployment-id", failed, fails=True)
        self.check("the waiter says that it failed", "failed" in str(said).lower(), str(said)[:120])
        info = self.aws("deploy", "get-deployment", "--deployment-id", failed)["deploymentInfo"]
        message = info.get("errorInformation", {}).get("message", "")
        self.check("the deployment failed by the health rule", info["status"] == "Failed" and info["errorInformation"]["code"] == "HEALTH_CONSTRAINTS")
        print("    " + message.replace("\n", "\n    "))
        self.check("the answer names host, hook, exit code and the script's last lines",
                   any(i in message for i in self.ids) and "ValidateService" in message and "exit code 1" in message and "the cart answers 500" in message)
        counts = info["deploymentOverview"]
        self.check("the other hosts were left alone", counts["Failed"] == 1 and counts["Skipped"] == 2, json.dumps(counts))
        back = info.get("rollbackInfo", {}).get("rollbackDeploymentId")
        if self.check("a rollback deployment was made", bool(back), str(back)):
            self.aws("deploy", "wait", "deployment-successful", "--deployment-id", back)
            made = self.aws("deploy", "get-deployment", "--deployment-id", back)["deploymentInfo"]
            self.check("by codeDeployRollback", made["creator"] == "codeDeployRollback", made["creator"])
        self.check("every host serves version 1 again", self.pages() == ["version 1"] * 3, ", ".join(self.pages()))

    def crash_region(self) -> None:
        self.title("7. kill -9 of the region in the middle of a deployment")
        slow = "#!/bin/bash\necho \"$DEPLOYMENT_ID $LIFECYCLE_EVENT\" >> /srv/web/ran.txt\nsleep 2\nexit 0\n"
        appspec = open(os.path.join(os.path.dirname(__file__), "lab", "v1", "appspec.yml")).read()
        appspec += "  AfterInstall:\n    - location: scripts/slow.sh\n      timeout: 60\n"
        self.push("v3", version="3", files={"scripts/slow.sh": slow, "appspec.yml": appspec})
        name = self.deploy("v3", "OneAtATime")
        until(lambda: self.aws("deploy", "get-deployment", "--deployment-id", name, quiet=True)["deploymentInfo"]["deploymentOverview"]["InProgress"] > 0,
              30, 0.1, "work on the first host")
        time.sleep(1)
        print(f"  $ kill -9 {self.region.process.pid}    # the region")
        self.region.kill()
        self.check("the instances live on", self.pages().count("no answer") == 0, ", ".join(self.pages()))
        seconds = self.region.up()
        self.check("the region is back", True, f"{seconds:.2f} s")
        self.aws("deploy", "wait", "deployment-successful", "--deployment-id", name)
        self.check("every host serves version 3", self.pages() == ["version 3"] * 3, ", ".join(self.pages()))
        ran = [fetch(f"http://{a}/ran.txt").strip().splitlines() for a in self.addresses.values()]
        self.check("no hook ran twice", all(lines == [f"{name} AfterInstall"] for lines in ran), str(ran))

    def crash_agent(self) -> None:
        self.title("8. kill -9 of an agent inside a hook")
        appspec = open(os.path.join(os.path.dirname(__file__), "lab", "v1", "appspec.yml")).read()
        appspec += "  AfterInstall:\n    - location: scripts/kill.sh\n      timeout: 60\n"
        kill = "#!/bin/bash\nkill -9 \"$(pgrep -o -f 'roadstead agent')\"\nsleep 5\n"
        self.push("v4", version="4", files={"scripts/kill.sh": kill, "appspec.yml": appspec})
        name = self.deploy("v4", "OneAtATime")
        self.aws("deploy", "wait", "deployment-successful", "--deployment-id", name, fails=True)
        info = self.aws("deploy", "get-deployment", "--deployment-id", name)["deploymentInfo"]
        message = info.get("errorInformation", {}).get("message", "")
        print("    " + message.replace("\n", "\n    "))
        self.check("the event failed with the agent's restart diagnostics", "agent restart" in message and info["status"] == "Failed")
        back = info.get("rollbackInfo", {}).get("rollbackDeploymentId")
        if back:
            self.aws("deploy", "wait", "deployment-successful", "--deployment-id", back)
        self.check("the hosts serve version 3 again", self.pages() == ["version 3"] * 3, ", ".join(self.pages()))

    def endings(self) -> None:
        self.title("9. Stop, start, terminate")
        one, address = self.ids[0], self.addresses[self.ids[0]]
        self.aws("ec2", "stop-instances", "--instance-ids", one)
        self.aws("ec2", "wait", "instance-stopped", "--instance-ids", one)
        self.check("a stopped instance answers nothing", "no answer" in self.pages()[list(self.addresses).index(one)])
        self.aws("ec2", "start-instances", "--instance-ids", one)
        self.aws("ec2", "wait", "instance-running", "--instance-ids", one)
        console = self.region.run_aws("ec2", "describe-instances", "--instance-ids", one, "--query", "Reservations[0].Instances[0].PrivateIpAddress", "--output", "text")
        self.check("it is back at its address", console.stdout.strip() == address, console.stdout.strip())

    def terminate(self) -> None:
        self.aws("ec2", "terminate-instances", "--instance-ids", *self.ids)
        self.aws("ec2", "wait", "instance-terminated", "--instance-ids", *self.ids)
        self.check("nothing of them is left", all("no answer" in p for p in self.pages()))


class Progress:
    """A line that says that something goes on, on terminals after a second."""

    def __enter__(self):
        self.done = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        started = time.monotonic()
        while not self.done.wait(1):
            if FAST:
                print(f"\r    … {time.monotonic() - started:.0f} s", end="", flush=True)
        if FAST:
            print("\r\033[K", end="", flush=True)

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()


def stamp(text) -> float:
    import datetime
    return text if isinstance(text, (int, float)) else datetime.datetime.fromisoformat(text).timestamp()


def show(spans) -> str:
    zero = spans[0][0]
    return ", ".join(f"{a - zero:.2f}-{b - zero:.2f} s" for a, b in spans)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--keep", action="store_true", help="leave the region running")
    options = parser.parse_args()
    region = Region(options.binary)
    started = time.monotonic()
    print(f"roadstead up --home {region.home}")
    print(f"  ready in {region.up():.2f} s at {region.url}")
    with tempfile.TemporaryDirectory() as work:
        tour = Tour(region, work)
        try:
            for step in (tour.identity, tour.storage, tour.machines, tour.application, tour.deployments, tour.failure,
                         tour.crash_region, tour.crash_agent, tour.endings):
                step()
            if not options.keep:
                tour.terminate()
        except Exception as problem:  # noqa: BLE001 - a broken step is a failed check, and the region is taken down all the same
            tour.check("the tour went through", False, f"{type(problem).__name__}: {problem}")
            print(region.log())
        finally:
            print(f"\n{tour.passed} passed, {tour.failed} failed")
            print(f"region: {region.url}   ({time.monotonic() - started:.0f} s)")
            if options.keep:
                print(f"it goes on; use it with: eval \"$({options.binary} env --home {region.home})\"; end it with: {options.binary} down --home {region.home}")
            else:
                region.down()
    return 1 if tour.failed else 0


if __name__ == "__main__":
    sys.exit(main())
