//! `sultana/BUILDING`: how to build from an archive, with cargo xtask and by hand. The commands by hand are the recipes' own, with the
//! paths of an unpacked archive instead of the sandbox's; what the build of another component makes by itself, since its source stands
//! where that one looks, is left to it.

use std::collections::BTreeMap;
use std::path::Path;

use super::contents::{Contents, below};
use super::gather::Placed;
use super::own::DIR;
use super::unpacked::VENDOR;
use crate::definition::{Component, Driver, Name};
use crate::digest::Digest;
use crate::error::Result;
use crate::process::Word;
use crate::recipe::{self, Paths, Step};
use crate::store::Output;
use crate::tree::Tree;
use crate::world::World;

/// What the environment of a step says that a person's need not, or that is only about the sandbox.
const SANDBOX: [&str; 15] = [
    "CARGO_HOME",
    "CARGO_NET_OFFLINE",
    "CARGO_TARGET_DIR",
    "GIT",
    "HOME",
    "LANG",
    "LC_ALL",
    "LOGNAME",
    "PATH",
    "SHELL",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
    "WGET",
];

/// Where its two parts begin; `script.rs` reads them again.
pub(super) const WITH_XTASK: &str = "1. With cargo xtask\n";
pub(super) const BY_HAND: &str = "2. By hand\n";

/// The text. Lines that begin with four spaces in its second part are one shell script.
pub(super) fn text(world: &World, placed: &BTreeMap<Name, Placed>, contents: &Contents) -> Result<String> {
    let names = |names: &[&Name]| names.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(", ");
    let order: Vec<&Name> = world.plan.order.iter().collect();
    let manifest = &world.definitions.manifest_name;
    // Without names everything that the manifest builds is meant.
    let usual = &world.definitions.manifest.components;
    let is_usual = usual.len() == order.len() && usual.iter().all(|name| order.contains(&name));
    let named = if is_usual { String::new() } else { format!(" {}", names(&order).replace(',', "")) };
    let mut text = format!(
        "Building {top}\n\n\
         Everything that {all} are built from is in here; nothing is downloaded. `sha256sum -c --quiet {DIR}/SHA256SUMS`, at\n\
         the top, says whether it is whole. What must be installed: a C compiler, make, and the packages that `[packages]` of\n\
         {DIR}/components/NAME.toml lists{rust}.\n\n\
         {WITH_XTASK}\n\
         The result is in {DIR}/dist. It needs Rust and bubblewrap.\n\n    cd {DIR} && cargo xtask build --offline --manifest {manifest}{named}\n\n\
         {BY_HAND}\n\
         TOP is where this archive is unpacked, DESTDIR where the result is put, JOBS how many jobs a tool may start. What is built outside of\n\
         its source is in a directory beside the archive, $TOP.build.\n\n    : \"${{TOP:?}}\" \"${{DESTDIR:?}}\"\n    TOP=$(cd \"$TOP\" && pwd)\n    mkdir -p \"$DESTDIR\"\n    \
         DESTDIR=$(cd \"$DESTDIR\" && pwd)\n    JOBS=${{JOBS:-$(nproc)}}\n    export LC_ALL=C.UTF-8 TZ=UTC GIT=false WGET=false\n    umask 022\n",
        top = contents.top,
        all = names(&order),
        rust = match order.iter().any(|name| matches!(world.component(name).build, Driver::Cargo(_))) {
            true => ", Rust",
            false => "",
        },
    );
    for name in order {
        let component = world.component(name);
        let host = component.tarball.as_ref().and_then(|tarball| tarball.built_with.as_ref());
        if let Some(host) = host.filter(|host| world.plan.order.contains(host)) {
            text.push_str(&format!(
                "\n{name} is built by {host}, which finds it in {}.\n",
                placed[&component.source].at
            ));
            continue;
        }
        text.push_str(&format!("\n{name}: {}\n\n", component.summary));
        for line in commands(world, name, placed, contents)? {
            // A step's own script may have several lines.
            text.push_str(&format!("    {}\n", line.replace('\n', "\n    ")));
        }
    }
    Ok(text)
}

