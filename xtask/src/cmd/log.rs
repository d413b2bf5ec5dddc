//! `log`: the logs of a component's last build.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use super::Session;
use crate::error::{Context, Error, Result};
use crate::machine::Family;
use crate::run::{first_error, hints};

/// Show the logs of a component's last build
///
///     cargo xtask log xen-tools            all steps, one after the other
///     cargo xtask log xen-tools make       one step
///     cargo xtask log xen-tools --error    the first real error, with its neighbours
///     cargo xtask log xen-tools --follow   while it builds in another terminal
///     cargo xtask log xen-tools --paths    the files' names
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Component
    component: String,
    /// Step [default: all]
    step: Option<String>,
    /// Only the first real error, with its neighbours
    #[arg(long)]
    error: bool,
    /// Go on printing while it grows; Ctrl-C ends it
    #[arg(long, short, conflicts_with = "error")]
    follow: bool,
    /// Print the paths of the log files
    #[arg(long, conflicts_with_all = ["error", "follow"])]
    paths: bool,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let name = Session::names(std::slice::from_ref(&args.component))?.remove(0);
    let files = logs(session, &name, args)?;
    if args.paths {
        files.iter().for_each(|file| println!("{}", file.display()));
        return Ok(());
    }
    if args.follow {
        return follow(session, &name, args);
    }
    if args.error {
        let newest = files.last().cloned().unwrap_or_default();
        let text = fs::read(&newest).context(|| format!("cannot read `{}`", newest.display()))?;
        let text = String::from_utf8_lossy(&text);
        let excerpt = first_error(&text);
        println!("{}\n{}", newest.display(), excerpt.map(|excerpt| excerpt.render()).unwrap_or_default());
        hints(&text, Family::here()).iter().for_each(|hint| println!("help: {hint}"));
        return Ok(());
    }
    for file in &files {
        if files.len() > 1 {
            println!("== {}", file.file_name().unwrap_or_default().to_string_lossy());
        }
        let mut file = File::open(file).context(|| format!("cannot read `{}`", file.display()))?;
        // A reader that went away (`| head`) ends it.
        if let Err(error) = io::copy(&mut file, &mut io::stdout()) {
            crate::print::remember(Err(error));
            return Ok(());
        }
    }
    Ok(())
}

fn logs(session: &Session, name: &crate::definition::Name, args: &Args) -> Result<Vec<PathBuf>> {
    let dir = session.layout.logs(name);
    let mut files: Vec<PathBuf> =
        fs::read_dir(&dir).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    files.sort();
    if files.is_empty() {
        let known = session.definitions()?.components;
        if !known.contains_key(name) {
            let known = known.keys().map(crate::definition::Name::as_str).collect::<Vec<_>>().join(", ");
            return Err(Error::input(format!("there is no component `{name}` in this manifest; it has {known}"))
                .help("cargo xtask list"));
        }
        return Err(Error::input(format!(
            "`{name}` has no logs: it was never built here, or was restored from the store"
        ))
        .help(format!("cargo xtask build {name}")));
    }
    let Some(step) = &args.step else { return Ok(files) };
    let stem = |file: &PathBuf| file.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let steps: Vec<String> = files.iter().map(stem).collect();
    let found: Vec<PathBuf> =
        files.into_iter().filter(|file| stem(file).split_once('-').is_some_and(|(_, name)| name == step)).collect();
    if found.is_empty() {
        return Err(Error::input(format!(
            "the last build of `{name}` had no step `{step}`; it had {}",
            steps.join(", ")
        )));
    }
    Ok(found)
}

fn follow(session: &Session, name: &crate::definition::Name, args: &Args) -> Result<()> {
    let (mut current, mut at) = (PathBuf::new(), 0);
    while !session.cancel.is_stopped() {
        if let Some(newest) = logs(session, name, args)?.last()
            && *newest != current
        {
            println!("== {}", newest.file_name().unwrap_or_default().to_string_lossy());
            (current, at) = (newest.clone(), 0);
        }
        let mut bytes = Vec::new();
        if let Ok(mut file) = File::open(&current) {
            let reading = || format!("cannot read `{}`", current.display());
            file.seek(SeekFrom::Start(at)).context(reading)?;
            at += file.read_to_end(&mut bytes).context(reading)? as u64;
        }
        if io::stdout().write_all(&bytes).and_then(|()| io::stdout().flush()).is_err() {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}
