//! From git to programs that run: the make and autotools drivers over real upstream sources, from mirrors of which some are broken.

use std::path::Path;
use std::process::Command;

use super::project::{Project, built};
use super::upstream::{Forge, LIBAIO, LIBCAP_NG, TINYPROXY};
use crate::origin::servers::{Fault, dead};
use crate::tier::{self, Tier};

/// Needs both libraries: one found by pkg-config, the other by `-l`.
const PROBE: &str = r#"
summary = "Says what it was linked with"
licence = "MIT"
homepage = "https://example.org"
source = "probe"
needs = ["libaio", "libcap-ng"]
[build.make]
[packages]
debian = ["pkg-config"]
"#;

const PROBE_C: &str = r#"
#include <cap-ng.h>
#include <libaio.h>
#include <stdio.h>
int main(void) {
    io_context_t context = 0;
    int error = io_setup(1, &context);
    if (!error) io_destroy(context);
    printf("%s, io_setup %d\n", capng_capability_to_name(CAP_CHOWN), error);
    return 0;
}
"#;

const PROBE_MAKE: &str = "probe: probe.c
\t$(CC) $(CPPFLAGS) $(shell pkg-config --cflags libcap-ng) $< -o $@ $(LDFLAGS) $(shell pkg-config --libs libcap-ng) -laio
install: probe
\tinstall -D probe $(DESTDIR)/usr/bin/probe
";

#[test]
fn real_sources_from_git_are_built_installed_and_run() {
    if !tier::need(Tier::Standard) {
        return;
    }
    let forge = Forge::new();
    let [aio, capng, proxy] = ["libaio", "libcap-ng", "tinyproxy"].map(|package| forge.publish(package));
    let whole = forge.http(|_| Fault::None);
    // The second mirror of libcap-ng answers what refs it has and breaks off in the middle of the pack.
    let broken = forge.http(|connection| if connection == 0 { Fault::None } else { Fault::ClosesAfter(20_000) });
    let smart = |server: &crate::origin::servers::Server, name: &str| server.url("http", &format!("smart/{name}.git"));
    let (nobody, breaks_off) = (dead("git"), smart(&broken, "libcap-ng"));
    let manifest = format!(
        "summary = 's'\ncomponents = ['libaio', 'libcap-ng', 'tinyproxy', 'probe']\n\
         [sources.libaio]\ngit = {{ urls = [{:?}], commit = {:?} }}\n\
         [sources.libcap-ng]\ngit = {{ urls = [{nobody:?}, {breaks_off:?}, {:?}], branch = 'stable/1' }}\n\
         [sources.tinyproxy]\ngit = {{ urls = [{:?}], tag = 'v1' }}\n\
         [sources.probe]\npath = {{ dir = 'probe' }}\n",
        smart(&whole, "libaio"),
        aio.release,
        forge.url("libcap-ng"),
        forge.url("tinyproxy"),
    );
    let components = [("libaio", LIBAIO), ("libcap-ng", LIBCAP_NG), ("tinyproxy", TINYPROXY), ("probe", PROBE)];
    let project = Project::new(&components, &manifest);
    project.write("probe/probe.c", PROBE_C);
    project.write("probe/Makefile", PROBE_MAKE);

    let updated = project.xtask(&["update"]);
    for mirror in [&nobody, &breaks_off] {
        assert!(updated.err.contains(mirror.as_str()), "{mirror} is not named in {}", updated.err);
    }
    updated.ok();
    for (name, release) in [("libaio", &aio), ("libcap-ng", &capng), ("tinyproxy", &proxy)] {
        let pin = project.pin(name);
        assert_eq!(pin["commit"].as_str(), Some(release.release.as_str()), "{name}");
        assert_eq!(pin["tree"].as_str(), Some(release.tree.to_string().as_str()), "{name}");
    }
    project.xtask(&["fetch"]).ok();

    let Some(ran) = project.build(&["--json"]) else { return };
    assert_eq!(ran.code, 0, "{}\n{}", ran.out, ran.err);
    let mut names = built(&ran);
    let at = |name: &str| names.iter().position(|built| built == name);
    assert!(at("probe") > at("libaio") && at("probe") > at("libcap-ng"), "{names:?}");
    names.sort();
    assert_eq!(names, ["libaio", "libcap-ng", "probe", "tinyproxy"]);

    let usr = project.path("dist/usr");
    assert!(says(&usr, "bin/tinyproxy", &["-v"]).starts_with("tinyproxy 1.11.1"));
    assert!(says(&usr, "bin/probe", &[]).starts_with("chown, io_setup "));
    let dynamic = run(Command::new("readelf").arg("-dW").arg(usr.join("lib/libaio.so.1")));
    assert!(dynamic.contains("Library soname: [libaio.so.1]"), "{dynamic}");
    // And for whoever compiles against dist/ by hand.
    let source = project.beside("by-hand.c");
    std::fs::write(&source, PROBE_C).unwrap();
    let program = project.beside("by-hand");
    let at = |path: &str| usr.join(path).display().to_string();
    run(Command::new("cc").arg(format!("-I{}", at("include"))).arg(&source).arg("-o").arg(&program).args([
        format!("-L{}", at("lib")),
        "-lcap-ng".into(),
        "-laio".into(),
    ]));
    assert!(run(Command::new(program).env("LD_LIBRARY_PATH", at("lib"))).starts_with("chown"));

    // Nothing is left to do, and everything says so.
    let again = project.xtask(&["build", "--offline"]);
    assert!(again.err.contains("all 4 components are up to date"), "{}", again.err);
    assert!(again.err.contains("none changed"), "{}", again.err);
    let status = project.xtask(&["status"]).ok();
    assert_eq!(status.matches("at its pin").count(), 3, "{status}");
    assert_eq!(status.lines().filter(|line| line.contains(" built")).count(), 4, "{status}");
    assert!(project.xtask(&["why", "libcap-ng"]).ok().contains("is up to date"));
    project.write("probe/probe.c", &PROBE_C.replace("io_setup %d", "io_setup() is %d"));
    let why = project.xtask(&["why", "probe"]).ok();
    assert!(why.contains("probe.c"), "{why}");
    assert_eq!(built(&project.xtask(&["build", "--json", "--offline"])), ["probe"]);
    assert!(says(&usr, "bin/probe", &[]).contains("io_setup() is"));
}

fn says(usr: &Path, program: &str, arguments: &[&str]) -> String {
    run(Command::new(usr.join(program)).args(arguments).env("LD_LIBRARY_PATH", usr.join("lib")))
}

fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}
