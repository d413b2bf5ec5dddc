//! Requests of one client that are all there at once: long reads among them are read together, and none may show what a
//! write before it changed.

use std::io::Write;
use std::thread;

use proptest::prelude::*;
use rustix::process::Signal;

use crate::client::{Client, READ, WRITE, WRITE_ZEROES};
use crate::oracle::reads;
use crate::served::{MIB, Mode, SIZE, Served, content, images};

#[derive(Clone, Copy, Debug)]
enum Kind {
    Read,
    Write,
    Zero,
}

/// A request: where, how long.
type Asked = (Kind, usize, usize);

/// Reads this long are answered in their turn.
const LONG_BYTES: usize = 64 << 10;

/// Some at the same places, so that one finds what another left.
fn asked() -> impl Strategy<Value = Asked> {
    let places = prop_oneof![3 => (0..8usize).prop_map(|at| at * MIB), 1 => 0..SIZE - LONG_BYTES];
    let long = prop_oneof![2 => Just(MIB), 1 => Just(512 << 10), 1 => LONG_BYTES..3 * MIB];
    let (read, write) = (long.clone(), prop_oneof![1..70_000usize, long.clone()]);
    let kind = prop_oneof![
        4 => (Just(Kind::Read), read),
        2 => (Just(Kind::Write), write),
        1 => (Just(Kind::Zero), long),
    ];
    (kind, places).prop_map(|((kind, len), at)| (kind, at, len.min(SIZE - at).max(1)))
}

/// Without what is written over another write: which of them comes first is nobody's promise.
fn apart(burst: &[Asked]) -> Vec<Asked> {
    let mut apart: Vec<Asked> = vec![];
    for &(kind, at, len) in burst {
        let is_over = |&(kind, other, other_len): &Asked| {
            !matches!(kind, Kind::Read) && at < other + other_len && other < at + len
        };
        if matches!(kind, Kind::Read) || !apart.iter().any(is_over) {
            apart.push((kind, at, len));
        }
    }
    apart
}

/// Takes over what a read shows of a later request.
fn show(read: &[u8], at: usize, allowed: &mut [u8], number: u8, (kind, first, len): Asked) {
    let value = match kind {
        Kind::Read => return,
        Kind::Write => number,
        Kind::Zero => 0,
    };
    for place in first.max(at)..(first + len).min(at + read.len()) {
        if read[place - at] == value {
            allowed[place - at] = value;
        }
    }
}

fn check(client: &mut Client, oracle: &mut [u8], burst: &[Asked], fill: u8) {
    let mut bytes = vec![];
    let burst = apart(burst);
    for (number, &(kind, at, len)) in (fill..).zip(&burst) {
        let (command, payload) = match kind {
            Kind::Read => (READ, vec![]),
            Kind::Write => (WRITE, vec![number; len]),
            Kind::Zero => (WRITE_ZEROES, vec![]),
        };
        bytes.extend(Client::bytes(0, command, at as u64, len, &payload));
    }
    let mut stream = client.stream.try_clone().unwrap();
    thread::scope(|scope| {
        scope.spawn(move || stream.write_all(&bytes).unwrap());
        for (index, (number, &(kind, at, len))) in (fill..).zip(&burst).enumerate() {
            match kind {
                Kind::Read => {
                    let read = client.take_read(at as u64, len).unwrap();
                    // Pages that were sent as they are may show what came later, and was not answered yet.
                    let mut allowed = oracle[at..][..len].to_vec();
                    for (number, &later) in (fill..).zip(&burst).skip(index) {
                        show(&read, at, &mut allowed, number, later);
                    }
                    assert!(read == allowed, "{number}: {at} {len}");
                }
                Kind::Write => {
                    assert_eq!(client.status(at as u64), 0);
                    oracle[at..][..len].fill(number);
                }
                Kind::Zero => {
                    assert_eq!(client.status(at as u64), 0);
                    oracle[at..][..len].fill(0);
                }
            }
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    #[test]
    fn a_long_read_shows_what_was_written_before_it(
        bursts in prop::collection::vec(prop::collection::vec(asked(), 1..12), 2..5),
        is_structured: bool,
        name in prop_oneof![Just("fixed.vhd"), Just("dynamic.vhd"), Just("child.vhd")],
    ) {
        for mode in Mode::ALL {
            let images = images();
            let image = images.path().join(name);
            let served = Served::with(&image, mode, &[]);
            let make = if is_structured { Client::structured } else { Client::simple };
            let (mut client, mut oracle) = (make(&served.socket), content(name));
            for (burst, fill) in bursts.iter().zip((1..).step_by(20)) {
                check(&mut client, &mut oracle, burst, fill);
            }
            drop(client);
            prop_assert_eq!(served.end(Signal::TERM), 0);
            reads(&image, &oracle);
        }
    }
}

#[test]
fn what_was_read_ahead_and_not_asked_for_is_forgotten() {
    for mode in Mode::ALL {
        let images = images();
        let image = images.path().join("dynamic.vhd");
        let served = Served::with(&image, mode, &[]);
        let (mut client, mut oracle) = (served.client(), content("dynamic.vhd"));
        check(&mut client, &mut oracle, &[(Kind::Write, 0, MIB)], 1);
        // The second of these is a hole, and answered as one.
        check(&mut client, &mut oracle, &[(Kind::Read, 0, MIB), (Kind::Read, 4 * MIB, MIB)], 2);
        check(&mut client, &mut oracle, &[(Kind::Write, 4 * MIB, MIB), (Kind::Read, 4 * MIB, MIB)], 3);
    }
}
