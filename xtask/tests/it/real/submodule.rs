//! A component whose source has a real library as a submodule.

use super::project::{Project, built};
use super::upstream::{Forge, LIBAIO};
use crate::tier::{self, Tier};

#[test]
fn a_submodule_is_pinned_fetched_built_and_part_of_the_tree() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let forge = Forge::new();
    let released = forge.publish("libaio");
    let bundle = forge.create("bundle");
    // Relative, as forges have it: resolved against the address that the bundle came from.
    bundle.git(&["clone", "-q", forge.bare("libaio").to_str().unwrap(), "lib/aio"]);
    bundle.git(&["-C", "lib/aio", "checkout", "-q", &released.release]);
    bundle.write(".gitmodules", "[submodule \"lib/aio\"]\n\tpath = lib/aio\n\turl = ../libaio.git\n");
    let first = bundle.push("main", "bundle");
    let manifest = format!(
        "summary = 's'\ncomponents = ['bundle']\n[sources.bundle]\n\
         git = {{ urls = [{:?}], branch = 'main', submodules = true }}\n",
        forge.url("bundle")
    );
    let component = LIBAIO.replace("source = \"libaio\"", "source = \"bundle\"") + "subdir = \"lib/aio\"\n";
    let project = Project::new(&[("bundle", &component)], &manifest);

    project.xtask(&["update"]).ok();
    let pin = project.pin("bundle");
    assert_eq!(pin["commit"].as_str(), Some(first.as_str()));
    let submodule = &pin["submodules"][0];
    assert_eq!(submodule["path"].as_str(), Some("lib/aio"));
    assert_eq!(submodule["commit"].as_str(), Some(released.release.as_str()));
    assert_eq!(submodule["url"].as_str(), Some(forge.url("libaio").as_str()));
    let Some(ran) = project.build(&["--json"]) else { return };
    assert_eq!(built(&ran), ["bundle"], "{ran:?}");
    assert!(project.path("dist/usr/lib/libaio.so.1").exists());

    // Another checkout gets the same from the lock alone.
    let elsewhere = project.elsewhere();
    let Some(ran) = elsewhere.build(&[]) else { return };
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(elsewhere.read("dist/usr/include/libaio.h"), project.read("dist/usr/include/libaio.h"));

    // An edit inside the submodule is seen, named and built.
    let header = ".xtask/src/bundle/lib/aio/src/libaio.h";
    project.write(header, &format!("{}\n#define MINE 1\n", project.read(header)));
    let status = project.xtask(&["status"]).ok();
    assert!(status.contains("lib/aio/src/libaio.h (edited)"), "{status}");
    let edited = project.xtask(&["build", "--json"]);
    assert_eq!(built(&edited), ["bundle"], "{edited:?}");
    assert!(project.read("dist/usr/include/libaio.h").contains("MINE"));
    project.xtask(&["fetch", "bundle", "--discard"]).ok();

    // The submodule moves when its superproject says so, and with it the tree.
    bundle.git(&["-C", "lib/aio", "checkout", "-q", "origin/main"]);
    bundle.push("main", "aio moves");
    project.xtask(&["update"]).ok();
    let moved = project.pin("bundle");
    assert_ne!(moved["tree"], pin["tree"]);
    assert_ne!(moved["submodules"][0]["commit"], submodule["commit"]);
    project.xtask(&["build"]).ok();
    assert!(project.path(".xtask/src/bundle/lib/aio/NEWS.sultana").exists());
    assert!(!project.read("dist/usr/include/libaio.h").contains("MINE"));
}
