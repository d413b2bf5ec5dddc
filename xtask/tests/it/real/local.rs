//! Sources that are directories of the project itself.

use super::project::{Project, built};

const NOTE: &str = r#"
summary = "A note"
licence = "MIT"
homepage = "https://example.org"
source = "note"
[build.steps]
[[step]]
name = "install"
run = ["install", "-D", "-m", "644", "note", "{stage}/usr/share/note"]
"#;

#[test]
fn a_manifest_of_local_directories_alone_is_locked_and_built() {
    let manifest = "summary = 's'\ncomponents = ['note']\n[sources.note]\npath = { dir = 'note' }\n";
    let project = Project::new(&[("note", NOTE)], manifest);
    project.write("note/note", "one\n");
    assert_eq!(project.xtask(&["build"]).code, 2);
    project.xtask(&["update"]).ok();
    let Some(ran) = project.build(&["--json"]) else { return };
    assert_eq!(built(&ran), ["note"], "{ran:?}");
    project.write("note/note", "two\n");
    assert_eq!(built(&project.xtask(&["build", "--json"])), ["note"]);
    assert_eq!(project.read("dist/usr/share/note"), "two\n");
}
