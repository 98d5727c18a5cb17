"""A docker-registry on loopback that holds the corpus, for the rows that pull."""

import contextlib
import socket
import subprocess
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


def push(address, layout, name):
    """Puts an image of the corpus there, unless an earlier run has."""
    with contextlib.suppress(OSError):
        request = urllib.request.Request(f"http://{address}/v2/{name}/manifests/latest", method="HEAD")
        request.add_header("Accept", "application/vnd.oci.image.manifest.v1+json")
        urllib.request.urlopen(request).close()
        return
    command = ["skopeo", "copy", "--quiet", "--dest-tls-verify=false", f"oci:{layout}:latest", f"docker://{address}/{name}:latest"]
    subprocess.run(command, check=True)
