//! `configure`: choices that a checkout keeps, and where each value comes from.

use std::collections::BTreeSet;

use super::Session;
use super::settling::declared;
use crate::error::{Error, Result};
use crate::settings::{self, Directory, Kept, Key, PRESETS, Provide};

/// Keep choices for this checkout, or show what holds and why
///
///     cargo xtask configure --show                            every setting, its value, and where that was said
///     cargo xtask configure --prefix=/usr --libdir=/usr/lib64
///     cargo xtask configure --with-system-seabios             the system's copy, wherever that is
///     cargo xtask configure --with-system-qemu=/usr/bin/qemu-system-i386
///     cargo xtask configure --with-system-ovmf=auto           the system's if one will do, else ours
///     cargo xtask configure --without-blktap                  nobody's
///     cargo xtask configure --preset distro-debian            a set of choices; others can be added to it
///     cargo xtask configure QEMU_UPSTREAM_REVISION=staging    also the names that scripts of Xen set
///     cargo xtask configure --forget with-system-ovmf         no longer this one; without a name none
///
/// An argument of a command goes before a line of `.config`, that before what is kept here, that before the environment, and all before
/// the manifest. Nothing that is committed changes.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Other settings
    #[arg(value_name = "NAME=VALUE")]
    pub(super) settings: Vec<String>,
    /// Where things are installed [default: /usr]
    #[arg(long, value_name = "DIR")]
    prefix: Option<String>,
    /// Libraries [default: PREFIX/lib]
    #[arg(long, value_name = "DIR")]
    libdir: Option<String>,
    /// Configuration [default: /etc, or PREFIX/etc below another prefix than /usr]
    #[arg(long, value_name = "DIR")]
    sysconfdir: Option<String>,
    /// State [default: /var, or PREFIX/var]
    #[arg(long, value_name = "DIR")]
    localstatedir: Option<String>,
    /// Begin from a set of choices: all-internal, distro-debian, distro-fedora, hypervisor-only
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Show what holds and where it was said, and keep nothing
    #[arg(long)]
    show: bool,
    /// Forget these kept choices, or all
    #[arg(long, value_name = "NAME", num_args = 0.., conflicts_with = "show")]
    forget: Option<Vec<String>>,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let directories = [
        (Directory::Prefix, &args.prefix),
        (Directory::Libdir, &args.libdir),
        (Directory::Sysconfdir, &args.sysconfdir),
        (Directory::Localstatedir, &args.localstatedir),
    ];
    let directories = directories.into_iter().filter_map(|(key, value)| Some((Key::Directory(key), value.clone()?)));
    let mut given: Vec<(String, String)> = directories.map(|(key, value)| (key.to_string(), value)).collect();
    given.extend(session.arguments.iter().cloned());
    let says_something = !given.is_empty() || args.preset.is_some() || args.forget.is_some();
    if args.show || !says_something {
        let mut session = session.clone();
        session.arguments = given;
        return show(&session);
    }
    let _turn = session.turn(&|line| eprintln!("{line}"))?;
    let mut kept = match &args.forget {
        // Also what cannot be read.
        Some(names) if names.is_empty() => Kept::default(),
        _ => Kept::read(&session.layout)?,
    };
    for name in args.forget.iter().flatten() {
        forget(&mut kept, name)?;
    }
    if let Some(name) = &args.preset {
        kept.preset = Some(settings::preset(name)?.name.to_owned());
    }
    let before = kept.clone();
    keep(session, &mut kept, &given)?;
    kept.write(&session.layout)?;
    if session.json {
        return show(&Session { arguments: Vec::new(), ..session.clone() });
    }
    if let Some(preset) = kept.preset.as_ref().and_then(|name| settings::preset(name).ok()) {
        println!("preset {}: {}", preset.name, preset.summary);
    }
    for (name, value) in &kept.values {
        let is_new = before.values.get(name) != Some(value) || given.iter().any(|(given, _)| given == name);
        let found = kept.found.get(name).map(|found| format!("   ({found})")).unwrap_or_default();
        println!("{} {name}={value}{found}", if is_new { "kept " } else { "still" });
    }
    if kept == Kept::default() {
        println!("nothing is kept");
    }
    Ok(())
}

