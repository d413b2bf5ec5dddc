//! `[system]` and `[[host]]` of a component: what a copy of the machine must be, and what a host must have that runs ours. The shape only;
//! `settings/system.rs` and `host.rs` try it.

use serde::Deserialize;

/// Where the machine's own copy is, and how one knows it.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct System {
    /// What a path names.
    pub kind: SystemKind,
    /// Where distributions have it, best first. For `programs` they are prefixes.
    #[serde(default)]
    pub paths: Vec<String>,
    /// Programs that make it up; for `programs`.
    #[serde(default)]
    pub programs: Vec<String>,
    /// Bytes that it has; one of them is enough.
    #[serde(default)]
    pub magic: Vec<Magic>,
    /// Smallest size in bytes.
    #[serde(default)]
    pub min_bytes: Option<u64>,
    /// Largest size in bytes.
    #[serde(default)]
    pub max_bytes: Option<u64>,
    /// What is tried with it, in this order.
    #[serde(default)]
    pub probe: Vec<Probe>,
}

/// What a path of the system names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum SystemKind {
    /// A file of data: a ROM, a kernel.
    File,
    /// One program.
    Program,
    /// A prefix that several programs are installed in.
    Programs,
}

/// Bytes at a place of a file.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Magic {
    /// Offset; below zero from the end.
    pub at: i64,
    /// The bytes, two hex digits each.
    pub hex: String,
}

/// Something to run.
#[derive(Clone, Debug, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Probe {
    /// What it tells: "version".
    pub what: String,
    /// argv; `{path}` is the copy, and a program of `programs` stands for where it was found.
    pub run: Vec<String>,
    /// The version is what follows this text; the whole output if absent.
    pub after: Option<String>,
    /// Lowest version.
    pub at_least: Option<String>,
    /// Text that it must print.
    pub says: Option<String>,
    /// Text by which a copy that will not do is known.
    pub refuse: Option<String>,
    /// Why that will not do.
    pub because: Option<String>,
    /// A copy with which this fails is taken all the same, and it is said.
    #[serde(default)]
    pub optional: bool,
}

/// One thing that a host must have; exactly one of program, file, device, kernel, module and probe.
#[derive(Clone, Debug, Default, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Host {
    /// Found on PATH.
    pub program: Option<String>,
    /// A file or directory that exists.
    pub file: Option<String>,
    /// A device node that can be opened.
    pub device: Option<String>,
    /// An option of the kernel, without `CONFIG_`.
    pub kernel: Option<String>,
    /// A module that is loaded, built in or can be loaded.
    pub module: Option<String>,
    /// argv that ends well.
    pub probe: Option<Vec<String>>,
    /// What it is for.
    pub r#for: String,
    /// Everything else works without it.
    #[serde(default)]
    pub optional: bool,
}

impl Host {
    /// The kind that each names, and its text.
    pub fn given(&self) -> Vec<(&'static str, String)> {
        let words = [
            ("program", &self.program),
            ("file", &self.file),
            ("device", &self.device),
            ("kernel", &self.kernel),
            ("module", &self.module),
        ];
        let words = words.into_iter().filter_map(|(kind, value)| Some((kind, value.clone()?)));
        words.chain(self.probe.iter().map(|argv| ("probe", crate::process::shell_line(argv)))).collect()
    }
}
