"""The rows of the benchmark: jobs, and the ways to do each. In every row the first way is ours."""

import contextlib
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import registry
from corpus import FLEET, IMAGES, layers_of
from measure import Way

ROOMY = "8G"  # what tools that want a size are given; their images are sparse

# What our way may take at most, as a multiple of other ways, by the key of the row.
LIMITS = {
    "layout/debian-gzip": {"oci2rootfs": 0.50},
    "layout/debian-zstd": {"oci2rootfs": 0.60},
    "registry/debian": {"oci2rootfs": 0.35},
    "line/debian-1g": {"the download alone": 1.40},
    "line/debian-100m": {"the download alone": 1.05},
    "again/debian": {"oci2rootfs": 0.30, "cat \\| tar2ext4, of the flat tar": 1.30},
    "latency/50ms": {"skopeo copy": 0.5},
    "latency/200ms": {"skopeo copy": 0.5},
    "fetch/debian": {"skopeo copy": 0.6, "oci2rootfs, its pull": 1 / 3},
    "fetch/large": {"skopeo copy": 0.6, "oci2rootfs, its pull": 1 / 3},
    "flatten/debian-gzip": {"igzip -dc": 1.5},
    "tar2ext4/debian": {"cat \\| cat > file": 1.2, "hcsshim tar2ext4": 0.35},
    "scale/small-1m": {"small-125k": 8.0},
}
# MiB that the stages of our way may need together: a million files take more.
PEAK, PEAK_OF_MANY_FILES = 80, 400
# A line that is the same in every round, and takes a minute.
ONE_ROUND = {"line/debian-100m"}
LINES = {"1g": (1e9, "1 Gbit/s"), "100m": (1e8, "100 Mbit/s")}
LATENCIES = {"50ms": 0.05, "200ms": 0.2}


@dataclass
class Row:
    """A job. `limits` are what the first way may take at most, as multiples of the ways that they name."""

    title: str
    ways: list
    key: str = ""
    limits: dict = field(default_factory=dict)
    peak: int = PEAK
    rounds: int = None
    # Of the machine, while the row was measured.
    steal: float = 0.0
    load: float = 0.0


class Absent(str):
    """The name of a tool that this machine lacks."""


