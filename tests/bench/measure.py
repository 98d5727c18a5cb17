"""Runs pipelines in alternating rounds and keeps what each stage of them cost.

Every stage runs under GNU time, whose own image is so small that the peak memory it reports is the stage's and
not that of the Python process which started it. Before each run the outputs of the last one are deleted and
everything is synced, so that no run pays for another's write-back; inputs stay in the page cache.
"""

import os
import shutil
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass, field


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


@dataclass
class Way:
    """One way to do the job of a row: a pipeline, or several one after the other, and what it leaves behind."""

    name: str
    pipelines: list
    outputs: list = field(default_factory=list)
    stdout: object = None
    env: dict = field(default_factory=dict)
    runs: list = field(default_factory=list)
    failure: str = ""

    def wall(self):
        return statistics.median(run.wall for run in self.runs)

    def spread(self):
        """The fastest and the slowest run."""
        walls = [run.wall for run in self.runs]
        return min(walls), max(walls)

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


def pipeline(commands, stdout, env, notes):
    """Starts all commands, joined by pipes as a shell would; returns the names of those that failed."""
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
            env={**os.environ, **env},
        )
        if upstream is not subprocess.DEVNULL:
            upstream.close()
        upstream = process.stdout
        processes.append(process)
    error = processes[-1].stderr.read().decode(errors="replace").strip()
    failed = [str(command[0]) for command, process in zip(commands, processes) if process.wait() != 0]
    return f"{', '.join(failed)}: {error[-300:]}" if failed else ""


def once(way):
    """One run of `way`; its outputs stay."""
    for path in way.outputs:
        remove(path)
    os.sync()
    with tempfile.TemporaryDirectory() as notes:
        failure, started = "", time.monotonic()
        for commands in way.pipelines:
            sink = open(way.stdout, "wb") if way.stdout else None
            failure = failure or pipeline(commands, sink, way.env, notes)
            if sink:
                sink.close()
        wall = time.monotonic() - started
        way.failure = failure
        stages = []
        names = [os.path.basename(str(command[0])) for commands in way.pipelines for command in commands]
        for index, name in enumerate(names):
            with open(os.path.join(notes, str(index))) as note:
                user, system, peak = note.read().split()[-3:]
            stages.append(Stage(name, float(user) + float(system), int(peak) / 1024))
    return Run(wall, stages)


def alternate(ways, rounds, check):
    """`rounds` rounds, each running every way once, and each beginning with another one."""
    for turn in range(rounds):
        for index in range(len(ways)):
            way = ways[(index + turn) % len(ways)]
            if way.failure:
                continue
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
