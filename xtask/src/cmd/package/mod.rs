//! `package`: what was built as packages of a distribution.

mod later;
mod parts;
mod vouch;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Session;
use crate::bill::{Stamp, provenance, texts};
use crate::digest::Digest;
use crate::dist;
use crate::error::{Context, Error, Result};
use crate::machine::{Family, Machine};
use crate::package::licences::Licences;
use crate::package::plan::{Whole, plan, single};
use crate::package::{Common, Format, bill, documents, facts, rpm, tidy};
use crate::plan::Wanted;
use crate::world::World;
use write::Made;

/// Make packages of what was built, as it stands in dist/, without root
///
///     cargo xtask package deb                      into .xtask/packages/deb
///     cargo xtask package deb --dry-run            which packages, with what in them, and what they depend on
///     cargo xtask package deb --out DIR --revision 2
///     cargo xtask package deb --single             one package instead of many
///     cargo xtask package rpm                      as Fedora splits Xen, without rpmbuild
///     cargo xtask package tar                      the same as archives, to be unpacked at /
///     cargo xtask package deb --provenance         and how they were made (SLSA), for who checks before installing
///
/// Which file becomes part of which package stands in the components, as [[package]]; names are those of
/// the distribution, whose packages they replace. A version is that of the source with +sultana1 behind
/// it, so it comes after the distribution's packages of the same source; --revision makes the next one,
/// and --epoch makes it come after every version of the distribution's. Libraries belong where the
/// distribution has them: `cargo xtask configure --preset distro-debian`, or distro-fedora, then build.
///
/// What would be built otherwise now (cargo xtask why NAME) is refused, and a version ends with ~local where its source has
/// work that is not committed, or that the lock does not name.
///
/// What an earlier run left in .xtask/packages is replaced; a directory of yours (--out) keeps what is in it.
/// Packages of two versions of Xen, deb or rpm, can be installed beside each other: `xl` is that of the running one.
///
/// Try them in a root of your own, or install them here:
///
///     sudo apt install ./.xtask/packages/deb/*.deb
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// Kind of packages
    #[arg(value_enum)]
    format: Kind,
    /// Directory for them [default: .xtask/packages/KIND]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// How many times packages were made of this source
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    revision: u32,
    /// Number that counts before the version
    #[arg(long, value_name = "N", default_value_t = 0)]
    epoch: u32,
    /// Who answers for the packages
    #[arg(long, value_name = "NAME <MAIL>", env = "XTASK_MAINTAINER", default_value = documents::MAINTAINER)]
    maintainer: String,
    /// One package with everything
    #[arg(long, conflicts_with = "split")]
    single: bool,
    /// The packages that distributions have; this is what is done anyway
    #[arg(long)]
    split: bool,
    /// Keep what only debuggers read in programs and libraries
    #[arg(long)]
    no_strip: bool,
    /// Also of what was built without the sandbox or on what an earlier build left; such versions end with ~local
    #[arg(long)]
    allow_local: bool,
    /// State how each was made too: SLSA provenance v1, in FILE.intoto.json; signed, an envelope in FILE.intoto.dsse.json
    #[arg(long, conflicts_with_all = ["allow_local", "dry_run"])]
    provenance: bool,
    /// Shell command that signs a statement, `$FILE`, into `$SIGNATURE` [env: XTASK_SIGN]; packages are signed by their repository
    #[arg(long, value_name = "COMMAND", requires = "provenance")]
    sign: Option<String>,
    /// Shell command that fails unless `$SIGNATURE` is one of `$FILE` [env: XTASK_SIGN_VERIFY]
    #[arg(long, value_name = "COMMAND", requires = "provenance")]
    sign_verify: Option<String>,
    /// Name of the key in the envelope
    #[arg(long, value_name = "ID", requires = "provenance")]
    sign_key: Option<String>,
    /// Print what would be made and write nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    /// For Debian and Ubuntu
    Deb,
    /// For Fedora and openSUSE
    Rpm,
    /// Plain archives of the same files, to be unpacked at /
    Tar,
}

impl Kind {
    fn format(self) -> Format {
        match self {
            Kind::Deb => Format::Deb,
            Kind::Rpm => Format::Rpm,
            Kind::Tar => Format::Tar,
        }
    }

