#!/usr/bin/env python3
"""Generates the typed face and the trimmed wire model of each AWS service.

Input:  Models/<service>/operations.txt (the operations this region offers, one a line, `#` begins a comment) and the service's
        model: Models/<service>/service-2.json when it exists (services that AWS does not publish), else the installed botocore's.
Output: Sources/Services/<Module>/Generated/<Name>{Model,Fields,Enums,Errors,API}.swift, checked in.

  shapegen.py                  every service
  shapegen.py codedeploy s3    only these
  shapegen.py --check [...]    writes nothing; exits 1 and names the files when the checked-in output is stale
"""

import gzip
import json
import pathlib
import sys

import naming

ROOT = pathlib.Path(__file__).resolve().parents[2]
BOTOCORE = "1.43.11"

# service -> (Swift name, module). Order matters inside a module: a later service's types are prefixed when an earlier one has the name.
SERVICES = {
  "iam": ("IAM", "IdentityService"),
  "sts": ("STS", "IdentityService"),
  "s3": ("S3", "ObjectStorageService"),
  "ec2": ("EC2", "EC2Service"),
  "codedeploy": ("CodeDeploy", "CodeDeployService"),
  "codedeploy-commands": ("CodeDeployCommands", "CodeDeployService"),
}

METADATA = [
  "apiVersion", "awsQueryCompatible", "endpointPrefix", "globalEndpoint", "jsonVersion", "protocol", "protocols", "serviceFullName",
  "serviceId", "signingName", "targetPrefix", "xmlNamespace",
]
SHAPE_TRAITS = [
  "type", "required", "member", "key", "value", "enum", "min", "max", "pattern", "flattened", "payload", "locationName", "xmlNamespace",
  "timestampFormat", "exception", "fault", "error", "union", "document", "streaming", "sensitive", "eventstream", "event", "synthetic",
]
MEMBER_TRAITS = [
  "shape", "location", "locationName", "queryName", "flattened", "xmlAttribute", "xmlNamespace", "timestampFormat", "streaming",
  "idempotencyToken", "jsonvalue", "hostLabel", "eventpayload", "eventheader", "box",
]
OPERATION_TRAITS = ["http", "input", "output", "errors", "authtype", "auth", "unsignedPayload", "httpChecksum", "httpChecksumRequired", "endpoint", "deprecated"]


# Enumerations that are not held to AWS's list: any region name has a region here.
OPEN_ENUMS = {"s3": {"BucketLocationConstraint"}}


class Failure(Exception):
  pass


def load_model(service):
  own = ROOT / "Models" / service / "service-2.json"
  if own.exists():
    return json.loads(own.read_text()), "hand-written from the public client's requests"
  try:
    import botocore
  except ImportError:
    raise Failure(f"botocore {BOTOCORE} is needed and not installed: run `make setup`, or pip install botocore=={BOTOCORE}") from None
  if botocore.__version__ != BOTOCORE:
    raise Failure(f"botocore {BOTOCORE} is needed, {botocore.__version__} is installed: pip install botocore=={BOTOCORE}")
  folder = pathlib.Path(botocore.__path__[0]) / "data" / service
  version = max(p.name for p in folder.iterdir() if list(p.glob("service-2.json*")))
  plain, packed = folder / version / "service-2.json", folder / version / "service-2.json.gz"
  text = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
  return json.loads(text), f"from botocore {BOTOCORE} (Apache License 2.0)"


def listed_operations(service, model):
  path = ROOT / "Models" / service / "operations.txt"
  names = []
  for number, line in enumerate(path.read_text().splitlines(), 1):
    name = line.split("#")[0].strip()
    if not name:
      continue
    if name not in model["operations"]:
      raise Failure(f"{path.relative_to(ROOT)}:{number}: {service} has no operation {name}")
    if name in names:
      raise Failure(f"{path.relative_to(ROOT)}:{number}: {name} is listed twice")
    names.append(name)
  return sorted(names)


def pick(source, keys):
  return {k: source[k] for k in keys if k in source and source[k] not in (False, None)}


def trim_member(ref):
  return pick(ref, MEMBER_TRAITS)


def trim_shape(shape):
  out = pick(shape, SHAPE_TRAITS)
  # A ceiling beyond 64 bits says nothing.
  for key in ("min", "max"):
    if isinstance(out.get(key), int) and abs(out[key]) > 2**62:
      del out[key]
  for key in ("member", "key", "value"):
    if key in out:
      out[key] = trim_member(out[key])
  if "error" in out:
    out["error"] = pick(out["error"], ["code", "httpStatusCode", "senderFault"])
  if shape["type"] == "structure":
    out["members"] = {n: trim_member(m) for n, m in shape.get("members", {}).items()}
  return out


def needs(model, operation):
  """The headers and query keys that tell operations with the same method and path apart, for those without shapes."""
  shape = model["shapes"].get(operation.get("input", {}).get("shape"), {})
  for name in shape.get("required", []):
    member = shape["members"][name]
    if member.get("location") in ("header", "querystring"):
      yield member["location"] + ":" + member["locationName"]


