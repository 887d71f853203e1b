"""The binary itself: start, restart, locks, flags, environment, accounts, bad input at the door."""
import http.client
import json
import os
import shlex
import socket
import subprocess
import time

import pytest
from harness import Region


def test_second_start_is_ready_within_a_second(own_region):
    own_region.up()
    assert own_region.stop() == 0
    assert own_region.up() < 1.5, "debug builds get half a second more than the second that is promised"


def test_a_second_up_says_who_holds_the_home(own_region):
    own_region.up()
    done = subprocess.run([own_region.binary, "up", "--home", own_region.home, "--port", "0"], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1
    assert f"process {own_region.process.pid}" in done.stderr


def test_env_names_a_host_and_works_in_a_shell(region):
    done = subprocess.run(
        ["bash", "-c", f"eval \"$({region.binary} env --home {region.home})\"; echo $AWS_ENDPOINT_URL $AWS_DEFAULT_REGION; test -n \"$AWS_SECRET_ACCESS_KEY\""],
        capture_output=True, text=True, check=True)
    assert done.stdout.split() == [region.url, "us-east-1"]
    assert region.url.startswith("http://localhost:")


def test_env_writes_a_profile_and_keeps_others(region, tmp_path):
    environment = {**os.environ, "HOME": str(tmp_path), "AWS_CONFIG_FILE": str(tmp_path / "config"),
                   "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")}
    (tmp_path / "config").write_text("[profile other]\nregion = eu-west-1\n")
    for _ in range(2):
        subprocess.run([region.binary, "env", "--home", region.home, "--profile", "lab"], env=environment, check=True, capture_output=True)
    assert (tmp_path / "config").read_text().count("[profile lab]") == 1
    assert "[profile other]" in (tmp_path / "config").read_text()
    clean = {k: v for k, v in environment.items() if k not in ("AWS_PROFILE", "AWS_ENDPOINT_URL")}
    said = region.aws("sts", "get-caller-identity", "--profile", "lab", env=clean)
    assert said["Account"] == "123456789012"


def test_roadstead_aws_passes_the_endpoint(region):
    from harness import tool
    path = os.path.dirname(tool("aws")) + ":" + os.environ["PATH"]
    done = subprocess.run([region.binary, "aws", "--home", region.home, "sts", "get-caller-identity"], capture_output=True, text=True,
                          env={**os.environ, "PATH": path, "AWS_PAGER": ""})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["Arn"] == "arn:aws:iam::123456789012:root"


def test_accounts_are_apart(region):
    done = subprocess.run([region.binary, "account", "create", "second", "--home", region.home], capture_output=True, text=True, check=True)
    account, key, secret = (line.split()[1] for line in done.stdout.splitlines())
    other = region.env(AWS_ACCESS_KEY_ID=key, AWS_SECRET_ACCESS_KEY=secret)
    assert region.aws("sts", "get-caller-identity", env=other)["Account"] == account
    region.aws("iam", "create-role", "--role-name", "mine", "--assume-role-policy-document", json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}]}))
    assert region.aws("iam", "list-roles", env=other)["Roles"] == []
    assert "NoSuchEntity" in region.aws_error("iam", "get-role", "--role-name", "mine", env=other)
    listed = subprocess.run([region.binary, "account", "list", "--home", region.home], capture_output=True, text=True, check=True).stdout
    assert account in listed and "123456789012" in listed


def test_every_region_name_has_its_own_resources(region):
    region.aws("deploy", "create-application", "--application-name", "here")
    assert region.aws("deploy", "list-applications", "--region", "mars-north-7")["applications"] == []
    assert "here" in region.aws("deploy", "list-applications")["applications"]


def test_doctor_and_version_and_help(region):
    doctor = subprocess.run([region.binary, "doctor", "--home", region.home], capture_output=True, text=True)
    assert "name resolution" in doctor.stdout and "root" in doctor.stdout
    assert subprocess.run([region.binary, "version"], capture_output=True, text=True).stdout.startswith("roadstead ")
    assert "roadstead up" in subprocess.run([region.binary, "--help"], capture_output=True, text=True).stdout


