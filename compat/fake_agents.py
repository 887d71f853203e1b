"""On-premises hosts without a host: each speaks the CodeDeploy command protocol, signed as its own IAM user, and runs no script.

A fake agent behaves as the protocol asks: it polls, fetches the specification, acknowledges, executes only when the acknowledgement
says so, and repeats an acknowledgement or a report until it is answered. It survives a region that goes away and comes back."""
import asyncio
import base64
import json
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from benchkit import Signer, quote_key

TARGET = "CodeDeployCommandService_v20141006."
READ = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
IN_PLACE = ["ApplicationStop", "DownloadBundle", "BeforeInstall", "Install", "AfterInstall", "ApplicationStart", "ValidateService"]


@dataclass
class Host:
    name: str
    arn: str
    access: str
    secret: str
    # (deployment, event) in order of execution
    ran: list[tuple[str, str]] = field(default_factory=list)


def register(region, count: int, tags: dict[str, str], prefix: str = "host") -> list[Host]:
    """Users with keys, registered as on-premises instances that carry the tags."""
    iam, deploy = region.boto("iam", config={"max_pool_connections": 8}), region.boto("codedeploy", config={"max_pool_connections": 8})

    def one(number: int) -> Host:
        name = f"{prefix}{number:03}"
        arn = iam.create_user(UserName=name)["User"]["Arn"]
        iam.put_user_policy(UserName=name, PolicyName="bundles", PolicyDocument=json.dumps(READ))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        deploy.register_on_premises_instance(instanceName=name, iamUserArn=arn)
        deploy.add_tags_to_on_premises_instances(instanceNames=[name], tags=[{"Key": k, "Value": v} for k, v in tags.items()])
        return Host(name, arn, key["AccessKeyId"], key["SecretAccessKey"])

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(one, range(count)))


class Gone(Exception):
    """The region did not answer."""


class Refused(Exception):
    """The region answered with an error."""