    /// As it is typed.
    fn word(self) -> &'static str {
        match self {
            Kind::Deb => "deb",
            Kind::Rpm => "rpm",
            Kind::Tar => "tar",
        }
    }

    /// What installs a package by its name, where packages have names.
    fn installs(self, here: Option<Family>) -> Option<&'static str> {
        match (self, self.family(here)) {
            (Kind::Tar, _) => None,
            (_, Family::Fedora) => Some("dnf install"),
            (_, Family::OpenSuse) => Some("zypper install"),
            _ => Some("apt install"),
        }
    }

    /// Whose names of packages it has; `here` is what this machine is.
    fn family(self, here: Option<Family>) -> Family {
        match (self, here) {
            (Kind::Rpm, Some(Family::OpenSuse)) => Family::OpenSuse,
            (Kind::Rpm, _) => Family::Fedora,
            (Kind::Deb | Kind::Tar, _) => Family::Debian,
        }
    }
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    let say = |line: &str| eprintln!("{line}");
    if args.maintainer.contains(['\n', '\r']) || !args.maintainer.ends_with('>') || !args.maintainer.contains(" <") {
        return Err(Error::input(format!("cannot use `{}` as maintainer", args.maintainer))
            .help("--maintainer 'Jo Doe <jo@example.org>'"));
    }
    if args.format == Kind::Rpm && !args.dry_run && !cfg!(feature = "extras") {
        return super::extras::run_with_extras(session);
    }
    let _turn = session.turn(&say)?;
    let definitions = session.settled()?;
    let merged = dist::whole(&session.layout)?;
    let dir = session.layout.dist();
    let names = parts::of_this_manifest(session, &definitions, &merged)?;
    let facts = facts::read(&merged.tree, &dir, &session.cancel)?;
    let machine = Machine::of(&session.layout, false)?;
    let world = World::new(session.layout.clone(), definitions, &Wanted { names, all: false }, machine)?;
    let format = args.format.format();
    let directories = &world.definitions.chosen.directories;
    let whole = Whole {
        format,
        machine: world.machine.arch(),
        directories,
        parts: parts::parts(session, &world, &merged, args)?,
        facts: &facts,
        installs: args.format.installs(world.machine.family()),
    };
    let mut packages = plan(&whole)?;
    if args.single {
        packages = single(packages).into_iter().collect();
    }
    let licences = Licences::read(&texts::rows(&world, &session.cancel)?)?;
    let bill = crate::bill::gather(&world, session.manifest.as_str(), Stamp::Newest, false, &session.cancel)?;
    for package in &mut packages {
        if !args.no_strip {
            tidy::strip(package, &facts, &dir, &session.cancel)?;
        }
        tidy::settle(package, &facts, &directories.prefix, &dir, format)?;
        documents::add(package, &directories.prefix, format, &args.maintainer, &licences);
        let documents = documents::dir(package, &directories.prefix);
        bill::add(package, &bill, &merged.owners, &documents, &|package, path| write::content(package, &dir, path))?;
        if format == Format::Rpm {
            rpm::own_directories(package);
        }
    }
    note_library_directory(format, &directories.libdir, whole.machine);
    let arch = format.arch(whole.machine);
    let common = Common { arch: &arch, maintainer: &args.maintainer, sysconfdir: &directories.sysconfdir };
    let made = write::made(&packages, format, &common, &facts)?;
    if format == Format::Deb {
        later::note(session, &packages)?;
    }
    let default = || session.layout.packages(args.format.word());
    let out = args.out.clone().unwrap_or_else(default);
    let mut stated = Vec::new();
    if !args.dry_run {
        let repository = provenance::repository(&world)?;
        std::fs::create_dir_all(&out).context(|| format!("cannot make `{}`", out.display()))?;
        crate::machine::need(&out, packages.iter().map(crate::package::Package::bytes).sum(), "packaging")?;
        let mut written = write::write(session, &out, &made, &common, &dir)?;
        let list = |written: &BTreeMap<String, Digest>| match args.out {
            None => write::replace_earlier(&out, written),
            Some(_) => Ok(()),
        };
        // Who signs may fail, and the packages are there.
        list(&written)?;
        if args.provenance {
            stated = vouch::write(session, args, &out, (&world, &bill, repository), &made, &written)?;
            for file in &stated {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                written.insert(
                    name,
                    Digest::of(&std::fs::read(file).context(|| format!("cannot read `{}`", file.display()))?),
                );
            }
            list(&written)?;
        }
    }
    tell(session, args, &out, &made, &stated)
}

/// Debian's libraries of several architectures stand beside one another, and so do others' of 32 and 64 bits.
fn note_library_directory(format: Format, libdir: &str, machine: &str) {
    let (wanted, preset) = match format {
        Format::Deb => (format!("/usr/lib/{machine}-linux-gnu"), "distro-debian"),
        Format::Rpm => ("/usr/lib64".to_owned(), "distro-fedora"),
        Format::Tar => return,
    };
    if libdir != wanted {
        eprintln!(
            "note: libraries are in {libdir}, the distribution's own in {wanted} (cargo xtask configure --preset \
             {preset}, or --libdir {wanted}, then build)"
        );
    }
}

fn tell(session: &Session, args: &Args, out: &Path, made: &[Made<'_>], stated: &[PathBuf]) -> Result<()> {
    if session.json {
        let package = |made: &Made<'_>| {
            let package = made.package;
            serde_json::json!({
                "name": package.name, "version": package.version.deb(), "component": package.component,
                "file": out.join(&made.file), "files": package.files.keys().collect::<Vec<_>>(),
                "control": made.tells,
            })
        };
        let packages: Vec<_> = made.iter().map(package).collect();
        return super::print_json(
            &serde_json::json!({ "dry-run": args.dry_run, "packages": packages, "provenance": stated }),
        );
    }
    for made in made {
        if args.dry_run {
            println!("{}", made.tells.trim_end());
            made.package.files.keys().for_each(|path| println!("  /{path}"));
            println!("");
        } else {
            println!("{}", out.join(&made.file).display());
        }
    }
    stated.iter().for_each(|stated| println!("{}", stated.display()));
    Ok(())
}
