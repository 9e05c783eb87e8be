//! The crate's copy of the interface is the interface.

use std::fs;
use std::path::Path;

/// The files below a folder, by their path in it.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            found.extend(files(&path).into_iter().map(|(below, text)| (format!("{name}/{below}"), text)));
        } else {
            found.push((name, fs::read_to_string(&path).unwrap()));
        }
    }
    found.sort();
    found
}

#[test]
fn the_copy_is_the_interface() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let original = here.join("../../wit");
    // Elsewhere, such as in a project of its own, there is nothing to compare with.
    if original.join("step.wit").is_file() {
        assert_eq!(files(&here.join("wit")), files(&original), "rm -r plugins/sdk/wit && cp -r wit plugins/sdk/wit");
    }
}
