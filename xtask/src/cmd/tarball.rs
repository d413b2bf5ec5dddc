//! `tarball`: one archive with everything that the components are built from.

use std::fs;
use std::path::PathBuf;

use super::Session;
use super::releasing::{Bar, What, contents};
use super::vouching::{self, Vouching};
use crate::bill::provenance::{self, Release};
use crate::bill::{Stamp, gather};
use crate::error::{Context, Result};
use crate::machine::size;
use crate::placing;
use crate::release::{Format, write};
use crate::run::{Mode, Report};
use crate::signing::SigningArgs;

/// Pack Xen and its components into one archive that builds without a network
///
///     cargo xtask tarball                              xen-VERSION.tar.xz and its .sha256, here
///     cargo xtask tarball --out /tmp --format gz       elsewhere, and packed otherwise
///     cargo xtask tarball --components xen,xen-tools   these and what they need
///     cargo xtask verify-tarball xen-4.17.5.tar.xz
///
/// The same lock gives the same bytes on every machine. What the lock does not say is refused by name:
/// local edits, overrides, branches that are not frozen, tags without the signature that is asked for.
///
/// To sign it, in the environment or as arguments:
///
///     XTASK_SIGN='gpg --armor --detach-sign --output "$SIGNATURE" "$FILE"'
///     XTASK_SIGN_VERIFY='gpg --verify "$SIGNATURE" "$FILE"'
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    what: What,
    /// Directory that the archive is put into
    #[arg(long, value_name = "DIR", default_value = ".")]
    out: PathBuf,
    /// How it is packed
    #[arg(long, value_enum, default_value_t = Format::Xz)]
    format: Format,
    /// Threads that pack [default: number of cores]; the bytes do not depend on it
    #[arg(long, short, value_name = "N")]
    jobs: Option<usize>,
    /// State how it was made too: SLSA provenance v1, in FILE.intoto.json; signed, an envelope in FILE.intoto.dsse.json
    #[arg(long)]
    provenance: bool,
    #[command(flatten)]
    signing: SigningArgs,
    /// Name of the key in the envelope
    #[arg(long, value_name = "ID", requires = "sign")]
    sign_key: Option<String>,
    /// What a signature's name ends in
    #[arg(long, env = "XTASK_SIGN_SUFFIX", value_name = "SUFFIX", default_value = "asc")]
    sign_suffix: String,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    if !args.format.is_here() {
        return super::extras::run_with_extras(session);
    }
    let report = Report::new(if session.json { Mode::Json } else { Mode::Auto }, None);
    let (world, contents) = contents(session, &args.what, "make a tarball", &report)?;
    let repository = provenance::repository(&world)?;
    let out = std::path::absolute(&args.out).context(|| "cannot use --out".to_owned())?;
    fs::create_dir_all(&out).context(|| format!("cannot make `{}`", out.display()))?;
    crate::machine::need(&out, contents.bytes() / 2 + (1 << 20), "packing the archive")?;
    let name = format!("{}.{}", contents.top, args.format.suffix());
    report.note(format!("packing {name}: {} members, {}", contents.members.len(), size(contents.bytes())));
    let jobs = args.jobs.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
    let cannot = || format!("cannot write into `{}`", out.display());
    let mut aside = tempfile::Builder::new().prefix(".tarball-").tempfile_in(&out).context(cannot)?;
    let bar = Bar::new(session, "packing", contents.bytes());
    let packed = std::io::BufWriter::with_capacity(1 << 20, aside.as_file_mut());
    let digest = write(&contents, args.format, jobs, packed, &session.cancel, &|done| bar.at(done))?;
    drop(bar);
    let file = out.join(&name);
    use std::os::unix::fs::PermissionsExt;
    aside.as_file().set_permissions(fs::Permissions::from_mode(0o644)).context(cannot)?;
    // What is said of an archive of that name before is not true of this one.
    let sum = out.join(format!("{name}.sha256"));
    let signature = out.join(format!("{name}.{}", args.sign_suffix));
    for old in [&sum, &signature] {
        placing::remove_file(old)?;
    }
    vouching::remove_earlier(&file)?;
    // What a disk far away says only at the end is said before anybody is told the archive's digest.
    aside.as_file().sync_all().context(cannot)?;
    aside.persist(&file).context(cannot)?;
    crate::atomic::write(&sum, format!("{}  {name}\n", digest.hash).as_bytes())?;
    let vouching = Vouching { signing: args.signing.wanted(), key: args.sign_key.clone() };
    let stated = args.provenance.then(|| -> Result<PathBuf> {
        let bill = gather(&world, &contents.top, Stamp::At(contents.epoch), false, &session.cancel)?;
        let asked = args.what.asked().into_iter().chain([("format", args.format.suffix().into())]).collect();
        let release = Release { asked, repository, bill: &bill };
        vouching.beside(session, &file, provenance::archive(&world, &name, digest, release))
    });
    let stated = stated.transpose()?;
    let signing = vouching.signing;
    let signature = signing.map(|it| it.beside(&file, &args.sign_suffix, &session.cancel)).transpose()?;
    if session.json {
        return super::print_json(&serde_json::json!({
            "file": file, "sha256": digest.hash, "size": digest.size, "members": contents.members.len(),
            "signature": signature, "provenance": stated,
        }));
    }
    println!("{}: {}, sha256 {}", file.display(), size(digest.size), digest.hash);
    if let Some(stated) = stated {
        println!("{}", stated.display());
    }
    if let Some(signature) = signature {
        println!("{}: verified", signature.display());
    }
    Ok(())
}