def trim_operation(model, operation, listed):
  if not listed:
    out = {"http": pick(operation["http"], ["method", "requestUri"]), "unlisted": True}
    out |= pick(operation, ["deprecated"])
    required = list(needs(model, operation))
    return out | ({"needs": required} if required else {})
  out = pick(operation, OPERATION_TRAITS)
  for key in ("input", "output"):
    if key in out:
      out[key] = pick(out[key], ["shape", "locationName", "xmlNamespace", "resultWrapper"])
  if "errors" in out:
    out["errors"] = [e["shape"] for e in out["errors"]]
  return out


def references(shape):
  for key in ("member", "key", "value"):
    if key in shape:
      yield shape[key]["shape"]
  for member in shape.get("members", {}).values():
    yield member["shape"]


def reach(model, roots):
  seen, queue = set(), list(roots)
  while queue:
    name = queue.pop()
    if name not in seen:
      seen.add(name)
      queue.extend(references(model["shapes"][name]))
  return seen


def roots_of(model, listed, keys):
  for name in listed:
    for key in keys:
      if key in model["operations"][name]:
        yield model["operations"][name][key]["shape"]


def trimmed(service, model, listed):
  shapes = reach(model, roots_of(model, listed, ("input", "output")))
  exceptions = {n for n, s in model["shapes"].items() if s.get("exception") or s.get("error")}
  shapes |= reach(model, exceptions)
  kept = {n: trim_shape(model["shapes"][n]) for n in sorted(shapes)}
  for name in OPEN_ENUMS.get(service, set()) & shapes:
    kept[name].pop("enum", None)
  return {
    "metadata": pick(model["metadata"], METADATA),
    "operations": {n: trim_operation(model, o, n in listed) for n, o in sorted(model["operations"].items())},
    "shapes": kept,
  }


def one_per_line(document):
  """Compact JSON with one operation or shape a line, so that a change reads well in a diff."""
  def compact(value):
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
  lines = ["{\"metadata\":" + compact(document["metadata"])]
  for section in ("operations", "shapes"):
    lines.append(f",\"{section}\":{{")
    lines.append(",\n".join(f"{compact(k)}:{compact(v)}" for k, v in document[section].items()))
    lines.append("}")
  return "\n".join(lines + ["}"])