class Rows:
    """Makes the rows; parts of the corpus that a row needs are made with it."""

    def __init__(self, corpus, filters, peers, work, stack):
        self.corpus, self.work, self.stack = corpus, work, stack
        self.fetch, self.flatten, self.tar2ext4 = (
            filters / name for name in ("oci-fetch", "oci-flatten", "tar2ext4")
        )
        self.peers, self.address, self.lines = peers, None, {}
        self.image, self.store, self.copy_of = work / "rootfs.ext4", work / "store", work / "copy"

    def tool(self, name):
        """Where a rival is, or that it is absent."""
        return shutil.which(name, path=f"{self.peers}") or shutil.which(name) or Absent(name)

    def ways(self, *candidates):
        """The ways; those whose tools are not all there will say so."""
        for way in candidates:
            commands = [command for pipeline in way.pipelines for command in pipeline]
            absent = [command[0] for command in commands if isinstance(command[0], Absent)]
            if absent:
                way.absent = f"{absent[0]} is not on this machine"
        return list(candidates)

    def option(self, way, filter_, flag):
        """`way`, absent where this build of the filter has no such option."""
        shown = subprocess.run([filter_, "--help"], capture_output=True, text=True, check=True).stdout
        if flag not in shown:
            way.absent = f"this {filter_.name} has no {flag}"
        return way

    # ---- registries

    def registry(self):
        """The address of the registry, started when it is first asked for."""
        if not self.address:
            self.address = self.stack.enter_context(registry.serve(self.corpus.root.parent / "registry"))
        return self.address

    def push(self, name):
        """Puts an image into the registry, unless it is there already; returns its reference."""
        registry.push(self.registry(), self.corpus.layout(name, "gzip"), name)
        return f"{self.address}/{name}:latest"

    def over(self, bits=0, round_trip=0.0):
        """The address of the registry at the other end of a line, and the file where that keeps the time of its last byte."""
        key = (bits, round_trip)
        if key not in self.lines:
            last = self.work.parent / f"last-{len(self.lines)}"
            self.lines[key] = (self.stack.enter_context(registry.line(self.registry(), last, bits, round_trip)), last)
        return self.lines[key]

    # ---- floors

    def floor(self, name, codec):
        """The layers decoded one after the other, by the fastest decoder that Debian has."""
        commands = self.decoders(name, codec)
        words = [Path(commands[0][0]).name, *commands[0][1:-1]]
        return Way(" ".join(map(str, words)), [[command] for command in commands])

    def verified_floor(self, name, codec):
        """The same with the digest of what is decoded, which is to be the diffId, on another core."""
        digest = [self.tool("openssl"), "dgst", "-sha256"]
        return Way("the same \\| openssl sha256", [[command, digest] for command in self.decoders(name, codec)])

    def decoders(self, name, codec):
        command = {"gzip": ["igzip", "-dc"], "zstd": ["zstd", "-dcq"]}[codec]
        tool = self.tool(command[0])
        return [[tool, *command[1:], layer] for layer in layers_of(self.corpus.layout(name, codec))]

    def copy(self, name, times=1):
        """The least that any single pass from a pipe to a file takes."""
        pipelines = [[["cat", self.corpus.tar(name)], ["cat"]]] * times
        return Way("cat \\| cat > file", pipelines, [self.copy_of], stdout=self.copy_of)

    def download(self, name, address, last=None):
        """The layers over the line, and nothing done with them."""
        blobs = [f"http://{address}/v2/{name}/blobs/sha256:{layer.name}" for layer in layers_of(self.corpus.layout(name, "gzip"))]
        sinks = [word for blob in blobs for word in ("-o", "/dev/null", blob)]
        curl = [self.tool("curl"), "--fail", "--silent", "--show-error", "--parallel", "--parallel-max", "6", *sinks]
        return Way("the download alone", [[curl]], last=last)

    # ---- jobs

    def from_layout(self, name, codec):
        source = self.corpus.layout(name, codec)
        bundle = self.work / "bundle"
        ours = self.ours("ours", source)
        unpack = [self.tool("umoci"), "unpack", "--image", f"{source}:latest", bundle]
        mke2fs = ["mke2fs", "-q", "-t", "ext4", "-d", bundle / "rootfs", self.image, ROOMY]
        rivals = [self.oci2rootfs([source])]
        if (name, codec) == ("debian", "gzip"):
            # Like oci2rootfs, which takes any layer for the right one.
            rivals.append(self.ours("ours, --no-verify", source, "--no-verify"))
        if codec == "gzip":
            rivals.append(Way("umoci unpack, mke2fs -d", [[unpack], [mke2fs]], [bundle, self.image]))
        return Row(f"{name}, {codec} layout to ext4", self.ways(ours, *rivals))

    def ours(self, title, layout, *flags):
        stages = [[self.fetch, f"oci:{layout}"], [self.flatten, *flags], [self.tar2ext4, "-o", self.image]]
        return Way(title, [stages], [self.image])

    def oci2rootfs(self, *sources, title="oci2rootfs"):
        """It makes an image of each source, one after the other."""
        tool = self.tool("oci2rootfs")
        return Way(title, [[[tool, *source, "-o", self.image, "--size", ROOMY]] for source in sources], [self.image])

    def pull(self, title, reference, last=None):
        """The three filters, from a registry."""
        stages = [[self.fetch, "-d", self.store, reference], [self.flatten], [self.tar2ext4, "-o", self.image]]
        return Way(title, [stages], [self.store, self.image], last=last)

    def from_registry(self, name):
        reference = self.push(name)
        crane = [[self.tool("crane"), "export", "--insecure", reference, "-"], [self.tool("hcsshim-tar2ext4"), "-o", self.image]]
        ways = self.ways(
            self.pull("ours", reference),
            self.oci2rootfs(["--insecure", reference]),
            Way("crane export \\| hcsshim tar2ext4", [crane], [self.image]),
        )
        return Row(f"{name}, registry to ext4", ways)

    def over_line(self, name, speed):
        """The network is the floor."""
        bits, shown = LINES[speed]
        self.push(name)
        address, last = self.over(bits)
        reference = f"{address}/{name}:latest"
        rivals = [self.download(name, address, last)]
        if speed == "1g":
            rivals.append(self.oci2rootfs(["--insecure", reference]))
        return Row(f"{name}, registry at {shown} to ext4", self.ways(self.pull("ours", reference, last), *rivals))

    def latency(self, trip):
        """Many small layers, where round trips are what it takes."""
        name = "layers-40"
        self.push(name)
        address, last = self.over(round_trip=LATENCIES[trip])
        ways = self.fetchers(f"{address}/{name}:latest", last)
        ways.append(self.download(name, address, last))
        return Row(f"{name}, registry {trip} away to disk", self.ways(*ways))

    def fetching(self, name):
        reference = self.push(name)
        return Row(f"{name}, registry to disk", self.ways(*self.fetchers(reference), self.pull_of_oci2rootfs(reference)))

    def fetchers(self, reference, last=None):
        copy = self.copy_of
        skopeo = [self.tool("skopeo"), "copy", "--quiet", "--src-tls-verify=false", f"docker://{reference}", f"oci:{copy}:latest"]
        crane = [self.tool("crane"), "pull", "--insecure", "--format", "oci", reference, copy]
        return [
            Way("oci-fetch", [[[self.fetch, "-d", self.store, reference]]], [self.store], last=last),
            Way("skopeo copy", [[skopeo]], [copy], last=last),
            Way("crane pull", [[crane]], [copy], last=last),
        ]

    def pull_of_oci2rootfs(self, reference):
        """The first half of what it does, by its own log: it has every layer in memory (none is on disk) before it says
        that it makes the image."""
        way = self.oci2rootfs(["--insecure", reference], title="oci2rootfs, its pull")
        way.env, way.span = {"NO_COLOR": "1"}, ("pulling image from registry", "creating ext4 image")
        return way

    def again(self, name):
        """A second run: the layers are in the store, and decoded in the cache."""
        reference = self.push(name)
        store, cache = self.work / "full-store", self.work / "full-cache"
        fetch, pack = [self.fetch, "-d", store, reference], [self.tar2ext4, "-o", self.image]

        def fill(*flags):
            def run():
                fetched = subprocess.run(fetch, stdout=subprocess.PIPE, check=True)
                command = [self.flatten, *flags]
                subprocess.run(command, input=fetched.stdout, stdout=subprocess.DEVNULL, check=True)

            return run

        cached = Way("ours, with --cache", [[fetch, [self.flatten, "--cache", cache], pack]], [self.image])
        cached.setup = fill("--cache", cache)
        plain = Way("ours, without", [[fetch, [self.flatten], pack]], [self.image], setup=fill())
        flat = Way("cat \\| tar2ext4, of the flat tar", [[["cat", self.corpus.tar(name)], pack]], [self.image])
        rival = self.oci2rootfs(["--insecure", reference])
        cached = self.option(cached, self.flatten, "--cache")
        return Row(f"{name}, registry to ext4 for the second time", self.ways(cached, plain, flat, self.copy(name), rival))

    def fleet(self):
        """Images with one base, the first of which finds no cache."""
        layouts = [self.corpus.layout(name, "gzip") for name in FLEET]
        cache = self.work / "cache"

        def all_of(title, *flags):
            pipelines = [
                [[self.fetch, f"oci:{layout}"], [self.flatten, *flags], [self.tar2ext4, "-o", self.image]] for layout in layouts
            ]
            return Way(title, pipelines, [cache, self.image])

        cached = self.option(all_of("ours, with --cache", "--cache", cache), self.flatten, "--cache")
        rivals = [all_of("ours, without"), self.oci2rootfs(*([layout] for layout in layouts)), self.copy(FLEET[0], len(FLEET))]
        return Row(f"{len(FLEET)} images with one base, gzip layouts to ext4", self.ways(cached, *rivals))

    def flattening(self, name, codec):
        manifest = self.work / f"{name}-{codec}.manifest"
        with open(manifest, "wb") as out:
            subprocess.run([self.fetch, f"oci:{self.corpus.layout(name, codec)}"], stdout=out, check=True)
        ways = self.ways(
            Way("oci-flatten", [[[self.flatten, manifest]]]),
            Way("oci-flatten \\| cat", [[[self.flatten, manifest], ["cat"]]]),
            self.floor(name, codec),
            self.verified_floor(name, codec),
        )
        return Row(f"{name}, {codec} layers to one tar, to /dev/null", ways)

    def packing(self, name):
        cat = ["cat", self.corpus.tar(name)]
        hcsshim = [self.tool("hcsshim-tar2ext4"), "-o", self.image]
        genext2fs = [self.tool("genext2fs"), "-B", "4096", "-b", "1500000", "-N", "100000", "-z", "-a", "-", self.image]
        rivals = [self.copy(name), Way("hcsshim tar2ext4", [[cat, hcsshim]], [self.image])]
        if name == "debian":
            mke2fs = ["mke2fs", "-q", "-t", "ext4", "-d", self.corpus.unpacked(name), self.image, ROOMY]
            rivals.append(Way("genext2fs -a", [[cat, genext2fs]], [self.image]))
            rivals.append(Way("mke2fs -d, of a tree", [[mke2fs]], [self.image]))
        ours = Way("tar2ext4", [[cat, [self.tar2ext4, "-o", self.image]]], [self.image])
        return Row(f"{name}.tar from a pipe to ext4", self.ways(ours, *rivals))

    def scaling(self):
        """A million files against an eighth of them."""
        ways = [
            Way(name, [[["cat", self.corpus.tar(name)], [self.tar2ext4, "-o", self.image]]], [self.image])
            for name in ("small-1m", "small-125k")
        ]
        title = "1,000,000 small files against 125,000, tar from a pipe to ext4"
        return Row(title, ways, peak=PEAK_OF_MANY_FILES)

    # ---- which there are

    def all(self):
        """The key of each row, its image (or tar), and what makes it when it is its turn."""
        codecs = [(name, codec) for name in IMAGES for codec in ("gzip", "zstd")]
        rows = [(f"layout/{n}-{c}", n, lambda n=n, c=c: self.from_layout(n, c)) for n, c in codecs]
        rows += [(f"registry/{n}", n, lambda n=n: self.from_registry(n)) for n in IMAGES]
        rows += [(f"line/debian-{s}", "debian", lambda s=s: self.over_line("debian", s)) for s in LINES]
        rows += [("again/debian", "debian", lambda: self.again("debian")), ("fleet/fleet", "fleet", self.fleet)]
        rows += [(f"latency/{trip}", "layers-40", lambda t=trip: self.latency(t)) for trip in LATENCIES]
        rows += [(f"fetch/{n}", n, lambda n=n: self.fetching(n)) for n in [*IMAGES, "large"]]
        rows += [(f"flatten/{n}-{c}", n, lambda n=n, c=c: self.flattening(n, c)) for n, c in codecs]
        rows += [(f"tar2ext4/{n}", n, lambda n=n: self.packing(n)) for n in [*IMAGES, "small-125k"]]
        return [*rows, ("scale/small-1m", "small-1m", self.scaling)]

    def make(self, key, make, only_limits):
        """The row with its limits; with no more ways than those need where that is asked for."""
        row = make()
        row.key, row.limits = key, LIMITS.get(key, {})
        row.rounds = 1 if key in ONE_ROUND else None
        if only_limits:
            row.ways = row.ways[:1] + [way for way in row.ways[1:] if way.name in row.limits]
        return row

    def close_lines(self):
        """What lines keep beside the work."""
        for _, last in self.lines.values():
            with contextlib.suppress(FileNotFoundError):
                last.unlink()
