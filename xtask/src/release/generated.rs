//! What steps of a component make of its source, so that whoever builds it needs not: a configured `.config`, autoconf's `configure`. Runs
//! them in the sandbox on the source as it is locked, and takes the files that the component's definition names.

use std::fs;
use std::path::Path;

use super::contents::{Contents, Owner, below};
use crate::definition::{Name, Tarball};
use crate::digest::Digest;
use crate::error::{Context, Error, Result};
use crate::process::{Cancel, shell_line};
use crate::sandbox::Sandbox;
use crate::stat_index::{Modes, read_tree};
use crate::store::{Output, Placement, place};
use crate::tree::{Node, Tree};
use crate::world::World;

/// Adds what the steps that `tarball` names make, with `generated` what is only wanted on request too.
pub(super) fn add(
    world: &World,
    name: &Name,
    tarball: &Tarball,
    generated: bool,
    contents: &mut Contents,
    cancel: &Cancel,
) -> Result<()> {
    let globs: Vec<&String> =
        tarball.carry.iter().chain(if generated { &tarball.generated[..] } else { &[] }).collect();
    if globs.is_empty() {
        return Ok(());
    }
    let bwrap = world.machine.bubblewrap().ok_or_else(|| {
        Error::machine(format!("cannot make what a release has of `{name}`: there is no sandbox"))
            .because("what is made outside of it depends on this machine")
            .help("cargo xtask doctor")
    })?;
    let scratch = world.layout.work().join("tmp");
    fs::create_dir_all(&scratch).context(|| format!("cannot make `{}`", scratch.display()))?;
    let scratch = tempfile::Builder::new().prefix("release.").tempdir_in(&scratch);
    let scratch = scratch.context(|| "cannot make a temporary directory".to_owned())?;
    let sandbox = Sandbox::new(Some(bwrap), scratch.path().to_path_buf(), None, None);
    sandbox.make_dirs()?;
    let before = run(world, name, tarball, &sandbox, cancel)?;
    let after = read_tree(&sandbox.host("src"), Modes::Source)?;
    let mut taken = 0;
    for (path, node) in &after.0 {
        let Node::File { digest, mode } = node else { continue };
        if !globs.iter().any(|glob| fast_glob::glob_match(glob.as_str(), path)) {
            continue;
        }
        taken += 1;
        // The source has it already, the same: it is the source's.
        let is_there = contents.members.contains_key(&below(&tarball.at, path));
        if before.0.get(path) == Some(node) && is_there {
            continue;
        }
        let file = sandbox.host("src").join(path);
        let bytes = fs::read(&file).context(|| format!("cannot read `{}`", file.display()))?;
        if Digest::of(&bytes) != *digest {
            return Err(Error::machine(format!("`{}` changed while it was read", file.display())));
        }
        let path = below(&tarball.at, path);
        contents.add_bytes(&path, &bytes, Owner::Made(name.clone()))?;
        if let Some(Node::File { mode: its, .. }) = contents.members.get_mut(&path).map(|member| &mut member.node) {
            *its = *mode;
        }
    }
    if taken == 0 {
        let steps = tarball.steps.iter().map(Name::as_str).collect::<Vec<_>>().join(", ");
        let globs = globs.iter().map(|glob| glob.as_str()).collect::<Vec<_>>().join(", ");
        return Err(Error::input(format!("steps {steps} of `{name}` made nothing that a release wants: {globs}"))
            .help(format!("look at `[tarball]` of components/{name}.toml")));
    }
    Ok(())
}

/// Runs the steps; gives what the source was before.
fn run(world: &World, name: &Name, tarball: &Tarball, sandbox: &Sandbox, cancel: &Cancel) -> Result<Tree> {
    let nothing = Output { root: Digest::of(b""), tree: Tree::default() };
    let inputs = world.inputs(name, &|_| Some(nothing.clone()))?;
    let (source, extra) = world.source_dirs(name)?;
    place(&inputs.src, Placement::Directory(&source.dir), &sandbox.host("src"), source.epoch)?;
    for (other, tree) in &inputs.extra {
        let from: &Path = &extra[other];
        place(tree, Placement::Directory(from), &sandbox.host("extra").join(other), source.epoch)?;
    }
    for wanted in &tarball.steps {
        let mut step = inputs.steps.iter().find(|step| step.name == wanted.as_str()).cloned().ok_or_else(|| {
            Error::input(format!("`{name}` has no step `{wanted}`, which its `[tarball]` names")).help(format!(
                "the steps are: {}",
                inputs.steps.iter().map(|step| &step.name[..]).collect::<Vec<_>>().join(", ")
            ))
        })?;
        step.argv.iter_mut().for_each(|item| *item = item.replace("$JOBS", "1"));
        let ended = sandbox.program(&step, &inputs.variables).run(cancel)?;
        if !ended.status.success() {
            let said = String::from_utf8_lossy(&[ended.stdout, ended.stderr].concat()).trim().to_owned();
            let message =
                format!("step `{wanted}` of `{name}` failed: {}\n  ran: {}", ended.status, shell_line(&step.argv));
            return Err(Error::step(message).because(said).help(format!("cargo xtask build {name}   # says more")));
        }
    }
    Ok(inputs.src.into_tree())
}
