//! What packages come of which trees.

use super::*;
use crate::elf::Elf;
use crate::tree::Node;

const COMPONENT: &str = r#"
summary = "s"
licence = "MIT"
homepage = "h"
source = "x"
[build.steps]
[[package]]
deb = "{soname}"
rpm = "x-libs"
summary = "a library"
files = ["{libdir}/*.so.*"]
[[package]]
deb = "x-dev"
summary = "headers"
files = ["{libdir}/*.so"]
[[package]]
deb = "x-utils-{minor}"
rpm = "x-utils"
summary = "programs"
files = ["{prefix}/bin/*", "{sysconfdir}/**"]
depends = ["x-common"]
recommends = ["y"]
replaces = ["x-dev", "old"]
runs = true
[[unpackaged]]
files = ["/boot/x"]
because = "b"
"#;

/// Packages of `x`, which has these paths beside its usual ones, as `NAME: depends (relations) files`.
fn check(format: Format, more: &[&str]) -> Result<Vec<String>> {
    let component: Component = toml::from_str(COMPONENT).unwrap();
    let mut tree = Tree::default();
    for path in ["usr/lib/libx.so.1.0", "usr/lib/liby.so.2", "usr/bin/x", "etc/x.conf"].iter().chain(more) {
        tree.insert_file(path, b"", 0o755);
    }
    for (path, target) in [("usr/lib/libx.so.1", "libx.so.1.0"), ("usr/lib/libx.so", "libx.so.1")] {
        tree.0.insert(path.to_owned(), Node::Symlink { target: target.to_owned() });
    }
    let elf = |soname: Option<&str>, needed: &[&str]| Elf {
        soname: soname.map(str::to_owned),
        needed: needed.iter().map(ToString::to_string).collect(),
        ..Elf::default()
    };
    let mut facts = Facts::default();
    facts.elf.insert("usr/lib/libx.so.1.0".to_owned(), elf(Some("libx.so.1"), &["libc.so.6"]));
    facts.elf.insert("usr/lib/liby.so.2".to_owned(), elf(Some("liby.so.2"), &["libx.so.1"]));
    facts.elf.insert("usr/bin/x".to_owned(), elf(None, &["liby.so.2", "libz.so.1"]));
    let directories = Directories::default();
    let part = Part {
        definition: &component,
        version: Version::new("1.2.3", 0, 1, false),
        epoch: 0,
        tree,
        needed: vec!["python3".to_owned()],
        named: Vec::new(),
    };
    let parts = BTreeMap::from([("x".parse().unwrap(), part)]);
    let whole = Whole { format, machine: "x86_64", directories: &directories, parts, facts: &facts, installs: None };
    let told = |package: Package| {
        let relations = |relations: &BTreeSet<Relation>| {
            let bound = |relation: &Relation| match &relation.version {
                None => relation.name.clone(),
                Some((bound, _)) => format!("{} {bound:?}", relation.name),
            };
            relations.iter().map(bound).collect::<Vec<_>>().join(",")
        };
        let foreign: Vec<&str> = package.foreign.libraries.keys().map(String::as_str).collect();
        let files: Vec<&str> = package.files.keys().map(|path| path.rsplit('/').next().unwrap()).collect();
        let (depends, replaces) = (relations(&package.depends), relations(&package.replaces));
        format!("{}: {depends} | {replaces} | {} | {}", package.name, foreign.join(","), files.join(","))
    };
    Ok(plan(&whole)?.into_iter().map(told).collect())
}

#[test]
fn each_file_is_in_the_first_package_that_wants_it_and_needs_are_found() {
    let wanted = [
        "libx1:  |  | libc.so.6 | libx.so.1,libx.so.1.0",
        "liby2: libx1 AtLeast |  |  | liby.so.2",
        "x-dev: libx1 Same |  |  | libx.so",
        "x-utils-1.2: liby2 AtLeast,x-common | old,x-dev Before | libz.so.1 | x.conf,x",
    ];
    assert_eq!(check(Format::Deb, &["boot/x"]).unwrap(), wanted);
}

#[test]
fn packages_of_one_name_become_one() {
    let wanted = [
        "x-dev: x-libs Same |  |  | libx.so",
        "x-libs:  |  | libc.so.6 | libx.so.1,libx.so.1.0,liby.so.2",
        "x-utils: x-common,x-libs AtLeast | old,x-dev Before | libz.so.1 | x.conf,x",
    ];
    assert_eq!(check(Format::Rpm, &[]).unwrap(), wanted);
}

#[test]
fn a_file_that_nobody_wants_is_named() {
    let report = check(Format::Deb, &["opt/x", "usr/lib/plugin.so.1"]).unwrap_err().report();
    assert!(report.contains("2 files belong to no package: /opt/x of `x`, /usr/lib/plugin.so.1 of `x`"), "{report}");
}

