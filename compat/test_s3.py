"""S3 through the aws CLI, boto3 and curl."""
import hashlib
import os
import subprocess
import threading
import urllib.request

import botocore.exceptions
import pytest


@pytest.fixture(scope="module")
def s3(region):
    client = region.boto("s3")
    client.create_bucket(Bucket="things")
    return client


def code(call) -> str:
    with pytest.raises(botocore.exceptions.ClientError) as problem:
        call()
    return problem.value.response["Error"]["Code"]


def test_cli_copy_list_remove(region, tmp_path):
    folder = tmp_path / "tree"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.txt").write_text("a")
    (folder / "deep" / "b c+ü.txt").write_text("b")
    region.aws("s3", "mb", "s3://cli")
    region.aws("s3", "sync", str(folder), "s3://cli/tree")
    listed = region.aws("s3", "ls", "s3://cli", "--recursive")
    assert "tree/a.txt" in listed and "b c+ü.txt" in listed
    region.aws("s3", "sync", "s3://cli/tree", str(tmp_path / "back"))
    assert (tmp_path / "back" / "deep" / "b c+ü.txt").read_text() == "b"
    assert "BucketNotEmpty" in region.aws_error("s3", "rb", "s3://cli")
    region.aws("s3", "rb", "s3://cli", "--force")
    assert "NoSuchBucket" in region.aws_error("s3", "ls", "s3://cli")


def test_large_objects_go_in_parts_and_come_back_whole(region, s3, tmp_path):
    path = tmp_path / "big"
    path.write_bytes(os.urandom(1 << 20) * 20)
    region.aws("s3", "cp", str(path), "s3://things/big")
    assert s3.head_object(Bucket="things", Key="big")["ETag"].endswith('-3"')
    region.aws("s3", "cp", "s3://things/big", str(tmp_path / "back"))
    assert hashlib.sha256(path.read_bytes()).digest() == hashlib.sha256((tmp_path / "back").read_bytes()).digest()


def test_ranges_and_conditions(s3):
    put = s3.put_object(Bucket="things", Key="r", Body=b"0123456789")
    assert put["ETag"] == '"781e5e245d69b566979b86e28d23f2c7"'
    answer = s3.get_object(Bucket="things", Key="r", Range="bytes=2-4")
    assert answer["Body"].read() == b"234" and answer["ContentRange"] == "bytes 2-4/10"
    assert s3.get_object(Bucket="things", Key="r", Range="bytes=-3")["Body"].read() == b"789"
    assert code(lambda: s3.get_object(Bucket="things", Key="r", Range="bytes=50-60")) == "InvalidRange"
    assert code(lambda: s3.get_object(Bucket="things", Key="r", IfNoneMatch=put["ETag"])) == "304"
    assert code(lambda: s3.get_object(Bucket="things", Key="r", IfMatch='"x"')) == "PreconditionFailed"
    assert code(lambda: s3.put_object(Bucket="things", Key="r", Body=b"n", IfNoneMatch="*")) == "PreconditionFailed"
    assert code(lambda: s3.get_object(Bucket="things", Key="none")) == "NoSuchKey"


def test_a_connection_goes_on_after_an_empty_object(region):
    s3 = region.boto("s3", config={"read_timeout": 10, "max_pool_connections": 1})
    for n in (0, 1, 0, 5000, 0, 1):
        s3.put_object(Bucket="things", Key="sizes", Body=b"x" * n)
        assert s3.head_object(Bucket="things", Key="sizes")["ContentLength"] == n


# "hello world"; this boto3 computes some of them only with an extra package, so they are given.
CHECKSUMS = {"CRC32": "DUoRhQ==", "CRC32C": "yZRlqg==", "CRC64NVME": "jSnVw/bqjr4=", "SHA1": "Kq5sNclPz7QV2+lfQIuc6R7oRu0=",
             "SHA256": "uU0nuZNNPgilLlLX2n2r+sSE7+N6U4DukIj3rOLvzek="}


@pytest.mark.parametrize("algorithm", CHECKSUMS)
def test_checksums_are_verified_and_returned(s3, algorithm):
    put = s3.put_object(Bucket="things", Key=algorithm, Body=b"hello world", **{f"Checksum{algorithm}": CHECKSUMS[algorithm]})
    assert code(lambda: s3.put_object(Bucket="things", Key="wrong", Body=b"hello worle", **{f"Checksum{algorithm}": CHECKSUMS[algorithm]})) == "BadDigest"
    name = f"Checksum{algorithm}"
    assert put[name] == s3.head_object(Bucket="things", Key=algorithm, ChecksumMode="ENABLED")[name]
    assert s3.get_object(Bucket="things", Key=algorithm, ChecksumMode="ENABLED")["Body"].read() == b"hello world"


