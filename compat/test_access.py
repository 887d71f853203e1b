"""Every call is signed and authorised, and says why when it is not."""
import json

import botocore.exceptions
import pytest
from harness import EC2_TRUST


def code(call) -> str:
    with pytest.raises(botocore.exceptions.ClientError) as problem:
        call()
    return problem.value.response["Error"]["Code"]


def test_unknown_key_and_wrong_secret_by_protocol(region):
    stranger = dict(aws_access_key_id="AKIAZZZZZZZZZZZZZZZZ", aws_secret_access_key="x" * 40)
    assert code(region.boto("sts", **stranger).get_caller_identity) == "InvalidClientTokenId"
    assert code(region.boto("codedeploy", **stranger).list_applications) == "UnrecognizedClientException"
    assert code(region.boto("s3", **stranger).list_buckets) == "InvalidAccessKeyId"
    assert code(region.boto("ec2", **stranger).describe_instances) == "AuthFailure"
    wrong = dict(aws_secret_access_key="x" * 40)
    assert code(region.boto("sts", **wrong).get_caller_identity) == "SignatureDoesNotMatch"
    assert code(region.boto("codedeploy", **wrong).list_applications) == "InvalidSignatureException"
    assert code(region.boto("s3", **wrong).list_buckets) == "SignatureDoesNotMatch"


def user(region, name: str, *statements) -> dict:
    region.aws("iam", "create-user", "--user-name", name)
    if statements:
        region.aws("iam", "put-user-policy", "--user-name", name, "--policy-name", "p", "--policy-document",
                   json.dumps({"Version": "2012-10-17", "Statement": list(statements)}))
    key = region.aws("iam", "create-access-key", "--user-name", name)["AccessKey"]
    return dict(aws_access_key_id=key["AccessKeyId"], aws_secret_access_key=key["SecretAccessKey"])


def test_a_user_may_what_its_policies_say_and_no_more(region):
    region.aws("s3", "mb", "s3://shared")
    region.boto("s3").put_object(Bucket="shared", Key="open/a", Body=b"1")
    region.boto("s3").put_object(Bucket="shared", Key="closed/b", Body=b"2")
    ann = user(region, "ann", {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::shared/*"},
               {"Effect": "Deny", "Action": "s3:*", "Resource": "arn:aws:s3:::shared/closed/*"})
    s3 = region.boto("s3", **ann)
    assert s3.get_object(Bucket="shared", Key="open/a")["Body"].read() == b"1"
    assert code(lambda: s3.get_object(Bucket="shared", Key="closed/b")) == "AccessDenied"
    assert code(lambda: s3.put_object(Bucket="shared", Key="open/a", Body=b"3")) == "AccessDenied"
    with pytest.raises(botocore.exceptions.ClientError) as problem:
        region.boto("codedeploy", **ann).list_applications()
    error = problem.value.response["Error"]
    assert error["Code"] == "AccessDeniedException"
    assert "user/ann" in error["Message"] and "codedeploy:ListApplications" in error["Message"]
    assert code(region.boto("iam", **ann).list_users) == "AccessDenied"
    assert code(region.boto("ec2", **ann).describe_instances) == "UnauthorizedOperation"


def test_pass_role_is_asked_for(region):
    region.aws("iam", "create-role", "--role-name", "passed", "--assume-role-policy-document", EC2_TRUST.replace("ec2.", "codedeploy."))
    bob = user(region, "bob", {"Effect": "Allow", "Action": "codedeploy:*", "Resource": "*"})
    deploy = region.boto("codedeploy", **bob)
    deploy.create_application(applicationName="bobs")
    arn = "arn:aws:iam::123456789012:role/passed"
    assert code(lambda: deploy.create_deployment_group(applicationName="bobs", deploymentGroupName="g", serviceRoleArn=arn)) == "AccessDeniedException"
    region.aws("iam", "put-user-policy", "--user-name", "bob", "--policy-name", "pass", "--policy-document", json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "iam:PassRole", "Resource": arn}]}))
    assert deploy.create_deployment_group(applicationName="bobs", deploymentGroupName="g", serviceRoleArn=arn)["deploymentGroupId"]


def test_assume_role_and_session_limits(region):
    trust = json.dumps({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Principal": {"AWS": "arn:aws:iam::123456789012:root"}, "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:ExternalId": "secret-word"}}}]})
    region.aws("iam", "create-role", "--role-name", "reader", "--assume-role-policy-document", trust)
    region.aws("iam", "put-role-policy", "--role-name", "reader", "--policy-name", "p", "--policy-document", json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}]}))
    carl = user(region, "carl", {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"})
    sts = region.boto("sts", **carl)
    arn = "arn:aws:iam::123456789012:role/reader"
    assert code(lambda: sts.assume_role(RoleArn=arn, RoleSessionName="tester")) == "AccessDenied"
    session = sts.assume_role(RoleArn=arn, RoleSessionName="tester", ExternalId="secret-word")["Credentials"]
    keys = dict(aws_access_key_id=session["AccessKeyId"], aws_secret_access_key=session["SecretAccessKey"], aws_session_token=session["SessionToken"])
    assert region.boto("sts", **keys).get_caller_identity()["Arn"] == "arn:aws:sts::123456789012:assumed-role/reader/tester"
    region.boto("s3", **keys).list_buckets()
    assert code(region.boto("codedeploy", **keys).list_applications) == "AccessDeniedException"
    tampered = {**keys, "aws_session_token": keys["aws_session_token"][:-4] + "AAAA"}
    assert code(region.boto("sts", **tampered).get_caller_identity) in ("InvalidClientTokenId", "ExpiredToken")


def test_skewed_clock_is_refused(region, monkeypatch):
    import datetime
    import botocore.auth
    real = botocore.auth.get_current_datetime if hasattr(botocore.auth, "get_current_datetime") else None
    if real is None:
        pytest.skip("this botocore has no clock to move")
    monkeypatch.setattr(botocore.auth, "get_current_datetime", lambda *a, **k: real(*a, **k) - datetime.timedelta(minutes=30))
    assert code(region.boto("sts").get_caller_identity) == "SignatureDoesNotMatch"
    assert code(region.boto("s3").list_buckets) == "RequestTimeTooSkewed"


def test_unlisted_operations_are_refused_by_name(region):
    for client, call in [("ec2", "describe_key_pairs"), ("codedeploy", "list_git_hub_account_token_names"), ("iam", "list_virtual_mfa_devices")]:
        with pytest.raises(botocore.exceptions.ClientError) as problem:
            getattr(region.boto(client), call)()
        assert "not available" in problem.value.response["Error"]["Message"]
    assert code(lambda: region.boto("s3").select_object_content(
        Bucket="b", Key="k", Expression="select 1", ExpressionType="SQL", InputSerialization={"CSV": {}}, OutputSerialization={"CSV": {}})) \
        in ("NotImplemented", "UnsupportedOperation")
