//! What a check's log says: how many tests passed and failed, and which did not run and why. Reads nextest's and cargo test's
//! output; runs nothing.
//!
//! A test that cannot do its work prints `SKIPPED: reason` and returns. Its runner takes it for passed; here it is skipped.

use std::collections::BTreeMap;

use serde::Serialize;

/// A test or check that did not do its work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Skip {
    pub(super) test: String,
    pub(super) reason: String,
}

/// What one check came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Tally {
    pub(super) passed: usize,
    pub(super) failed: usize,
    pub(super) skipped: Vec<Skip>,
}

impl Tally {
    /// Reads the log of a test runner.
    pub(super) fn read(log: &str) -> Tally {
        let mut tally = Tally::default();
        // nextest runs every test in a process of its own, whose counts are in the log too.
        let is_nextest = log.lines().any(is_nextest_summary);
        let is_summary =
            |line: &str| if is_nextest { is_nextest_summary(line) } else { line.starts_with("test result:") };
        // One test may skip several of its parts: the first reason stands for it.
        let mut skipped: BTreeMap<String, String> = BTreeMap::new();
        let mut test = "a test".to_owned();
        for line in log.lines().map(str::trim) {
            if let Some(name) = running(line) {
                test = name.to_owned();
            } else if let Some(said) = line.strip_prefix("SKIPPED: ") {
                // Some say their own name first.
                let reason =
                    said.split_once(": ").filter(|(name, _)| test.ends_with(name)).map_or(said, |(_, why)| why);
                skipped.entry(test.clone()).or_insert_with(|| reason.to_owned());
            } else if let Some((name, reason)) = ignored(line) {
                tally.skipped.push(Skip { test: name, reason });
            } else if is_summary(line) {
                tally.passed += number_before(line, " passed");
                tally.failed += number_before(line, " failed") + number_before(line, " timed out");
            }
        }
        tally.passed = tally.passed.saturating_sub(skipped.len());
        tally.skipped.extend(skipped.into_iter().map(|(test, reason)| Skip { test, reason }));
        tally
    }

    pub(super) fn add(&mut self, other: &Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped.extend(other.skipped.iter().cloned());
    }

    /// `3 passed, 0 failed, 1 skipped`.
    pub(super) fn line(&self) -> String {
        format!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped.len())
    }
}

/// The test whose output follows: `PASS [   0.1s] (1/9) xtask module::name` of nextest, `---- module::name stdout ----` of
/// cargo test.
fn running(line: &str) -> Option<&str> {
    if let Some(name) = line.strip_prefix("---- ") {
        return name.strip_suffix(" stdout ----");
    }
    let ended = ["PASS [", "FAIL [", "SLOW [", "LEAK [", "TIMEOUT [", "ABORT ["];
    ended.iter().any(|word| line.starts_with(word)).then(|| line.rsplit(' ').next().unwrap_or(line))
}

/// A test that only runs when asked for by name.
fn ignored(line: &str) -> Option<(String, String)> {
    if line.starts_with("SKIP [") {
        return Some((line.rsplit(' ').next()?.to_owned(), "ignored unless asked for".to_owned()));
    }
    let (name, reason) = line.strip_prefix("test ")?.split_once(" ... ignored")?;
    let reason = reason.strip_prefix(", ").unwrap_or("ignored unless asked for");
    Some((name.to_owned(), reason.to_owned()))
}

fn is_nextest_summary(line: &str) -> bool {
    line.trim_start().starts_with("Summary [") && line.contains("run:")
}

fn number_before(line: &str, word: &str) -> usize {
    let number = line.split_once(word).and_then(|(before, _)| before.split_whitespace().last());
    number.and_then(|number| number.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(log: &str) -> (String, Vec<String>) {
        let tally = Tally::read(log);
        (tally.line(), tally.skipped.iter().map(|skip| format!("{} = {}", skip.test, skip.reason)).collect())
    }

    #[test]
    fn nextest_is_counted_and_what_skips_itself_is_skipped() {
        let log = "\
        PASS [   0.005s] (1/5) xtask plan::tests::a
        PASS [   0.005s] (2/5) xtask::it real::b
  stdout ───

    running 1 test
    test real::b ... ok

    test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 43 filtered out; finished in 1.64s

  stderr ───
    SKIPPED: real::b: runs in tier Full and above: not now
        SKIP [         ] (3/5) xtask plan::tests::c
        PASS [   0.005s] (4/5) vhd::it qemu::d
  stderr ───
    SKIPPED: no qemu-img
    SKIPPED: no qemu-img
        FAIL [   0.005s] (5/5) xtask plan::tests::e
     Summary [   2.1s] 4 tests run: 3 passed (1 slow), 1 failed, 1 skipped
";
        let (line, skipped) = check(log);
        assert_eq!(line, "1 passed, 1 failed, 3 skipped");
        assert_eq!(
            skipped,
            [
                "plan::tests::c = ignored unless asked for",
                "qemu::d = no qemu-img",
                "real::b = runs in tier Full and above: not now"
            ]
        );
        assert_eq!(check("Summary [ 1s] 1 test run: 1 timed out, 0 skipped\n").0, "0 passed, 1 failed, 0 skipped");
    }

    #[test]
    fn cargo_test_is_counted_over_all_its_binaries() {
        let log = "\
running 3 tests
test a ... ok
test b ... ignored, needs a guest
test c ... ok

successes:

---- c stdout ----
SKIPPED: nothing to do it with

test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s
test d ... FAILED
test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s
";
        let (line, skipped) = check(log);
        assert_eq!(line, "2 passed, 2 failed, 2 skipped");
        assert_eq!(skipped, ["b = needs a guest", "c = nothing to do it with"]);
        assert_eq!(check("nothing").0, "0 passed, 0 failed, 0 skipped");
    }
}