def test_a_wrong_checksum_leaves_nothing(s3):
    assert code(lambda: s3.put_object(Bucket="things", Key="bad", Body=b"hello", ChecksumCRC32="AAAAAA==")) == "BadDigest"
    assert code(lambda: s3.head_object(Bucket="things", Key="bad")) == "404"


def test_versions(region):
    s3 = region.boto("s3")
    s3.create_bucket(Bucket="versioned")
    s3.put_bucket_versioning(Bucket="versioned", VersioningConfiguration={"Status": "Enabled"})
    ids = [s3.put_object(Bucket="versioned", Key="k", Body=str(n).encode())["VersionId"] for n in range(3)]
    marker = s3.delete_object(Bucket="versioned", Key="k")
    assert marker["DeleteMarker"] and code(lambda: s3.get_object(Bucket="versioned", Key="k")) == "NoSuchKey"
    assert s3.get_object(Bucket="versioned", Key="k", VersionId=ids[1])["Body"].read() == b"1"
    s3.delete_object(Bucket="versioned", Key="k", VersionId=marker["VersionId"])
    assert s3.get_object(Bucket="versioned", Key="k")["Body"].read() == b"2"
    assert [v["VersionId"] for v in s3.list_object_versions(Bucket="versioned")["Versions"]] == ids[::-1]


def test_listing_pages_and_folders(s3):
    for n in range(25):
        s3.put_object(Bucket="things", Key=f"list/{n % 5}/{n:02}", Body=b"")
    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket="things", Prefix="list/", PaginationConfig={"PageSize": 7}))
    assert sum(len(p.get("Contents", [])) for p in pages) == 25 and len(pages) == 4
    folders = s3.list_objects_v2(Bucket="things", Prefix="list/", Delimiter="/")["CommonPrefixes"]
    assert [f["Prefix"] for f in folders] == [f"list/{n}/" for n in range(5)]


@pytest.mark.parametrize("version", ["s3", "s3v4"])
def test_presigned_urls(region, s3, version):
    client = region.boto("s3", config={"signature_version": version})
    s3.put_object(Bucket="things", Key="p q+r", Body=b"presigned")
    url = client.generate_presigned_url("get_object", Params={"Bucket": "things", "Key": "p q+r"}, ExpiresIn=60)
    assert urllib.request.urlopen(url).read() == b"presigned"
    put = client.generate_presigned_url("put_object", Params={"Bucket": "things", "Key": "up"}, ExpiresIn=60)
    done = subprocess.run(["curl", "-sS", "-f", "-X", "PUT", "--data-binary", "by curl", "-H", "Content-Type:", put], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert s3.get_object(Bucket="things", Key="up")["Body"].read() == b"by curl"
    done = subprocess.run(["curl", "-sS", "-o", "/dev/null", "-w", "%{http_code}", url.replace("things", "thinks")], capture_output=True, text=True)
    assert done.stdout == "403"


def test_parallel_writers_leave_one_whole_object(region, s3):
    def write(n):
        region.boto("s3").put_object(Bucket="things", Key="raced", Body=bytes([n]) * 50_000)
    threads = [threading.Thread(target=write, args=(n,)) for n in range(16)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    body = s3.get_object(Bucket="things", Key="raced")["Body"].read()
    assert len(body) == 50_000 and len(set(body)) == 1


def test_exotic_keys_come_back(s3):
    keys = ["a//b", "../x", ".", "ends/", "sp ace", "plus+", "per%cent", "ü/ß", "q?m", "amp&", "new\nline", "<xml>", "'q\"", "~", "=", ";"]
    for key in keys:
        s3.put_object(Bucket="things", Key="odd/" + key, Body=key.encode())
    for key in keys:
        assert s3.get_object(Bucket="things", Key="odd/" + key)["Body"].read() == key.encode(), key
    listed = [o["Key"] for o in s3.list_objects_v2(Bucket="things", Prefix="odd/")["Contents"]]
    assert sorted(listed) == sorted("odd/" + k for k in keys)


@pytest.mark.soak
def test_a_gibibyte_streams_with_flat_memory(region, s3, tmp_path):
    path = tmp_path / "gib"
    with open(path, "wb") as out:
        block = os.urandom(1 << 20)
        for _ in range(1024):
            out.write(block)

    def peak():
        return int(next(line.split()[1] for line in open(f"/proc/{region.process.pid}/status") if line.startswith("VmHWM")))
    before = peak()
    region.aws("s3", "cp", str(path), "s3://things/gib", timeout=600)
    with open(path, "rb") as body:
        s3.put_object(Bucket="things", Key="gib-single", Body=body)
    region.aws("s3", "cp", "s3://things/gib-single", str(tmp_path / "back"), timeout=600)
    assert os.path.getsize(tmp_path / "back") == 1 << 30
    assert peak() - before < 200_000, f"{(peak() - before) // 1024} MiB more at the peak"
