//! Programs of this workspace that are not the tested package's own.

use std::path::PathBuf;

/// Where cargo put a program of the workspace, if it did. Tests and benches of a package build that package's programs only.
pub fn find_program(name: &str) -> Option<PathBuf> {
    let test = std::env::current_exe().unwrap_or_default();
    test.ancestors().skip(1).take(3).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// Where cargo put a program of the workspace.
///
/// # Panics
///
/// Where it was not built.
pub fn program(name: &str) -> PathBuf {
    let found = find_program(name);
    found.unwrap_or_else(|| panic!("{name} is not built. help: cargo build -p {name}, or cargo test --workspace"))
}