/// Judges what was given together with what is kept already, and keeps it. What `yes` and `auto` find is kept as what they found, so that
/// a build does not depend on what is installed when it runs.
fn keep(session: &Session, kept: &mut Kept, given: &[(String, String)]) -> Result<()> {
    let plain = session.definitions()?;
    let declared = declared(&plain);
    let mut names = BTreeSet::new();
    for (name, value) in given {
        let (key, value) = settings::Settings::one(name, value, &declared)?;
        if !key.may_stand_in(settings::Place::Kept) {
            return Err(Error::input(format!("`{name}` is for one run and is not kept"))
                .help(format!("cargo xtask build {name}={value}")));
        }
        kept.found.remove(&key.to_string());
        kept.values.insert(key.to_string(), value);
        names.insert(key.to_string());
    }
    // The names that are given are judged as arguments are; the others stand as they are kept.
    let arguments: Vec<_> = kept
        .values
        .iter()
        .filter(|(name, _)| names.contains(*name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let layers = settings::Layers { arguments, kept: kept.clone(), declared, ..settings::Layers::default() };
    let all = settings::Settings::of(&layers)?;
    let (definitions, notes) = session.settle(plain, &all)?;
    notes.iter().for_each(|note| eprintln!("note: {note}"));
    for (key, value) in all.iter() {
        let Key::Provider(name) = key else { continue };
        let is_given = names.contains(&key.to_string());
        if !is_given || !matches!(Provide::parse(&value.value), Provide::System | Provide::Auto) {
            continue;
        }
        let found = definitions.chosen.found.get(name).map(|lines| lines.join("; ")).unwrap_or_default();
        let manifest = &definitions.manifest;
        let now = match manifest.system.get(name) {
            Some(path) => path.clone(),
            None if manifest.components.contains(name) || manifest.optional.contains(name) => "no".to_owned(),
            None => "without".to_owned(),
        };
        kept.found.insert(key.to_string(), format!("{} found it so: {found}", value.value));
        kept.values.insert(key.to_string(), now);
    }
    Ok(())
}

fn forget(kept: &mut Kept, name: &str) -> Result<()> {
    if name == "preset" && kept.preset.take().is_some() {
        return Ok(());
    }
    let name = name.trim_start_matches("--");
    kept.found.remove(name);
    if kept.values.remove(name).is_some() {
        return Ok(());
    }
    let names = kept.preset.iter().map(|_| "preset").chain(kept.values.keys().map(String::as_str));
    let names = names.collect::<Vec<_>>().join(", ");
    let names = if names.is_empty() { "nothing".to_owned() } else { names };
    Err(Error::input(format!("`{name}` is not kept; what is: {names}")).help("cargo xtask configure --show"))
}

fn show(session: &Session) -> Result<()> {
    let plain = session.definitions()?;
    let said = session.settings(&plain)?;
    let (definitions, notes) = session.settle(plain.clone(), &said)?;
    let kept = Kept::read(&session.layout)?;
    let rows = settings::rows(&plain, &definitions, &said, &kept);
    if session.json {
        return super::print_json(&serde_json::json!({
            "manifest": session.manifest, "preset": kept.preset, "settings": rows, "notes": notes,
        }));
    }
    println!("{}: {}\n", session.manifest, definitions.manifest.summary);
    let (name, value) =
        (width(rows.iter().map(|row| row.name.as_str())), width(rows.iter().map(|row| row.value.as_str())));
    for row in &rows {
        let shown = if row.value.is_empty() { "-" } else { &row.value };
        println!("  {:<name$}  {shown:<value$}  {}", row.name, row.from);
        if let Some(note) = &row.note {
            println!("  {:<name$}  {note}", "");
        }
    }
    notes.iter().for_each(|note| eprintln!("note: {note}"));
    let presets: Vec<&str> = PRESETS.iter().map(|preset| preset.name).collect();
    println!("\n  presets: {} (cargo xtask configure --preset NAME)", presets.join(", "));
    Ok(())
}

/// Wide enough for most; a long list of URLs is not to push everything to the right.
fn width<'a>(texts: impl Iterator<Item = &'a str>) -> usize {
    texts.map(|text| text.chars().count()).filter(|length| *length <= 44).max().unwrap_or(1)
}
