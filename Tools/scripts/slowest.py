"""Prints the ten slowest tests of the given XCTest and pytest logs, and how many passed, failed and were skipped."""
import re
import sys

rows = []
passed = failed = skipped = 0
for path in sys.argv[1:]:
    for line in open(path, errors="replace"):
        swift = re.search(r"Test Case '(.+?)' (passed|failed|skipped) \(([\d.]+) seconds\)", line)
        black_box = re.match(r"([\d.]+)s (?:call|setup)\s+(\S+)", line)
        total = re.match(r"=*\s*((?:\d+ \w+,? ?)+) in [\d.]+s", line)
        if swift:
            rows.append((float(swift.group(3)), swift.group(1)))
            passed += swift.group(2) == "passed"
            failed += swift.group(2) == "failed"
            skipped += swift.group(2) == "skipped"
        elif black_box:
            rows.append((float(black_box.group(1)), black_box.group(2)))
        elif total:
            counts = {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", total.group(1))}
            passed += counts.get("passed", 0)
            failed += counts.get("failed", 0) + counts.get("error", 0) + counts.get("errors", 0)
            skipped += counts.get("skipped", 0)
for seconds, name in sorted(rows, reverse=True)[:10]:
    print(f"{seconds:8.2f} s  {name}")
print(f"{passed} passed, {failed} failed, {skipped} skipped")
sys.exit(1 if failed or not passed else 0)
