"""Prints the ten slowest tests of the given XCTest and pytest logs."""
import re
import sys

rows = []
for path in sys.argv[1:]:
    for line in open(path, errors="replace"):
        swift = re.search(r"Test Case '(.+?)' (?:passed|failed) \(([\d.]+) seconds\)", line)
        black_box = re.match(r"([\d.]+)s (?:call|setup)\s+(\S+)", line)
        if swift:
            rows.append((float(swift.group(2)), swift.group(1)))
        elif black_box:
            rows.append((float(black_box.group(1)), black_box.group(2)))
for seconds, name in sorted(rows, reverse=True)[:10]:
    print(f"{seconds:8.2f} s  {name}")
