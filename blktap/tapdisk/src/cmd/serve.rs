//! `tapdisk serve`: one image over NBD, in the foreground, for people without Xen.

use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use legacy_cli::terminal::in_words;
use nbd::Export;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use vhd::{Cache, Gate};

use crate::client::Security;
use crate::engine::engine;
use crate::listener::Listener;
use crate::log;
use crate::params::{How, Kind, Params};
use crate::server::{Arriving, Server};
use crate::service::Service;
use crate::shared::Shared;
use crate::socket_path::SocketPath;
use crate::store::Chain;
use crate::tls;
use crate::vbd::PREFERRED_BYTES;

/// Serve an image over NBD until Ctrl-C
///
/// What clients wrote is durable when a flush is answered or the server has ended. No acknowledged write is lost when the
/// server is killed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tapdisk serve disk.vhd                        # nbd+unix:///?socket=disk.vhd.sock
  tapdisk serve disk.vhd --socket /run/d.sock --read-only
  nbdinfo --map 'nbd+unix:///?socket=disk.vhd.sock'
  qemu-img convert 'nbd+unix:///?socket=disk.vhd.sock' disk.raw
  tapdisk serve /dev/vg/disk                    # a logical volume, past the page cache
  tapdisk serve disk.vhd --tcp 0.0.0.0:10809 --tls /etc/pki/tapdisk
  tapdisk serve child.vhd --allow-parents /srv/golden --allow-parents .")]
pub(super) struct Args {
    /// A VHD: fixed, dynamic, or differencing with all its parents
    image: PathBuf,
    /// Where clients connect; a socket that nobody serves any more is replaced [default: IMAGE's name and .sock, here]
    #[arg(long, short, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// A TCP address and port where clients can come too, with TLS [example: 0.0.0.0:10809]
    #[arg(long, value_name = "ADDRESS:PORT", requires = "security")]
    tcp: Option<String>,
    /// A directory with server-cert.pem and server-key.pem
    #[arg(long, value_name = "DIR", group = "security", requires = "tcp")]
    tls: Option<PathBuf>,
    /// Clients need a certificate that DIR/ca-cert.pem signed
    #[arg(long, requires = "tls")]
    verify_clients: bool,
    /// Whoever reaches the port reads and writes the disk, and whoever listens on the way too
    #[arg(long, group = "security", requires = "tcp")]
    no_tls: bool,
    /// Whether what is read and written goes through this host's page cache
    #[arg(long, value_enum, default_value_t = CacheMode::Writeback, value_name = "MODE")]
    cache: CacheMode,
    /// Nobody can write, and the image may be served more than once
    #[arg(long, short)]
    read_only: bool,
    /// Where parents may be, and below it [default: the image's own directory]
    #[arg(long, value_name = "DIR")]
    allow_parents: Vec<PathBuf>,
}

/// What `--cache` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum CacheMode {
    /// Through it: quick, and for files that no other host has open. Block devices are never cached
    Writeback,
    /// Past it: a write that is acknowledged has reached the disk
    Direct,
}

pub(super) fn run(args: &Args) -> ExitCode {
    match serve(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("error: {}", failed.message);
            if let Some(help) = failed.help {
                eprintln!("help: {help}");
            }
            ExitCode::from(u8::try_from(failed.errno).unwrap_or(1))
        }
    }
}

struct Failed {
    message: String,
    help: Option<String>,
    errno: i32,
}

impl Failed {
    fn io(doing: impl fmt::Display, error: &io::Error) -> Self {
        Failed { message: format!("{doing}: {error}"), help: None, errno: error.raw_os_error().unwrap_or(1) }
    }
}

impl From<vhd::Error> for Failed {
    fn from(error: vhd::Error) -> Self {
        Failed { message: in_words(&error), help: None, errno: error.job_errno() }
    }
}

