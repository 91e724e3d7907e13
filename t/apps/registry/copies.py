"""copies.py REGISTRY IMAGES FOLDER: makes that many images in a folder, and has skopeo copy them to a registry,
a few at once. A visitor's images come from its address: visitor.c does not reach skopeo, which is written in Go,
so skopeo talks to a relay in this program."""

import asyncio
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import threading
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

registry, images, folder = sys.argv[1:]
OCI = "application/vnd.oci.image"


def layout(path):
    """An OCI image layout with one layer of random bytes."""
    blobs = os.path.join(path, "blobs", "sha256")
    os.makedirs(blobs)

    def blob(kind, data):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(blobs, digest), "wb") as file:
            file.write(data)
        return {"mediaType": f"{OCI}.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("random")
        entry.size = 200_000
        tar.addfile(entry, io.BytesIO(os.urandom(entry.size)))
    layer = blob("layer.v1.tar+gzip", gzip.compress(archive.getvalue()))
    root = {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(archive.getvalue()).hexdigest()}"]}
    config = blob("config.v1+json", json.dumps(
        {"architecture": "amd64", "os": "linux", "config": {}, "rootfs": root}).encode())
    manifest = blob("manifest.v1+json", json.dumps(
        {"schemaVersion": 2, "mediaType": f"{OCI}.manifest.v1+json", "config": config, "layers": [layer]}).encode())
    for name, text in [
        ("oci-layout", {"imageLayoutVersion": "1.0.0"}),
        ("index.json", {"schemaVersion": 2, "manifests": [manifest]}),
    ]:
        with open(os.path.join(path, name), "w", encoding="ascii") as file:
            json.dump(text, file)


async def piped(reader, writer):
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


async def relayed(reader, writer):
    host, port = registry.split(":")
    there, here = await asyncio.open_connection(host, int(port))
    await asyncio.gather(piped(reader, here), piped(there, writer), return_exceptions=True)


def relay():
    """Begins to relay connections to the registry, and returns the address that takes them."""
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(relayed, "127.0.0.1", 0))
    threading.Thread(target=loop.run_forever, daemon=True).start()
    return "127.0.0.1:%d" % server.sockets[0].getsockname()[1]


def copied(_):
    name = uuid4().hex
    path = os.path.join(folder, name)
    layout(path)
    command = ["skopeo", "--insecure-policy", "copy", "--dest-tls-verify=false", f"oci:{path}",
               f"docker://{front}/shop/{name}:1"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stderr.strip().splitlines()[-1][:200]


front = relay() if "STICKY_VISITOR" in os.environ else registry
with ThreadPoolExecutor(4) as pool:
    errors = list(pool.map(copied, range(int(images))))
print(json.dumps({"good": errors.count(""), "errors": sorted(set(errors) - {""})[:3]}))
