"""A docker-registry on loopback that holds the corpus, for the rows that pull, and lines before it."""

import contextlib
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

CONFIG = """\
version: 0.1
log: {{level: error, accesslog: {{disabled: true}}}}
storage: {{filesystem: {{rootdirectory: {root}}}}}
http: {{addr: 127.0.0.1:{port}}}
"""


@contextlib.contextmanager
def serve(root: Path):
    """Runs the registry over `root` and gives its address; it ends with the block."""
    root.mkdir(parents=True, exist_ok=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    config = root / "config.yml"
    config.write_text(CONFIG.format(root=root, port=port))
    with open(root / "log", "wb") as log:
        server = subprocess.Popen(["docker-registry", "serve", config], stdout=log, stderr=log)
    try:
        for _ in range(100):
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/v2/").close()
                break
            time.sleep(0.1)
        else:
            raise SystemExit(f"docker-registry did not start; see {root}/log")
        yield f"127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait()


@contextlib.contextmanager
def line(address, last, bits=0, round_trip=0.0):
    """A line to `address` (see line.py), whose own address this gives; it ends with the block, or with this process."""
    command = [sys.executable, Path(__file__).with_name("line.py"), "--to", address, "--last", last]
    command += ["--bits", str(bits), "--round-trip", str(round_trip)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with process:
        yield process.stdout.readline().strip()
        process.stdin.close()


def push(address, layout, name):
    """Puts an image of the corpus there, unless an earlier run has."""
    with contextlib.suppress(OSError):
        request = urllib.request.Request(f"http://{address}/v2/{name}/manifests/latest", method="HEAD")
        request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
        urllib.request.urlopen(request).close()
        return
    command = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}:latest", f"docker://{address}/{name}:latest"]
    subprocess.run(command, check=True)
