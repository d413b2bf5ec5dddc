//! Rows with a known culprit, and rows that have none.

use proptest::prelude::*;

use super::*;

/// Asks until the end; `see` says what a test at a place gives. Gives how many tests there were of how many places, too.
fn play(length: usize, see: impl FnMut(usize) -> &'static str) -> (End, usize, usize) {
    play_with(next, length, see)
}

fn play_with(
    next: impl Fn(&[Seen]) -> Next,
    length: usize,
    mut see: impl FnMut(usize) -> &'static str,
) -> (End, usize, usize) {
    let mut row = vec![Seen::default(); length];
    for tests in 0.. {
        match next(&row) {
            Next::End(end) => {
                let places = row.iter().filter(|seen| **seen != Seen::default()).count();
                return (end, tests, places);
            }
            Next::Test(place) => match see(place) {
                "good" => row[place].good += 1,
                "bad" => row[place].bad += 1,
                _ => row[place].neither += 1,
            },
        }
        assert!(tests < 10_000, "it ends: {row:?}");
    }
    unreachable!("the loop has no end of its own")
}

#[test]
fn the_culprit_among_64_is_found_with_few_places() {
    for culprit in 1..64 {
        let (end, _, places) = play(64, |place| if place < culprit { "good" } else { "bad" });
        assert_eq!(end, End::Complete(culprit));
        assert!(places <= 2 + 6, "{places} places, each built once");
    }
}

#[test]
fn ends_that_do_not_reproduce_are_named() {
    assert_eq!(play(8, |_| "bad").0, End::Unreproducible(0));
    assert_eq!(play(8, |_| "good").0, End::Unreproducible(7));
    assert_eq!(play(8, |_| "neither").0, End::Unreproducible(7));
    assert_eq!(play(1, |_| "good").0, End::Unreproducible(0));
}

#[test]
fn a_stretch_that_cannot_be_tested_is_inconclusive() {
    let see = |place| match place {
        0..=2 => "good",
        3..=6 => "neither",
        _ => "bad",
    };
    assert_eq!(play(10, see).0, End::Inconclusive { good: 2, bad: 7 });
}

#[test]
fn a_good_one_behind_a_bad_one_is_inconsistent() {
    let mut row = vec![Seen::default(); 5];
    row[4].bad = 3;
    row[0].good = 3;
    row[1].bad = 1;
    row[3].good = 1;
    assert_eq!(next(&row), Next::End(End::Inconsistent { bad: 1, good: 3 }));
}

#[test]
fn a_basis_that_fails_at_times_is_doubtful() {
    let mut tests = 0;
    let see = |place| {
        tests += 1;
        if place > 0 || tests % 2 == 0 { "bad" } else { "good" }
    };
    assert!(matches!(play(2, see).0, End::Doubtful(0) | End::Unreproducible(0)));
}

#[test]
fn a_machine_that_stays_broken_ends_the_hunt() {
    // The bad end fails every second time, so a pass says little; the middle one passed once before its machine broke.
    let mut asked = [0; 3];
    let (end, ..) = play(3, |place| {
        asked[place] += 1;
        match place {
            0 => "good",
            1 if asked[1] > 1 => "neither",
            1 => "good",
            _ if asked[2] % 2 == 0 => "bad",
            _ => "good",
        }
    });
    assert_eq!(end, End::Inconclusive { good: 0, bad: 2 });
}

#[test]
fn a_failure_that_shows_every_second_time_is_still_found() {
    let mut count = [0; 32];
    let see = |place: usize| {
        count[place] += 1;
        if place >= 20 && count[place] % 2 == 1 { "bad" } else { "good" }
    };
    assert_eq!(play(32, see).0, End::Complete(20));
}

#[test]
fn a_known_end_is_tried_at_few_places_behind_it() {
    let known = Known { end: End::Complete(3), tip: 9 };
    let since = |row: &[Seen]| next_since(row, known);
    // Nothing came, and one commit: no test says more than that it still fails.
    for (length, expected) in [(10, 0), (11, 0), (12, 1), (13, 2), (42, 5)] {
        let (end, tests, _) = play_with(since, length, |_| "bad");
        assert_eq!((end, tests), (known.end, expected), "{length}");
        // What cannot be tested there is tried once, too.
        assert_eq!(play_with(since, length, |_| "neither").1, expected, "{length}");
    }
    // Reverted at 20, and broken again: hunted wherever as many were good as stand on it.
    for again in 30..42 {
        let see = |place| if (3..20).contains(&place) || place >= again { "bad" } else { "good" };
        assert_eq!(play_with(since, 42, see).0, End::Complete(again));
    }
}

proptest! {
    /// Whatever cannot be tested between them, a culprit that is named is the true one.
    #[test]
    fn a_named_culprit_is_the_true_one(length in 2..80usize, at in 0..1000usize, holes in proptest::collection::vec(0..80usize, 0..20)) {
        let culprit = 1 + at % (length - 1);
        let see = |place| match () {
            () if place != 0 && place != length - 1 && holes.contains(&place) => "neither",
            () if place < culprit => "good",
            () => "bad",
        };
        match play(length, see).0 {
            End::Complete(found) => prop_assert_eq!(found, culprit),
            End::Inconclusive { good, bad } => prop_assert!(good < culprit && culprit <= bad && bad - good > 1),
            other => prop_assert!(false, "{:?}", other),
        }
    }
}