class Generator:
  def __init__(self, service):
    self.service = service
    self.name, self.module = SERVICES[service]
    self.model, self.origin = load_model(service)
    self.listed = listed_operations(service, self.model)
    self.shapes = self.model["shapes"]
    self.used = reach(self.model, roots_of(self.model, self.listed, ("input", "output")))
    self.taken = set()
    for other, (_, module) in SERVICES.items():
      if other == service:
        break
      if module == self.module:
        self.taken |= {naming.type_name(n) for n in load_model(other)[0]["shapes"]}

  def header(self, imports):
    lines = [
      f"// Generated by Tools/shapegen {self.origin} and Models/{self.service}/operations.txt. Do not edit: run `make generate`.",
      "// swift-format-ignore-file", "",
    ]
    return "\n".join(lines + [f"import {i}" for i in imports] + ["", ""])

  def type_name(self, shape):
    name = naming.type_name(shape)
    return self.name + name if name in self.taken or name in naming.RESERVED_TYPES else name

  def swift_type(self, ref):
    shape = self.shapes[ref["shape"]]
    kind = shape["type"]
    if shape.get("document") or shape.get("eventstream"):
      return "WireValue"
    if kind == "structure":
      return f"Obj<{self.type_name(ref['shape'])}>"
    if kind == "list":
      return f"[{self.swift_type(shape['member'])}]"
    if kind == "map":
      return f"[String: {self.swift_type(shape['value'])}]"
    if kind == "blob":
      return "ByteStream" if ref.get("streaming") or shape.get("streaming") else "Blob"
    if kind == "string" and "enum" in shape:
      return self.type_name(ref["shape"])
    simple = {"timestamp": "Date", "boolean": "Bool", "float": "Double", "double": "Double", "string": "String", "character": "String"}
    return simple.get(kind, "Int")

  def fields(self):
    out = [self.header(["FoundationEssentials", "RegionKit", "WireModel"])]
    for name in sorted(self.used, key=naming.type_name):
      shape = self.shapes[name]
      if shape["type"] != "structure" or shape.get("document"):
        continue
      swift = self.type_name(name)
      out.append(f"enum {swift} {{}}\n")
      members = shape.get("members", {})
      if not members:
        continue
      out.append(f"extension Field where Shape == {swift} {{\n")
      for member, key in naming.distinct(members, naming.member_key):
        kind = self.swift_type(members[member]) + ("" if member in shape.get("required", []) else "?")
        out.append(f"  static var {key}: Field<{swift}, {kind}> {{ .init(\"{member}\") }}\n")
      out.append("}\n")
    return "".join(out)

  def enums(self):
    out = [self.header(["WireModel"])]
    for name in sorted(self.used, key=naming.type_name):
      shape = self.shapes[name]
      if shape["type"] != "string" or "enum" not in shape:
        continue
      out.append(f"struct {self.type_name(name)}: WireEnum {{\n  let rawValue: String\n")
      out.append("  init(rawValue: String) { self.rawValue = rawValue }\n")
      if len(shape["enum"]) > 150:
        out.append(f"  // {len(shape['enum'])} values, all in the model; too many for constants of their own.\n")
      else:
        for value, key in naming.distinct(shape["enum"], naming.enum_key):
          out.append(f"  static var {key}: Self {{ Self(rawValue: {naming.literal(value)}) }}\n")
      out.append("}\n")
    return "".join(out)

  def errors(self):
    out = [self.header(["RegionKit", "WireModel"])]
    out.append(f"/// The errors that the model of {self.service} declares: `throw {self.name}Errors.someError(\"message\")`.\n")
    out.append(f"enum {self.name}Errors {{\n")
    errors = {n: s for n, s in sorted(self.shapes.items()) if s.get("exception") or s.get("error")}
    for name, key in naming.distinct(errors, naming.member_key):
      shape = errors[name]
      error = shape.get("error", {})
      status = error.get("httpStatusCode", 500 if shape.get("fault") else 400)
      fault = ", fault: .receiver" if shape.get("fault") or status >= 500 else ""
      code = naming.literal(error.get("code", name))
      out.append(f"  static var {key}: ErrorCode {{ ErrorCode({code}, status: {status}{fault}) }}\n")
    out.append("}\n")
    return "".join(out)

  def api(self):
    out = [self.header(["RegionKit", "WireModel"])]
    out.append(f"/// One method per operation that Models/{self.service}/operations.txt lists. A listed operation without a body does not\n")
    out.append("/// compile; an unlisted one is answered from the model with the protocol's \"not implemented\" error.\n")
    out.append(f"protocol {self.name}API: Sendable {{\n")
    table = []
    for name in self.listed:
      operation = self.model["operations"][name]
      method = naming.member_key(name)
      types = [f"Obj<{self.type_name(operation[k]['shape'])}>" if k in operation else "Obj<NoMembers>" for k in ("input", "output")]
      out.append(f"  func {method}(_ input: {types[0]}, _ call: Call) async throws -> {types[1]}\n")
      table.append(f"    table[\"{name}\"] = {{ try await api.{method}(Obj(fields: $0), $1).fields }}\n")
    out.append("}\n\n")
    out.append(f"extension {self.name}Wire {{\n  /// The listed operations by name.\n")
    out.append(f"  static func handlers(_ api: some {self.name}API) -> [String: OperationHandler] {{\n")
    out.append("    var table: [String: OperationHandler] = [:]\n" if table else "    let table: [String: OperationHandler] = [:]\n")
    out.extend(table)
    out.append("    return table\n  }\n}\n")
    return "".join(out)

  def model_file(self):
    text = one_per_line(trimmed(self.service, self.model, set(self.listed)))
    marks = "#"
    while f'"""{marks}' in text or f"\\{marks}" in text:
      marks += "#"
    out = [self.header(["WireModel"])]
    out.append(f"/// What the wire layer knows of {self.service}: every operation's name and place, and the shapes of the listed ones.\n")
    out.append(f"enum {self.name}Wire {{\n  /// Parsed on first use.\n")
    out.append(f"  static let model = ServiceModel(service: \"{self.service}\", generated: json)\n")
    out.append(f"  private static let json = {marks}\"\"\"\n{text}\n\"\"\"{marks}\n}}\n")
    return "".join(out)

  def files(self):
    folder = ROOT / "Sources" / "Services" / self.module / "Generated"
    parts = {"Model": self.model_file, "Fields": self.fields, "Enums": self.enums, "Errors": self.errors, "API": self.api}
    return {folder / f"{self.name}{part}.swift": make() for part, make in parts.items()}


def main(arguments):
  check = "--check" in arguments
  wanted = [a for a in arguments if not a.startswith("-")]
  unknown = [w for w in wanted if w not in SERVICES]
  if unknown:
    raise Failure(f"unknown service {unknown[0]}; known: {', '.join(SERVICES)}")
  stale = []
  for service in wanted or SERVICES:
    for path, text in Generator(service).files().items():
      old = path.read_text() if path.exists() else None
      if old == text:
        continue
      stale.append(path.relative_to(ROOT))
      if not check:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
  if check and stale:
    print("stale generated files (run `make generate`):", *stale, sep="\n  ", file=sys.stderr)
    return 1
  return 0


if __name__ == "__main__":
  try:
    sys.exit(main(sys.argv[1:]))
  except Failure as failure:
    print(f"shapegen: {failure}", file=sys.stderr)
    sys.exit(2)