@pytest.mark.parametrize("flags, words", [
    (["--port", "70000"], "--port"), (["--account", "12"], "--account"), (["--time-scale", "0"], "--time-scale"),
    (["--region", "No Such"], "--region"),
])
def test_wrong_flags_are_named(binary, tmp_path, flags, words):
    done = subprocess.run([binary, "up", "--home", str(tmp_path / "home"), *flags], capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and words in done.stderr
    assert not (tmp_path / "home").exists()


def test_a_taken_port_is_named(binary, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        done = subprocess.run([binary, "up", "--home", str(tmp_path / "home"), "--port", str(taken.getsockname()[1])],
                              capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and "roadstead:" in done.stderr
    network = tmp_path / "home" / "network.json"
    if network.exists():  # only root has instances, and so a bridge
        bridge = json.loads(network.read_text())["bridge"]
        assert not os.path.exists(f"/sys/class/net/{bridge}"), "the bridge of a start that failed is gone"


def test_starts_that_fail_leave_a_home_that_works(own_region):
    """A taken port says so each time, and the home is as good as new."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        for _ in range(4):
            done = subprocess.run([own_region.binary, "up", "--home", own_region.home, "--port", port], capture_output=True, text=True, timeout=30)
            assert done.returncode == 1 and f"port {port}" in done.stderr, done.stderr
    own_region.up()
    assert len(own_region.aws("sts", "get-caller-identity")) == 3


def test_an_empty_home_is_not_the_working_directory(binary, tmp_path):
    done = subprocess.run([binary, "up", "--home", "", "--port", "0"], cwd=tmp_path, capture_output=True, text=True, timeout=30)
    assert done.returncode != 0 and "--home" in done.stderr
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["with space", "it's $HOME `id`", "ünï%20c"])
def test_odd_home_names_are_quoted_for_the_shell(binary, tmp_path, name):
    home = tmp_path / name
    home.mkdir()
    region = Region(binary, str(home))
    try:
        region.up()
        said = subprocess.run(["bash", "-c", f"eval \"$('{binary}' env --home {shlex.quote(str(home))})\"; echo $AWS_ENDPOINT_URL"],
                              capture_output=True, text=True, check=True)
        assert said.stdout.strip() == region.url
        assert region.aws("sts", "get-caller-identity")["Account"] == "123456789012"
        assert region.stop() == 0
        rest = region.process.stdout.read().decode()
        assert f"--home {shlex.quote(str(home))}" in rest.replace("'\\''", "'\"'\"'"), rest
    finally:
        region.down()


def test_down_twice_and_up_again(own_region):
    own_region.up()
    own_region.aws("s3", "mb", "s3://kept-over-down")
    for _ in range(2):
        done = subprocess.run([own_region.binary, "down", "--home", own_region.home], capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
    assert own_region.process.wait(10) == 0, "down asks the running region to stop"
    own_region.up()
    assert "kept-over-down" in own_region.run_aws("s3", "ls").stdout


def test_a_home_of_another_user_is_said_so(region):
    for words in (["env"], ["down"], ["account", "list"]):
        done = subprocess.run(["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", region.binary, *words, "--home", region.home],
                              capture_output=True, text=True, timeout=30)
        assert done.returncode == 1 and "ermission denied" in done.stderr, (words, done.stderr)
    region.aws("sts", "get-caller-identity")


def test_without_root_everything_but_instances_works(binary, tmp_path):
    import shutil
    import tempfile
    if os.geteuid() != 0:
        pytest.skip("needs root to become somebody else")
    folder = tempfile.mkdtemp(prefix="roadstead-nobody-")
    try:
        os.chown(folder, 65534, 65534)
        wrapper = os.path.join(folder, "roadstead")
        with open(wrapper, "w") as file:
            file.write(f"#!/bin/sh\nexec setpriv --reuid 65534 --regid 65534 --clear-groups '{binary}' \"$@\"\n")
        os.chmod(wrapper, 0o755)
        region = Region(wrapper, os.path.join(folder, "home"))
        os.mkdir(region.home, 0o700)
        os.chown(region.home, 65534, 65534)
        try:
            region.up()
            region.boto("s3").create_bucket(Bucket="nobodys")
            region.boto("s3").put_object(Bucket="nobodys", Key="k", Body=b"v")
            region.boto("iam").create_user(UserName="u")
            region.boto("codedeploy").create_application(applicationName="a")
            for words in (["describe-images"], ["run-instances", "--image-id", "ami-12345678"]):
                said = region.aws_error("ec2", *words)
                assert "does not run as root. Start it with sudo. `roadstead doctor`" in said, said
            assert region.aws("ec2", "describe-instances")["Reservations"] == []
            assert region.stop() == 0
        finally:
            region.down()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def test_kill_9_loses_nothing_that_was_answered(own_region):
    own_region.up()
    own_region.aws("s3", "mb", "s3://kept")
    s3 = own_region.boto("s3")
    for n in range(20):
        s3.put_object(Bucket="kept", Key=f"k{n}", Body=b"x" * (1000 * n))
    own_region.kill()
    own_region.up()
    listed = own_region.boto("s3").list_objects_v2(Bucket="kept")["Contents"]
    assert [o["Size"] for o in sorted(listed, key=lambda o: int(o["Key"][1:]))] == [1000 * n for n in range(20)]


RAW = [
    ("unsigned", "POST", "/", {"X-Amz-Target": "CodeDeploy_20141006.ListApplications", "Content-Type": "application/x-amz-json-1.1"}, b"{}"),
    ("bad json", "POST", "/", {"X-Amz-Target": "CodeDeploy_20141006.ListApplications", "Content-Type": "application/x-amz-json-1.1"}, b"{" * 5000),
    ("bad xml", "PUT", "/some-bucket?policy", {}, b"<a><b></a>"),
    ("nothing", "GET", "/", {}, b""),
    ("odd method", "BREW", "/", {}, b""),
    ("odd path", "GET", "/%zz/../..//%00", {}, b""),
    ("long header", "GET", "/", {"X-Long": "y" * 200_000}, b""),
]


@pytest.mark.parametrize("name, method, path, headers, body", RAW, ids=[r[0] for r in RAW])
def test_raw_requests_get_an_error_and_the_region_stays_up(region, name, method, path, headers, body):
    connection = http.client.HTTPConnection("127.0.0.1", region.port, timeout=10)
    try:
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        assert 400 <= answer.status < 500, f"{answer.status} {answer.read()[:200]}"
    except (ConnectionError, http.client.HTTPException):
        pass  # closing on what is not HTTP is an answer too
    finally:
        connection.close()
    assert region.aws("sts", "get-caller-identity")["Account"] == "123456789012"


def test_garbage_on_the_socket(region):
    for garbage in (b"\x16\x03\x01\x02\x00\x01\x00", b"\x00" * 4096, b"GET / HTTP/9.9\r\n\r\n", os.urandom(2048)):
        with socket.create_connection(("127.0.0.1", region.port), timeout=5) as raw:
            raw.sendall(garbage)
            raw.shutdown(socket.SHUT_WR)
            with pytest.MonkeyPatch.context():
                try:
                    raw.recv(4096)
                except OSError:
                    pass
    assert region.process.poll() is None
    region.aws("sts", "get-caller-identity")


def test_sigterm_stops_cleanly_and_leaves_no_process(own_region):
    own_region.up()
    assert own_region.stop(30) == 0
    time.sleep(0.1)
    found = subprocess.run(["pgrep", "-f", own_region.home], capture_output=True, text=True).stdout.split()
    assert not found, found