fn serve(args: &Args) -> Result<(), Failed> {
    log::to_standard_error();
    let _lock = lock(args)?;
    let service = Service::new(Box::new(open(args)?));
    let export = Export {
        name: String::new(),
        description: service.description(),
        size_bytes: service.size_bytes(),
        is_read_only: args.read_only,
        preferred_bytes: PREFERRED_BYTES,
    };
    let mib = export.size_bytes >> 20;
    let path = match &args.socket {
        Some(path) => path.clone(),
        None => {
            let mut name = args.image.file_name().unwrap_or_default().to_owned();
            name.push(".sock");
            name.into()
        }
    };
    let stop = signals().map_err(|error| Failed::io("cannot wait for signals", &error))?;
    let socket = SocketPath::bind(&path).map_err(|error| Failed {
        help: (error.kind() == io::ErrorKind::AddrInUse)
            .then(|| format!("--socket {}.2, or stop whoever serves it: fuser {0}", path.display())),
        ..Failed::io(format_args!("cannot listen at `{}`", path.display()), &error)
    })?;
    let mut sockets = vec![(Listener::Unix(socket), Arriving::Clients(Security::Local))];
    sockets.extend(tcp(args)?);
    let how = if args.read_only { ", read-only" } else { "" };
    let scheme = if args.tls.is_some() { "nbds" } else { "nbd" };
    let addresses = sockets.iter().filter_map(|(listener, _)| listener.address());
    let ports: String = addresses.map(|address| format!(", {scheme}://{address}")).collect();
    eprintln!("serving `{}`, {mib} MiB{how}: nbd+unix:///?socket={}{ports}", args.image.display(), path.display());
    let disk = Arc::new(Shared::new(service, Duration::ZERO));
    let served = Server::new(Arc::clone(&disk), export, sockets).run(&stop);
    disk.end().map_err(|failed| Failed { message: failed.message, help: None, errno: failed.errno })?;
    served.map_err(|error| Failed::io("cannot serve", &error))
}

/// The port, if there is to be one.
fn tcp(args: &Args) -> Result<Option<(Listener, Arriving)>, Failed> {
    let Some(address) = &args.tcp else { return Ok(None) };
    let security = match &args.tls {
        Some(directory) => {
            let failed = |error| Failed {
                help: Some("certtool of GnuTLS, or any tool for X.509, makes certificates and keys in PEM".to_owned()),
                ..Failed::io("cannot prepare TLS", &error)
            };
            Security::Tls(tls::config(directory, args.verify_clients).map_err(failed)?)
        }
        None => Security::Clear,
    };
    let listener = Listener::tcp(address);
    let listener = listener.map_err(|error| Failed::io(format_args!("cannot listen at `{address}`"), &error))?;
    Ok(Some((listener, Arriving::Clients(security))))
}

/// Keeps a second server from writing the image, which would destroy it. Goes with the process.
fn lock(args: &Args) -> Result<File, Failed> {
    let image = args.image.display();
    // Neither a FIFO nor a device may make this wait.
    let file = rustix::fs::open(
        &args.image,
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    );
    let file = File::from(file.map_err(|errno| Failed::io(format_args!("cannot open `{image}`"), &errno.into()))?);
    let operation =
        if args.read_only { FlockOperation::NonBlockingLockShared } else { FlockOperation::NonBlockingLockExclusive };
    match rustix::fs::flock(&file, operation) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(Failed {
            message: format!("`{image}` is being served already"),
            help: Some(format!("fuser {image}")),
            errno: Errno::BUSY.raw_os_error(),
        }),
        Err(errno) => Err(Failed::io(format_args!("cannot lock `{image}`"), &errno.into())),
    }
}

fn open(args: &Args) -> Result<Chain, Failed> {
    let own = [args.image.parent().filter(|path| *path != Path::new("")).unwrap_or(Path::new(".")).to_owned()];
    let directories = if args.allow_parents.is_empty() { &own[..] } else { &args.allow_parents };
    Gate::within(directories)?.set_for_process();
    let cache = if args.cache == CacheMode::Direct { Cache::Direct } else { Cache::Cached };
    let engine = engine().map_err(|error| Failed::io("cannot prepare transfers", &error))?;
    let how = How { is_read_only: args.read_only, key: None, cache, parents: cache, engine: Some(engine) };
    Params { kind: Kind::Vhd, path: &args.image }.open_chain(&how).map_err(|refused| {
        let is_elsewhere = refused.errno == Errno::ACCESS.raw_os_error();
        let help = is_elsewhere.then(|| "--allow-parents DIR names a directory where parents may be".to_owned());
        Failed { message: refused.message, help, errno: refused.errno }
    })
}

/// A socket that can be read when somebody wants an end.
fn signals() -> io::Result<UnixStream> {
    let (ours, theirs) = UnixStream::pair()?;
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::low_level::pipe::register(signal, theirs.try_clone()?)?;
    }
    // A file that may not grow is an error of whoever writes.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    Ok(ours)
}
