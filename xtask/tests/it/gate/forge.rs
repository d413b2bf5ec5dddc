//! Gates over real sources: bare repositories with the refs `staging` and `master`, clones in which people commit, and a project.

use std::fs;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::build::checkout::{Checkout, sealed};
use crate::origin::git::{Upstream, git_at, git_in};
use crate::origin::upstream::Published;
use crate::tier;

/// A tree: what the gate sees, and where somebody works.
pub struct Tree {
    bare: PathBuf,
    work: Upstream,
}

impl Tree {
    /// A bare repository with a first commit on `master` and `staging`.
    pub fn new(name: &str, dir: &Path, first: &str) -> Tree {
        let tree = Tree { bare: dir.join(format!("{name}.git")), work: Upstream { dir: dir.join(name) } };
        for name in ["staging", "master"] {
            git_in(&tree.bare, &["update-ref", &format!("refs/heads/{name}"), first]);
        }
        git_in(dir, &["clone", "-q", "-b", "staging", tree.bare.to_str().unwrap(), name]);
        tree
    }

    /// A release of a Debian source package.
    fn published(package: &str, dir: &Path) -> Tree {
        let release = Published::new(package, dir).release;
        Tree::new(package, dir, &release)
    }

    /// The text of a file.
    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.work.dir.join(path)).unwrap()
    }

    /// Somebody changes a file at that time and pushes it to `staging`; gives the commit.
    pub fn commit_at(&self, time: u64, path: &str, text: &str) -> String {
        fs::write(self.work.dir.join(path), text).unwrap();
        let git = |arguments: &[&str]| git_at(time, &self.work.dir, arguments);
        git(&["add", "-A"]);
        git(&["commit", "-q", "-m", &format!("change {path}")]);
        git(&["push", "-q", "origin", "HEAD:staging"]);
        git(&["rev-parse", "HEAD"])
    }

    /// The same, of a place in the file.
    pub fn replace(&self, path: &str, from: &str, to: &str) -> String {
        let text = self.read(path);
        assert!(text.contains(from), "{path} has no `{from}`");
        let time = self.work.git(&["log", "-1", "--format=%ct"]).parse().unwrap();
        self.commit_at(time, path, &text.replace(from, to))
    }

    /// Where `master` is.
    pub fn tested(&self) -> String {
        git_in(&self.bare, &["rev-parse", "master"])
    }

    /// As a manifest names it.
    pub fn url(&self) -> String {
        format!("file://{}", self.bare.display())
    }
}

/// Trees and the project that gates them.
pub struct Forge {
    pub checkout: Checkout,
    pub trees: Vec<Tree>,
    _dir: TempDir,
}

impl Forge {
    /// Source packages with their components; jobs beside `build-NAME` of each. Nothing where builds cannot be sealed here, or the
    /// machine lacks packages.
    pub fn new(packages: &[(&str, &str)], jobs: &[(&str, &str)]) -> Option<Forge> {
        if !sealed() {
            return None;
        }
        let dir = tempfile::tempdir().unwrap();
        let trees = packages.iter().map(|(name, _)| Tree::published(name, dir.path())).collect();
        let forge = Forge { checkout: Checkout::new(), trees, _dir: dir };
        let checkout = &forge.checkout;
        let (mut sources, mut names) = (String::new(), Vec::new());
        for ((name, component), tree) in packages.iter().zip(&forge.trees) {
            checkout.write(&format!("components/{name}.toml"), component);
            let build = format!("summary = 'b'\ntier = 'smoke'\nrun.build.components = ['{name}']\n");
            checkout.write(&format!("ci/jobs/build-{name}.toml"), &build);
            sources += &format!("{name}.git = {{ urls = ['{}'], branch = 'master' }}\n", tree.url());
            names.push(*name);
        }
        checkout.write("manifests/m.toml", &format!("summary = 'm'\ncomponents = {names:?}\n[sources]\n{sources}"));
        let builds: Vec<String> = names.iter().map(|name| format!("build-{name}")).collect();
        forge.gate(
            &names,
            &builds.iter().map(String::as_str).zip([""; 9]).chain(jobs.iter().copied()).collect::<Vec<_>>(),
        );
        forge.begins().then_some(forge)
    }

    /// Trees and a project that somebody else has made.
    pub fn of(checkout: Checkout, trees: Vec<Tree>, dir: TempDir) -> Forge {
        Forge { checkout, trees, _dir: dir }
    }

    /// `ci/gates/g.toml` over trees with those jobs; those that have no text are there already.
    pub fn gate(&self, names: &[&str], jobs: &[(&str, &str)]) {
        let listed: Vec<&str> = jobs.iter().map(|(name, _)| *name).collect();
        let mut gate = format!("summary = 'g'\nmanifest = 'm'\njobs = {listed:?}\n");
        for (name, tree) in names.iter().zip(&self.trees) {
            let refs = "untested = 'refs/heads/staging'\ntested = 'refs/heads/master'";
            gate += &format!("[trees.{name}]\nrepository = '{}'\n{refs}\n", tree.url());
        }
        gate += "[record]\nfrom = 'refs/heads/main'\nto = 'refs/heads/tested/g'\n";
        self.checkout.write("ci/gates/g.toml", &gate);
        for (name, text) in jobs.iter().filter(|(_, text)| !text.is_empty()) {
            self.checkout.write(&format!("ci/jobs/{name}.toml"), text);
        }
    }

    /// Locks, builds once and commits the project. False where packages are missing that may not be installed: the skip is on record.
    fn begins(&self) -> bool {
        self.ok(&["update"]);
        let yes: &[&str] = if tier::may_install() { &["--yes"] } else { &[] };
        let ran = self.checkout.build(yes);
        if let (Some(3), Some(line)) =
            (ran.code, ran.stderr.lines().find(|line| line.contains("missing build dependencies")))
        {
            tier::skip(&format!("{line}; XTASK_TEST_YES=1 installs them"));
            return false;
        }
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        self.commit_project();
        true
    }

    /// Commits the project to `main`.
    pub fn commit_project(&self) {
        self.checkout.write(".gitignore", "/.xtask\n/dist\n");
        git_in(&self.checkout.root(), &["init", "-q", "-b", "main"]);
        git_in(&self.checkout.root(), &["add", "-A"]);
        git_in(&self.checkout.root(), &["commit", "-q", "-m", "project"]);
    }

    /// What a command prints that must end well.
    #[track_caller]
    pub fn ok(&self, arguments: &[&str]) -> String {
        let ran = self.checkout.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?}: {}\n{}", ran.stdout, ran.stderr);
        ran.stdout
    }

    /// `gate run` ends so, and its report holds these words; gives it.
    #[track_caller]
    pub fn ends(&self, code: i32, words: &[&str]) -> String {
        let ran = self.checkout.run(&["gate", "run", "g"]);
        assert_eq!(ran.code, Some(code), "{}\n{}", ran.stdout, ran.stderr);
        words.iter().for_each(|word| assert!(ran.stdout.contains(word), "{word}: {}\n{}", ran.stdout, ran.stderr));
        ran.stdout
    }
}
