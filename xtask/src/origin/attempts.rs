//! Tries: along a list of addresses in order, each again after a transient failure, every reason said. Knows nothing of what is tried.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Fetching;
use crate::error::{Error, Result};

/// The pauses before addresses are tried again.
const PAUSES: [Duration; 2] = [Duration::from_millis(300), Duration::from_millis(1500)];
/// How long a pause sleeps at a time, so that the user can stop it.
const SLICE: Duration = Duration::from_millis(50);

/// Why one try did not work.
#[derive(Debug)]
pub(super) enum Failure {
    /// The network or the server: the same again may work.
    Transient(String),
    /// This address will not give it: the next one may.
    Permanent(String),
    /// No other address will help: this machine's fault, or the user stopped it.
    Fatal(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Fatal(error)
    }
}

/// The first result that an address gives; else an error with every address and its reason. `what` is what is being fetched. The
/// next address comes before a second try of the same one; only when none gave it, those with transient failures are tried again.
pub(super) fn along<T>(
    ctx: &Fetching<'_>,
    what: &str,
    addresses: &[String],
    mut attempt: impl FnMut(&str) -> Result<T, Failure>,
) -> Result<T> {
    // By index: why the address failed, and whether it may work another time.
    let mut failed: BTreeMap<usize, (String, bool)> = BTreeMap::new();
    let mut pauses = PAUSES.iter();
    loop {
        let round: Vec<usize> =
            (0..addresses.len()).filter(|index| failed.get(index).is_none_or(|(_, may_work)| *may_work)).collect();
        for (turn, &index) in round.iter().enumerate() {
            ctx.cancel.check()?;
            let (reason, may_work) = match attempt(&addresses[index]) {
                Ok(result) => return Ok(result),
                Err(Failure::Fatal(error)) => return Err(error),
                Err(Failure::Permanent(reason)) => (one_line(&reason), false),
                Err(Failure::Transient(reason)) => (one_line(&reason), true),
            };
            if let Some(next) = round.get(turn + 1) {
                let (this, next) = (without_password(&addresses[index]), without_password(&addresses[*next]));
                (ctx.say)(&format!("{what}: {this} failed, trying {next} instead: {reason}"));
            }
            failed.insert(index, (reason, may_work));
        }
        let first_again = failed.iter().find(|(_, (_, may_work))| *may_work);
        let (Some((index, (reason, _))), Some(pause)) = (first_again, pauses.next()) else { break };
        let address = without_password(&addresses[*index]);
        (ctx.say)(&format!("{what}: {address} failed, trying it again: {reason}"));
        sleep(ctx, *pause)?;
    }
    let count = match addresses.len() {
        1 => "its only address".to_owned(),
        count => format!("any of its {count} addresses"),
    };
    let reasons =
        failed.iter().map(|(index, (reason, _))| format!("{}: {reason}", without_password(&addresses[*index])));
    let reasons: Vec<String> = reasons.collect();
    Err(Error::machine(format!("cannot fetch {what} from {count}")).because(reasons.join("\n    ")))
}

fn sleep(ctx: &Fetching<'_>, pause: Duration) -> Result<()> {
    let mut left = pause;
    while !left.is_zero() {
        ctx.cancel.check()?;
        let slice = left.min(SLICE);
        std::thread::sleep(slice);
        left -= slice;
    }
    Ok(())
}

/// What a program said, as one line that tells enough: its lines that are errors, or else its last line.
fn one_line(text: &str) -> String {
    const WORDS: [&str; 6] = ["fatal:", "error:", "ERROR:", "E:", "curl:", "remote:"];
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let mut errors: Vec<String> = Vec::new();
    for (index, line) in lines.iter().enumerate() {
        // git says what it could not do, a colon, and on the next line why.
        let goes_on = index > 0 && lines[index - 1].ends_with(':');
        match errors.last_mut() {
            Some(last) if goes_on => *last = format!("{last} {line}"),
            _ if WORDS.iter().any(|word| line.starts_with(word)) => errors.push((*line).to_owned()),
            _ => {}
        }
    }
    match (errors.is_empty(), lines.last()) {
        (false, _) => errors.join("; "),
        (true, Some(last)) => (*last).to_owned(),
        (true, None) => "it gave no reason".to_owned(),
    }
}

