//! What scripts of Xen's developers and packagers set: each variable with what it does, in each of its forms, against real repositories.

use std::fs;
use std::process::Command;

use super::checkout::{Checkout, How};
use super::run::{Ran, ran};
use crate::origin::git::Upstream;

/// `fw` installs `t` of source `seabios`, a git repository that is pinned at its second of three commits; `nics` takes a variable.
struct Project {
    checkout: Checkout,
    upstream: Upstream,
    commits: Vec<String>,
}

impl Project {
    fn new() -> Self {
        let checkout = Checkout::new();
        let upstream = Upstream::new(checkout.path("../up"));
        let mut commits = vec![upstream.commit("t", "one\n")];
        commits.push(upstream.commit("t", "two\n"));
        fs::create_dir_all(checkout.path("nics")).unwrap();
        checkout.write(
            "manifests/m.toml",
            &format!(
                "summary = 'm'\ncomponents = ['fw', 'nics']\n[sources]\nnics.path.dir = 'nics'\n\
                 seabios.git = {{ urls = [{:?}], branch = 'main' }}\n",
                upstream.url()
            ),
        );
        let install = "install -D -m 644 t {stage}{prefix}/t";
        checkout.write(
            "components/fw.toml",
            &format!(
                "summary = 's'\nlicence = 'MIT'\nhomepage = 'h'\nsource = 'seabios'\n[build.steps]\n[[step]]\nname = 'run'\nrun = ['sh', '-ec', '{install}']\n"
            ),
        );
        checkout.component(
            "nics",
            "[settings]\nETHERBOOT_NICS = 'rtl8139'\nLIMIT = '64'\n[build.steps]\n[[step]]\nname = 'run'\n\
             run = ['sh', '-ec', 'mkdir -p {stage}{prefix}; echo {set:ETHERBOOT_NICS} > {stage}{prefix}/nics']\n",
        );
        let ran = checkout.run(&["update"]);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        commits.push(upstream.commit("t", "three\n"));
        upstream.git(&["tag", "rel-1"]);
        upstream.git(&["branch", "staging", &commits[0]]);
        Project { checkout, upstream, commits }
    }

