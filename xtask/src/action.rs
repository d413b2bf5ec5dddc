//! A build as a value: everything that decides what comes out, as one REAPI `Action`. Equal digests mean equal builds, on this
//! machine, in a shared cache and on a remote worker.
//!
//! The input root holds `src/` `extra/SOURCE/` `deps/` `patches/` and `.xtask/`: `environment.json` says what the machine was,
//! `steps.sh` what ran. So everything that `why` needs can be read back from the digest alone. Directories of the input root are
//! kept in the store; the files of a source stay where they are, since only a remote worker would want them.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

use prost::Message;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::reapi;
use crate::recipe::{Step, script};
use crate::store::{Found, Store};
use crate::tree::{Node, Rooted, Tree};

/// Where the machine's description stands in the input root.
pub const ENVIRONMENT: &str = ".xtask/environment.json";
/// Where the steps stand in the input root.
pub const STEPS: &str = ".xtask/steps.sh";

/// What of the machine decides what comes out. Never the kernel, the host name, the user, the time or the number of cores.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Environment {
    /// Built in the sandbox. What is not is never shared, released or gated.
    pub sealed: bool,
    /// Built on what an earlier build left. Neither is this ever shared, released or gated.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub incremental: bool,
    /// Programs by name: path and SHA-256.
    pub tools: BTreeMap<String, String>,
    /// Installed packages in the closure of the declared build dependencies, with their versions.
    pub packages: BTreeMap<String, String>,
}

impl Environment {
    /// Whoever builds it gets the same: what may be shared, released and gated.
    pub fn is_exact(&self) -> bool {
        self.sealed && !self.incremental
    }
}

/// An environment that does not change any more, with the bytes of its file. Cheap to clone: many components have the same.
#[derive(Clone, Debug)]
pub struct Described {
    environment: Arc<Environment>,
    bytes: Arc<[u8]>,
    digest: Digest,
}

impl TryFrom<Environment> for Described {
    type Error = Error;

    fn try_from(environment: Environment) -> Result<Self> {
        let bytes = serde_json::to_vec_pretty(&environment).context(|| "cannot encode the environment".to_owned())?;
        Ok(Described { environment: Arc::new(environment), digest: Digest::of(&bytes), bytes: bytes.into() })
    }
}

impl Deref for Described {
    type Target = Environment;

    fn deref(&self) -> &Environment {
        &self.environment
    }
}

/// Everything that decides what comes out.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// The component's files of its source.
    pub src: Rooted,
    /// Files of other sources.
    pub extra: BTreeMap<String, Tree>,
    /// The merged outputs of its needs.
    pub deps: Tree,
    /// File name and content.
    pub patches: Vec<(String, Vec<u8>)>,
    /// The machine.
    pub environment: Described,
    /// What runs, with `$JOBS` left open.
    pub steps: Vec<Step>,
    /// Environment of every step.
    pub variables: BTreeMap<String, String>,
    /// Instruction set.
    pub arch: String,
}

/// The messages of an action.
#[derive(Clone, Debug)]
pub struct Action {
    /// What the action cache is asked for.
    pub digest: Digest,
    message: Vec<u8>,
    command: Vec<u8>,
    /// Directories of the input root but those of its source.
    root: Vec<(Digest, Vec<u8>)>,
    small_files: Vec<Vec<u8>>,
}

impl Inputs {
    /// The same inputs where the build goes on in a directory that was kept: another action, since what comes out may differ.
    pub fn incremental(&self) -> Result<Self> {
        let environment = Environment { incremental: true, ..Environment::clone(&self.environment) };
        Ok(Inputs { environment: environment.try_into()?, ..self.clone() })
    }

    /// The action. Cheap: nothing is read, and of the source only its digest counts.
    pub fn action(&self) -> Result<Action> {
        let mut root = Tree::default();
        let mut known = BTreeMap::new();
        if !self.src.is_empty() {
            known.insert("src", self.src.root());
        }
        root.graft("deps", &self.deps);
        for (source, tree) in &self.extra {
            root.graft(&format!("extra/{source}"), tree);
        }
        let mut small_files = Vec::new();
        for (name, bytes) in &self.patches {
            root.insert_file(&format!("patches/{name}"), bytes, 0o644);
            small_files.push(bytes.clone());
        }
        let environment = self.environment.bytes.to_vec();
        root.0.insert(ENVIRONMENT.to_owned(), Node::File { digest: self.environment.digest, mode: 0o644 });
        let steps = script(&self.steps).into_bytes();
        root.insert_file(STEPS, &steps, 0o755);
        small_files.extend([environment, steps]);

        let variables = self.variables.iter();
        let command = reapi::Command {
            arguments: vec!["sh".to_owned(), STEPS.to_owned()],
            environment_variables: variables
                .map(|(name, value)| reapi::EnvironmentVariable { name: name.clone(), value: value.clone() })
                .collect(),
            working_directory: String::new(),
            output_paths: vec!["stage".to_owned()],
        };
        let command = command.encode_to_vec();
        let encoded = root.encode_with(&known);
        let property = |name: &str, value: &str| reapi::Property { name: name.to_owned(), value: value.to_owned() };
        let message = reapi::Action {
            command_digest: Some(Digest::of(&command).into()),
            input_root_digest: Some(encoded.root.into()),
            do_not_cache: false,
            platform: Some(reapi::Platform {
                properties: vec![property("ISA", &self.arch), property("OSFamily", "linux")],
            }),
        }
        .encode_to_vec();
        Ok(Action { digest: Digest::of(&message), message, command, root: encoded.directories, small_files })
    }
}