/// The commands of one component, in a shell of their own.
fn commands(world: &World, name: &Name, placed: &BTreeMap<Name, Placed>, contents: &Contents) -> Result<Vec<String>> {
    let component = world.component(name);
    let nothing = Output { root: Digest::of(b""), tree: Tree::default() };
    let unpacked = Elsewhere::new(name, component, placed);
    let inputs = world.inputs_at(&unpacked.paths, name, &|_| Some(nothing.clone()))?;
    let at = &placed[&component.source].at;
    let silent = told_by_those_inside(world, name, component, &unpacked.paths)?;
    let mut lines = vec!["(".to_owned(), "set -e".to_owned()];
    for (variable, value) in inputs.variables.iter().filter(|(name, _)| !SANDBOX.contains(&name.as_str())) {
        lines.push(format!("export {variable}={}", unpacked.word(value)));
    }
    let mut dir = unpacked.paths.dir("src");
    lines.push(format!("cd {}", unpacked.word(&dir)));
    let patch = |patch: &String| format!("patch -p1 < {}", Word::variable("TOP", &format!("/{DIR}/{patch}")));
    lines.extend(component.patches.iter().map(patch));
    let makes_it =
        component.tarball.as_ref().is_some_and(|tarball| tarball.steps.iter().any(|step| step.as_str() == "autogen"));
    let is_configured = makes_it && contents.members.contains_key(&below(at, "configure"));
    for step in &inputs.steps {
        if step.name == "autogen" && is_configured {
            continue;
        }
        if step.dir != dir {
            let next = unpacked.word(&step.dir);
            // Only what is built outside of the source has a directory that may not be there.
            let is_outside = step.dir.starts_with(&unpacked.paths.dir("build"));
            lines.push(if is_outside { format!("mkdir -p {next} && cd {next}") } else { format!("cd {next}") });
            dir.clone_from(&step.dir);
        }
        lines.push(command(step, component, &silent, &unpacked));
    }
    lines.push(")".to_owned());
    Ok(lines)
}

fn command(step: &Step, component: &Component, silent: &[String], unpacked: &Elsewhere) -> String {
    let mut argv: Vec<String> = step.argv.iter().filter(|item| !silent.contains(item)).cloned().collect();
    match argv[0].as_str() {
        "make" if !component.serial => argv.insert(1, "-j$JOBS".to_owned()),
        // Where crates are is in .cargo/config.toml beside them.
        "cargo" => {
            while let Some(index) = argv.iter().position(|item| item == "--config") {
                argv.drain(index..index + 2);
            }
        }
        _ => {}
    }
    let src = unpacked.paths.dir("src");
    if step.dir == src {
        argv.iter_mut().for_each(|item| {
            if let Some(rest) = item.strip_prefix(&format!("{src}/")) {
                *item = format!("./{rest}");
            }
        });
    }
    let mut words: Vec<String> = argv.iter().map(|item| unpacked.word(item).to_string()).collect();
    if !step.env.is_empty() {
        let env = step.env.iter().map(|(name, value)| format!("{name}={}", unpacked.word(value)));
        words.splice(0..0, ["env".to_owned()].into_iter().chain(env));
    }
    words.join(" ")
}

/// An unpacked archive instead of the sandbox.
struct Elsewhere {
    /// What steps are made with. No text has such paths by chance.
    paths: Paths,
    /// Each of these, and the jobs, as the shell has it.
    words: Vec<(String, Word)>,
}

impl Elsewhere {
    fn new(name: &Name, component: &Component, placed: &BTreeMap<Name, Placed>) -> Self {
        let paths = Paths::real(Path::new("\u{1}"), Path::new("\u{1}/rust"));
        let top = |at: &str, below: &str| match at {
            "." => Word::variable("TOP", below),
            at => Word::variable("TOP", &format!("/{at}{below}")),
        };
        let at = &placed[&component.source].at;
        let build = match component.build {
            Driver::Cargo(_) => top(at, "/target"),
            // Not inside of any source: some steps copy those.
            _ => Word::variable("TOP", &format!(".build/{name}")),
        };
        let extra = component.extra.keys().map(|source| {
            let there = placed.get(source).map_or(".", |placed| &placed.at[..]);
            (paths.dir(&format!("extra/{source}")), top(there, ""))
        });
        let words = [
            ("src", top(at, "")),
            ("build", build),
            ("crates", top(at, &format!("/{VENDOR}"))),
            ("stage", Word::variable("DESTDIR", "")),
            ("deps", Word::variable("DESTDIR", "")),
        ];
        let words = words.map(|(dir, word)| (paths.dir(dir), word)).into_iter().chain(extra).chain([recipe::jobs()]);
        Elsewhere { words: words.collect(), paths }
    }

    fn word(&self, text: &str) -> Word {
        Word::filled(text, &self.words)
    }
}

/// What the component would be told by others that its own build makes now.
fn told_by_those_inside(world: &World, name: &Name, component: &Component, paths: &Paths) -> Result<Vec<String>> {
    let told = world.told(component, paths)?;
    let is_inside = |other: &Name| {
        let definition = world.definitions.components.get(other);
        let host = definition.and_then(|it| it.tarball.as_ref()?.built_with.as_ref());
        host == Some(name) && world.plan.order.contains(other)
    };
    Ok(told.into_iter().filter(|(other, _)| is_inside(other)).flat_map(|(_, items)| items).collect())
}
