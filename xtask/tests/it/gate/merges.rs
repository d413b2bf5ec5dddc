//! `gate bisect --all`: into the merges of a history that is no line.

use super::gated::Gated;

/// A gate whose test wants neither `bug` nor both `main` and `topic`.
fn gated() -> Option<Gated> {
    Gated::new("cd \"$GATE_SOURCE_A\"; ! [ -e bug ] && { ! [ -e main ] || ! [ -e topic ]; }")
}

impl Gated {
    /// Commits a file that is called so, here and on the branch that is checked out.
    fn has(&self, file: &str) -> String {
        self.upstream.commit(file, file)
    }

    /// On a branch that leaves the present one here.
    fn beside(&self, branch: &str, work: impl Fn()) {
        let here = self.upstream.git(&["branch", "--show-current"]);
        self.upstream.git(&["checkout", "-q", "-b", branch]);
        work();
        self.upstream.git(&["checkout", "-q", &here]);
    }

    fn merge(&self, branch: &str) -> String {
        self.upstream.git(&["merge", "-q", "--no-ff", "-m", &format!("merge {branch}"), branch]);
        self.upstream.git(&["rev-parse", "HEAD"])
    }

    /// Asks what broke the test up to here, of which the tip is good again.
    #[track_caller]
    fn blames(&self, culprit: &str) -> String {
        let (good, bad) = (self.tested(), self.upstream.git(&["rev-parse", "HEAD"]));
        self.upstream.git(&["rm", "-q", "-f", "--ignore-unmatch", "bug", "topic"]);
        self.commit("f", "good again\n");
        self.ends(0, &["all pass - PUSHED"]);
        let arguments = ["gate", "bisect", "g", "test", "--all"];
        let ends = ["--good", &format!("a={good}"), "--bad", &format!("a={bad}")];
        let ran = self.checkout.run(&[&arguments[..], &ends].concat());
        assert!(ran.stdout.contains(&format!("culprit: a {culprit}")), "{culprit}: {}\n{}", ran.stdout, ran.stderr);
        ran.stderr
    }
}

#[test]
fn what_a_merge_brought_is_not_blamed_for_a_commit_beside_it() {
    let Some(gated) = gated() else { return };
    gated.beside("topic-1", || {
        for number in 1..=8 {
            gated.has(&format!("topic-{number}"));
        }
    });
    let culprit = gated.has("bug");
    gated.merge("topic-1");
    let said = gated.blames(&culprit);
    assert!(!said.contains("is a merge"), "{said}");
}

#[test]
fn the_commit_is_found_in_a_merge_of_a_merge() {
    let Some(gated) = gated() else { return };
    gated.beside("outer", || {
        gated.has("one");
        gated.beside("inner", || {
            gated.has("two");
            gated.has("bug");
            gated.has("three");
        });
        gated.has("four");
        gated.merge("inner");
    });
    gated.has("main");
    gated.merge("outer");
    let culprit = gated.upstream.git(&["log", "-1", "--format=%H", "--", "bug"]);
    let said = gated.blames(&culprit);
    assert_eq!(said.matches("is a merge: bisecting").count(), 2, "{said}");
}

#[test]
fn a_merge_of_two_good_sides_is_the_culprit_itself() {
    let Some(gated) = gated() else { return };
    gated.beside("topic", || {
        gated.has("topic");
    });
    gated.has("main");
    let culprit = gated.merge("topic");
    let said = gated.blames(&culprit);
    assert!(said.contains("is a merge: bisecting 2 revisions"), "{said}");
}
