//! A synthetic project with a store of its own in a temporary directory, on which the real `xtask` runs as a user runs it.
//! Its one manifest is `m`; a component's source is the directory of its name, unless its definition says another.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::run::{Ran, Running, ran, wait_until};
use crate::tier;

/// Environment variable that marks everything that a checkout's runs start.
const MARK: &str = "XTASK_TEST_OF";

/// One checkout.
pub struct Checkout {
    dir: TempDir,
    store: PathBuf,
    home: PathBuf,
    user: Option<u32>,
}

/// How steps run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// Under bubblewrap.
    Sealed,
    /// `--no-sandbox`.
    Plain,
}

impl How {
    /// Both, or what this machine has; what is left out is on record.
    pub fn all() -> Vec<How> {
        let sealed = sealed().then_some(How::Sealed);
        sealed.into_iter().chain([How::Plain]).collect()
    }

    /// The arguments of `build`.
    pub fn args(self) -> &'static [&'static str] {
        match self {
            How::Sealed => &[],
            How::Plain => &["--no-sandbox"],
        }
    }
}

/// True where bubblewrap works; else the skip is on record.
pub fn sealed() -> bool {
    let works = xtask::sandbox::bubblewrap().is_some();
    if !works {
        tier::skip("bubblewrap is not on this machine or may not run");
    }
    works
}

/// The program.
const XTASK: &str = env!("CARGO_BIN_EXE_xtask");

/// True where we are root; else the skip is on record.
pub fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        tier::skip("only root can do that");
    }
    root
}

impl Checkout {
    /// An empty project.
    pub fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("xtask-build-").tempdir().unwrap();
        for name in ["project/components", "project/manifests", "home"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let (store, home) = (dir.path().join("store"), dir.path().join("home"));
        let checkout = Checkout { dir, store, home, user: None };
        checkout.write("manifests/m.lock", "version = 1\n");
        checkout
    }

    /// Another empty project with the same store.
    pub fn sharing_store(&self) -> Self {
        Checkout { store: self.store.clone(), ..Checkout::new() }
    }

    /// An empty project with home and store of whoever runs the tests: the Rust toolchain is in the one, and `cargo xtask test` has
    /// put real builds into the other.
    #[cfg(feature = "gate")]
    pub fn in_users_store() -> Self {
        let set = std::env::var_os("XTASK_STORE").map(PathBuf::from);
        let store = xtask::layout::Layout::find(Some(crate::repository().to_owned()), set).unwrap().store;
        Checkout { store, home: std::env::var_os("HOME").unwrap_or_default().into(), ..Checkout::new() }
    }

    /// From now on xtask runs as that user, who owns everything here.
    pub fn run_as(&mut self, user: u32) {
        self.user = Some(user);
        let path = self.dir.path();
        // Where it was compiled may be a home that others cannot enter.
        fs::copy(XTASK, path.join("xtask")).unwrap();
        let status = Command::new("chown").args(["-R", &format!("{user}:{user}")]).arg(path).status().unwrap();
        assert!(status.success());
    }

    /// The project's root.
    pub fn root(&self) -> PathBuf {
        self.dir.path().join("project")
    }

    /// The store.
    pub fn store(&self) -> &Path {
        &self.store
    }

