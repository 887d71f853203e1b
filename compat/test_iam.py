"""IAM and STS as a person uses them with the CLI: users, groups, policies and their versions, keys, profiles, roles, paging, presigned URLs."""
import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import botocore.exceptions
import pytest
from harness import EC2_TRUST

ACCOUNT = "123456789012"


def policy(*actions: str, effect: str = "Allow", resource: str = "*") -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": effect, "Action": list(actions), "Resource": resource}]})


def code(call) -> str:
    with pytest.raises(botocore.exceptions.ClientError) as problem:
        call()
    return problem.value.response["Error"]["Code"]


@pytest.fixture(scope="module")
def iam(region):
    return region.boto("iam")


def test_a_policy_has_five_versions_and_one_default(region, iam):
    arn = iam.create_policy(PolicyName="versions", PolicyDocument=policy("s3:ListAllMyBuckets"))["Policy"]["Arn"]
    for number in range(2, 6):
        made = iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy(f"s3:Get{number}"), SetAsDefault=True)["PolicyVersion"]
        assert made["VersionId"] == f"v{number}" and made["IsDefaultVersion"]
    assert code(lambda: iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("s3:*"))) == "LimitExceeded"
    assert code(lambda: iam.delete_policy_version(PolicyArn=arn, VersionId="v5")) == "DeleteConflict"
    iam.set_default_policy_version(PolicyArn=arn, VersionId="v1")
    iam.delete_policy_version(PolicyArn=arn, VersionId="v5")
    assert iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("s3:*"))["PolicyVersion"]["VersionId"] == "v6"
    assert iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"] == "v1"
    document = iam.get_policy_version(PolicyArn=arn, VersionId="v1")["PolicyVersion"]["Document"]
    assert document["Statement"][0]["Action"] == ["s3:ListAllMyBuckets"]


def test_what_is_in_use_is_not_deleted(iam):
    iam.create_user(UserName="used")
    iam.create_group(GroupName="used")
    iam.add_user_to_group(UserName="used", GroupName="used")
    arn = iam.create_policy(PolicyName="used", PolicyDocument=policy("s3:*"))["Policy"]["Arn"]
    iam.attach_group_policy(GroupName="used", PolicyArn=arn)
    iam.create_role(RoleName="used", AssumeRolePolicyDocument=EC2_TRUST)
    iam.create_instance_profile(InstanceProfileName="used")
    iam.add_role_to_instance_profile(InstanceProfileName="used", RoleName="used")
    for call in [lambda: iam.delete_user(UserName="used"), lambda: iam.delete_group(GroupName="used"), lambda: iam.delete_policy(PolicyArn=arn),
                 lambda: iam.delete_role(RoleName="used"), lambda: iam.delete_instance_profile(InstanceProfileName="used")]:
        assert code(call) == "DeleteConflict"
    assert code(lambda: iam.add_role_to_instance_profile(InstanceProfileName="used", RoleName="used")) == "LimitExceeded"
    iam.remove_role_from_instance_profile(InstanceProfileName="used", RoleName="used")
    iam.delete_instance_profile(InstanceProfileName="used")
    iam.delete_role(RoleName="used")
    iam.detach_group_policy(GroupName="used", PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)
    iam.remove_user_from_group(UserName="used", GroupName="used")
    iam.delete_group(GroupName="used")
    iam.delete_user(UserName="used")
    assert code(lambda: iam.get_user(UserName="used")) == "NoSuchEntity"


