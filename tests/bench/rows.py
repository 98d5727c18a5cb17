"""The rows of the benchmark: jobs, and the ways to do each. In every row the first way is ours."""

import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import registry
from corpus import IMAGES, layers_of
from measure import Way

ROOMY = "8G"  # what tools that want a size are given; their images are sparse


@dataclass
class Row:
    """A job. `limits` are what the first way may take at most, as multiples of the ways that they name."""

    group: str
    title: str
    ways: list
    limits: dict = field(default_factory=dict)
    peak: int = 150  # MiB that the stages of the first way may need together


class Rows:
    """Makes the rows; parts of the corpus that a row needs are made with it."""

    def __init__(self, corpus, filters, peers, work):
        self.corpus, self.work = corpus, work
        self.fetch, self.flatten, self.tar2ext4 = (
            filters / name for name in ("oci-fetch", "oci-flatten", "tar2ext4")
        )
        self.peers, self.missing = peers, set()
        self.image = work / "rootfs.ext4"

    def tool(self, name):
        """Where a rival is; a row does without those that this machine lacks."""
        found = shutil.which(name, path=f"{self.peers}") or shutil.which(name)
        if not found:
            self.missing.add(name)
        return found

    def ways(self, *candidates):
        """The ways whose first command of every stage is there."""
        return [way for way in candidates if all(command[0] for commands in way.pipelines for command in commands)]

    # ---- floors

    def floor(self, name, codec):
        """The layers decoded one after the other, by the fastest decoder that Debian has."""
        commands = self.decoders(name, codec)
        return Way(" ".join(map(str, [commands[0][0].name, *commands[0][1:-1]])), [[command] for command in commands])

    def verified_floor(self, name, codec):
        """The same with the digest of what is decoded, which is to be the diffId, on another core."""
        digest = [self.tool("openssl"), "dgst", "-sha256"]
        return Way("the same \\| openssl sha256", [[command, digest] for command in self.decoders(name, codec)])

    def decoders(self, name, codec):
        command = {"gzip": ["igzip", "-dc"], "zstd": ["zstd", "-dcq"]}[codec]
        tool = Path(self.tool(command[0]))
        return [[tool, *command[1:], layer] for layer in layers_of(self.corpus.layout(name, codec))]

    def copy(self, name):
        """The least that any single pass from a pipe to a file takes."""
        out = self.work / "copy"
        return Way("cat \\| cat > file", [[["cat", self.corpus.tar(name)], ["cat"]]], [out], stdout=out)

    # ---- jobs

    def from_layout(self, name, codec):
        source = self.corpus.layout(name, codec)
        bundle = self.work / "bundle"
        ours = self.ours("ours", source)
        unpack = [self.tool("umoci"), "unpack", "--image", f"{source}:latest", bundle]
        mke2fs = ["mke2fs", "-q", "-t", "ext4", "-d", bundle / "rootfs", self.image, ROOMY]
        rivals = [
            Way("oci2rootfs", [[[self.tool("oci2rootfs"), source, "-o", self.image, "--size", ROOMY]]], [self.image]),
        ]
        if (name, codec) == ("debian", "gzip"):
            # Like oci2rootfs, which takes any layer for the right one.
            rivals.append(self.ours("ours, --no-verify", source, "--no-verify"))
        if codec == "gzip":
            rivals.append(Way("umoci unpack, mke2fs -d", [[unpack], [mke2fs]], [bundle, self.image]))
        limits = {"oci2rootfs": 0.40} if (name, codec) == ("debian", "gzip") else {}
        return Row("layout", f"{name}, {codec} layout to ext4", self.ways(ours, *rivals), limits)

    def ours(self, title, layout, *flags):
        stages = [[self.fetch, f"oci:{layout}"], [self.flatten, *flags], [self.tar2ext4, "-o", self.image]]
        return Way(title, [stages], [self.image])

    def from_registry(self, name, address):
        store = self.work / "store"
        reference = f"{address}/{name}:latest"
        ours = [[self.fetch, "-d", store, reference], [self.flatten], [self.tar2ext4, "-o", self.image]]
        crane = [[self.tool("crane"), "export", "--insecure", reference, "-"], [self.tool("hcsshim-tar2ext4"), "-o", self.image]]
        ways = self.ways(
            Way("ours", [ours], [store, self.image]),
            Way("oci2rootfs", [[[self.tool("oci2rootfs"), "--insecure", reference, "-o", self.image, "--size", ROOMY]]], [self.image]),
            Way("crane export \\| hcsshim tar2ext4", [crane], [self.image]),
        )
        return Row("registry", f"{name}, registry to ext4", ways, {"oci2rootfs": 0.35} if name == "debian" else {})

    def fetching(self, name, address):
        store, copy = self.work / "store", self.work / "copy"
        reference = f"{address}/{name}:latest"
        skopeo = [self.tool("skopeo"), "copy", "--quiet", "--src-tls-verify=false", f"docker://{reference}", f"oci:{copy}:latest"]
        crane = [self.tool("crane"), "pull", "--insecure", "--format", "oci", reference, copy]
        ways = self.ways(
            Way("oci-fetch", [[[self.fetch, "-d", store, reference]]], [store]),
            Way("skopeo copy", [[skopeo]], [copy]),
            Way("crane pull", [[crane]], [copy]),
            self.pull_of_oci2rootfs(reference),
        )
        limits = {"skopeo copy": 0.6, "oci2rootfs, its pull": 1 / 3} if name in ("debian", "large") else {}
        return Row("fetch", f"{name}, registry to disk", ways, limits)

    def pull_of_oci2rootfs(self, reference):
        """The first half of what it does, by its own log: it has every layer in memory (none is on disk) before it says
        that it makes the image."""
        command = [self.tool("oci2rootfs"), "--insecure", reference, "-o", self.image, "--size", ROOMY]
        span = ("pulling image from registry", "creating ext4 image")
        return Way("oci2rootfs, its pull", [[command]], [self.image], env={"NO_COLOR": "1"}, span=span)

    def flattening(self, name, codec):
        manifest = self.work / f"{name}-{codec}.manifest"
        with open(manifest, "wb") as out:
            subprocess.run([self.fetch, f"oci:{self.corpus.layout(name, codec)}"], stdout=out, check=True)
        floor = self.floor(name, codec)
        ways = self.ways(
            Way("oci-flatten", [[[self.flatten, manifest]]]),
            Way("oci-flatten \\| cat", [[[self.flatten, manifest], ["cat"]]]),
            floor,
            self.verified_floor(name, codec),
        )
        limits = {floor.name: 1.5} if (name, codec) == ("debian", "gzip") else {}
        return Row("flatten", f"{name}, {codec} layers to one tar, to /dev/null", ways, limits)

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
        limits = {"cat \\| cat > file": 1.5, "hcsshim tar2ext4": 0.35} if name == "debian" else {}
        return Row("tar2ext4", f"{name}.tar from a pipe to ext4", self.ways(ours, *rivals), limits)

    def scaling(self):
        """A million files against an eighth of them."""
        ways = [
            Way(name, [[["cat", self.corpus.tar(name)], [self.tar2ext4, "-o", self.image]]], [self.image])
            for name in ("small-1m", "small-125k")
        ]
        title = "1,000,000 small files against 125,000, tar from a pipe to ext4"
        return Row("scale", title, ways, {"small-125k": 8.0}, peak=400)

    def groups(self):
        """Each group's name, and for each of its rows the image (or tar) and what makes the row when it is its turn."""
        codecs = [(name, codec) for name in IMAGES for codec in ("gzip", "zstd")]
        return {
            "layout": [(name, lambda _, w=(name, codec): self.from_layout(*w)) for name, codec in codecs],
            "registry": [(name, lambda address, n=name: self.from_registry(n, self.push(n, address()))) for name in IMAGES],
            "fetch": [
                (name, lambda address, n=name: self.fetching(n, self.push(n, address()))) for name in [*IMAGES, "large"]
            ],
            "flatten": [(name, lambda _, w=(name, codec): self.flattening(*w)) for name, codec in codecs],
            "tar2ext4": [(name, lambda _, n=name: self.packing(n)) for name in [*IMAGES, "small-125k"]],
            "scale": [("small-1m", lambda _: self.scaling())],
        }

    def push(self, name, address):
        """Puts an image into the registry there, unless it is there already."""
        registry.push(address, self.corpus.layout(name, "gzip"), name)
        return address