impl Action {
    /// Keeps the messages, so that `why` can read them back. `inputs` are what the action was made of.
    pub fn keep(&self, inputs: &Inputs, store: &Store) -> Result<()> {
        store.put_tree(&inputs.src)?;
        for bytes in self.small_files.iter().chain(self.root.iter().map(|(_, bytes)| bytes)) {
            store.put(bytes)?;
        }
        store.put(&self.command)?;
        store.put(&self.message)?;
        Ok(())
    }
}

/// What an action was made of, read back from the store.
#[derive(Clone, Debug)]
pub struct Preimage {
    /// The input root.
    pub root: Tree,
    /// The machine.
    pub environment: Environment,
    /// What ran.
    pub steps: String,
    /// Environment of every step.
    pub variables: BTreeMap<String, String>,
}

impl Preimage {
    /// What stands in a directory of the input root: `src`, `deps`, `patches`, `extra/SOURCE`.
    pub fn part(&self, dir: &str) -> Tree {
        let below = format!("{dir}/");
        let own = self.root.0.range(below.clone()..).take_while(|(path, _)| path.starts_with(&below));
        Tree(own.map(|(path, node)| (path[below.len()..].to_owned(), node.clone())).collect())
    }

    /// Reads an action back; missing when gc took a part of it.
    pub fn read(store: &Store, action: Digest) -> Result<Found<Self>> {
        let damaged = |what: String| {
            crate::error::Error::machine(format!("action {action} in the store is damaged")).because(what)
        };
        let wire = |digest: Option<reapi::Digest>| {
            digest.as_ref().ok_or("a digest is missing".to_owned()).and_then(Digest::try_from).map_err(damaged)
        };
        let Found::Here(bytes) = store.read(action)? else { return Ok(Found::Missing) };
        let message = reapi::Action::decode(bytes.as_slice()).map_err(|error| damaged(error.to_string()))?;
        let Found::Here(bytes) = store.read(wire(message.command_digest)?)? else { return Ok(Found::Missing) };
        let command = reapi::Command::decode(bytes.as_slice()).map_err(|error| damaged(error.to_string()))?;
        let Found::Here(root) = store.tree(wire(message.input_root_digest)?)? else { return Ok(Found::Missing) };
        let small = |path: &str| match root.0.get(path) {
            Some(crate::tree::Node::File { digest, .. }) => store.read(*digest),
            _ => Ok(Found::Missing),
        };
        let (Found::Here(environment), Found::Here(steps)) = (small(ENVIRONMENT)?, small(STEPS)?) else {
            return Ok(Found::Missing);
        };
        let environment = serde_json::from_slice(&environment).map_err(|error| damaged(error.to_string()))?;
        let steps = String::from_utf8(steps).map_err(|error| damaged(error.to_string()))?;
        let variables =
            command.environment_variables.into_iter().map(|variable| (variable.name, variable.value)).collect();
        Ok(Found::Here(Preimage { root, environment, steps, variables }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn described(sealed: bool) -> Described {
        Environment { sealed, ..Environment::default() }.try_into().unwrap()
    }

    fn inputs() -> Inputs {
        let mut src = Tree::default();
        src.insert_file("Makefile", b"all:\n", 0o644);
        Inputs {
            src: src.into(),
            extra: BTreeMap::new(),
            deps: Tree::default(),
            patches: vec![("0001-a.patch".into(), b"diff".to_vec())],
            environment: described(true),
            steps: Vec::new(),
            variables: BTreeMap::from([("TZ".into(), "UTC".into())]),
            arch: "x86_64".into(),
        }
    }

    #[test]
    fn an_action_reads_back_from_its_digest() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path()).unwrap();
        let action = inputs().action().unwrap();
        assert!(matches!(Preimage::read(&store, action.digest).unwrap(), Found::Missing));
        action.keep(&inputs(), &store).unwrap();
        let Found::Here(preimage) = Preimage::read(&store, action.digest).unwrap() else { panic!() };
        assert!(preimage.environment.sealed && preimage.variables["TZ"] == "UTC");
        assert!(preimage.root.0.contains_key("src/Makefile") && preimage.root.0.contains_key("patches/0001-a.patch"));
    }

    #[test]
    fn each_part_decides_the_digest() {
        let base = inputs().action().unwrap().digest;
        let changes: [fn(&mut Inputs); 6] = [
            |i| i.src = Tree::default().into(),
            |i| i.deps.insert_file("x", b"", 0o644),
            |i| i.patches[0].1.push(b'x'),
            |i| i.environment = described(false),
            |i| i.variables.clear(),
            |i| i.arch = "aarch64".into(),
        ];
        for change in changes {
            let mut inputs = inputs();
            change(&mut inputs);
            assert_ne!(inputs.action().unwrap().digest, base);
        }
        assert_eq!(inputs().action().unwrap().digest, base);
    }
}
