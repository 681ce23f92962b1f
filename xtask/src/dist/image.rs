//! The container image as an OCI layout, made without a daemon: the binary and the packages on nothing.
//!
//! See <https://github.com/opencontainers/image-spec>. `skopeo copy oci-archive:FILE …` and `podman load` take the archive.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::{Value, json};

use super::{Release, archive, build::Binary, tree::Tree};
use crate::{
    digest,
    error::{Error, Result},
    process::output,
};

/// The files and folders of an installation that are in the image.
const CONTENTS: [&str; 2] = ["usr/bin/ebhost", "usr/lib/ebhost"];

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// An OCI layout: a folder of blobs by their digests.
struct Layout(PathBuf);

pub(super) fn write(release: &Release, binaries: &[Binary]) -> Result<()> {
    let layout = Layout(release.stage.join("image"));
    let blobs = layout.0.join("blobs/sha256");
    fs::create_dir_all(&blobs).map_err(Error::file(&blobs))?;
    let manifests = binaries.iter().map(|binary| layout.manifest(release, binary)).collect::<Result<Vec<_>>>()?;
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests });
    let mut descriptor = layout.blob(INDEX, index.to_string().as_bytes())?;
    descriptor["annotations"] = json!({ "org.opencontainers.image.ref.name": release.version });
    layout.file("index.json", &json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor] }))?;
    layout.file("oci-layout", &json!({ "imageLayoutVersion": "1.0.0" }))?;
    let tar = release.out.join(format!("ebhost-{}.oci.tar", release.version));
    archive::write(release, &layout.0, &tar, &["blobs", "index.json", "oci-layout"].map(str::to_owned), &[])
}

impl Layout {
    /// Writes the image of an architecture and describes it.
    fn manifest(&self, release: &Release, binary: &Binary) -> Result<Value> {
        let tree = Tree { arch: binary.arch, root: release.stage.join(binary.arch.name()) };
        let name = format!("layer-{}.tar", binary.arch.name());
        let (tar, packed) = (release.stage.join(&name), release.stage.join(format!("{name}.gz")));
        archive::write(release, &tree.root, &tar, &CONTENTS.map(str::to_owned), &[])?;
        archive::compress(&tar, &packed)?;
        let read = |file: &Path| fs::read(file).map_err(Error::file(file));
        let layer = self.blob(LAYER, &read(&packed)?)?;
        let created = output(Command::new("date").args([
            "--utc",
            "--date",
            &format!("@{}", release.epoch),
            "+%Y-%m-%dT%H:%M:%SZ",
        ]))?;
        let labels = json!({
            "org.opencontainers.image.title": "ebhost",
            "org.opencontainers.image.description": "eBPF to Prometheus, with sandboxed plugins",
            "org.opencontainers.image.version": release.version,
            "org.opencontainers.image.licenses": "Apache-2.0",
        });
        let config = json!({
            "created": created, "architecture": binary.arch.debian(), "os": "linux",
            "config": {
                "Entrypoint": ["/usr/bin/ebhost"],
                "Cmd": ["--plugins", "/usr/lib/ebhost/plugins"],
                "ExposedPorts": { "9435/tcp": {} },
                "Labels": labels,
            },
            "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{}", digest::sha256(&read(&tar)?))] },
            "history": [{ "created": created, "created_by": "cargo xtask dist" }],
        });
        let config = self.blob(CONFIG, config.to_string().as_bytes())?;
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer], "annotations": labels });
        let mut descriptor = self.blob(MANIFEST, manifest.to_string().as_bytes())?;
        descriptor["platform"] = json!({ "architecture": binary.arch.debian(), "os": "linux" });
        Ok(descriptor)
    }

    /// Writes a blob and describes it.
    fn blob(&self, kind: &str, bytes: &[u8]) -> Result<Value> {
        let digest = digest::sha256(bytes);
        let file = self.0.join("blobs/sha256").join(&digest);
        fs::write(&file, bytes).map_err(Error::file(&file))?;
        Ok(json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len() }))
    }

    fn file(&self, name: &str, value: &Value) -> Result<()> {
        let file = self.0.join(name);
        fs::write(&file, value.to_string()).map_err(Error::file(&file))
    }
}
