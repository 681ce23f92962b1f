//! Every item of the contract has its documentation.

use std::path::Path;

#[test]
fn every_item_is_documented() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    let folders = [folder.clone(), folder.join("spans")];
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).expect("wit/"));
    let paths = files.map(|file| file.expect("an entry").path());
    for path in paths.filter(|path| path.is_file()) {
        let text = std::fs::read_to_string(&path).expect("a WIT file");
        let mut before = "";
        for line in text.lines().map(str::trim) {
            let is_item = line.starts_with(|c: char| c.is_ascii_alphabetic());
            assert!(!is_item || before.starts_with("///"), "{}: `{line}` has no documentation", path.display());
            before = line;
        }
    }
}
