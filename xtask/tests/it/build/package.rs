//! `package deb`: what dpkg makes of it, in a root that is not the machine's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::checkout::{Checkout, How, files, root, sealed};
use crate::origin::git::git_in;
use crate::tier;

const PACKAGES: &str = r#"
[[package]]
deb = "{soname}"
summary = "a library"
section = "libs"
files = ["{libdir}/*.so.*"]
[[package]]
deb = "x-dev"
summary = "what compiles with it"
files = ["{libdir}/*.so"]
[[package]]
deb = "x-tools"
summary = "programs"
files = ["{prefix}/bin/*", "{prefix}/share/man/**", "{sysconfdir}/**", "{localstatedir}/**"]
"#;

const SCRIPT: &str = r#"
mkdir -p $STAGE/usr/lib $STAGE/usr/bin $STAGE/usr/share/man/man1 $STAGE/etc/x $STAGE/var/lib/x
echo page > $STAGE/usr/share/man/man1/x.1
echo 'int x(void) { return 1; }' > $BUILD/x.c
echo 'int x(void); int main(void) { return x() - 1; }' > $BUILD/main.c
cc -g -shared -fPIC -Wl,-soname,libx.so.1 -o $STAGE/usr/lib/libx.so.1.0 $BUILD/x.c
ln -s libx.so.1.0 $STAGE/usr/lib/libx.so.1
ln -s libx.so.1 $STAGE/usr/lib/libx.so
cc -g -o $STAGE/usr/bin/x $BUILD/main.c -L$STAGE/usr/lib -lx
printf '#!/bin/sh\nexit 0\n' > $STAGE/usr/bin/script
chmod 755 $STAGE/usr/bin/script
echo one > $STAGE/etc/x/conf
"#;

/// A checkout with a library and a program built; none where there is no dpkg, which is on record.
fn built() -> Option<Checkout> {
    if which::which("dpkg-deb").is_err() {
        tier::skip("there is no dpkg");
        return None;
    }
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "", SCRIPT);
    let definition = checkout.read("components/a.toml");
    checkout.write("components/a.toml", &format!("{definition}{PACKAGES}"));
    checkout.built(&["--no-sandbox"]);
    Some(checkout)
}

/// `package deb` into a directory; the paths of the packages.
fn packages(checkout: &Checkout, out: &str, args: &[&str]) -> Vec<PathBuf> {
    let out = checkout.root().with_file_name(out);
    let ran = checkout.run(&[&["package", "deb", "--allow-local", "--out", out.to_str().unwrap()], args].concat());
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    ran.stdout.lines().map(PathBuf::from).collect()
}

fn run(program: &str, args: &[&str]) -> String {
    let ended = Command::new(program).args(args).env("LC_ALL", "C").output().unwrap();
    assert!(ended.status.success(), "{program} {args:?}: {}", String::from_utf8_lossy(&ended.stderr));
    String::from_utf8(ended.stdout).unwrap()
}

/// dpkg in a root of its own, which has nothing, not even what packages depend on.
struct Root(PathBuf);

impl Root {
    fn new(checkout: &Checkout) -> Self {
        let root = checkout.root().with_file_name("debian");
        for dir in ["var/lib/dpkg/info", "var/lib/dpkg/updates"] {
            fs::create_dir_all(root.join(dir)).unwrap();
        }
        fs::write(root.join("var/lib/dpkg/status"), "").unwrap();
        Root(root)
    }

    fn dpkg(&self, args: &[&str]) {
        let root = format!("--root={}", self.0.display());
        let forced = ["--force-depends", "--force-not-root", "--force-confdef", "--log=/dev/null", &root];
        run("dpkg", &[&forced, args].concat());
    }

    fn install(&self, packages: &[PathBuf]) {
        let packages = packages.iter().map(|path| path.to_str().unwrap());
        self.dpkg(&["--install"].into_iter().chain(packages).collect::<Vec<_>>());
    }

    /// What is there beside dpkg's own.
    fn files(&self) -> Vec<String> {
        files(&self.0).into_keys().filter(|path| !path.starts_with("var/lib/dpkg/")).collect()
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.0.join(path)).unwrap()
    }
}

