//! `tapdisk` alone: the daemon that `tap-ctl spawn` starts. It says where its control socket is, and leaves its parent.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::thread;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, setsid};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGXFSZ};
use signal_hook::iterator::Signals;
use tap_proto::RunDir;

use crate::control::Control;
use crate::engine::engine;
use crate::host::Host;
use crate::log::{self, Log};
use crate::metrics::Metrics;
use crate::socket_path::SocketPath;

/// Set for the process that stays: it must leave its session when it is ready.
const DETACH: &str = "BLKTAP_TAPDISK_DETACH";

/// Starts a daemon and waits until it is ready: its exit status, and its words, are this one's where it never is.
pub(super) fn spawn() -> ExitCode {
    match try_spawn() {
        Ok(status) => status,
        Err(error) => {
            eprintln!("error: cannot start the daemon: {error}");
            ExitCode::from(u8::try_from(error.raw_os_error().unwrap_or(1)).unwrap_or(1))
        }
    }
}

fn try_spawn() -> io::Result<ExitCode> {
    let mut command = Command::new("/proc/self/exe");
    // The storage manager looks for a process of this name.
    command.arg0("tapdisk").arg("-D").env(DETACH, "1").stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    if line.ends_with('\n') {
        print!("{line}");
        io::stdout().flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    let status = child.wait()?.code().and_then(|code| u8::try_from(code).ok()).filter(|&code| code != 0);
    Ok(ExitCode::from(status.unwrap_or(1)))
}

/// Serves until the last disk is detached, or a signal wants an end.
pub(super) fn run() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("tapdisk ends: {error}");
            eprintln!("error: {error}");
            ExitCode::from(u8::try_from(error.raw_os_error().unwrap_or(1)).unwrap_or(1))
        }
    }
}

fn serve() -> io::Result<()> {
    let is_detached = std::env::var_os(DETACH).is_some();
    let log = match Log::start() {
        Ok(log) => Some(log),
        Err(error) => {
            log::to_standard_error();
            tracing::warn!("no log file: {error}");
            None
        }
    };
    prepare_process();
    let run_dir = RunDir::from_environment();
    std::fs::DirBuilder::new().recursive(true).mode(0o755).create(run_dir.path())?;
    let path = run_dir.control_socket(crate::pid());
    let socket = SocketPath::bind(&path)?;
    let receiver = SocketPath::bind(&run_dir.connection_receiver(crate::pid()))?;
    let (stop, stopped) = UnixStream::pair()?;
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2, SIGXFSZ])?;
    let control = Control::new(Host::new(run_dir, engine()?), stop.try_clone()?);
    let metrics = Metrics::start();
    thread::scope(|scope| {
        let handle = signals.handle();
        scope.spawn(|| obey(signals, &stop, log.as_ref(), &control));
        scope.spawn(|| metrics.follow(control.vbds()));
        tracing::info!("tapdisk {} is ready at {}", env!("CARGO_PKG_VERSION"), path.display());
        let ran = ready(&path, is_detached).and_then(|()| control.run(&socket, &receiver, &stopped));
        handle.close();
        metrics.end();
        ran
    })
}

/// Says where the control socket is. A daemon then has nobody any more that it could tell anything.
fn ready(path: &std::path::Path, is_detached: bool) -> io::Result<()> {
    writeln!(io::stdout(), "{}", path.display())?;
    io::stdout().flush()?;
    if !is_detached {
        return Ok(());
    }
    setsid()?;
    std::env::set_current_dir("/")?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}

/// Memory stays where it is and files are many, as far as we may.
fn prepare_process() {
    let unlimited = Rlimit { current: None, maximum: None };
    // Where the limit cannot be raised it may still be high enough.
    let _ = setrlimit(Resource::Memlock, unlimited);
    let locked = {
        use rustix::mm::{MlockAllFlags as Flags, mlockall};
        // Pages that nobody touches take nothing.
        mlockall(Flags::CURRENT | Flags::FUTURE | Flags::ONFAULT)
    };
    if let Err(errno) = locked {
        tracing::warn!("memory is not locked: {errno}. Under memory pressure disks may wait for each other");
    }
    let files = getrlimit(Resource::Nofile);
    if let Err(errno) = setrlimit(Resource::Nofile, Rlimit { current: files.maximum, maximum: files.maximum }) {
        tracing::warn!("the limit of open files stays: {errno}");
    }
}

fn obey(mut signals: Signals, mut stop: &UnixStream, log: Option<&Log>, control: &Control) {
    for signal in signals.forever() {
        match signal {
            SIGHUP => {
                if let Some(log) = log {
                    log.reopen();
                }
            }
            SIGUSR1 => tracing::info!("{}", control.all_stats()),
            SIGTERM | SIGINT => {
                tracing::info!("asked to end by signal {signal}");
                if let Err(error) = stop.write_all(b"x") {
                    tracing::error!("cannot end: {error}");
                }
            }
            // A file that may not grow is an error of whoever writes.
            _ => {}
        }
    }
}
