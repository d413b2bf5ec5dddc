//! A project in a temporary directory: components, a manifest, a store, and the command run in it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use crate::tier;

/// A project and its store.
pub struct Project {
    dir: TempDir,
}

/// How a run of the command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// It must have ended well; gives what it printed.
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}\n{}", self.out, self.err);
        self.out
    }
}

impl Project {
    /// Components by name, and the whole manifest.
    pub fn new(components: &[(&str, &str)], manifest: &str) -> Self {
        let project = Project { dir: tempfile::tempdir().unwrap() };
        for (name, text) in components {
            project.write(&format!("components/{name}.toml"), text);
        }
        project.write("manifests/test.toml", manifest);
        project
    }

    /// Something in the project.
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join("root").join(path)
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// The lock.
    pub fn lock(&self) -> toml::Table {
        toml::from_str(&self.read("manifests/test.lock")).unwrap()
    }

    /// The pin of a source.
    pub fn pin(&self, source: &str) -> toml::Value {
        self.lock()["sources"][source].clone()
    }

    /// Outside of the project.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Another checkout: definitions and lock, nothing else; with a store of its own.
    pub fn elsewhere(&self) -> Self {
        let other = Project { dir: tempfile::tempdir().unwrap() };
        for dir in ["components", "manifests"] {
            for file in fs::read_dir(self.path(dir)).unwrap() {
                let name = format!("{dir}/{}", file.unwrap().file_name().to_str().unwrap());
                other.write(&name, &self.read(&name));
            }
        }
        other
    }

    /// Runs `cargo xtask`.
    pub fn xtask(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        for name in ["GIT", "WGET", "XTASK_MANIFEST"] {
            command.env_remove(name);
        }
        command.args(arguments).current_dir(self.path("")).env("XTASK_STORE", self.beside("store"));
        command.env("XTASK_MANIFEST", "test").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
        let output = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
    }

    /// Builds, installing what the machine lacks where that is allowed (`tier::may_install`). `None` when something is missing and
    /// may not be installed: the skip is on record.
    #[must_use]
    pub fn build(&self, arguments: &[&str]) -> Option<Ran> {
        let yes: &[&str] = if tier::may_install() { &["--yes"] } else { &[] };
        let ran = self.xtask(&[&["build"], yes, arguments].concat());
        let missing = ran.err.lines().find(|line| line.contains("missing build dependencies"));
        if let (3, Some(line)) = (ran.code, missing) {
            tier::skip(&format!("{line}; XTASK_TEST_YES=1 installs them"));
            return None;
        }
        Some(ran)
    }
}

/// The components that a run with `--json` built, in that order.
pub fn built(ran: &Ran) -> Vec<String> {
    let events = ran.out.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    events
        .filter(|event| event["event"] == "built")
        .map(|event| event["component"].as_str().unwrap().to_owned())
        .collect()
}