#[test]
fn packages_install_upgrade_and_go_without_a_trace() {
    if !root() {
        return;
    }
    let Some(checkout) = built() else { return };
    let first = packages(&checkout, "first", &[]);
    let names: Vec<&str> = first.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
    let arch = run("dpkg", &["--print-architecture"]);
    let arch = arch.trim();
    let wanted = ["libx1", "x-dev", "x-tools"].map(|name| format!("{name}_0+sultana1~local-1_{arch}.deb"));
    assert_eq!(names, wanted);
    let field = |package: &Path, field: &str| run("dpkg-deb", &["-f", package.to_str().unwrap(), field]);
    assert_eq!(field(&first[1], "Depends"), "libx1 (= 0+sultana1~local-1)\n");
    let depends = field(&first[2], "Depends");
    assert!(depends.starts_with("libx1 (>= 0+sultana1~local-1), libc6 (>= 2."), "{depends}");

    let root = Root::new(&checkout);
    assert!(
        run("dpkg-deb", &["-I", first[0].to_str().unwrap(), "shlibs"]).contains("libx 1 libx1 (>= 0+sultana1~local-1)")
    );
    root.install(&first);
    let dynamic = run("readelf", &["-SW", root.0.join("usr/bin/x").to_str().unwrap()]);
    assert!(!dynamic.contains(".symtab") && !dynamic.contains(".debug_info"), "{dynamic}");
    let ended = Command::new(root.0.join("usr/bin/x")).env("LD_LIBRARY_PATH", root.0.join("usr/lib")).status().unwrap();
    assert!(ended.success());
    assert!(root.0.join("var/lib/x").is_dir() && root.0.join("usr/share/doc/x-tools/copyright").is_file());
    root.dpkg(&["--verify"]);
    let page = root.0.join("usr/share/man/man1/x.1.gz");
    assert_eq!(run("gzip", &["-dc", page.to_str().unwrap()]), "page\n");

    // One who changed a file of configuration keeps it, and nobody else keeps an old one.
    fs::write(root.0.join("etc/x/conf"), "mine\n").unwrap();
    let script = checkout.read("components/a.toml").replace("echo one >", "echo other > $$/etc/x/other; echo two >");
    checkout.write("components/a.toml", &script.replace("$$", "{stage}"));
    checkout.built(&["--no-sandbox"]);
    let second = packages(&checkout, "second", &["--revision", "2"]);
    root.install(&second);
    assert_eq!((root.read("etc/x/conf"), root.read("etc/x/other")), ("mine\n".to_owned(), "other\n".to_owned()));
    root.dpkg(&["--remove", "x-tools", "x-dev", "libx1"]);
    assert!(root.files().iter().all(|path| path.starts_with("etc/x/")), "{:?}", root.files());
    assert_eq!(root.read("etc/x/conf"), "mine\n");
    root.dpkg(&["--purge", "x-tools"]);
    assert_eq!(root.files(), Vec::<String>::new());
    assert!(!root.0.join("usr").exists() && !root.0.join("var/lib/x").exists());
}

#[test]
fn the_same_result_gives_the_same_bytes_and_another_revision_others() {
    let Some(checkout) = built() else { return };
    let bytes = |packages: Vec<PathBuf>| packages.into_iter().map(|path| fs::read(path).unwrap()).collect::<Vec<_>>();
    let first = bytes(packages(&checkout, "first", &[]));
    fs::remove_dir_all(checkout.path("dist")).unwrap();
    checkout.built(&["--no-sandbox"]);
    let mut again = checkout.command(&["package", "deb", "--allow-local", "--out", "again"]);
    let again = again.env("TZ", "Asia/Tokyo").env("LC_ALL", "tr_TR.UTF-8").output().unwrap();
    let again = String::from_utf8(again.stdout).unwrap();
    assert_eq!(first, bytes(again.lines().map(|path| checkout.path(path)).collect()));
    assert_ne!(first, bytes(packages(&checkout, "second", &["--revision", "2"])));
}

