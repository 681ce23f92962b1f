//! Arguments of the commands for registries.

use std::path::PathBuf;

use clap::Args;

use ebhost_registry::{Architecture, PlainHttp, Recordings, Reference, TrustFlags};

/// The folder that packages are installed into, and searched for, unless an argument says otherwise.
const PLUGINS: &str = "/var/lib/ebhost/plugins";

/// How registries are spoken to.
#[derive(Debug, Args)]
pub(super) struct ConnectionArgs {
    /// Speak HTTP without TLS to all registries; with `=false` to none. Default: to those on this machine, unless certs.d has a folder for them.
    #[arg(
        long = "plain-http",
        value_name = "true|false",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    plain_http: Option<bool>,

    /// Certificates in PEM of authorities to trust beside the system's, or those of $SSL_CERT_FILE. May be repeated. Those for one registry may lie in
    /// /etc/containers/certs.d/HOST:PORT instead, where podman and skopeo have them.
    #[arg(long = "ca-file", value_name = "FILE")]
    pub(super) ca_files: Vec<PathBuf>,
}

/// Trust in publishers.
#[derive(Debug, Args)]
pub(super) struct TrustArgs {
    /// Policy file: repositories, keys, who may bring BPF, mirrors. Default: /etc/ebhost/policy.yaml, if there is one.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,

    /// Without a policy: public key in PEM, by which an artifact has to be signed. May be repeated; one of them is enough.
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,

    /// Without a policy and without keys: take what nobody has signed.
    #[arg(long = "allow-unsigned", conflicts_with = "keys")]
    allow_unsigned: bool,
}

/// Arguments of `ebhost push`.
#[derive(Debug, Args)]
pub struct PushArgs {
    /// Folder with a plugin.yaml, or `oci:PATH[:NAME]`: an artifact of a layout folder, pushed as it is with its signatures.
    pub(super) package: String,

    /// `HOST[:PORT]/PATH[:TAG]`. Default of the tag: the package's version.
    #[arg(value_name = "REFERENCE")]
    pub(super) reference: Reference,

    /// Sign with this private key: ECDSA on P-256 in PEM, in PKCS #8 or encrypted by cosign. The password is $COSIGN_PASSWORD; without that it is asked
    /// for on a terminal, else read from standard input.
    #[arg(long = "sign-key", value_name = "FILE")]
    pub(super) sign_key: Option<PathBuf>,

    /// BPF object for one architecture in the place of the package's, which is for all: `amd64=FILE`, `arm64=FILE`. May be repeated.
    #[arg(long = "bpf", value_name = "ARCH=FILE", value_parser = object)]
    pub(super) objects: Vec<(Architecture, PathBuf)>,

    /// Leave out the recordings in `tests/`.
    #[arg(long = "no-recordings")]
    no_recordings: bool,

    /// URL of the sources, for the artifact's annotations.
    #[arg(long, value_name = "URL")]
    pub(super) source: Option<String>,

    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// Arguments of `ebhost pull`.
#[derive(Debug, Args)]
pub struct PullArgs {
    /// `HOST[:PORT]/PATH[:TAG][@DIGEST]`.
    #[arg(value_name = "REFERENCE")]
    pub(super) references: Vec<Reference>,

    /// Folder to install into, the one that the host has in --plugins.
    #[arg(long, value_name = "DIR", default_value = PLUGINS)]
    pub(super) plugins: PathBuf,

    /// File of pins, the one that the host has in --trust.pins. Default: `pins` in the folder.
    #[arg(long, value_name = "FILE")]
    pub(super) pins: Option<PathBuf>,

    /// Install what this lock file lists, by digest.
    #[arg(long, value_name = "FILE", conflicts_with = "references")]
    pub(super) locked: Option<PathBuf>,

    /// Write the digests of what is pulled into this lock file.
    #[arg(long, value_name = "FILE", conflicts_with = "locked")]
    pub(super) lock: Option<PathBuf>,

    /// Copy whole artifacts with their signatures into a layout folder, `oci:PATH`, instead of installing them.
    #[arg(long, value_name = "oci:PATH", conflicts_with_all = ["pins", "from"])]
    pub(super) to: Option<String>,

    /// Take everything from a layout folder, `oci:PATH`, instead of registries. The policy is that of the references.
    #[arg(long, value_name = "oci:PATH")]
    pub(super) from: Option<String>,

    /// Architecture of the hosts: amd64, arm64. Default: that of this machine.
    #[arg(long, value_name = "ARCH")]
    architecture: Option<Architecture>,

    /// Install recordings, too.
    #[arg(long)]
    recordings: bool,

    /// Let an older version take the place of a newer one.
    #[arg(long = "allow-downgrade")]
    pub(super) allow_downgrade: bool,

    /// Take the place of a package that came from another repository, or was put there by hand.
    #[arg(long)]
    pub(super) replace: bool,

    #[command(flatten)]
    pub(super) trust: TrustArgs,

    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// Arguments of `ebhost verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Folder of packages, to be compared with its pins; or references, whose signatures and files are checked without installing them.
    #[arg(value_name = "DIR|REFERENCE", default_value = PLUGINS)]
    pub(super) what: Vec<String>,

    /// File of pins. Default: `pins` in the folder.
    #[arg(long, value_name = "FILE")]
    pub(super) pins: Option<PathBuf>,

    /// Look into a layout folder, `oci:PATH`, instead of registries.
    #[arg(long, value_name = "oci:PATH")]
    pub(super) from: Option<String>,

    #[command(flatten)]
    pub(super) trust: TrustArgs,

    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

/// Arguments of `ebhost search`.
#[derive(Debug, Args)]
pub struct SearchArgs {
    /// `HOST[:PORT][/PREFIX]`: the packages whose repositories begin with the prefix. Registries without a catalog take a repository.
    #[arg(value_name = "REGISTRY[/PREFIX]")]
    pub(super) registry: String,

    #[command(flatten)]
    pub(super) connection: ConnectionArgs,
}

impl ConnectionArgs {
    pub(super) fn plain_http(&self) -> PlainHttp {
        match self.plain_http {
            Some(true) => PlainHttp::Always,
            Some(false) => PlainHttp::Never,
            None => PlainHttp::Loopback,
        }
    }
}

impl TrustArgs {
    pub(super) fn flags(&self) -> TrustFlags {
        TrustFlags { policy: self.policy.clone(), keys: self.keys.clone(), allow_unsigned: self.allow_unsigned }
    }
}

impl PushArgs {
    pub(super) fn recordings(&self) -> Recordings {
        if self.no_recordings { Recordings::LeaveOut } else { Recordings::Keep }
    }
}

impl PullArgs {
    pub(super) fn recordings(&self) -> Recordings {
        if self.recordings { Recordings::Keep } else { Recordings::LeaveOut }
    }

    pub(super) fn architecture(&self) -> Architecture {
        self.architecture.unwrap_or_else(Architecture::here)
    }
}

/// Parses `ARCH=FILE`.
fn object(text: &str) -> Result<(Architecture, PathBuf), String> {
    let (architecture, path) = text.split_once('=').ok_or_else(|| format!("found `{text}`, expected ARCH=FILE"))?;
    Ok((architecture.parse()?, path.into()))
}
