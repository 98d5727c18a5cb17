"""The benchmark's corpus: images as OCI layouts, and tars. Made once, kept under target/bench/corpus.

    debian         Debian with nginx, compilers, Java and node in three layers (tests/bench/debian-image)
    modules        100,000 small files in one layer, in the shape of a node_modules directory
    huge           four files of 400 MB in one layer, half of it incompressible
    large          4 GiB that nothing compresses in one layer, to be fetched only
    layers-40      40 layers of 64 KB, to be fetched only
    fleet-0 to 5   the first layer of `debian`, and 16 MB of text that each has for itself
    small-125k     a tar of 125,000 small files
    small-1m       a tar of 1,000,000 small files

`debian`, `modules` and `huge` exist with gzip and with zstd layers, and as the one tar that their merged trees are. All
that `debian` is no part of is the same bytes on every machine.
"""

import functools
import hashlib
import json
import os
import random
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).parent
IMAGES = ["debian", "modules", "huge"]
FLEET = [f"fleet-{number}" for number in range(6)]
CODECS = {"gzip": ["gzip", "-6c"], "zstd": ["zstd", "-3qc"]}
LAYER = "application/vnd.oci.image.layer.v1.tar+"


def made(make):
    """Runs `make(part, ...)` only when the path does not exist, and lets it appear whole or not at all."""

    @functools.wraps(make)
    def guarded(path, *args):
        if path.exists():
            return path
        print(f"making {path}", flush=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_name(path.name + ".part")
        if part.is_dir():
            shutil.rmtree(part)
        make(part, *args)
        os.rename(part, path)
        return path

    return guarded


# ---- contents


def text(seed, size):
    """Words that deflate to about a third, as source code does."""
    rng = random.Random(seed)
    words = ["".join(rng.choices("etaoinshrdlucmfw_.", k=rng.randint(2, 9))) for _ in range(4000)]
    out = []
    while size > 0:
        line = " ".join(rng.choices(words, k=rng.randint(2, 12))) + rng.choice([";\n", "\n", " {\n", "\n}\n"])
        out.append(line)
        size -= len(line)
    return "".join(out).encode()


def tar_header(name, size, kind, mode, mtime):
    """A ustar header; names here fit its hundred bytes."""
    head = bytearray(512)
    head[0 : len(name)] = name
    head[100:157] = b"%07o\0%07o\0%07o\0%011o\0%011o\0        %c" % (mode, 0, 0, size, mtime, kind)
    head[257:265] = b"ustar\x0000"
    head[148:156] = b"%06o\0 " % sum(head)
    return head


class Tar:
    """A tar of directories and regular files, written as fast as Python can."""

    def __init__(self, path):
        self.file = open(path, "wb", buffering=1 << 20)

    def directory(self, name):
        self.file.write(tar_header(name + b"/", 0, ord("5"), 0o755, 499162500))

    def regular(self, name, data):
        self.file.write(tar_header(name, len(data), ord("0"), 0o644, 499162500))
        self.file.write(data)
        self.file.write(bytes(-len(data) % 512))

    def close(self):
        self.file.write(bytes(1024))
        self.file.close()


@made
def modules_tar(part):
    rng, source, tar = random.Random(1), text(2, 8 << 20), Tar(part)
    tar.directory(b"node_modules")
    for package in range(2500):
        base = b"node_modules/%s-%04d" % (bytes(source[package * 50 : package * 50 + 8]).translate(CLEAN), package)
        tar.directory(base)
        for inner in (b"", b"/lib", b"/dist", b"/dist/esm"):
            if inner:
                tar.directory(base + inner)
            for index in range(10):
                size = min(200_000, int(rng.lognormvariate(7.2, 1.5)))
                start = rng.randrange(len(source) - 200_000)
                tar.regular(base + inner + b"/file-%02d.js" % index, source[start : start + size])
    tar.close()


CLEAN = bytes(c if chr(c).isalnum() else ord("x") for c in range(256))


@made
def small_tar(part, files):
    rng, source, tar = random.Random(3), text(4, 1 << 20), Tar(part)
    for index in range(files):
        if index % 10_000 == 0:
            tar.directory(b"d%03d" % (index // 10_000))
        if index % 250 == 0:
            tar.directory(b"d%03d/s%02d" % (index // 10_000, index // 250 % 40))
        size, start = rng.randrange(1500), rng.randrange(len(source) - 1500)
        name = b"d%03d/s%02d/file-%07d" % (index // 10_000, index // 250 % 40, index)
        tar.regular(name, source[start : start + size])
    tar.close()


@made
def huge_tar(part):
    rng, source, tar = random.Random(5), text(6, 32 << 20), Tar(part)
    for index in range(4):
        size = 400 << 20
        tar.file.write(tar_header(b"model-%d.bin" % index, size, ord("0"), 0o644, 499162500))
        for _ in range(size >> 20):
            start = rng.randrange(31 << 20)
            tar.file.write(rng.randbytes(1 << 19) + source[start : start + (1 << 19)])
    tar.close()


def large_tar(path):
    rng, size, tar = random.Random(7), 4 << 30, Tar(path)
    tar.file.write(tar_header(b"random.bin", size, ord("0"), 0o644, 499162500))
    for _ in range(size >> 20):
        tar.file.write(rng.randbytes(1 << 20))
    tar.close()


# ---- images


def blob(layout, data):
    digest = hashlib.sha256(data).hexdigest()
    (layout / "blobs/sha256" / digest).write_bytes(data)
    return {"digest": "sha256:" + digest, "size": len(data)}


def pipe_hashed(source, sink, command=None):
    """Copies a file, through a command when there is one; returns the sha256 of what came out, and its size."""
    process = command and subprocess.Popen(command, stdin=source, stdout=subprocess.PIPE)
    stream, digest, size = process.stdout if process else source, hashlib.sha256(), 0
    while block := stream.read(1 << 20):
        digest.update(block)
        size += len(block)
        if sink:
            sink.write(block)
    if process and process.wait() != 0:
        raise SystemExit(f"{command} failed")
    return "sha256:" + digest.hexdigest(), size


def documents(part, layers, diff_ids):
    """The config, the manifest and the index of a layout whose layer blobs are there."""
    config = {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diff_ids}}
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **blob(part, json.dumps(config).encode())},
        "layers": layers,
    }
    entry = {"mediaType": manifest["mediaType"], **blob(part, json.dumps(manifest).encode())}
    entry["annotations"] = {"org.opencontainers.image.ref.name": "latest"}
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": [entry]}
    (part / "index.json").write_text(json.dumps(index))
    (part / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')


@made
def layout(part, tars, codec):
    """An OCI layout whose layers are `tars`, compressed."""
    (part / "blobs/sha256").mkdir(parents=True)
    layers, diff_ids = [], []
    for tar in tars:
        with open(tar, "rb") as source:
            diff_ids.append(pipe_hashed(source, None)[0])
        with open(tar, "rb") as source, open(part / "layer", "wb") as sink:
            digest, size = pipe_hashed(source, sink, CODECS[codec])
        os.rename(part / "layer", part / "blobs" / digest.replace(":", "/"))
        layers.append({"mediaType": LAYER + codec, "digest": digest, "size": size})
    documents(part, layers, diff_ids)


def document(path, descriptor):
    return json.loads((path / "blobs" / descriptor["digest"].replace(":", "/")).read_text())


def manifest_of(path):
    return document(path, json.loads((path / "index.json").read_text())["manifests"][0])


def layers_of(path):
    """The layer blobs of a layout, bottom first."""
    return [path / "blobs" / layer["digest"].replace(":", "/") for layer in manifest_of(path)["layers"]]


@made
def layers_40(part):
    rng, tars = random.Random(8), []
    for index in range(40):
        tars.append(part.with_name(f"layers-40-{index}.tar"))
        tar = Tar(tars[-1])
        tar.regular(b"layer-%02d.bin" % index, rng.randbytes(64 << 10))
        tar.close()
    os.rename(layout(part.with_name("layers-40.tmp"), tars, "gzip"), part)
    for tar in tars:
        tar.unlink()


@made
def fleet(part, source, number):
    """One of many images with the first layer of `source` in common."""
    rng, words, own = random.Random(100 + number), text(9, 8 << 20), part.with_name(part.name + ".tar")
    tar = Tar(own)
    tar.directory(b"app")
    for index in range(400):
        start = rng.randrange(len(words) - 40_000)
        tar.regular(b"app/part-%03d" % index, words[start : start + 40_000])
    tar.close()
    os.rename(layout(part.with_name(part.name + ".tmp"), [own], "gzip"), part)
    own.unlink()
    theirs, ours = manifest_of(source), manifest_of(part)
    base, diff_id = theirs["layers"][0], document(source, theirs["config"])["rootfs"]["diff_ids"][0]
    shutil.copy(source / "blobs" / base["digest"].replace(":", "/"), part / "blobs/sha256")
    documents(part, [base, *ours["layers"]], [diff_id, *document(part, ours["config"])["rootfs"]["diff_ids"]])


@made
def large(part):
    """Too large to keep the tar that it is made of."""
    tar = part.with_name("large.tar")
    large_tar(tar)
    os.rename(layout(part.with_name("large.tmp"), [tar], "gzip"), part)
    tar.unlink()


@made
def debian(part):
    subprocess.run([HERE / "debian-image", part], check=True)


@made
def debian_gzip(part, source):
    """umoci's layers under documents that say their media types, without which oci2rootfs refuses them."""
    (part / "blobs/sha256").mkdir(parents=True)
    layers, diff_ids = [], []
    for layer in layers_of(source):
        shutil.copy(layer, part / "blobs/sha256")
        layers.append({"mediaType": LAYER + "gzip", "digest": f"sha256:{layer.name}", "size": layer.stat().st_size})
        with open(layer, "rb") as stream:
            diff_ids.append(pipe_hashed(stream, None, ["gzip", "-dc"])[0])
    documents(part, layers, diff_ids)


@made
def debian_zstd(part, source):
    tars = []
    for index, layer in enumerate(layers_of(source)):
        tars.append(part.with_name(f"debian-layer-{index}.tar"))
        with open(tars[-1], "wb") as sink:
            subprocess.run(["gzip", "-dc", layer], stdout=sink, check=True)
    os.rename(layout(part.with_name("debian-zstd.tmp"), tars, "zstd"), part)
    for tar in tars:
        tar.unlink()


@made
def unpacked(part, source):
    bundle = part.with_name("bundle.part")
    subprocess.run(["rm", "-rf", bundle], check=True)
    subprocess.run(["umoci", "unpack", "--image", f"{source}:latest", bundle], check=True, stderr=subprocess.DEVNULL)
    os.rename(bundle / "rootfs", part)
    subprocess.run(["rm", "-rf", bundle], check=True)


@made
def merged_tar(part, tree):
    """The merged tree as GNU tar writes it, so that the tar rows depend on no filter of ours."""
    options = ["--format=posix", "--sort=name", "--numeric-owner", "--xattrs", "--xattrs-include=*"]
    options += ["--pax-option=delete=atime,delete=ctime"]
    subprocess.run(["tar", "--create", *options, "--file", part, "--directory", tree, "."], check=True)


class Corpus:
    """Paths of the parts, each made when it is first asked for."""

    def __init__(self, root):
        self.root = root

    def layout(self, name, codec):
        if name == "debian":
            source = debian(self.root / "debian") / "layout"
            return {"gzip": debian_gzip, "zstd": debian_zstd}[codec](self.root / f"debian-{codec}", source)
        if name in FLEET:
            return fleet(self.root / f"{name}-gzip", self.layout("debian", "gzip"), FLEET.index(name))
        if name in ("large", "layers-40"):
            return {"large": large, "layers-40": layers_40}[name](self.root / f"{name}-gzip")
        return layout(self.root / f"{name}-{codec}", [self.tar(name)], codec)

    def tar(self, name):
        path = self.root / f"{name}.tar"
        if name in ("debian", *FLEET):
            return merged_tar(path, self.unpacked(name))
        match name:
            case "modules":
                return modules_tar(path)
            case "huge":
                return huge_tar(path)
            case "small-125k":
                return small_tar(path, 125_000)
            case "small-1m":
                return small_tar(path, 1_000_000)
        raise KeyError(name)

    def unpacked(self, name):
        return unpacked(self.root / f"{name}-unpacked", self.layout(name, "gzip"))
