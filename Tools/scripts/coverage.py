"""Writes docs/coverage.md from Models/*/operations.txt and the installed botocore."""
import json
import pathlib

import botocore.session

root = pathlib.Path(__file__).resolve().parents[2]
loader = botocore.session.get_session().get_component("data_loader")
rows, lists = [], []
for service in ["iam", "sts", "s3", "ec2", "codedeploy"]:
    lines = (root / "Models" / service / "operations.txt").read_text().splitlines()
    listed = [line.strip() for line in lines if line.strip() and not line.startswith("#")]
    total = len(loader.load_service_model(service, "service-2")["operations"])
    rows.append(f"| {service} | {len(listed)} | {total} |")
    lists.append(f"## {service}\n\n" + ", ".join(listed) + "\n")
(root / "docs" / "coverage.md").write_text(
    "# Operations\n\nWhat this region carries out. Every other operation of these services is answered with its protocol's proper error\n"
    "(`UnsupportedOperation`, HTTP 400), never with an empty success. Written by `Tools/scripts/coverage.py`; a test compares it with the code.\n\n"
    "| service | operations here | in the model |\n|---|---|---|\n" + "\n".join(rows) + "\n\n"
    "CodeDeploy's agents are served by `CodeDeployCommandService_v20141006` and `CodeDeployCommandService`: PollHostCommand,\n"
    "GetDeploymentSpecification, PutHostCommandAcknowledgement, PutHostCommandComplete, PostHostCommandUpdate.\n\n"
    + "\n".join(lists))