#[test]
fn one_package_has_everything_and_stands_for_all() {
    let Some(checkout) = built() else { return };
    let one = packages(&checkout, "one", &["--single", "--epoch", "1"]);
    let [one] = &one[..] else { panic!("{one:?}") };
    let field = |field: &str| run("dpkg-deb", &["-f", one.to_str().unwrap(), field]);
    assert_eq!(field("Version"), "1:0+sultana1~local-1\n");
    let provided = ["libx1", "x-dev", "x-tools"].map(|name| format!("{name} (= 1:0+sultana1~local-1)"));
    assert_eq!(field("Provides"), provided.join(", ") + "\n");
    assert!(!field("Depends").contains("libx1"));
    let content = run("dpkg-deb", &["-c", one.to_str().unwrap()]);
    for path in ["usr/lib/libx.so.1.0", "usr/bin/x", "etc/x/conf", "var/lib/x/"] {
        assert!(content.contains(path), "{path} is not in {content}");
    }
}

#[test]
fn plain_archives_hold_the_same_files() {
    let Some(checkout) = built() else { return };
    let out = checkout.root().with_file_name("tar");
    let ran = checkout.run(&["package", "tar", "--allow-local", "--out", out.to_str().unwrap()]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let root = checkout.root().with_file_name("unpacked");
    fs::create_dir(&root).unwrap();
    for archive in ran.stdout.lines() {
        run("tar", &["-xJf", archive, "-C", root.to_str().unwrap(), "--no-same-owner"]);
    }
    let there = files(&root);
    assert!(ran.stdout.contains("x-tools-0+sultana1~local-1-"), "{}", ran.stdout);
    for path in ["usr/bin/x", "usr/lib/libx.so.1", "etc/x/conf", "usr/share/doc/x-tools/copyright"] {
        assert!(there.contains_key(path), "{path} is not in {:?}", there.keys());
    }
    assert!(root.join("var/lib/x").is_dir());
}

#[test]
fn rpms_ask_for_libraries_by_name_and_own_their_directories() {
    let Some(checkout) = built() else { return };
    let ran = checkout.run(&["package", "rpm", "--allow-local", "--dry-run"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let of = |name: &str| {
        let rest = ran.stdout.split_once(&format!("Name: {name}\n")).unwrap().1;
        rest.split("\n\n").next().unwrap().to_owned()
    };
    let has = |text: &str, lines: &[&str]| {
        lines.iter().for_each(|line| assert!(text.lines().any(|other| other == *line), "no `{line}` in {text}"));
    };
    has(&of("libx1"), &["Version: 0+sultana1~local", "Release: 1", "Provides: libx.so.1()(64bit)"]);
    has(&of("x-dev"), &["Requires: libx1 = 0+sultana1~local-1"]);
    let tools = of("x-tools");
    has(
        &tools,
        &[
            "Requires: libx.so.1()(64bit)",
            "Requires: libc.so.6()(64bit)",
            "Requires: /bin/sh",
            "  /etc/x",
            "  /usr/bin/x",
            "  /var/lib/x",
        ],
    );
    assert!(!tools.lines().any(|line| matches!(line, "  /usr/bin" | "  /etc")), "{tools}");
    let all = checkout.run(&["package", "rpm", "--allow-local", "--dry-run", "--single"]).stdout;
    has(&all, &["Provides: x-dev = 0+sultana1~local-1", "Obsoletes: x-dev < 0+sultana1~local-1"]);
}

#[test]
fn a_package_has_the_bill_of_its_files() {
    let Some(checkout) = built() else { return };
    let made = packages(&checkout, "deb", &[]);
    let root = checkout.root().with_file_name("unpacked");
    run("dpkg-deb", &["-x", made[2].to_str().unwrap(), root.to_str().unwrap()]);
    let bill = fs::read(root.join("usr/share/doc/x-tools/x-tools.spdx.json")).unwrap();
    let bill: serde_json::Value = serde_json::from_slice(&bill).unwrap();
    let listed = bill["files"].as_array().unwrap();
    assert!(listed.iter().any(|file| file["fileName"] == "./usr/bin/x"), "{listed:?}");
    for file in listed {
        let path = root.join(file["fileName"].as_str().unwrap());
        let sums = file["checksums"].as_array().unwrap();
        let of = |kind: &str| sums.iter().find(|sum| sum["algorithm"] == kind).unwrap()["checksumValue"].clone();
        let found = run("sha256sum", &[path.to_str().unwrap()]);
        assert_eq!(found.split(' ').next().unwrap(), of("SHA256").as_str().unwrap(), "{}", path.display());
        let found = run("sha1sum", &[path.to_str().unwrap()]);
        assert_eq!(found.split(' ').next().unwrap(), of("SHA1").as_str().unwrap(), "{}", path.display());
    }
    let names: Vec<&str> = bill["packages"].as_array().unwrap().iter().filter_map(|one| one["name"].as_str()).collect();
    assert!(names.contains(&"x-tools") && names.contains(&"a"), "{names:?}");
}

#[test]
fn what_was_built_without_the_sandbox_is_refused_unless_it_stays_here() {
    let Some(checkout) = built() else { return };
    let ran = checkout.run(&["package", "deb", "--out", "out"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stdout);
    ran.says(&["cannot make packages of `a`: it was built without the sandbox", "--allow-local"]);
    assert!(!checkout.path("out").exists());
}

/// Refused, until it is built again.
fn refused_until_built(checkout: &Checkout, build: &[&str], help: &str) {
    let package = || checkout.run(&["package", "tar", "--allow-local", "--out", "out"]);
    let ran = package();
    assert_eq!(ran.code, Some(2), "{}", ran.stdout);
    ran.says(&["cannot make packages of `a`: what it is built from has changed since it was built", help]);
    assert!(!checkout.path("out").exists());
    checkout.built(build);
    let ran = package();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    fs::remove_dir_all(checkout.path("out")).unwrap();
}

#[test]
fn what_is_not_built_from_what_is_here_now_is_refused() {
    for how in How::all() {
        let checkout = Checkout::new();
        checkout.manifest(&["a"], "");
        checkout.script("a", "", "mkdir $STAGE/usr; echo one > $STAGE/usr/x");
        checkout.built(how.args());
        let help = ["help: cargo xtask build a", how.args().first().copied().unwrap_or_default()].join(" ");
        checkout.write("a/new", "");
        refused_until_built(&checkout, how.args(), help.trim_end());
        let definition = checkout.read("components/a.toml");
        checkout.write("components/a.toml", &definition.replace("echo one", "echo two"));
        refused_until_built(&checkout, how.args(), help.trim_end());
    }
}

/// The plan that one builds by has optional ones or has them not; what was built by either is what is here.
#[test]
fn what_is_told_of_optional_ones_is_no_change() {
    if !sealed() {
        return;
    }
    let checkout = Checkout::new();
    checkout.manifest(&["a", "b"], "");
    let manifest = checkout.read("manifests/m.toml");
    let optional = manifest.replace("components = [\"a\", \"b\"]", "components = ['a']\noptional = ['b']");
    checkout.write("manifests/m.toml", &optional);
    checkout.script(
        "b",
        "[told]\ninternal = ['with-b']\nabsent = ['without-b']",
        "mkdir $STAGE/usr; echo b > $STAGE/usr/y",
    );
    checkout.component("a", "runtime-needs = ['b']\n[build.steps]\n[[step]]\nname = 'run'\nrun = ['sh', '-ec', 'mkdir {stage}/usr; echo $0 > {stage}/usr/x', '{told:b}']\n");
    let packs = || {
        let ran = checkout.run(&["package", "tar", "--out", "out"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        let ran = checkout.run(&["provenance", "a"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    };
    checkout.built(&["--all"]);
    assert_eq!(checkout.read("dist/usr/x"), "with-b\n");
    packs();
    checkout.built(&["a"]);
    assert_eq!(checkout.read("dist/usr/x"), "without-b\n");
    packs();
}

#[test]
fn what_a_failed_run_built_is_not_yet_in_dist() {
    let checkout = Checkout::new();
    checkout.manifest(&["a", "b"], "");
    checkout.script("a", "", "mkdir $STAGE/usr; echo one > $STAGE/usr/x");
    checkout.script("b", "needs = ['a']", "mkdir $STAGE/usr; echo one > $STAGE/usr/y");
    checkout.built(&["--no-sandbox"]);
    let [a, b] = ["a", "b"].map(|name| checkout.read(&format!("components/{name}.toml")));
    checkout.write("components/a.toml", &a.replace("echo one", "echo two"));
    checkout.write("components/b.toml", &b.replace("echo one", "exit 3"));
    assert_eq!(checkout.build(&["--no-sandbox"]).code, Some(1));
    let ran = checkout.run(&["package", "tar", "--allow-local", "--out", "out"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stdout);
    ran.says(&[
        "cannot make packages of `a`: what is in dist/ is not what was built last",
        "help: cargo xtask build a",
    ]);
}

#[test]
fn only_committed_work_has_an_exact_version() {
    if !sealed() {
        return;
    }
    let checkout = Checkout::new();
    checkout.manifest(&["a"], "");
    checkout.script("a", "", "mkdir $STAGE/usr; cp x $STAGE/usr/x");
    checkout.write("a/x", "one");
    checkout.write(".gitignore", "/.xtask/\n/dist/\n");
    let packed = || {
        checkout.built(&[]);
        let ran = checkout.run(&["package", "tar", "--dry-run"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran.stdout.lines().find_map(|line| line.strip_prefix("Version: ")).unwrap().to_owned()
    };
    assert_eq!(packed(), "0+sultana1~local-1", "nobody can tell");
    let git = |args: &[&str]| git_in(&checkout.root(), args);
    git(&["init", "-q"]);
    git(&["add", "-A"]);
    git(&["-c", "user.name=n", "-c", "user.email=e@x", "commit", "-q", "-m", "m"]);
    assert_eq!(packed(), "0+sultana1-1");
    checkout.write("a/x", "two");
    assert_eq!(packed(), "0+sultana1~local-1");
}

#[test]
fn what_cannot_be_packed_is_refused_by_name() {
    let Some(checkout) = built() else { return };
    let refused = |says: &[&str]| {
        let ran = checkout.run(&["package", "deb", "--allow-local", "--out", "out"]);
        assert_eq!(ran.code, Some(2), "{}", ran.stdout);
        ran.says(says);
        assert!(!checkout.path("out").exists());
    };
    let definition = checkout.read("components/a.toml");
    checkout.write("components/a.toml", &definition.replace("{sysconfdir}/**", "{sysconfdir}/y/**"));
    refused(&["1 files belong to no package: /etc/x/conf of `a`", "help: "]);
    checkout.write("components/a.toml", &definition.replace("x-dev", "X_dev"));
    refused(&["`X_dev` is no package name"]);
    checkout.write("components/a.toml", &definition);
    fs::write(checkout.path("dist/etc/x/conf"), "changed").unwrap();
    refused(&["is not a whole result"]);
    let ran = checkout.run(&["package", "deb", "--maintainer", "nobody"]);
    assert_eq!(ran.code, Some(2));
    ran.says(&["cannot use `nobody` as maintainer"]);
}

#[test]
fn a_run_replaces_what_an_earlier_one_left_and_nothing_of_somebody_else() {
    let Some(checkout) = built() else { return };
    let package = |revision: &str| {
        let ran = checkout.run(&["package", "deb", "--allow-local", "--revision", revision]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran
    };
    let there = || -> Vec<String> {
        let names = fs::read_dir(checkout.path(".xtask/packages/deb")).unwrap();
        let mut names: Vec<String> = names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    package("1");
    let first = there();
    assert_eq!(first.len(), 4, "{first:?}");
    checkout.write(".xtask/packages/deb/mine.deb", "mine");
    let signed = first.iter().find(|name| name.starts_with("x-tools_")).unwrap();
    checkout.write(&format!(".xtask/packages/deb/{signed}"), "signed");
    package("2").says(&[signed.as_str(), "was changed since, so it stays"]);
    let second = there();
    assert_eq!(second.len(), 6, "{second:?}");
    assert!(second.contains(signed) && second.contains(&"mine.deb".to_owned()));
    package("2");
    assert_eq!(there(), second);
    let mut check = Command::new("sha256sum");
    let checked = check.args(["-c", "SHA256SUMS"]).current_dir(checkout.path(".xtask/packages/deb")).status().unwrap();
    assert!(checked.success());
}