/// The address without what stands before `@` in it: that may be a password.
pub(super) fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else { return address.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match host.rsplit_once('@') {
        Some((user, host)) if user.contains(':') => format!("{scheme}://{host}{path}"),
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::layout::Layout;
    use crate::process::Cancel;

    fn check(addresses: &[&str], attempt: impl FnMut(&str) -> Result<u32, Failure>) -> (Result<u32>, Vec<String>) {
        let said = Mutex::new(Vec::new());
        let say = |line: &str| said.lock().unwrap().push(line.to_owned());
        let layout = Layout { root: "/".into(), store: "/".into() };
        let (manifest, cancel) = ("m".parse().unwrap(), Cancel::default());
        let ctx = Fetching {
            layout: &layout,
            manifest: &manifest,
            offline: false,
            discard: false,
            cancel: &cancel,
            say: &say,
        };
        let addresses: Vec<String> = addresses.iter().map(|text| (*text).to_owned()).collect();
        let result = along(&ctx, "`x`", &addresses, attempt);
        (result, said.into_inner().unwrap())
    }

    #[test]
    fn a_transient_failure_is_tried_again_and_said() {
        let mut tries = 0;
        let (result, said) = check(&["git://a/x"], |_| {
            tries += 1;
            if tries < 3 { Err(Failure::Transient("fatal: early EOF".into())) } else { Ok(7) }
        });
        assert_eq!(result.unwrap(), 7);
        let line = "`x`: git://a/x failed, trying it again: fatal: early EOF";
        assert_eq!(said, [line, line]);
    }

    #[test]
    fn the_next_address_is_taken_and_the_reason_said_without_the_password() {
        let (result, said) = check(&["https://me:secret@a/x", "https://b/x"], |address| match address {
            "https://b/x" => Ok(1),
            _ => Err(Failure::Permanent("404".into())),
        });
        assert_eq!(result.unwrap(), 1);
        assert_eq!(said, ["`x`: https://a/x failed, trying https://b/x instead: 404"]);
    }

    #[test]
    fn another_address_comes_before_a_second_try() {
        let mut tried = Vec::new();
        let (result, said) = check(&["git://a/x", "git://b/x", "git://c/x"], |address| {
            tried.push(address.to_owned());
            match address {
                "git://b/x" => Err(Failure::Permanent("no".into())),
                _ if tried.len() > 4 => Ok(1),
                _ => Err(Failure::Transient("busy".into())),
            }
        });
        assert_eq!(result.unwrap(), 1);
        assert_eq!(tried, ["git://a/x", "git://b/x", "git://c/x", "git://a/x", "git://c/x"]);
        assert_eq!(said[2], "`x`: git://a/x failed, trying it again: busy");
    }

    #[test]
    fn what_programs_say_becomes_one_line() {
        let refused = "fatal: unable to connect to h:\nh[0: 127.0.0.1]: errno=Connection refused\n\n";
        assert_eq!(one_line(refused), "fatal: unable to connect to h: h[0: 127.0.0.1]: errno=Connection refused");
        assert_eq!(one_line("warning: x\nfatal: a\nhint\nerror: b\n"), "fatal: a; error: b");
        assert_eq!((one_line("some\nthing\n"), one_line("")), ("thing".into(), "it gave no reason".into()));
    }

    #[test]
    fn when_nothing_works_every_reason_is_named() {
        let (result, _) =
            check(&["https://a/x", "https://b/x"], |address| Err(Failure::Permanent(format!("no {address}"))));
        let report = result.unwrap_err().report();
        assert!(report.contains("any of its 2 addresses"), "{report}");
        assert!(report.contains("https://a/x: no https://a/x") && report.contains("https://b/x: no "), "{report}");
    }
}
