//! What a user sees of broken definitions, word for word. `SNAPSHOTS=overwrite cargo test` writes the golden texts
//! anew.

use std::fs;
use std::path::Path;

use proptest::prelude::*;

use super::check_component::check_component;
use super::diagnostic::File;
use super::*;
use crate::layout::Layout;

/// A checkout with these files; paths without a directory are components.
fn repository(files: &[(&str, &str)]) -> (tempfile::TempDir, Layout) {
    let dir = tempfile::tempdir().unwrap();
    for folder in ["components", "manifests"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    for (path, text) in files {
        fs::create_dir_all(dir.path().join(path).parent().unwrap()).unwrap();
        fs::write(dir.path().join(path), text).unwrap();
    }
    let layout = Layout { root: dir.path().to_path_buf(), store: dir.path().join("store") };
    (dir, layout)
}

fn check(files: &[(&str, &str)], golden: snapbox::Data) {
    let (_dir, layout) = repository(files);
    let diagnostics = Definitions::load(&layout, &"m".parse().unwrap()).unwrap_err();
    snapbox::assert_data_eq!(crate::error::Error::from(diagnostics).report(), golden.raw());
}

const TOP: &str = "summary = 'x'\nlicence = 'MIT'\nhomepage = 'https://x'\nsource = 'tree'\n";
const MANIFEST: (&str, &str) =
    ("manifests/m.toml", "summary = 'x'\ncomponents = ['a']\n\n[sources.tree]\npath = { dir = 'x' }\n");

#[test]
fn mistakes_of_all_files_are_shown_at_once() {
    check(
        &[
            (
                "components/a.toml",
                r#"sumary  = "a"
licence = "GPLv2 & more"
homepage = "https://x"
source  = "tre"
inputs  = ["src/**", "../other/**", "a[b"]
needs   = ["b", "c", "b"]
runtime-needs = ["seabois"]
tools   = ["/usr/bin/cc"]
must-exist = ["usr/bin/a"]
patches = ["components/a/0001-x.patch"]

[build.autotols]
configure = ["--x"]

[env]
"A-B" = "x"
"#,
            ),
            (
                "components/b.toml",
                r#"summary  = "b"
licence  = "MIT"
homepage = "https://x"
source   = "tree"
needs    = ["a"]

[build.steps]

[[step]]
name = "install"
run  = ["sh", "-ec", "echo ä {stge}/x ${HOME} {told:seabios}", "{told:seabios}", "{extra:xen}/x", "{output:o}", "{path}"]
timeout-mins = 0

[[step]]
name = "install"
run  = []

[outputs]
firmware = "/usr/../b.bin"

[told]
internal = ["--x={output:firmwar}", "{src}"]
"#,
            ),
            ("components/seabios.toml", "summary = \nlicence"),
            ("components/Big.toml", ""),
            (
                "manifests/m.toml",
                r#"summary    = "m"
components = ["a", "b", "a", "qemuu"]
optional   = "c"

[sources.tree]
git = { urls = [], branch = "x", tag = "y" }
[sources.other]
git = { urls = ["u"], commit = "0123" }
[sources.third]
svn = { urls = ["u"] }

[system]
seabios = "bios.bin"
unknown = "/usr/x"

[shared]
"usr/x" = "a"
"#,
            ),
            ("manifests/m.lock", "version = 1\n<<<<<<< HEAD\n[sources.tree]\ncommit = '12'\n"),
        ],
        snapbox::file!["golden/all-files.txt"],
    );
}

#[test]
fn shapes_are_explained() {
    let text = "summary = 5\nlicence = 'MIT'\nhomepage = 'x'\nsource = 'tree'\nneeds = 'b'\nserial = 'yes'\nstep = [{ run = ['x'] }]\n\
                [build.make]\nmake = 'V=1'\n[build.meson]\n[packages]\ndebain = []\nubuntu = []\n";
    check(&[MANIFEST, ("components/a.toml", text)], snapbox::file!["golden/shapes.txt"]);
}

#[test]
fn later_files_stand_over_earlier_ones_and_each_value_says_where_it_stands() {
    let git = |branch: &str| format!("git = {{ urls = ['u'], branch = '{branch}' }}\n");
    let component = format!("{TOP}build.make = {{}}\n").replace("'tree'", "'one'");
    let files = [
        ("components/a.toml", component.as_str()),
        (
            "manifests/common/base.toml",
            &format!(
                "components = ['x']\noptional = ['a']\n[sources.one]\n{}[sources.two]\n{}",
                git("base"),
                git("base")
            ),
        ),
        (
            "manifests/common/signed.toml",
            "include = ['base.toml']\n[sources.two]\ngit = { urls = ['u'], branch = 'signed', require-signed = 'commit', allowed-signers = 'keys' }\n",
        ),
        (
            "manifests/m.toml",
            &format!(
                "include = ['common/base.toml', 'common/signed.toml']\nsummary = 'm'\ncomponents = ['a']\noptional = []\n[sources.one]\n{}",
                git("m")
            ),
        ),
    ];
    let (_dir, layout) = repository(&files);
    let definitions = Definitions::load(&layout, &"m".parse().unwrap()).unwrap();
    let Manifest { summary, components, optional, sources, .. } = &definitions.manifest;
    assert_eq!((summary.as_str(), components.len(), optional.len()), ("m", 1, 0));
    let git = |source: &str| match &sources[source] {
        Origin::Git(git) => git.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(git("one").branch.as_deref(), Some("m"));
    // Named as seen from manifests/, and the base did not come a second time to stand over it.
    assert_eq!(git("two").branch.as_deref(), Some("signed"));
    assert_eq!(git("two").allowed_signers.as_deref(), Some("common/keys"));
    let shown: Vec<String> = definitions
        .origins
        .values()
        .map(|(value, at, over)| format!("{value} {}:{} over {}", at.file, at.line, over.len()))
        .collect();
    assert_eq!(
        shown,
        [
            "components manifests/m.toml:3 over 1",
            "optional manifests/m.toml:4 over 1",
            "sources.one manifests/m.toml:5 over 1",
            "sources.two manifests/common/signed.toml:2 over 1",
            "summary manifests/m.toml:2 over 0",
        ]
    );
}

#[test]
fn what_is_wrong_with_included_files_is_shown_in_them() {
    let rest = "summary = 'm'\ncomponents = ['a']\n[sources]\n";
    check(
        &[
            MANIFEST,
            ("components/a.toml", &format!("{TOP}build.make = {{}}\n")),
            ("manifests/m.toml", &format!("include = ['b.toml', '../x.toml', 'bb.toml', 'm.toml']\n{rest}")),
            ("manifests/b.toml", "include = ['c.toml']\nsumary = 'x'\n"),
            ("manifests/c.toml", "include = ['b.toml']\n"),
        ],
        snapbox::file!["golden/include.txt"],
    );
    check(
        &[
            ("components/a.toml", &format!("{TOP}build.make = {{}}\n")),
            ("manifests/m.toml", "include = ['b.toml']\nsummary = 'm'\n"),
            ("manifests/b.toml", "sources.tree.git = { urls = ['u'] }\ncomponents = ['a', 'b']\n"),
        ],
        snapbox::file!["golden/include-checks.txt"],
    );
}

#[test]
fn circles_are_shown_as_a_chain_but_those_of_runtime_needs_are_fine() {
    let file = |needs: &str| format!("{TOP}{needs}\nbuild.make = {{}}\n");
    let (a, b, c) =
        (file("needs = ['b']"), file("needs = ['c']\nruntime-needs = ['a']"), file("runtime-needs = ['a']"));
    let files = [MANIFEST, ("components/a.toml", &a), ("components/b.toml", &b), ("components/c.toml", &c)];
    let (_dir, layout) = repository(&files);
    assert!(Definitions::load(&layout, &"m".parse().unwrap()).is_ok());

    let (c, d) = (file("needs = ['a']"), file("needs = ['d']"));
    let files = [files[0], files[1], files[2], ("components/c.toml", c.as_str()), ("components/d.toml", &d)];
    check(&files, snapbox::file!["golden/circles.txt"]);
}

#[test]
fn a_missing_manifest_and_a_missing_file_say_what_to_do() {
    let (_dir, layout) = repository(&[MANIFEST]);
    let load = |name: &str| Definitions::load(&layout, &name.parse().unwrap()).unwrap_err().render(false, false);
    assert!(load("n").contains("there is no manifest `n`"), "{}", load("n"));
    assert!(load("debian").contains("manifests here: m"), "{}", load("debian"));
    assert!(load("m").contains("create components/a.toml, as components/README.md explains"), "{}", load("m"));
}

#[test]
fn what_a_lock_lacks_is_shown_where_it_belongs() {
    let a = format!("{TOP}build.make = {{}}\n");
    let manifest = "summary = 'x'\ncomponents = ['a']\n\n[sources.tree]\ngit = { urls = ['u'], branch = 'b' }\n";
    let hash = "0".repeat(64);
    let lock = format!("version = 1\n\n[sources.old]\ntree = '{hash}'\nepoch = 1\n");
    let files = [("components/a.toml", a.as_str()), ("manifests/m.toml", manifest), ("manifests/m.lock", &lock)];
    let (_dir, layout) = repository(&files);
    let definitions = Definitions::load(&layout, &"m".parse().unwrap()).unwrap();
    let error = crate::error::Error::from(definitions.check_lock(&layout).unwrap_err());
    assert_eq!(error.kind(), crate::error::Kind::Input);
    snapbox::assert_data_eq!(error.report(), snapbox::file!["golden/lock.txt"].raw());
}

#[test]
fn only_what_the_manifest_names_and_needs_is_kept() {
    let file = |needs: &str| format!("{TOP}{needs}\nbuild.make = {{}}\n");
    let (a, b, c, d) = (file("needs = ['b']"), file("runtime-needs = ['c']"), file(""), file(""));
    let (_dir, layout) = repository(&[
        MANIFEST,
        ("components/a.toml", &a),
        ("components/b.toml", &b),
        // of another manifest, so its source need not be in this one
        ("components/c.toml", &c.replace("'tree'", "'elsewhere'")),
        ("components/d.toml", &d.replace("'tree'", "'elsewhere'")),
    ]);
    let definitions = Definitions::load(&layout, &"m".parse().unwrap()).unwrap();
    let names: Vec<_> = definitions.components.keys().map(Name::as_str).collect();
    assert_eq!(names, ["a", "b", "c"]);
}

#[test]
fn every_definition_of_this_repository_is_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf();
    let layout = Layout { store: root.join("store"), root };
    for name in manifest_names(&layout) {
        if let Err(diagnostics) = Definitions::load(&layout, &name) {
            panic!("{name}:\n{diagnostics}");
        }
    }
    assert!(!manifest_names(&layout).is_empty());
}

/// The first ```toml block of a README.
fn example(readme: &str) -> &str {
    readme.split("```toml\n").nth(1).unwrap().split("```").next().unwrap()
}

#[test]
fn the_examples_of_the_readmes_are_right() {
    let component = example(include_str!("../../../components/README.md"));
    let manifest = example(include_str!("../../../manifests/README.md"));
    let other = |source: &str| format!("{}[build.make]\n", TOP.replace("tree", source));
    let (xen, seabios, qemu) = (other("xen"), other("seabios"), other("qemu").replace("'qemu'", "'libfoo'"));
    let (_dir, layout) = repository(&[
        ("components/capng.toml", component),
        ("components/xen.toml", &xen),
        ("components/xen-tools.toml", &xen),
        ("components/seabios.toml", &seabios),
        ("components/qemu.toml", &qemu),
        ("components/ovmf.toml", &qemu),
        ("manifests/m.toml", manifest),
        (
            "manifests/n.toml",
            "summary = 'x'\ncomponents = ['capng']\nsources.libcap-ng.git = { urls = ['u'], branch = 'b' }",
        ),
    ]);
    for manifest in ["m", "n"] {
        if let Err(diagnostics) = Definitions::load(&layout, &manifest.parse().unwrap()) {
            panic!("{diagnostics}");
        }
    }
}

/// Every key that a component or manifest may have is explained where an outsider looks.
#[test]
fn the_readmes_explain_every_key() {
    let keys = |toml: &str| match toml::from_str::<Component>(&format!("{TOP}{toml}")) {
        Ok(_) => panic!("`{toml}` was taken"),
        Err(error) => {
            let message = error.message().to_owned();
            message.split('`').skip(3).step_by(2).map(str::to_owned).collect::<Vec<_>>()
        }
    };
    let readme = include_str!("../../../components/README.md");
    for table in ["", "build.autotools.", "build.make.", "build.kconfig.", "step = [{", "told.", "packages.", "build."]
    {
        let text =
            if table.ends_with('{') { format!("{table} nokey = {{}} }}]") } else { format!("{table}nokey = {{}}") };
        let keys = keys(&text);
        assert!(!keys.is_empty());
        for key in keys {
            assert!(readme.contains(&key), "components/README.md does not explain `{key}` of {table}");
        }
    }
}

/// Reads `text` as a component and shows everything that is wrong.
fn survive(text: &str) -> String {
    let read = shape::read::<Component>(text);
    assert!(read.value.is_some() || !read.findings.is_empty(), "refused without a reason");
    let mut findings = read.findings;
    if let Some(component) = &read.value {
        findings.extend(check_component(Path::new("/nowhere"), &"a".parse().unwrap(), component));
    }
    let file = File { path: "components/a.toml".to_owned(), text: text.into() };
    let problems: Vec<_> = findings.into_iter().map(|finding| finding.in_file(&file)).collect();
    for problem in &problems {
        let (_, line, column) = problem.position().unwrap();
        assert!(line <= text.lines().count() + 1 && column >= 1, "{line}:{column} of {}", problem.message());
    }
    Diagnostics::new(problems).render(false, false)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_damage_to_a_component_is_too_much(
        damage in proptest::collection::vec((0_usize..6000, 0_usize..12, "[\\PC\\n]{0,6}|\\[\\[?[a-z.]{1,5}\\]\\]?|[a-z]{1,4} ?= ?[0-9\"'\\[{]|\\{[a-z]{1,3}:?"), 1..6)
    ) {
        let mut text = example(include_str!("../../../components/README.md")).to_owned();
        for (at, length, insert) in damage {
            let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap();
            let (start, end) = (floor(at), floor(at + length));
            text.replace_range(start..end, &insert);
        }
        survive(&text);
    }
}
