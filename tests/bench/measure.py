"""Runs pipelines in alternating rounds and keeps what each stage of them cost.

Every stage runs under GNU time, whose own image is so small that the peak memory it reports is the stage's and
not that of the Python process which started it. Before each run the outputs of the last one are deleted and
everything is synced, so that no run pays for another's write-back; inputs stay in the page cache.
"""

import datetime
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path


# So many times what the first way takes.
HOPELESS = 6


@dataclass
class Stage:
    """One command of a pipeline: seconds of processor time, and peak memory in MiB."""

    name: str
    cpu: float
    peak: float


@dataclass
class Run:
    """One run of a pipeline: seconds on the clock until its last stage had ended."""

    wall: float
    stages: list
    # Seconds since the last byte came over the line, where there is one.
    tail: float = None


@dataclass
class Way:
    """One way to do the job of a row: a pipeline, or several one after the other, and what it leaves behind.

    With `span`, two texts of the last stage's log, the way is a part of what that stage does: its seconds are those
    between the two lines by the log's own times, and at the second line the stage is stopped, so that processor time and
    memory are the part's too (and those of what comes before it).

    `setup` is called once, before the first run. `last` is the file of a line (line.py) that the way fetches over. A way that
    is `absent`, for this reason, is shown and not run.
    """

    name: str
    pipelines: list
    outputs: list = field(default_factory=list)
    stdout: object = None
    env: dict = field(default_factory=dict)
    span: tuple = None
    setup: object = None
    last: object = None
    absent: str = ""
    runs: list = field(default_factory=list)
    failure: str = ""

    def wall(self):
        return statistics.median(run.wall for run in self.runs)

    def spread(self):
        """The fastest and the slowest run."""
        walls = [run.wall for run in self.runs]
        return min(walls), max(walls)

    def tail(self):
        """Seconds from the last byte on the line to the end, if there is a line."""
        tails = [run.tail for run in self.runs if run.tail is not None]
        return statistics.median(tails) if tails else None

    def stages(self):
        """The medians of each stage."""
        return [
            Stage(stages[0].name, statistics.median(s.cpu for s in stages), max(s.peak for s in stages))
            for stages in zip(*(run.stages for run in self.runs))
        ]

    def cpu(self):
        return sum(stage.cpu for stage in self.stages())

    def peak(self):
        """What the stages of the widest pipeline needed together."""
        stages, peaks = iter(self.stages()), []
        for pipeline in self.pipelines:
            peaks.append(sum(next(stages).peak for _ in pipeline))
        return max(peaks)


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.lexists(path):
        os.unlink(path)


def logged(process, span):
    """Reads a log until the second text of `span` and stops its writer; returns the seconds since the first text."""
    times, seen = [], b""
    for line in process.stderr:
        seen = line
        if span[len(times)].encode() in line:
            times.append(datetime.datetime.fromisoformat(line.split()[0].decode()))
        if len(times) == 2:
            # `process` is GNU time, which must live to report.
            with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
                os.kill(int(children.read()), signal.SIGKILL)
            process.stderr.read()
            return (times[1] - times[0]).total_seconds(), b""
    return None, seen


def pipeline(commands, stdout, way, notes):
    """Starts all commands, joined by pipes as a shell would; returns the names of those that failed, and the seconds of
    the way's span."""
    processes, upstream = [], subprocess.DEVNULL
    for index, command in enumerate(commands):
        last = index + 1 == len(commands)
        note = os.path.join(notes, str(len(os.listdir(notes))))
        with open(note, "w"):
            pass
        process = subprocess.Popen(
            ["time", "--quiet", "--format", "%U %S %M", "--output", note, *map(str, command)],
            stdin=upstream,
            stdout=(stdout or subprocess.DEVNULL) if last else subprocess.PIPE,
            stderr=subprocess.PIPE if last else subprocess.DEVNULL,
            env={**os.environ, **way.env},
        )
        if upstream is not subprocess.DEVNULL:
            upstream.close()
        upstream = process.stdout
        processes.append(process)
    seconds = None
    if way.span:
        seconds, error = logged(processes[-1], way.span)
    else:
        error = processes[-1].stderr.read()
    failed = [str(command[0]) for command, process in zip(commands, processes) if process.wait() != 0]
    if seconds is not None or not failed:
        return "", seconds
    return f"{', '.join(failed)}: {error.decode(errors='replace').strip()[-300:]}", None


def once(way):
    """One run of `way`; its outputs stay."""
    for path in way.outputs:
        remove(path)
    os.sync()
    with tempfile.TemporaryDirectory() as notes:
        failure, seconds, started = "", None, time.monotonic()
        for commands in way.pipelines:
            sink = open(way.stdout, "wb") if way.stdout else None
            if not failure:
                failure, seconds = pipeline(commands, sink, way, notes)
            if sink:
                sink.close()
        ended = time.monotonic()
        wall = seconds or ended - started
        way.failure = failure
        stages = []
        names = [os.path.basename(str(command[0])) for commands in way.pipelines for command in commands]
        for index, name in enumerate(names):
            with open(os.path.join(notes, str(index))) as note:
                user, system, peak = note.read().split()[-3:]
            stages.append(Stage(name, float(user) + float(system), int(peak) / 1024))
    tail = ended - float(Path(way.last).read_text()) if way.last and not failure else None
    return Run(wall, stages, tail)


class Steal:
    """What share of the processors' time the host gave to others, since this was made."""

    def __init__(self):
        self.before = self.jiffies()

    @staticmethod
    def jiffies():
        with open("/proc/stat") as stat:
            return [int(count) for count in stat.readline().split()[1:9]]

    def percent(self):
        spent = [now - then for now, then in zip(self.jiffies(), self.before)]
        return 100 * spent[7] / max(1, sum(spent))


def alternate(ways, rounds, check):
    """`rounds` rounds, each running every way once, and each beginning with another one. A way that is so slow that no
    further run could change what there is to say of it has one run."""
    for turn in range(rounds):
        for index in range(len(ways)):
            way = ways[(index + turn) % len(ways)]
            hopeless = way.runs and ways[0].runs and way.wall() > HOPELESS * ways[0].wall()
            if way.absent or way.failure or hopeless:
                continue
            if way.setup and not way.runs:
                way.setup()
            run = once(way)
            if way.failure:
                print(f"    {way.name} failed: {way.failure}", flush=True)
            else:
                way.runs.append(run)
                print(f"    {way.name}: {run.wall:.2f} s", flush=True)
                if turn == 0:
                    check(way)
            for path in way.outputs:
                remove(path)