    /// Something in the project.
    pub fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Writes a file of the project.
    pub fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// The text of a file of the project.
    pub fn read(&self, path: &str) -> String {
        let path = self.path(path);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// `manifests/m.toml` with those components, each with its directory as source, and more text.
    pub fn manifest(&self, components: &[&str], more: &str) {
        let sources: String = components
            .iter()
            .map(|name| {
                fs::create_dir_all(self.path(name)).unwrap();
                format!("{name}.path.dir = \"{name}\"\n")
            })
            .collect();
        self.write(
            "manifests/m.toml",
            &format!("summary = 'm'\ncomponents = {components:?}\n{more}\n[sources]\n{sources}"),
        );
    }

    /// `components/NAME.toml`: the head that every component has, and the rest.
    pub fn component(&self, name: &str, rest: &str) {
        let head = format!("summary = 's'\nlicence = 'MIT'\nhomepage = 'h'\nsource = '{name}'\n");
        self.write(&format!("components/{name}.toml"), &format!("{head}{rest}"));
    }

    /// A component whose only step, `run`, is a shell script. `head` stands in front of the tables. `$SRC`, `$BUILD`, `$STAGE` and
    /// `$DEPS` are the placeholders, `$GATE` waits for `open_gate`.
    pub fn script(&self, name: &str, head: &str, script: &str) {
        self.unmarked_script(name, head, script);
        let definition = self.read(&format!("components/{name}.toml"));
        self.write(&format!("components/{name}.toml"), &format!("{definition}[env]\n{MARK} = '{}'\n", self.mark()));
    }

    /// The same without the mark, which is different in every checkout: `processes` does not find what it starts.
    pub fn unmarked_script(&self, name: &str, head: &str, script: &str) {
        let gate = "touch $BUILD/started; until [ -e $BUILD/open ]; do sleep 0.02; done";
        let mut script = script.replace('{', "{{").replace('}', "}}").replace("$GATE", gate);
        for (variable, placeholder) in
            [("$SRC", "{src}"), ("$BUILD", "{build}"), ("$STAGE", "{stage}"), ("$DEPS", "{deps}")]
        {
            script = script.replace(variable, placeholder);
        }
        let step = format!("[build.steps]\n[[step]]\nname = 'run'\nrun = ['sh', '-ec', '''{script}''']\n");
        self.component(name, &format!("{head}\n{step}"));
    }

    fn mark(&self) -> String {
        self.dir.path().display().to_string()
    }

    /// xtask with these arguments, in the project, with nothing of the environment but what it needs.
    pub fn command(&self, args: &[&str]) -> Command {
        self.through(&[], args)
    }

    /// The same, started by another program.
    pub fn through(&self, wrapper: &[&str], args: &[&str]) -> Command {
        let copy = self.dir.path().join("xtask");
        let program = [if self.user.is_some() { copy.to_str().unwrap() } else { XTASK }];
        let mut argv = wrapper.iter().chain(&program).chain(args);
        let mut command = Command::new(argv.next().unwrap());
        command.args(argv).current_dir(self.root()).env_clear().stdin(Stdio::null());
        command.env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", &self.home);
        command.env("XTASK_STORE", &self.store).env("XTASK_MANIFEST", "m").env(MARK, self.mark());
        if let Some(user) = self.user {
            command.uid(user).gid(user);
        }
        command
    }

    /// Runs xtask to its end.
    pub fn run(&self, args: &[&str]) -> Ran {
        ran(&mut self.command(args))
    }

    /// `build` with more arguments.
    pub fn build(&self, args: &[&str]) -> Ran {
        self.run(&[&["build"], args].concat())
    }

    /// `build` that must do it.
    pub fn built(&self, args: &[&str]) -> Ran {
        let ran = self.build(args);
        assert_eq!(ran.code, Some(0), "{}", ran.stderr);
        ran
    }

    /// A `build` that goes on while the test does something; it leads a process group of its own, as on a terminal.
    pub fn start(&self, args: &[&str]) -> Running {
        self.start_command(&[&["build"], args].concat())
    }

    /// The same with any command.
    pub fn start_command(&self, args: &[&str]) -> Running {
        let stderr = tempfile::NamedTempFile::new_in(self.dir.path()).unwrap();
        let mut command = self.command(args);
        command.process_group(0).stdout(Stdio::null()).stderr(stderr.reopen().unwrap());
        Running::new(command.spawn().unwrap(), stderr)
    }

    /// Waits until the component's script has come to its `$GATE`.
    pub fn at_gate(&self, name: &str) {
        let started = self.path(&format!(".xtask/build/{name}/build/started"));
        wait_until(&format!("`{name}` runs"), || started.exists());
    }

    /// As if the component's script had never come to its `$GATE`.
    pub fn close_gate(&self, name: &str) {
        fs::remove_file(self.path(&format!(".xtask/build/{name}/build/started"))).ok();
    }

    /// Lets the component's script pass its `$GATE`.
    pub fn open_gate(&self, name: &str) {
        self.at_gate(name);
        self.write(&format!(".xtask/build/{name}/build/open"), "");
    }

    /// What xtask started here that still runs: pid and command line. xtask itself counts too.
    pub fn processes(&self) -> Vec<String> {
        let mark = format!("{MARK}={}", self.mark());
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let read = |name: &str| fs::read(entry.path().join(name)).unwrap_or_default();
            if read("environ").split(|byte| *byte == 0).any(|item| item == mark.as_bytes()) {
                let line = String::from_utf8_lossy(&read("cmdline")).replace('\0', " ");
                found.push(format!("{} {line}", entry.file_name().display()));
            }
        }
        found
    }

    /// Path, mode and content of everything in `dist/`.
    pub fn dist(&self) -> BTreeMap<String, (u32, Vec<u8>)> {
        files(&self.path("dist"))
    }
}

/// Path, mode and content of every file below `dir`; a link's content is its target.
pub fn files(dir: &Path) -> BTreeMap<String, (u32, Vec<u8>)> {
    let mut found = BTreeMap::new();
    let mut open = vec![dir.to_path_buf()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).into_iter().flatten().flatten() {
            let (path, metadata) = (entry.path(), entry.metadata().unwrap());
            let name = path.strip_prefix(dir).unwrap().display().to_string();
            if metadata.is_dir() {
                open.push(path);
            } else if metadata.is_symlink() {
                found.insert(name, (0, fs::read_link(path).unwrap().into_os_string().into_encoded_bytes()));
            } else {
                found.insert(name, (metadata.permissions().mode() & 0o7777, fs::read(path).unwrap()));
            }
        }
    }
    found
}
