"""How the model's names become Swift's."""

import json
import re

KEYWORDS = set(
  "associatedtype class deinit enum extension fileprivate func import init inout internal let open operator private precedencegroup "
  "protocol public rethrows static struct subscript typealias var break case catch continue default defer do else fallthrough for "
  "guard if in repeat return throw switch where while Any as await false is nil self Self super throws true try".split())

# Names that a generated type must not take from Swift, FoundationEssentials, RegionKit, WireModel or Ports: it gets the service's
# prefix instead.
RESERVED_TYPES = set(
  "Any Array Bool Character Codable Data Date Dictionary Double Duration Error Field Float Int Never Obj Optional Protocol Range Result "
  "Self Sendable Sequence Set String Task Type UUID URL Void Blob Call Principal Scope ARN AccountID RegionName AWSError ErrorCode "
  "ByteStream WireValue WireEnum ServiceModel ServiceModule Shape Member Operation Locale Calendar TimeZone Decimal".split())


def type_name(shape):
  return shape[0].upper() + shape[1:]


def escape(name):
  return f"`{name}`" if name in KEYWORDS else name


def member_key(name):
  """The member's name with a lower first letter."""
  return escape(name[0].lower() + name[1:])


def enum_key(value):
  words = [w for w in re.split(r"[^A-Za-z0-9]+", value) if w]
  if not words:
    return "empty"
  words = [w.lower() if w.upper() == w else w for w in words]
  name = words[0][0].lower() + words[0][1:] + "".join(w[0].upper() + w[1:] for w in words[1:])
  return "_" + name if name[0].isdigit() else escape(name)


def distinct(names, rule):
  """Pairs (name, rule(name)); a second name with the same result gets a number."""
  seen = {}
  for name in names:
    key = rule(name)
    seen[key] = seen.get(key, 0) + 1
    yield name, key if seen[key] == 1 else f"{key.strip('`')}_{seen[key]}"


def literal(text):
  return json.dumps(text, ensure_ascii=False)
