//! A checkout whose manifest tracks branches of repositories behind git's daemon.

pub use crate::build::checkout::Checkout;
pub use crate::build::run::Ran;
use crate::origin::git::Upstream;
use crate::origin::servers::{Fault, Server};

/// Repositories, their server, and the checkout.
pub struct Project {
    pub checkout: Checkout,
    server: Server,
    dir: tempfile::TempDir,
}

impl Project {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let server = Server::git(dir.path().to_path_buf(), |_| Fault::None);
        Project { checkout: Checkout::new(), server, dir }
    }

    /// A repository with one commit.
    pub fn upstream(&self, name: &str) -> Upstream {
        let upstream = Upstream::new(self.dir.path().join(name));
        upstream.commit("f", "one\n");
        upstream
    }

    pub fn url(&self, name: &str) -> String {
        self.server.url("git", &format!("{name}/.git"))
    }

    /// A manifest whose only component, `a`, installs `f` of the repository `a`; `more` stands behind its `branch`.
    pub fn track(&self, what: &str) {
        self.checkout.script("a", "", "install -D -m 644 f $STAGE/usr/f");
        self.manifest(&format!("a.git = {{ urls = [{:?}], {what} }}\n", self.url("a")));
    }

    pub fn manifest(&self, sources: &str) {
        self.checkout.write("manifests/m.toml", &format!("summary = 'm'\ncomponents = ['a']\n[sources]\n{sources}"));
    }

    /// Runs xtask; it must end well. Gives what it printed.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let ran = self.checkout.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {}", ran.stderr);
        ran.stdout
    }

    /// The last value that xtask prints; events stand before it.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        let out = self.ok(args);
        serde_json::Deserializer::from_str(&out).into_iter().last().unwrap().unwrap()
    }

    /// Runs xtask; it must refuse, with these words.
    #[track_caller]
    pub fn refused(&self, args: &[&str], words: &[&str]) -> Ran {
        let ran = self.checkout.run(args);
        assert_eq!(ran.code, Some(2), "{args:?}: {}\n{}", ran.stdout, ran.stderr);
        ran.says(words);
        ran
    }

    pub fn lock(&self) -> String {
        self.checkout.read("manifests/m.lock")
    }

    /// The commit that the lock names of a source.
    pub fn commit(&self, source: &str) -> String {
        let lock: toml::Table = toml::from_str(&self.lock()).unwrap();
        lock["sources"][source]["commit"].as_str().unwrap().to_owned()
    }
}
