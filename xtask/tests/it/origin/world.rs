//! A checkout and a store of their own for one test.

use std::fs;
use std::path::PathBuf;
use std::sync::Mutex;

use tempfile::TempDir;
use xtask::definition::{Name, Origin, Pin};
use xtask::error::Result;
use xtask::layout::Layout;
use xtask::origin::{self, CheckedOut, Fetching, State};
use xtask::process::Cancel;

/// Everything a fetch needs, in a temporary directory.
pub struct World {
    pub layout: Layout,
    pub source: Name,
    pub offline: bool,
    pub discard: bool,
    said: Mutex<Vec<String>>,
    cancel: Cancel,
    manifest: Name,
    dir: TempDir,
}

impl World {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::create_dir_all(at("root/components")).unwrap();
        let layout = Layout { root: at("root"), store: at("store") };
        World {
            layout,
            source: "thing".parse().unwrap(),
            offline: false,
            discard: false,
            said: Mutex::default(),
            cancel: Cancel::default(),
            manifest: "test".parse().unwrap(),
            dir,
        }
    }

    /// A second checkout that shares the store.
    pub fn another_checkout(&self) -> Self {
        let mut other = World::new();
        other.layout.store = self.layout.store.clone();
        other
    }

    /// Outside of checkout and store.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The tree.
    pub fn tree(&self) -> PathBuf {
        self.layout.source(&self.source)
    }

    pub fn read(&self, path: &str) -> String {
        fs::read_to_string(self.tree().join(path)).unwrap()
    }

    /// Runs `work` with what fetches need.
    pub fn with<T>(&self, work: impl FnOnce(&Fetching<'_>) -> T) -> T {
        let say = |line: &str| self.said.lock().unwrap().push(line.to_owned());
        work(&Fetching {
            layout: &self.layout,
            manifest: &self.manifest,
            offline: self.offline,
            discard: self.discard,
            cancel: &self.cancel,
            say: &say,
        })
    }

    pub fn fetch(&self, origin: &Origin, pin: Option<&Pin>) -> Result<CheckedOut> {
        self.with(|ctx| origin::fetch(ctx, &self.source, origin, pin))
    }

    pub fn resolve(&self, origin: &Origin, old: Option<&Pin>) -> Result<Pin> {
        self.with(|ctx| origin::resolve(ctx, &self.source, origin, old)).map(Option::unwrap)
    }

    /// Resolves and fetches; both must work.
    pub fn update(&self, origin: &Origin) -> Pin {
        let pin = self.resolve(origin, None).unwrap_or_else(|error| panic!("{}", error.report()));
        self.fetch(origin, Some(&pin)).unwrap_or_else(|error| panic!("{}", error.report()));
        assert_eq!(self.state(origin, Some(&pin)), State::AtPin);
        pin
    }

    pub fn state(&self, origin: &Origin, pin: Option<&Pin>) -> State {
        origin::state(&self.layout, &self.source, origin, pin).unwrap()
    }

    /// What was said since the last call.
    pub fn said(&self) -> Vec<String> {
        std::mem::take(&mut self.said.lock().unwrap())
    }
}

/// An origin as a manifest would write it.
pub fn origin(text: &str) -> Origin {
    toml::from_str::<std::collections::BTreeMap<String, Origin>>(&format!("it = {{ {text} }}"))
        .unwrap()
        .remove("it")
        .unwrap()
}

/// Writes a `.tar.gz` of files below one directory.
pub fn write_tar_gz(path: &std::path::Path, files: &[(&str, &str)]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let gz = flate2::write::GzEncoder::new(fs::File::create(path).unwrap(), flate2::Compression::fast());
    let mut tar = tar::Builder::new(gz);
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_mtime(1_600_000_000);
        header.set_size(text.len() as u64);
        tar.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap().finish().unwrap();
}

/// SHA-256 and length of a file.
pub fn digest_of(path: &std::path::Path) -> xtask::digest::Digest {
    xtask::digest::Digest::of(&fs::read(path).unwrap())
}

/// Bytes of all files below `dir`.
pub fn size_of(dir: &std::path::Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size_of(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}