class Connection:
    """One keep-alive connection; opened again when it broke."""

    def __init__(self, port: int):
        self.port = port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def ask(self, request: bytes, timeout: float = 90) -> tuple[int, bytes]:
        try:
            return await asyncio.wait_for(self.exchange(request), timeout)
        except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError, ValueError) as problem:
            self.close()
            raise Gone(str(problem)) from problem

    async def exchange(self, request: bytes) -> tuple[int, bytes]:
        if not self.writer:
            self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.writer.write(request)
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status = int(head.split(" ", 2)[1])
        fields = {n.lower(): v.strip() for n, _, v in (line.partition(":") for line in head.split("\r\n")[1:])}
        if "content-length" in fields:
            body = await self.reader.readexactly(int(fields["content-length"]))
        else:
            body = b""
            while size := int((await self.reader.readline()).strip() or b"0", 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readline()
        if fields.get("connection", "").lower() == "close":
            self.close()
        return status, body

    def close(self) -> None:
        if self.writer:
            self.writer.close()
        self.reader = self.writer = None


class Agent:
    def __init__(self, host: Host, port: int, region: str, fleet: "Fleet"):
        self.host, self.fleet, self.endpoint = host, fleet, f"127.0.0.1:{port}"
        self.signer = Signer(host.access, host.secret, "codedeploy-commands", region)
        self.s3 = Signer(host.access, host.secret, "s3", region)
        self.polls, self.others = Connection(port), Connection(port)
        self.polled = asyncio.Event()

    async def call(self, connection: Connection, operation: str, body: dict) -> dict:
        data = json.dumps(body).encode()
        more = {"content-type": "application/x-amz-json-1.1", "x-amz-target": TARGET + operation,
                "x-amz-codedeploy-agent-version": "FAKE_1.0"}
        status, text = await connection.ask(self.signer.request("POST", self.endpoint, "/", data, more))
        if status >= 500:
            raise Gone(f"{operation}: {status}")
        if status != 200:
            raise Refused(f"{operation}: {status} {text[:300]!r}")
        return json.loads(text or b"{}")

    async def insist(self, operation: str, body: dict) -> dict:
        """Again until it is answered, as the region may be away."""
        while True:
            try:
                return await self.call(self.others, operation, body)
            except Gone:
                await asyncio.sleep(0.1)

    async def run(self) -> None:
        while True:
            try:
                self.polled.set()
                answer = await self.call(self.polls, "PollHostCommand", {"HostIdentifier": self.host.arn})
            except Gone:
                await asyncio.sleep(0.1)
                continue
            except Refused as problem:
                self.fleet.problems.append(f"{self.host.name}: {problem}")
                await asyncio.sleep(1)
                continue
            if command := answer.get("HostCommand"):
                try:
                    await self.execute(command)
                except Refused as problem:
                    self.fleet.problems.append(f"{self.host.name}: {problem}")

    async def execute(self, command: dict) -> None:
        identifier, event = command["HostCommandIdentifier"], command["CommandName"]
        spec = await self.insist("GetDeploymentSpecification", {
            "DeploymentExecutionId": command["DeploymentExecutionId"], "HostIdentifier": self.host.arn})
        noop = {"Format": "JSON", "Payload": '{"IsCommandNoop":false}'}
        answer = await self.insist("PutHostCommandAcknowledgement", {"HostCommandIdentifier": identifier, "Diagnostics": noop})
        if answer.get("CommandStatus") not in (None, "InProgress", "Pending"):
            return
        orders = specification(spec["DeploymentSpecification"]["GenericEnvelope"]["Payload"])
        self.host.ran.append((orders["DeploymentId"], event))
        if event == "DownloadBundle" and self.fleet.fetches:
            await self.download(orders["Revision"]["S3Revision"])
        if self.fleet.hook_seconds:
            await asyncio.sleep(self.fleet.hook_seconds)
        failed = self.fleet.fails(self.host, orders["DeploymentId"], event)
        report = {"error_code": 4 if failed else 0, "script_name": "scripts/fake.sh" if failed else "",
                  "message": "Script at specified location: scripts/fake.sh failed with exit code 1" if failed else "Succeeded: ",
                  "log": "[stderr]as asked\n" if failed else ""}
        await self.insist("PutHostCommandComplete", {
            "HostCommandIdentifier": identifier, "CommandStatus": "Failed" if failed else "Succeeded",
            "Diagnostics": {"Format": "JSON", "Payload": json.dumps(report)}})

    async def download(self, revision: dict) -> None:
        path = f"/{revision['Bucket']}/{quote_key(revision['Key'])}"
        while True:
            try:
                status, body = await self.others.ask(self.s3.request("GET", self.endpoint, path))
            except Gone:
                await asyncio.sleep(0.1)
                continue
            if status != 200:
                raise Refused(f"GET {path}: {status} {body[:300]!r}")
            self.fleet.fetched += len(body)
            return


def specification(payload: str) -> dict:
    """The orders inside the signed envelope: the JSON text lies in it as it is, in one piece."""
    text = "".join(line for line in payload.splitlines() if not line.startswith("-----"))
    data = base64.b64decode(text)
    start = data.index(b'{"DeploymentId"')
    return json.JSONDecoder().raw_decode(data[start:].decode("utf-8", "replace"))[0]


class Fleet:
    """Fake agents on a thread of their own."""

    def __init__(self, region, hosts: list[Host], *, hook_seconds: float = 0, fetches: bool = True, fails=lambda host, deployment, event: False):
        self.region, self.hosts, self.hook_seconds, self.fetches, self.fails = region, hosts, hook_seconds, fetches, fails
        self.problems: list[str] = []
        self.fetched = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)

    def __enter__(self):
        self.thread.start()
        asyncio.run_coroutine_threadsafe(self.begin(), self.loop).result(60)
        return self

    async def begin(self) -> None:
        name = self.region.environment["AWS_DEFAULT_REGION"]
        self.agents = [Agent(host, self.region.port, name, self) for host in self.hosts]
        self.tasks = [asyncio.ensure_future(agent.run()) for agent in self.agents]
        for agent in self.agents:
            await agent.polled.wait()

    async def end(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        for agent in self.agents:
            agent.polls.close()
            agent.others.close()

    def __exit__(self, *_):
        asyncio.run_coroutine_threadsafe(self.end(), self.loop).result(30)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(10)

    def twice(self) -> list[str]:
        """Executions that happened more than once: there must be none."""
        return [f"{host.name} {deployment} {event}" for host in self.hosts
                for deployment, event in set(host.ran) if host.ran.count((deployment, event)) > 1]


def serve(port: int, region_name: str, hosts: list[Host]) -> None:
    """A fleet in a process of its own, which it leaves when its parent is gone. For measuring, where threads would share one core."""
    class Place:
        pass
    place = Place()
    place.port, place.environment = port, {"AWS_DEFAULT_REGION": region_name}
    with Fleet(place, hosts):
        parent = os.getppid()
        while os.getppid() == parent:
            time.sleep(0.2)
