use super::*;

fn layer(title: &str) -> Descriptor {
    Descriptor::of(title.as_bytes(), "application/octet-stream").annotated(annotation::TITLE, title)
}

fn parse(layers: Vec<Descriptor>) -> Result<Artifact, ArtifactError> {
    Artifact::parse(&Manifest::new(Descriptor::of(b"{}", media_type::EMPTY), layers).to_raw())
}

#[test]
fn a_path_that_leads_out_of_the_package_is_refused() {
    for path in ["../x", "/etc/passwd", "a/../../x", "a//b", "", ".", "..", ".hidden", "a/.b", "a\\b", "a\nb", "a/"] {
        assert_eq!(
            parse(vec![layer("plugin.yaml"), layer(path)]).unwrap_err(),
            ArtifactError::Path { title: path.to_owned() }
        );
    }
    assert!(parse(vec![layer("plugin.yaml"), layer(&"x".repeat(101))]).is_err());
    assert!(parse(vec![layer("plugin.yaml"), layer("tests/sample.jsonl")]).is_ok());
}

#[test]
fn a_file_larger_than_the_host_would_read_is_refused_before_it_is_downloaded() {
    let mut large = layer("x.wasm");
    large.size = limits::COMPONENT_BYTES + 1;
    let message = parse(vec![layer("plugin.yaml"), large]).unwrap_err().to_string();
    assert_eq!(message, "x.wasm: found 67108865 bytes, expected at most 67108864: is this the right file?");
    let many: Vec<_> = (0..65).map(|n| layer(&format!("{n}"))).collect();
    assert_eq!(parse(many).unwrap_err(), ArtifactError::TooManyFiles { found: 65 });
    let huge = (0..2).map(|n| Descriptor { size: u64::MAX, ..layer(&format!("{n}")) }).collect();
    assert_eq!(parse(huge).unwrap_err(), ArtifactError::TooManyBytes { found: u64::MAX });
}

#[test]
fn an_artifact_of_something_else_is_no_package() {
    assert_eq!(parse(vec![layer("x.wasm")]).unwrap_err(), ArtifactError::NoPackage);
    let untitled = Descriptor::of(b"", media_type::WASM);
    assert!(matches!(parse(vec![untitled]).unwrap_err(), ArtifactError::NoTitle { .. }));
    let folder = layer("tests").annotated(annotation::UNPACK, "true");
    assert!(matches!(parse(vec![layer("plugin.yaml"), folder]).unwrap_err(), ArtifactError::Archive { .. }));
    let raw = |text: &str| RawManifest { bytes: text.into(), media_type: media_type::INDEX.to_owned() };
    assert!(matches!(Artifact::parse(&raw(r#"{"manifests": []}"#)), Err(ArtifactError::NoManifest { .. })));
    assert!(matches!(Artifact::parse(&raw("{")), Err(ArtifactError::Malformed { .. })));
}

#[test]
fn each_machine_gets_the_object_of_its_architecture() {
    let object = |architecture: &str| {
        let bytes = Descriptor::of(architecture.as_bytes(), media_type::BPF);
        bytes.annotated(annotation::TITLE, "x.bpf.o").annotated(annotation::ARCHITECTURE, architecture)
    };
    let both = parse(vec![layer("plugin.yaml"), object("amd64"), object("arm64"), layer("tests/a.jsonl")]).unwrap();
    for (architecture, name) in [(Architecture::Amd64, "amd64"), (Architecture::Arm64, "arm64")] {
        let files = both.files_for(architecture, Recordings::LeaveOut).unwrap();
        let digests: Vec<_> = files.iter().map(|layer| layer.descriptor.digest).collect();
        assert_eq!(digests, [layer("plugin.yaml").digest, object(name).digest]);
        assert_eq!(both.files_for(architecture, Recordings::Keep).unwrap().len(), 3);
    }
    let one = parse(vec![layer("plugin.yaml"), object("arm64")]).unwrap();
    let message = one.files_for(Architecture::Amd64, Recordings::LeaveOut).unwrap_err().to_string();
    assert_eq!(message, "x.bpf.o: found objects for arm64, expected one for amd64 or for every architecture");
    assert!(matches!(parse(vec![layer("plugin.yaml"), object("s390x")]), Err(ArtifactError::Architecture { .. })));
    for twice in [vec![object("arm64"), object("arm64")], vec![layer("x.bpf.o"), object("arm64")]] {
        let layers = [vec![layer("plugin.yaml")], twice].concat();
        assert!(matches!(parse(layers), Err(ArtifactError::Twice { .. })));
    }
}
