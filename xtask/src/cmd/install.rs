//! `install`: the result in `dist/` into a root.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::Session;
use crate::dist;
use crate::error::{Context, Error, Result};
use crate::installed::{self, Plan, Record, Step};
use crate::merge::Merged;
use crate::turn::{self, Hold, Turn};

/// Install what was built, as it stands in dist/, into a directory or into this machine
///
///     cargo xtask install --root /tmp/image     into a directory
///     cargo xtask install --root /              into this machine
///     cargo xtask install --root / --dry-run    what would be written, kept, refused
///     cargo xtask uninstall --root /            takes it back
///
/// A record of every file stands in DIR/var/lib/sultana/installed.json. A file that was changed there
/// since is kept, and the new one put beside it as NAME.sultana-new. A file of somebody else in the way
/// is an error; with --backup it is kept as NAME.sultana-orig until uninstall puts it back.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    target: Target,
    /// Keep files of others that are in the way as NAME.sultana-orig
    #[arg(long)]
    backup: bool,
}

/// Where to, and whether at all.
#[derive(Debug, clap::Args)]
pub(super) struct Target {
    /// Root to work on
    #[arg(long, value_name = "DIR")]
    root: PathBuf,
    /// Print what would be done and do nothing
    #[arg(long)]
    dry_run: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let say = |line: &str| eprintln!("{line}");
    let _turn = session.turn(&say)?;
    let merged = dist::whole(&session.layout)?;
    let root = args.target.root(session)?;
    let made = !args.target.dry_run && !root.exists();
    if made {
        fs::create_dir_all(&root).context(|| format!("cannot make `{}`", root.display()))?;
    }
    let done = install(session, args, &root, made, &merged);
    if made && done.is_err() {
        // Nothing came of it.
        fs::remove_dir(&root).unwrap_or_default();
    }
    done
}

fn install(session: &Session, args: &Args, root: &Path, made: bool, merged: &Merged) -> Result<()> {
    let _root = args.target.turn(session, root)?;
    let old = Record::read(root)?;
    let mut plan = installed::plan(root, old.clone().unwrap_or_default(), merged, args.backup)?;
    if made {
        plan.during.directories.insert(String::new());
        plan.after.directories.insert(String::new());
    }
    if !args.target.dry_run {
        let bytes: u64 = plan.steps.iter().map(Step::bytes).sum();
        crate::machine::need(root, bytes + (1 << 20), "installing")?;
        installed::perform(root, &session.layout.dist(), &plan, old.as_ref(), &session.cancel)
            .map_err(|error| help_with_root(error, &args.target))?;
    }
    args.target.tell(session, root, &plan, "installed into")
}

impl Target {
    /// The root, absolute; refused where it is ours anyway.
    pub(super) fn root(&self, session: &Session) -> Result<PathBuf> {
        let root = std::path::absolute(&self.root).context(|| "cannot use --root".to_owned())?;
        let root = fs::canonicalize(&root).unwrap_or(root);
        if [session.layout.dist(), session.layout.work(), session.layout.store.clone()]
            .iter()
            .any(|ours| root.starts_with(fs::canonicalize(ours).as_ref().unwrap_or(ours)))
        {
            return Err(Error::input(format!("cannot use `{}` as a root: builds write there", root.display()))
                .help("name a directory outside of dist/, .xtask/ and the store"));
        }
        if root.exists() && !root.is_dir() {
            return Err(Error::input(format!("cannot use `{}` as a root: it is no directory", root.display())));
        }
        Ok(root)
    }

    /// The root for ourselves: other checkouts may install into it too.
    pub(super) fn turn(&self, session: &Session, root: &Path) -> Result<Option<Turn>> {
        if self.dry_run {
            return Ok(None);
        }
        let waiting = "another cargo xtask installs there; waiting for its end";
        turn::take(root, Hold::Alone, &session.cancel, &|line| eprintln!("{line}"), waiting).map(Some)
    }

    pub(super) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// Says what was done, or would be.
    pub(super) fn tell(&self, session: &Session, root: &Path, plan: &Plan, done: &str) -> Result<()> {
        let paths = |wanted: fn(&Step) -> Option<&String>| plan.steps.iter().filter_map(wanted).collect::<Vec<_>>();
        let written = paths(|step| if let Step::Write { path, .. } = step { Some(path) } else { None });
        let removed = paths(|step| if let Step::Remove { path } = step { Some(path) } else { None });
        let backed_up = paths(|step| if let Step::Keep { path } = step { Some(path) } else { None });
        let put_back = paths(|step| if let Step::PutBack { path } = step { Some(path) } else { None });
        if session.json {
            let kept: Vec<_> =
                plan.kept.iter().map(|(path, beside)| serde_json::json!({ "path": path, "beside": beside })).collect();
            return super::print_json(&serde_json::json!({
                "root": root, "dry-run": self.dry_run, "written": written, "removed": removed, "kept": kept,
                "same": plan.same, "backed-up": backed_up, "put-back": put_back,
            }));
        }
        if self.dry_run {
            written.iter().for_each(|path| println!("  write    {path}"));
            removed.iter().for_each(|path| println!("  remove   {path}"));
        }
        backed_up.iter().for_each(|path| println!("  keep     {path} as {}", installed::original(path)));
        put_back.iter().for_each(|path| println!("  put back {path}"));
        plan.same.iter().for_each(|path| println!("  same     {path}, which is not ours and stays so"));
        for (path, beside) in &plan.kept {
            let beside = beside.as_ref().map(|beside| format!("; look at {beside}")).unwrap_or_default();
            println!("  kept     {path}: it was changed here{beside}");
        }
        let done = if self.dry_run { "would be" } else { done };
        println!("{done} {}: {} written, {} removed", root.display(), written.len(), removed.len());
        Ok(())
    }
}

/// What a permission that is lacking needs.
pub(super) fn help_with_root(error: Error, target: &Target) -> Error {
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<io::Error>());
    if cause.is_none_or(|cause| cause.kind() != io::ErrorKind::PermissionDenied) {
        return error;
    }
    let program = std::env::current_exe().map_or_else(|_| "cargo xtask".to_owned(), |path| path.display().to_string());
    let command = std::env::args().nth(1).unwrap_or_default();
    error.help(format!("as root: sudo {program} {command} --root {}", target.root.display()))
}