def test_a_group_gives_its_users_rights_and_takes_them_away(region, iam):
    iam.create_user(UserName="gina")
    iam.create_group(GroupName="listers")
    iam.put_group_policy(GroupName="listers", PolicyName="p", PolicyDocument=policy("s3:ListAllMyBuckets"))
    key = iam.create_access_key(UserName="gina")["AccessKey"]
    s3 = region.boto("s3", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    assert code(s3.list_buckets) == "AccessDenied"
    iam.add_user_to_group(UserName="gina", GroupName="listers")
    s3.list_buckets()
    assert [u["UserName"] for u in iam.get_group(GroupName="listers")["Users"]] == ["gina"]
    answers = iam.simulate_principal_policy(PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/gina", ActionNames=["s3:ListAllMyBuckets", "ec2:RunInstances"])
    assert [a["EvalDecision"] for a in answers["EvaluationResults"]] == ["allowed", "implicitDeny"]
    iam.put_user_policy(UserName="gina", PolicyName="no", PolicyDocument=policy("s3:*", effect="Deny"))
    assert code(s3.list_buckets) == "AccessDenied"
    iam.delete_user_policy(UserName="gina", PolicyName="no")
    iam.remove_user_from_group(UserName="gina", GroupName="listers")
    assert code(s3.list_buckets) == "AccessDenied"


def test_keys_rotate(region, iam):
    iam.create_user(UserName="rota")
    iam.put_user_policy(UserName="rota", PolicyName="p", PolicyDocument=policy("s3:ListAllMyBuckets"))
    old, new = (iam.create_access_key(UserName="rota")["AccessKey"] for _ in range(2))
    assert code(lambda: iam.create_access_key(UserName="rota")) == "LimitExceeded"

    def client(key):
        return region.boto("s3", aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])
    client(old).list_buckets()
    iam.update_access_key(UserName="rota", AccessKeyId=old["AccessKeyId"], Status="Inactive")
    assert code(client(old).list_buckets) == "InvalidAccessKeyId"
    client(new).list_buckets()
    iam.delete_access_key(UserName="rota", AccessKeyId=old["AccessKeyId"])
    assert [k["AccessKeyId"] for k in iam.list_access_keys(UserName="rota")["AccessKeyMetadata"]] == [new["AccessKeyId"]]
    used = iam.get_access_key_last_used(AccessKeyId=new["AccessKeyId"])
    assert used["UserName"] == "rota" and used["AccessKeyLastUsed"]["ServiceName"] == "s3"


def test_the_cli_pages_and_filters(region, iam):
    for number in range(7):
        iam.create_user(UserName=f"page-{number}", Path="/paged/")
    first = region.aws("iam", "list-users", "--path-prefix", "/paged/", "--max-items", "3", "--page-size", "2")
    assert [u["UserName"] for u in first["Users"]] == ["page-0", "page-1", "page-2"] and first["NextToken"]
    rest = region.aws("iam", "list-users", "--path-prefix", "/paged/", "--starting-token", first["NextToken"], "--page-size", "2",
                      "--query", "Users[].UserName", "--output", "text")
    assert rest.split() == ["page-3", "page-4", "page-5", "page-6"]
    assert iam.get_account_summary()["SummaryMap"]["Users"] >= 7
    assert code(lambda: iam.list_users(Marker="forged")) == "ValidationError"


BAD_NAMES = [("too long", "x" * 65, "ValidationError"), ("space", "a b", "ValidationError"), ("slash", "a/b", "ValidationError"),
             ("unicode", "日本", "ValidationError"), ("taken in other case", "PAGE-CASE", "EntityAlreadyExists")]


@pytest.mark.parametrize("label, name, expected", BAD_NAMES, ids=[b[0] for b in BAD_NAMES])
def test_bad_user_names(iam, label, name, expected):
    if expected == "EntityAlreadyExists":
        iam.create_user(UserName=name.lower())
    assert code(lambda: iam.create_user(UserName=name)) == expected


BAD_POLICIES = [("no json", "{bad", "line 1"), ("unknown element", '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Actions":"x","Resource":"*"}]}', "Actions"),
                ("effect", '{"Version":"2012-10-17","Statement":[{"Effect":"Maybe","Action":"s3:*","Resource":"*"}]}', "Effect"),
                ("principal", '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}]}', "rincipal"),
                ("version", '{"Version":"2020-01-01","Statement":[]}', ""), ("no action", '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Resource":"*"}]}', "actions"),
                ("list", "[]", "")]


@pytest.mark.parametrize("label, document, words", BAD_POLICIES, ids=[b[0] for b in BAD_POLICIES])
def test_malformed_policies_are_named(iam, label, document, words):
    with pytest.raises(iam.exceptions.MalformedPolicyDocumentException) as problem:
        iam.create_policy(PolicyName="malformed", PolicyDocument=document)
    assert words in problem.value.response["Error"]["Message"]


def test_a_cli_profile_assumes_a_role(region, iam, tmp_path):
    trust = EC2_TRUST.replace('"Service": "ec2.amazonaws.com"', f'"AWS": "arn:aws:iam::{ACCOUNT}:root"')
    iam.create_role(RoleName="auditor", AssumeRolePolicyDocument=trust, MaxSessionDuration=3600)
    iam.attach_role_policy(RoleName="auditor", PolicyArn="arn:aws:iam::aws:policy/ReadOnlyAccess")
    (tmp_path / "config").write_text(
        f"[profile audit]\nrole_arn = arn:aws:iam::{ACCOUNT}:role/auditor\nsource_profile = base\nrole_session_name = tester\nregion = eu-west-3\n")
    (tmp_path / "credentials").write_text(
        f"[base]\naws_access_key_id = {region.environment['AWS_ACCESS_KEY_ID']}\naws_secret_access_key = {region.environment['AWS_SECRET_ACCESS_KEY']}\n")
    env = region.env(AWS_CONFIG_FILE=str(tmp_path / "config"), AWS_SHARED_CREDENTIALS_FILE=str(tmp_path / "credentials"), HOME=str(tmp_path),
                     AWS_PROFILE="audit")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        env.pop(name)
    assert region.aws("sts", "get-caller-identity", env=env)["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/auditor/tester"
    assert region.aws("iam", "get-role", "--role-name", "auditor", env=env)["Role"]["RoleName"] == "auditor"
    assert "AccessDenied" in region.aws_error("iam", "delete-role", "--role-name", "auditor", env=env)


def race(call, times: int = 12) -> dict[str, int]:
    def one(index: int) -> str:
        try:
            call(index)
            return "ok"
        except botocore.exceptions.ClientError as problem:
            return problem.response["Error"]["Code"]
    with ThreadPoolExecutor(times) as pool:
        results = list(pool.map(one, range(times)))
    return {result: results.count(result) for result in results}


def test_of_racing_calls_one_wins(region, iam):
    assert race(lambda _: iam.create_user(UserName="raced")) == {"ok": 1, "EntityAlreadyExists": 11}
    assert race(lambda _: iam.create_access_key(UserName="raced")) == {"ok": 2, "LimitExceeded": 10}
    arn = iam.create_policy(PolicyName="raced", PolicyDocument=policy("s3:*"))["Policy"]["Arn"]
    assert race(lambda _: iam.create_policy_version(PolicyArn=arn, PolicyDocument=policy("s3:*"))) == {"ok": 4, "LimitExceeded": 8}


def open_url(url: str, method: str = "GET", data: bytes | None = None) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method, data=data), timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as problem:
        return problem.code, problem.read().decode()


def test_presigned_urls_are_good_for_what_they_say_and_no_longer(region):
    s3 = region.boto("s3", config={"signature_version": "s3v4"})
    s3.create_bucket(Bucket="presigned")
    s3.put_object(Bucket="presigned", Key="mine", Body=b"mine")
    s3.put_object(Bucket="presigned", Key="other", Body=b"other")

    def link(seconds: int = 60, method: str = "get_object") -> str:
        return s3.generate_presigned_url(method, {"Bucket": "presigned", "Key": "mine"}, ExpiresIn=seconds)
    short = link(1)
    good = link()
    assert open_url(good) == (200, "mine")
    for wrong in [good.replace("/mine", "/other"), good.replace("Expires=60", "Expires=6000"), good + "&response-content-type=text%2Fhtml",
                  good.replace("us-east-1", "eu-west-1")]:
        assert wrong != good
        status, text = open_url(wrong)
        assert status == 403 and "SignatureDoesNotMatch" in text, text
    assert open_url(good, "PUT", b"no")[0] == 403 and open_url(good, "DELETE")[0] == 403
    status, text = open_url(re.sub("&X-Amz-Signature=[^&]*", "", good))
    assert status == 400 and "AuthorizationQueryParametersError" in text
    assert "AuthorizationQueryParametersError" in open_url(link(604_801))[1]
    assert open_url(link(method="put_object"), "PUT", b"written")[0] == 200 and open_url(good) == (200, "written")
    time.sleep(1.1)
    status, text = open_url(short)
    assert status == 403 and "Request has expired" in text
    sts = region.boto("sts").generate_presigned_url("get_caller_identity", HttpMethod="GET", ExpiresIn=60)
    assert f"arn:aws:iam::{ACCOUNT}:root" in open_url(sts)[1]


def signed(region, service: str, body: bytes, headers: dict, path: str = "/", method: str = "POST") -> tuple[int, str]:
    from botocore.auth import S3SigV4Auth, SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials
    keys = Credentials(region.environment["AWS_ACCESS_KEY_ID"], region.environment["AWS_SECRET_ACCESS_KEY"])
    request = AWSRequest(method=method, url=region.url + path, data=body, headers=headers)
    (S3SigV4Auth if service == "s3" else SigV4Auth)(keys, service, "us-east-1").add_auth(request)
    connection = http.client.HTTPConnection("127.0.0.1", region.port, timeout=30)
    connection.request(method, path, body=body, headers={**dict(request.headers), "Host": urllib.parse.urlsplit(region.url).netloc})
    answer = connection.getresponse()
    try:
        return answer.status, answer.read().decode()
    finally:
        connection.close()


JSON = {"X-Amz-Target": "CodeDeploy_20141006.ListApplications", "Content-Type": "application/x-amz-json-1.1"}
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
IAM = b"Version=2010-05-08&"
WRONG = [
    ("json cut", "codedeploy", b"{", JSON, 400, "SerializationException"),
    ("json list", "codedeploy", b"[]", JSON, 400, "SerializationException"),
    ("json type", "codedeploy", b'{"nextToken":5}', JSON, 400, "nextToken"),
    ("json deep", "codedeploy", b"[" * 100_000, JSON, 400, "nesting"),
    ("json surrogate", "codedeploy", b'{"nextToken":"\\ud800"}', JSON, 400, "surrogate"),
    ("json 11 MiB", "codedeploy", b'{"nextToken":"' + b"a" * (11 << 20) + b'"}', JSON, 413, "10485760"),
    ("json operation", "codedeploy", b"{}", {**JSON, "X-Amz-Target": "CodeDeploy_20141006.Banana"}, 400, "UnknownOperationException"),
    ("json service", "codedeploy", b"{}", {**JSON, "X-Amz-Target": "Banana_1.List"}, 400, "not part of this"),
    ("scope", "iam", b"{}", JSON, 400, "scoped to correct service"),
    ("query nothing", "iam", b"", FORM, 400, "MissingAction"),
    ("query operation", "iam", IAM + b"Action=Banana", FORM, 400, "InvalidAction"),
    ("query number", "iam", IAM + b"Action=ListUsers&MaxItems=x", FORM, 400, "MaxItems"),
    ("query big number", "iam", IAM + b"Action=ListUsers&MaxItems=99999999999999999999", FORM, 400, "MaxItems"),
    ("query utf-8", "iam", IAM + b"Action=ListUsers&Marker=%ff%fe", FORM, 400, "UTF-8"),
    ("query missing", "iam", IAM + b"Action=CreateUser", FORM, 400, "userName"),
    ("query 11 MiB", "iam", IAM + b"Action=ListUsers&x=" + b"a" * (11 << 20), FORM, 413, "RequestEntityTooLarge"),
    ("ec2 bool", "ec2", b"Action=DescribeInstances&Version=2016-11-15&DryRun=maybe", FORM, 400, "DryRun"),
    ("ec2 missing", "ec2", b"Action=RunInstances&Version=2016-11-15", FORM, 400, "MissingParameter"),
]


@pytest.mark.parametrize("label, service, body, headers, status, words", WRONG, ids=[w[0] for w in WRONG])
def test_signed_nonsense_gets_the_protocols_error(region, label, service, body, headers, status, words):
    found, text = signed(region, service, body, headers)
    assert (found, words in text) == (status, True), text[:400]


WRONG_XML = [
    ("cut", "?tagging", b"<a>", "MalformedXML"), ("entity", "?versioning", b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><a>&x;</a>', "MalformedXML"),
    ("deep", "?tagging", b"<a>" * 5000, "MalformedXML"), ("root", "?acl", b"<x/>", "MalformedXML"), ("empty", "?tagging", b"", "MissingRequestBodyError"),
    ("enum", "?versioning", b"<VersioningConfiguration><Status>Maybe</Status></VersioningConfiguration>", "MalformedXML"),
    ("policy", "?policy", b"{", "MalformedPolicy"), ("absent", "?website", b"<WebsiteConfiguration/>", "not available"),
]


@pytest.mark.parametrize("label, query, body, words", WRONG_XML, ids=[w[0] for w in WRONG_XML])
def test_malformed_xml_is_refused(region, label, query, body, words):
    region.boto("s3").create_bucket(Bucket="wrong-xml")
    status, text = signed(region, "s3", body, {}, f"/wrong-xml{query}", "PUT")
    assert status == 400 and words in text, text
    assert "root:" not in text


def test_no_secret_in_the_audit_log_the_store_or_a_log(region, iam):
    iam.create_user(UserName="hush")
    made = iam.create_access_key(UserName="hush")["AccessKey"]
    session = region.boto("sts").get_session_token()["Credentials"]
    iam.create_login_profile(UserName="hush", Password="Pass-word-9-unheard-of")
    secrets = [made["SecretAccessKey"], session["SecretAccessKey"], session["SessionToken"], "Pass-word-9-unheard-of"]
    region.boto("s3").list_buckets()
    import os
    loose, found = [], []
    for base, folders, files in os.walk(region.home):
        folders[:] = [f for f in folders if f not in ("images", "upper", "layers", "root")]
        for name in files:
            path = os.path.join(base, name)
            data = open(path, "rb").read()
            found += [(path, s[:4]) for s in secrets if s.encode() in data]
            if os.stat(path).st_mode & 0o077 and any(word in name for word in ("key", "pem", "access", "jsonl")):
                loose.append(path)
    assert not found and not loose
    assert os.stat(region.home).st_mode & 0o077 == 0
