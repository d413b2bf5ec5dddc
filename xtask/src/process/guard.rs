//! Kills what we started when we die without a chance to do it ourselves: a shell reads the ids of our process groups from a pipe
//! whose end is ours, and then kills those that are left.

use std::io::{PipeWriter, Write};
use std::os::unix::process::CommandExt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::Pid;

const SCRIPT: &str = r#"
while read -r sign group; do
    case $sign in
    +) groups="$groups $group" ;;
    -) set --; for other in $groups; do [ "$other" = "$group" ] || set -- "$@" "$other"; done; groups=$* ;;
    esac
done
for group in $groups; do kill -s KILL -- "-$group"; done
"#;

struct Guard {
    pipe: PipeWriter,
    shell: duct::Handle,
}

/// Started with the first process.
static GUARD: Mutex<Option<Guard>> = Mutex::new(None);

fn guard() -> MutexGuard<'static, Option<Guard>> {
    GUARD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Kill that group when we die.
pub(super) fn watch(leader: Pid) {
    let mut guard = guard();
    if guard.is_none() {
        *guard = start().ok();
    }
    say(&mut guard, '+', leader);
}

/// That group is gone.
pub(super) fn forget(leader: Pid) {
    say(&mut guard(), '-', leader);
}

/// Ends the shell.
pub(super) fn end() {
    if let Some(Guard { pipe, shell }) = guard().take() {
        drop(pipe);
        shell.wait().map(drop).unwrap_or_default();
    }
}

fn start() -> std::io::Result<Guard> {
    let (reader, pipe) = std::io::pipe()?;
    let shell = duct::cmd!("/bin/sh", "-c", SCRIPT).full_env([("PATH", "/usr/bin:/bin")]).dir("/").unchecked();
    // A terminal's Ctrl-C is for us, not for the guard.
    let shell = shell.before_spawn(|command| {
        command.process_group(0);
        Ok(())
    });
    let shell = shell.stdin_file(reader).stdout_null().stderr_null().start()?;
    Ok(Guard { pipe, shell })
}

/// Without a guard, or with a dead one, everything but our own violent death is as with it.
fn say(guard: &mut Option<Guard>, sign: char, leader: Pid) {
    if let Some(guard) = guard {
        writeln!(guard.pipe, "{sign} {}", leader.as_raw_nonzero()).unwrap_or_default();
    }
}
