"""image.py IMAGE.oci.tar TARBALL.tar.gz …: the image is a valid OCI layout with a layer for each tarball, which has the tarball's files below /usr/bin and
/usr/lib/ebhost, with the same bytes and modes.
"""

import gzip
import hashlib
import io
import json
import sys
import tarfile

DEBIAN = {"x86_64": "amd64", "aarch64": "arm64"}


def files(archive, strip=0):
    """Contents and modes of the files of a tar archive, by their paths."""
    return {"/".join(member.name.split("/")[strip:]): (archive.extractfile(member).read(), oct(member.mode)) for member in archive if member.isfile()}


image = files(tarfile.open(sys.argv[1]))
assert json.loads(image["oci-layout"][0]) == {"imageLayoutVersion": "1.0.0"}
used = set()


def blob(descriptor):
    """The bytes that a descriptor names, which are what it says."""
    digest = descriptor["digest"].removeprefix("sha256:")
    content = image[f"blobs/sha256/{digest}"][0]
    assert hashlib.sha256(content).hexdigest() == digest and len(content) == descriptor["size"], descriptor
    used.add(f"blobs/sha256/{digest}")
    return content


outer, = json.loads(image["index.json"][0])["manifests"]
layers = {}
for descriptor in json.loads(blob(outer))["manifests"]:
    manifest = json.loads(blob(descriptor))
    config = json.loads(blob(manifest["config"]))
    architecture = descriptor["platform"]["architecture"]
    assert config["architecture"] == architecture and config["os"] == descriptor["platform"]["os"] == "linux"
    layer, = manifest["layers"]
    tar = gzip.decompress(blob(layer))
    assert config["rootfs"]["diff_ids"] == ["sha256:" + hashlib.sha256(tar).hexdigest()]
    layers[architecture] = files(tarfile.open(fileobj=io.BytesIO(tar)))
    assert config["config"]["Entrypoint"] == ["/usr/bin/ebhost"] and "usr/bin/ebhost" in layers[architecture]
assert used == {name for name in image if name.startswith("blobs/")}, "a blob that nothing names"

expected = {}
for tarball in sys.argv[2:]:
    architecture = DEBIAN[tarball.removesuffix(".tar.gz").rsplit("-", 1)[1]]
    contents = files(tarfile.open(tarball), strip=1)
    expected[architecture] = {name: file for name, file in contents.items() if name.startswith(("usr/bin/", "usr/lib/ebhost/"))}
assert layers == expected, "other files than the tarballs have"
print(", ".join(f"{name}: {len(layer)} files" for name, layer in sorted(layers.items())))