/// The packages of components/xen-tools.toml, in that version, with paths of each of its kinds of files.
fn toolstack(format: Format, version: &str) -> Vec<Package> {
    let component: Component =
        toml::from_str(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../components/xen-tools.toml"))).unwrap();
    let directories = Directories::default();
    let version = Version::new(version, 0, 1, false);
    let (prefix, libdir) = (directories.prefix.trim_start_matches('/'), directories.libdir.trim_start_matches('/'));
    let mut tree = Tree::default();
    let boot = format!("lib/xen-{}/boot/hvmloader", version.minor());
    let module = match format {
        Format::Rpm => "lib64/python3.12/site-packages/xen/x.py",
        _ => "lib/python3/dist-packages/xen/x.py",
    };
    for path in ["sbin/xl", "bin/xenstore-ls", "lib/xen/bin/pygrub", module, &boot] {
        tree.insert_file(&format!("{prefix}/{path}"), b"", 0o755);
    }
    let second_name = Node::Symlink { target: "/usr/lib/xen/bin/pygrub".to_owned() };
    tree.0.insert(format!("{prefix}/bin/pygrub"), second_name);
    let library = format!("libxenctrl.so.{}", version.minor());
    for path in [&library, "libxenctrl.so"] {
        tree.insert_file(&format!("{libdir}/{path}"), b"", 0o755);
    }
    tree.insert_file("etc/xen/xl.conf", b"", 0o644);
    let (needed, named) = (Vec::new(), Vec::new());
    let part = Part { definition: &component, version, epoch: 0, tree, needed, named };
    let parts = BTreeMap::from([("xen-tools".parse().unwrap(), part)]);
    let facts = Facts::default();
    let installs = Some("zypper install");
    plan(&Whole { format, machine: "x86_64", directories: &directories, parts, facts: &facts, installs }).unwrap()
}

#[test]
fn toolstacks_of_two_versions_have_no_path_in_common_but_in_packages_of_one_name() {
    let debs: &[&str] = &["libxen-dev", "libxenmisc4.17", "xen-utils-4.17", "xen-utils-common", "xenstore-utils"];
    let rpms: &[&str] = &["xen-devel", "xen-libs-4.17", "xen-runtime-4.17", "xen-runtime-common"];
    for (format, wanted) in [(Format::Deb, debs), (Format::Rpm, rpms)] {
        let (old, new) = (toolstack(format, "4.17.5"), toolstack(format, "4.20.0"));
        assert_eq!(old.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(), wanted);
        for new in &new {
            for old in old.iter().filter(|old| old.name != new.name) {
                let shared: Vec<&String> = old.files.keys().filter(|path| new.files.contains_key(*path)).collect();
                assert_eq!(shared, Vec::<&String>::new(), "{} {}", old.name, new.name);
                let whole = |one: &&Relation| one.name == new.name && one.version.is_none();
                assert!(!old.conflicts.iter().chain(&old.replaces).any(|one| whole(&one)));
            }
        }
    }
}

#[test]
fn an_rpm_of_a_version_stands_for_the_distributions_without_one() {
    let packages = toolstack(Format::Rpm, "4.17.5");
    let stands_for = |name: &str| -> Vec<&str> {
        let package = packages.iter().find(|package| package.name == name).unwrap();
        let whole = package.replaces.iter().filter(|relation| relation.version.is_none());
        whole.filter(|relation| package.provides.contains(relation)).map(|relation| relation.name.as_str()).collect()
    };
    assert_eq!(stands_for("xen-runtime-4.17"), ["xen-runtime"]);
    assert_eq!(stands_for("xen-libs-4.17"), ["xen-libs"]);
    assert_eq!(stands_for("xen-runtime-common"), Vec::<&str>::new());
    let utils = packages.iter().find(|package| package.name == "xen-runtime-4.17").unwrap();
    let module = "usr/lib/xen-4.17/lib/python/xen/x.py";
    assert_eq!(utils.origin(module), "usr/lib64/python3.12/site-packages/xen/x.py");
    let common = packages.iter().find(|package| package.name == "xen-runtime-common").unwrap();
    let launcher = String::from_utf8(common.made["usr/lib/xen-common/bin/xen-utils-wrapper"].clone()).unwrap();
    assert!(launcher.contains("(zypper install xen-runtime-$version)"), "{launcher}");
}

#[test]
fn programs_of_a_version_stand_in_its_directory_and_the_launcher_at_their_places() {
    let packages = toolstack(Format::Deb, "4.17.5");
    let [utils, common] = ["xen-utils-4.17", "xen-utils-common"]
        .map(|name| packages.iter().find(|package| package.name == name).unwrap());
    let origins: Vec<(&str, &str)> = utils.files.keys().map(|path| (path.as_str(), utils.origin(path))).collect();
    let wanted = [
        ("usr/lib/xen-4.17/bin/pygrub", "usr/lib/xen/bin/pygrub"),
        ("usr/lib/xen-4.17/bin/xl", "usr/sbin/xl"),
        ("usr/lib/xen-4.17/boot/hvmloader", "usr/lib/xen-4.17/boot/hvmloader"),
        ("usr/lib/xen-4.17/lib/python/xen/x.py", "usr/lib/python3/dist-packages/xen/x.py"),
    ];
    assert_eq!(origins, wanted);
    let target = |path: &str| match &common.files[path] {
        Node::Symlink { target } => target.as_str(),
        other => panic!("{path} is {other:?}"),
    };
    assert_eq!(target("usr/sbin/xl"), "../lib/xen-common/bin/xen-utils-wrapper");
    assert_eq!(target("usr/bin/pygrub"), "../lib/xen-common/bin/xen-utils-wrapper");
    assert_eq!(target("usr/lib/xen/bin/pygrub"), "../../xen-common/bin/xen-utils-wrapper");
    let launcher = String::from_utf8(common.made["usr/lib/xen-common/bin/xen-utils-wrapper"].clone()).unwrap();
    assert!(
        launcher.contains("directory=\"/usr/lib/xen-$version\"") && launcher.contains("xen-utils-$version"),
        "{launcher}"
    );
}

#[test]
fn the_one_package_replaces_what_its_parts_do() {
    let outside = Relation::any("xen-utils");
    let all = single(toolstack(Format::Deb, "4.17.5")).unwrap();
    assert!(all.provides.contains(&outside), "{:?}", all.provides);
    assert!(all.replaces.iter().all(|relation| relation.version.is_none()), "{:?}", all.replaces);
}