    /// `build` with these arguments and this environment.
    fn build(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Ran {
        let how = How::all()[0].args();
        let mut command = self.command(&[&["build"], how, arguments].concat());
        ran(command.envs(environment.iter().copied()))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        self.checkout.command(arguments)
    }

    fn built(&self, arguments: &[&str], environment: &[(&str, &str)]) -> (String, Ran) {
        let ran = self.build(arguments, environment);
        assert_eq!(ran.code, Some(0), "{arguments:?} {environment:?}: {}", ran.stderr);
        (self.checkout.read("dist/usr/t").trim().to_owned(), ran)
    }
}

#[test]
fn a_revision_is_built_and_leaves_what_is_committed_alone() {
    let project = Project::new();
    let lock = project.checkout.read("manifests/m.lock");
    assert_eq!(project.built(&[], &[]).0, "two");
    for (revision, wanted) in [
        (project.commits[0].as_str(), "one"),
        ("rel-1", "three"),
        ("refs/tags/rel-1", "three"),
        ("staging", "one"),
        ("origin/staging", "one"),
        ("refs/heads/staging", "one"),
        // what the lock has already
        ("main", "two"),
        (project.commits[1].as_str(), "two"),
    ] {
        let argument = format!("SEABIOS_UPSTREAM_REVISION={revision}");
        assert_eq!(project.built(&[&argument], &[]).0, wanted, "{revision}");
        assert_eq!(project.built(&[], &[("SEABIOS_UPSTREAM_REVISION", revision)]).0, wanted, "{revision}");
        // Known from then on.
        assert_eq!(project.built(&["--offline", &argument], &[]).0, wanted, "{revision}");
    }
    project.upstream.git(&["branch", "-f", "staging", "rel-1"]);
    assert_eq!(project.built(&["SEABIOS_UPSTREAM_REVISION=staging"], &[]).0, "one", "a build asks nobody again");
    let fetched = project.checkout.run(&["fetch", "SEABIOS_UPSTREAM_REVISION=staging"]);
    assert_eq!(fetched.code, Some(0), "{}", fetched.stderr);
    assert_eq!(project.built(&["SEABIOS_UPSTREAM_REVISION=staging"], &[]).0, "three", "a fetch does");
    let (back, ran) = project.built(&[], &[]);
    assert_eq!((back.as_str(), project.checkout.read("manifests/m.lock")), ("two", lock.clone()));
    ran.never_says(&["building"]);

    let unknown = project.build(&["SEABIOS_UPSTREAM_REVISION=no-such"], &[]);
    assert_ne!(unknown.code, Some(0));
    unknown.says(&["no-such"]);
    let update = ran_with(project.command(&["update"]), &[("SEABIOS_UPSTREAM_REVISION", "staging")]);
    assert_eq!(update.code, Some(0), "{}", update.stderr);
    assert!(project.checkout.read("manifests/m.lock").contains(&project.commits[2]), "update goes by the manifest");
}

fn ran_with(mut command: Command, environment: &[(&str, &str)]) -> Ran {
    ran(command.envs(environment.iter().copied()))
}

#[test]
fn a_directory_stands_for_a_source() {
    let project = Project::new();
    let mine = project.checkout.path("../mine");
    project.upstream.git(&["clone", "-q", project.upstream.dir.to_str().unwrap(), mine.to_str().unwrap()]);
    fs::write(mine.join("t"), "mine\n").unwrap();
    let other = project.checkout.path("../other");
    fs::create_dir_all(&other).unwrap();
    fs::write(other.join("t"), "other\n").unwrap();
    let (mine, other) = (mine.canonicalize().unwrap(), other.canonicalize().unwrap());
    let (mine, other) = (mine.to_str().unwrap(), other.to_str().unwrap());
    let loc = format!("SEABIOS_UPSTREAM_LOC={mine}");
    assert_eq!(project.built(&[&loc], &[]).0, "mine");
    assert_eq!(project.built(&[], &[("SEABIOS_UPSTREAM_INTREE", other)]).0, "other");
    assert_eq!(project.built(&[&loc], &[("SEABIOS_UPSTREAM_INTREE", other)]).0, "mine", "LOC goes before INTREE");
    assert_eq!(
        project.built(&[], &[("SEABIOS_UPSTREAM_INTREE", "/no/such")]).0,
        "two",
        "INTREE counts where it exists"
    );
    let gone = project.build(&["SEABIOS_UPSTREAM_LOC=/no/such"], &[]);
    assert_eq!(gone.code, Some(2), "{}", gone.stderr);
    gone.says(&["cannot build source `seabios` from `/no/such`", "SEABIOS_UPSTREAM_LOC, argument names it"]);
    // A URL may stand there too, as by default in Xen's Config.mk.
    let url = format!("SEABIOS_UPSTREAM_LOC={}", project.upstream.url());
    assert_eq!(project.built(&[&url, "SEABIOS_UPSTREAM_REVISION=rel-1"], &[]).0, "three");
    let status = ran_with(project.command(&["status"]), &[("SEABIOS_UPSTREAM_LOC", mine)]);
    assert!(status.stdout.contains("SEABIOS_UPSTREAM_LOC, environment"), "{}", status.stdout);

    // `override` was said in this checkout, the environment by whoever started us.
    assert_eq!(project.checkout.run(&["override", "seabios", other]).code, Some(0));
    assert_eq!(project.built(&[], &[("SEABIOS_UPSTREAM_LOC", mine)]).0, "other");
    assert_eq!(project.built(&[&loc], &[]).0, "mine");
}

#[test]
fn another_address_brings_the_same_pin() {
    let project = Project::new();
    let moved = project.checkout.path("../moved");
    fs::rename(&project.upstream.dir, &moved).unwrap();
    fs::remove_dir_all(project.checkout.store()).unwrap();
    fs::remove_dir_all(project.checkout.path(".xtask")).unwrap();
    assert_ne!(project.build(&[], &[]).code, Some(0));
    let url = format!("file://{}", moved.display());
    assert_eq!(project.built(&[&format!("SEABIOS_UPSTREAM_URL={url}")], &[]).0, "two");
}

#[test]
fn places_are_asked_in_their_order_and_old_names_are_said_once() {
    let project = Project::new();
    let environment = [("SEABIOS_UPSTREAM_TAG", "rel-1"), ("ETHERBOOT_NICS", "8086100e")];
    let (built, ran) = project.built(&[], &environment);
    assert_eq!((built.as_str(), project.checkout.read("dist/usr/nics").trim()), ("three", "8086100e"));
    let note = "SEABIOS_UPSTREAM_TAG is an old name; say SEABIOS_UPSTREAM_REVISION=rel-1";
    assert_eq!(ran.stderr.matches(note).count(), 1, "{}", ran.stderr);

    assert_eq!(
        project.checkout.run(&["configure", "SEABIOS_UPSTREAM_REVISION=staging", "ETHERBOOT_NICS=kept"]).code,
        Some(0)
    );
    let (built, _) = project.built(&[], &environment);
    assert_eq!((built.as_str(), project.checkout.read("dist/usr/nics").trim()), ("one", "kept"));
    project.checkout.write(".config", "# Xen's own\nETHERBOOT_NICS ?= filed\n");
    project.built(&[], &environment);
    assert_eq!(project.checkout.read("dist/usr/nics").trim(), "filed");
    project.built(&["ETHERBOOT_NICS=said and done"], &environment);
    assert_eq!(project.checkout.read("dist/usr/nics").trim(), "said and done");

    let show = ran_with(project.command(&["configure", "--show", "--json", "GIT_HTTP=y"]), &environment);
    let shown: serde_json::Value = serde_json::from_str(&show.stdout).unwrap();
    let find = |name: &str| {
        let rows = shown["settings"].as_array().unwrap();
        let row = rows.iter().find(|row| row["name"] == name).unwrap_or_else(|| panic!("{name}"));
        format!("{} ({})", row["value"].as_str().unwrap(), row["from"].as_str().unwrap())
    };
    assert_eq!(find("SEABIOS_UPSTREAM_REVISION"), "staging (configure)");
    assert_eq!(find("SEABIOS_UPSTREAM_URL"), format!("{} (manifest)", project.upstream.url()));
    assert_eq!(find("ETHERBOOT_NICS"), "filed (.config, line 2)");
    assert_eq!(find("GIT_HTTP"), "y (argument)");
    assert_eq!(find("XEN_EXTFILES_URL"), " (default)");
    let why = ran_with(project.command(&["why", "nics"]), &[]);
    assert!(why.stdout.contains("nics would be rebuilt"), "a variable is in the digest: {}{}", why.stdout, why.stderr);
}

#[test]
fn a_build_in_the_environment_of_a_package_build_is_the_same() {
    let project = Project::new();
    project.built(&[], &[]);
    let outside = project.checkout.dist();
    let exported = [
        ("DESTDIR", "/nowhere/debian/tmp"),
        ("PREFIX", "/wrong"),
        ("prefix", "/wrong"),
        ("COMPONENTS", "none"),
        ("MAKE", "false"),
        ("CFLAGS", "-g -O2 -ffile-prefix-map=/x=."),
        ("LDFLAGS", "-Wl,-z,relro"),
        ("CPPFLAGS", "-D_FORTIFY_SOURCE=2"),
        ("MAKEFLAGS", "w"),
        ("MAKELEVEL", "2"),
        ("DH_INTERNAL_OPTIONS", "-a"),
        ("DEB_BUILD_OPTIONS", "parallel=2"),
        ("SOURCE_DATE_EPOCH", "1"),
        ("GIT", "/bin/false"),
        ("WGET", "/bin/false"),
    ];
    let (_, ran) = project.built(&[], &exported);
    assert_eq!(project.checkout.dist(), outside);
    ran.says(&["note: offline, since GIT=/bin/false says so", "all 2 components are up to date"]);
}

#[test]
fn a_git_that_is_false_means_offline() {
    let project = Project::new();
    for (arguments, environment) in [
        (&["GIT=false"][..], &[][..]),
        (&["WGET=/bin/false"], &[]),
        (&[], &[("GIT", "/bin/false")]),
        (&[], &[("WGET", "false")]),
    ] {
        // Repositories on this machine are no network.
        let (_, ran) = project.built(arguments, environment);
        ran.says(&["note: offline, since ", "false says so"]);
        let update = ran_with(project.command(&["update"]), environment);
        assert_eq!(update.code == Some(0), environment.is_empty(), "{}", update.stderr);
    }
    let (built, ran) = project.built(&["GIT=git"], &[("GIT", "/bin/false")]);
    assert_eq!(built, "three", "an argument goes before the environment, and what was pinned above is built");
    ran.never_says(&["offline"]);
    let missing = project.build(&["GIT=no-such-git"], &[]);
    assert_eq!(missing.code, Some(2), "{}", missing.stderr);
    missing.says(&["cannot use `GIT=no-such-git`", "help: "]);
}

#[test]
fn what_is_for_one_run_is_an_argument() {
    let project = Project::new();
    project.built(&[], &[]);
    assert_eq!(project.build(&["PREFIX=/opt/x"], &[]).code, Some(0));
    assert_eq!(project.checkout.read("dist/opt/x/t"), "two\n");
    let named = project.checkout.run(&["build", "--dry-run", "COMPONENTS=nics"]);
    assert!(named.stdout.contains("nics") && !named.stdout.contains(" fw "), "{}", named.stdout);
    for (arguments, wanted) in [
        (&["build", "DESTDIR=/d"][..], "cargo xtask install --root /d"),
        (&["configure", "COMPONENTS=nics"], "`COMPONENTS` is for one run"),
        (&["configure", "MAKE=gmake"], "`MAKE` is for one run"),
        (&["build", "FOO=1"], "there is no setting `FOO`"),
        (&["build", "LIMITS=1"], "did you mean `LIMIT`?"),
        (&["update", "SEABIOS_UPSTREAM_REVISION=x"], "`SEABIOS_UPSTREAM_REVISION` is for builds"),
        (&["update", "GIT=false"], "cannot update offline"),
        (&["build", "with-system-fw=no"], "help: --with-system-fw=no"),
    ] {
        let ran = project.checkout.run(arguments);
        assert_eq!(ran.code, Some(2), "{arguments:?}: {}", ran.stderr);
        ran.says(&[wanted]);
    }
    // Variables that a component declares can be said like the old ones, but are not taken from the environment.
    let shown = ran_with(project.command(&["configure", "--show", "LIMIT=7"]), &[("LIMIT", "8")]);
    assert!(
        shown.stdout.lines().any(|line| line.split_whitespace().eq(["LIMIT", "7", "argument"])),
        "{}",
        shown.stdout
    );
    let shown = ran_with(project.command(&["configure", "--show"]), &[("LIMIT", "8")]);
    assert!(
        shown.stdout.lines().any(|line| line.split_whitespace().eq(["LIMIT", "64", "default"])),
        "{}",
        shown.stdout
    );
    project.checkout.write(".config", "DESTDIR=/d\n");
    let ran = project.checkout.run(&["status"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
    ran.says(&["`DESTDIR` cannot be set in `.config`"]);
}
