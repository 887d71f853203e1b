"""The bench's table: figures against aims and peers, on the terminal and in docs/benchmarks.md."""
import os
import re
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from pathlib import Path

from benchkit import ROOT, machine_facts, today

PAGE = ROOT / "docs" / "benchmarks.md"
NEWEST, END = "<!-- tables: newest first; written by `make bench` -->", "<!-- end of tables -->"


@dataclass
class Figure:
    name: str
    ours: float | None
    unit: str
    peer: float | None = None
    peer_name: str = ""
    aim: str = ""
    met: bool | None = None
    skipped: str = ""

    def ratio(self) -> float | None:
        """How many times better we are: more a second, or less time."""
        if not self.ours or not self.peer:
            return None
        return self.ours / self.peer if self.unit.endswith("/s") else self.peer / self.ours

    def row(self) -> list[str]:
        if self.skipped:
            return [self.name, "skipped", "", "", self.aim, self.skipped]
        ratio = self.ratio()
        verdict = {True: "met", False: "**missed**", None: "no peer to judge by" if self.aim else ""}[self.met]
        return [self.name, show(self.ours, self.unit), f"{show(self.peer, self.unit)} ({self.peer_name})" if self.peer else "",
                f"{ratio:.1f}×" if ratio else "", self.aim, verdict]


def show(value: float | None, unit: str) -> str:
    if value is None:
        return ""
    text = f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
    return f"{text} {unit}"


@dataclass
class Report:
    binary_kind: str
    figures: list[Figure] = field(default_factory=list)
    # what missed: the profile's first lines
    profiles: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    # what else the machine did
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    def add(self, figure: Figure) -> Figure:
        self.figures.append(figure)
        cells = [c for c in figure.row() if c]
        print("  " + "   ".join(cells).replace("**", ""), flush=True)
        return figure

    def skip(self, name: str, why: str, aim: str = "") -> None:
        self.add(Figure(name, None, "", aim=aim, skipped=why))

    def note(self, text: str) -> None:
        self.notes.append(text)
        print(f"  ({text})", flush=True)

    def table(self) -> list[list[str]]:
        return [["figure", "Roadstead", "peer", "ratio", "aim", ""], *(f.row() for f in self.figures)]

    def terminal(self) -> str:
        rows = [[c.replace("**", "") for c in row] for row in self.table()]
        widths = [max(len(row[i]) for row in rows) for i in range(6)]
        lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() for row in rows]
        return "\n".join([lines[0], "-" * len(lines[0]), *lines[1:]])

    def markdown(self) -> str:
        head, *rows = self.table()
        out = [f"## {today()}", "", f"{machine_facts()}; {self.binary_kind} build; load average before the run {self.load:.1f}. "
               "Client, peer and region share the cores.", "", "| " + " | ".join(head) + " |", "|---" * 6 + "|"]
        out += ["| " + " | ".join(row) + " |" for row in rows]
        if self.notes:
            out += ["", *(f"- {note}" for note in self.notes)]
        for name, lines in self.profiles.items():
            out += ["", f"Missed: {name}. The profile's top five:", "", "```", *lines, "```"]
        return "\n".join(out) + "\n"

    def write(self) -> None:
        text = PAGE.read_text() if PAGE.exists() else f"# Benchmarks\n\n{NEWEST}\n{END}\n"
        before, _, rest = text.partition(NEWEST)
        older, _, after = rest.partition(END)
        PAGE.write_text(f"{before}{NEWEST}\n\n{self.markdown()}\n{older.strip()}\n\n{END}{after}".replace("\n\n\n", "\n\n"))


class Profile:
    """Samples one process while a block runs, or with None the whole machine. `perf`, else stacks by gdb; the reason when there is neither."""

    def __init__(self, pid: int | None):
        self.pid = pid
        self.lines: list[str] = []

    def __enter__(self):
        self.data = tempfile.NamedTemporaryFile(prefix="perf-")
        self.perf = self.sampler = None
        if shutil.which("perf") and self.perf_works():
            self.perf = subprocess.Popen(["perf", "record", "-q", "-e", "cpu-clock", "-F", "499",
                                          *(["-p", str(self.pid)] if self.pid else ["-a"]), "-o", self.data.name],
                                         stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        elif shutil.which("gdb") and self.pid:
            self.halt, self.stacks = threading.Event(), []
            self.sampler = threading.Thread(target=self.sample, daemon=True)
            self.sampler.start()
        return self

    @staticmethod
    def perf_works() -> bool:
        return subprocess.run(["perf", "stat", "-e", "cpu-clock", "true"], capture_output=True).returncode == 0

    @staticmethod
    def of_file(path: str) -> list[str]:
        """The five hottest functions of what `perf record` wrote."""
        done = subprocess.run(["perf", "report", "-i", path, "--stdio", "--no-children", "-F", "overhead,comm,dso,symbol", "-g", "none"],
                              capture_output=True, text=True)
        found = [line.strip() for line in done.stdout.splitlines() if re.match(r"^ +\d", line)]
        return demangled([line for line in found if line.split()[1] != "swapper"][:5])

    def sample(self) -> None:
        while not self.halt.wait(0.2) and len(self.stacks) < 20:
            done = subprocess.run(["gdb", "-p", str(self.pid), "-batch", "-ex", "thread apply all bt 1"], capture_output=True, text=True)
            self.stacks += re.findall(r"^#0 +(?:0x[0-9a-f]+ in )?(\S+)", done.stdout, re.M)

    def __exit__(self, *_):
        if self.perf:
            self.perf.send_signal(2)
            self.perf.wait(30)
            self.lines = self.of_file(self.data.name)
        elif self.sampler:
            self.halt.set()
            self.sampler.join(30)
            counts: dict[str, int] = {}
            for name in self.stacks:
                counts[name] = counts.get(name, 0) + 1
            top = sorted(counts.items(), key=lambda c: -c[1])[:5]
            self.lines = demangled([f"{n} of {len(self.stacks)} stack tops: {name}" for name, n in top])
        else:
            self.lines = ["no profile: neither perf (apt-get install linux-perf) nor gdb is here"]
        self.data.close()
        self.lines = self.lines or ["no samples"]


def demangled(lines: list[str]) -> list[str]:
    if not shutil.which("swift"):
        return lines
    done = subprocess.run(["swift", "demangle", "--simplified"], input="\n".join(lines), capture_output=True, text=True)
    return [line[:180] for line in done.stdout.splitlines()] if done.returncode == 0 else lines
