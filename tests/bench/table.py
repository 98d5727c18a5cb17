"""Renders measured rows as Markdown."""

import os
import platform
import re
import subprocess

VERSIONS = {
    "umoci": ["--version"],
    "skopeo": ["--version"],
    "igzip": ["--version"],
    "zstd": ["--version"],
    "curl": ["--version"],
}


def version(tool, flags):
    run = subprocess.run([tool, *flags], capture_output=True, text=True)
    found = re.search(r"v?\d+(\.\d+)+", run.stdout + run.stderr)
    return found.group().lstrip("v") if found else "?"


def machine():
    with open("/proc/cpuinfo") as info:
        model = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), "unknown")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{model}, {os.cpu_count()} cores, {memory:.0f} GiB of memory, Linux {platform.release().split('-')[0]}"


def ratio(row, way):
    """What the first way takes, as a multiple of this one."""
    first = row.ways[0]
    return first.wall() / way.wall() if first.runs and way.runs and way is not first else None


def over(rows):
    """What is over its limit, or cannot be held against it because ours failed."""
    found = []
    for row in rows:
        ours = row.ways[0]
        if ours.absent:
            found.append(f"{row.title}: {ours.name} is absent: {ours.absent}")
            continue
        if not ours.runs:
            found.append(f"{row.title}: {ours.name} failed")
            continue
        if ours.peak() > row.peak:
            found.append(f"{row.title}: {ours.peak():.0f} MiB at the peak, over {row.peak}")
        for way in row.ways:
            value, limit = ratio(row, way), row.limits.get(way.name)
            if value and limit and value > limit:
                found.append(f"{row.title}: {value:.2f} of {way.name}, over {limit:.2f}")
    return found


def costs(way):
    """Processor seconds and peak memory, of each stage when there are several."""
    stages = way.stages()
    cpu, peak = f"{way.cpu():.2f}", f"{way.peak():.0f}"
    if len(stages) > 1:
        cpu += f" ({' + '.join(f'{s.cpu:.2f}' for s in stages)})"
        peak += f" ({' + '.join(f'{s.peak:.0f}' for s in stages)})"
    return cpu, peak


def render(rows, made, rounds):
    lines = [
        f"{machine()}. Medians of {rounds} alternating rounds.",
        "Ratio: what ours takes, as a multiple of that way. CPU and peak memory are per stage in brackets. Steal is what the"
        " host gave to others while a row was measured, load that of the machine at its end.",
        "",
        "| job | way | median s | fastest to slowest | ratio | CPU s | peak MiB |",
        "|---|---|---:|---|---:|---|---|",
    ]
    for row in rows:
        title = f"{row.title} (steal {row.steal:.1f} %, load {row.load:.2f})"
        for way in row.ways:
            if not way.runs:
                what = f"absent: {way.absent}" if way.absent else "failed"
                lines.append(f"| {title} | {way.name} | {what} | | | | |")
                title = ""
                continue
            value = ratio(row, way)
            shown = f"{value:.2f}" if value else ""
            if way.name in row.limits:
                shown += f" (limit {row.limits[way.name]:.2f})"
            cpu, peak = costs(way)
            low, high = way.spread()
            spread = f"{low:.2f} - {high:.2f}" if len(way.runs) > 1 else "one run"
            seconds = f"{way.wall():.2f}"
            if way.tail() is not None:
                seconds += f" ({way.tail():.2f} after the last byte)"
            lines.append(f"| {title} | {way.name} | {seconds} | {spread} | {shown} | {cpu} | {peak} |")
            title = ""
    tools = {name: made.tool(name) for name in VERSIONS}
    versions = [f"{name} {version(path, VERSIONS[name])}" for name, path in tools.items() if path != name]
    lines += ["", "Versions: oci2rootfs 0.3.0, " + ", ".join(versions) + "."]
    lines += ["", *over(rows)]
    return "\n".join(lines) + "\n"
