//! A project with a part of every kind: `a` from git with a patch, which needs `b` from this repository and may use `c` of the system.

use std::fs;

use crate::pins::project::Project;

const PATCH: &str = "From: Ann <ann@example.org>\nSubject: two\n\n--- a/f\n+++ b/f\n@@ -1 +1 @@\n-one\n+two\n";

/// It, locked and fetched, but not built.
pub fn project() -> Project {
    let project = Project::new();
    let upstream = project.upstream("a");
    upstream.commit("COPYING", "do what you like\n");
    project.manifest("");
    let checkout = &project.checkout;
    checkout.script(
        "a",
        "needs = ['b']\nruntime-needs = ['c']\npatches = ['components/a/0001-two.patch']",
        "install -D -m 644 f $STAGE/usr/f; ln -s f $STAGE/usr/link",
    );
    checkout.script("b", "", "mkdir -p $STAGE/usr; echo > $STAGE/usr/b");
    checkout.write("components/a/0001-two.patch", PATCH);
    let head =
        "summary = 'a machine'\nlicence = 'LicenseRef-theirs'\nhomepage = 'https://example.org/'\nsource = 'b'\n";
    checkout.write("components/c.toml", &format!("{head}[build.make]\n"));
    fs::create_dir_all(checkout.path("b")).unwrap();
    checkout.write("b/LICENSE", "free\n");
    let url = project.url("a");
    let sources =
        format!("a.git = {{ urls = [{url:?}], branch = 'main' }}\nb.path.dir = 'b'\n[system]\nc = '/usr/bin/c'\n");
    project.manifest(&sources);
    project.ok(&["update"]);
    project.ok(&["fetch"]);
    project
}
