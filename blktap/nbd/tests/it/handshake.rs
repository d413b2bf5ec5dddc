//! Options and their answers.

use nbd::{Form, Handshake, Next, Tls};
use proptest::prelude::*;

use crate::bytes::{FLAGS, SIZE_BYTES, answers, contexts, export, info, option, session, text};

const UNSUPPORTED: u32 = 0x8000_0001;
const INVALID: u32 = 0x8000_0003;
const TLS_REQUIRED: u32 = 0x8000_0005;
const TOO_BIG: u32 = 0x8000_0009;
const EXTENDED_REQUIRED: u32 = 0x8000_000a;

/// Sends options; what is answered to each of them, by kind, and what comes next.
fn check(tls: Tls, options: &[(u32, Vec<u8>)], kinds: &[u32]) -> Next {
    let mut handshake = Handshake::new(export(), tls);
    let mut out = Vec::new();
    assert_eq!(handshake.push(&FLAGS, &mut out), Ok((4, Next::More)));
    let mut last = Next::More;
    for (number, data) in options {
        assert_eq!(last, Next::More, "{number} is not reached");
        let bytes = option(*number, data);
        let (taken, next) = handshake.push(&bytes, &mut out).unwrap();
        assert_eq!(taken, bytes.len());
        last = next;
    }
    let found: Vec<u32> = answers(&out).into_iter().map(|(_, kind, _)| kind).collect();
    assert_eq!(found, kinds, "{options:x?}");
    last
}

fn violates(tls: Tls, bytes: &[u8]) {
    let mut handshake = Handshake::new(export(), tls);
    assert!(handshake.push(bytes, &mut Vec::new()).is_err(), "{bytes:x?}");
}

#[test]
fn the_greeting_is_fixed_newstyle() {
    let mut out = Vec::new();
    Handshake::new(export(), Tls::Off).greet(&mut out);
    assert_eq!(out, b"NBDMAGICIHAVEOPT\0\x03");
}

/// What is asked in few bytes is not answered in many at once.
#[test]
fn answers_do_not_pile_up() {
    let export = nbd::Export { description: "d".repeat(4000), ..export() };
    let mut handshake = Handshake::new(export, Tls::Off);
    let bytes = [&FLAGS[..], &option(6, &info("", &[2; 256])).repeat(300)].concat();
    let (mut taken, mut answered) = (0, 0);
    while taken < bytes.len() {
        let mut out = Vec::new();
        let (more, next) = handshake.push(&bytes[taken..], &mut out).unwrap();
        assert!(more > 0 && next == Next::More && out.len() < 80_000, "{more} {}", out.len());
        taken += more;
        answered += answers(&out).iter().filter(|(_, kind, _)| *kind == 1).count();
    }
    assert_eq!(answered, 300);
}

#[test]
fn each_option_is_answered() {
    let off = |options: &[(u32, Vec<u8>)], kinds: &[u32]| check(Tls::Off, options, kinds);
    assert_eq!(off(&[(3, vec![])], &[2, 1]), Next::More);
    assert_eq!(off(&[(6, info("x", &[0, 1, 2, 3, 77]))], &[3, 3, 3, 3, 1]), Next::More);
    assert_eq!(off(&[(8, vec![])], &[1]), Next::More);
    assert_eq!(off(&[(11, vec![])], &[1]), Next::More);
    assert_eq!(off(&[(2, b"goodbye".to_vec())], &[1]), Next::Close);
    assert!(matches!(off(&[(7, info("", &[]))], &[3, 1]), Next::Transmission(_)));
    for unknown in [0, 4, 12, u32::MAX] {
        assert_eq!(off(&[(unknown, vec![1, 2, 3])], &[UNSUPPORTED]), Next::More);
    }
    assert_eq!(off(&[(5, vec![])], &[UNSUPPORTED]), Next::More);
    assert_eq!(off(&[(11, vec![]), (8, vec![])], &[1, EXTENDED_REQUIRED]), Next::More);
}

#[test]
fn data_that_is_not_what_it_says_is_invalid() {
    let refused = |number, data: &[u8], kind| {
        assert_eq!(check(Tls::Off, &[(8, vec![]), (number, data.to_vec())], &[1, kind]), Next::More)
    };
    for number in [3, 8, 11, 5] {
        refused(number, &[0], INVALID);
    }
    for number in [6, 7] {
        refused(number, &[], INVALID);
        refused(number, &[0, 0, 0], INVALID);
        refused(number, &[0xff, 0xff, 0xff, 0xff, 0, 0], INVALID);
        refused(number, &[0, 0, 0, 0], INVALID);
        refused(number, &[0, 0, 0, 0, 0, 1], INVALID);
        refused(number, &[0, 0, 0, 0, 0, 0, 9], INVALID);
        refused(number, &info(&"x".repeat(4097), &[]), TOO_BIG);
        refused(number, &info("", &[0; 257]), TOO_BIG);
    }
    for number in [9, 10] {
        refused(number, &[0, 0, 0, 0], INVALID);
        refused(number, &[0, 0, 0, 0, 0, 0, 0, 1], INVALID);
        refused(number, &[0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, b'b'], INVALID);
        refused(number, &[&contexts("", &["base:allocation"])[..], &[0]].concat(), INVALID);
        refused(number, &contexts("", &["base:"; 257]), TOO_BIG);
    }
}

#[test]
fn contexts_are_listed_and_set_where_replies_have_chunks() {
    let set = |queries: &[&str]| (10, contexts("", queries));
    assert_eq!(check(Tls::Off, &[set(&["base:allocation"])], &[INVALID]), Next::More);
    for form in [8, 11] {
        assert_eq!(check(Tls::Off, &[(form, vec![]), set(&["base:allocation", "qemu:dirty"])], &[1, 4, 1]), Next::More);
        assert_eq!(check(Tls::Off, &[(form, vec![]), set(&["base:", "x-other:y"])], &[1, 1]), Next::More);
    }
    for (queries, kinds) in [(&[][..], &[4, 1][..]), (&["base:"], &[4, 1]), (&["base:no"], &[1]), (&["qemu:"], &[1])] {
        assert_eq!(check(Tls::Off, &[(9, contexts("", queries))], kinds), Next::More);
    }
}

#[test]
fn what_is_told_of_an_export() {
    let mut out = Vec::new();
    let bytes = [&FLAGS[..], &option(8, &[]), &option(6, &info("any", &[1, 2, 3])), &option(3, &[])].concat();
    Handshake::new(export(), Tls::Off).push(&bytes, &mut out).unwrap();
    let found: Vec<Vec<u8>> = answers(&out).into_iter().map(|(_, _, data)| data).collect();
    // HAS_FLAGS, FLUSH, FUA, TRIM, WRITE_ZEROES, DF, MULTI_CONN, CACHE, FAST_ZERO.
    let flags: u16 = 1 | 1 << 2 | 1 << 3 | 1 << 5 | 1 << 6 | 1 << 7 | 1 << 8 | 1 << 10 | 1 << 11;
    let sizes = [1u32, 4096, 64 << 20].map(u32::to_be_bytes).concat();
    let expected = [
        vec![],
        [&[0, 0][..], &SIZE_BYTES.to_be_bytes(), &flags.to_be_bytes()].concat(),
        b"\0\x01disk".to_vec(),
        b"\0\x02a.vhd".to_vec(),
        [&[0, 3][..], &sizes].concat(),
        vec![],
        [text("disk"), b"a.vhd".to_vec()].concat(),
        vec![],
    ];
    assert_eq!(found, expected);
}

#[test]
fn a_read_only_export_says_so_and_offers_no_writes() {
    let mut out = Vec::new();
    let export = nbd::Export { is_read_only: true, ..export() };
    let bytes = [&FLAGS[..], &option(1, b"x")].concat();
    let (taken, next) = Handshake::new(export, Tls::Off).push(&bytes, &mut out).unwrap();
    assert!(taken == bytes.len() && matches!(next, Next::Transmission(_)));
    let flags: u16 = 1 | 1 << 1 | 1 << 2 | 1 << 8 | 1 << 10;
    assert_eq!(out, [&SIZE_BYTES.to_be_bytes()[..], &flags.to_be_bytes()].concat());
}

#[test]
fn a_client_that_wants_zeroes_gets_them() {
    let mut out = Vec::new();
    let bytes = [&[0, 0, 0, 0][..], &option(1, b"")].concat();
    Handshake::new(export(), Tls::Off).push(&bytes, &mut out).unwrap();
    assert_eq!((out.len(), &out[10..]), (134, &[0; 124][..]));
    // Without fixed newstyle there is nothing else that it could ask.
    violates(Tls::Off, &[&[0, 0, 0, 0][..], &option(3, &[])].concat());
}

#[test]
fn nothing_is_told_before_tls_and_nothing_agreed_before_it_stays() {
    let required = |options: &[(u32, Vec<u8>)], kinds: &[u32]| check(Tls::Required, options, kinds);
    for (number, data) in [(3, vec![]), (6, info("", &[])), (7, info("", &[])), (8, vec![]), (77, vec![])] {
        assert_eq!(required(&[(number, data)], &[TLS_REQUIRED]), Next::More);
    }
    assert_eq!(required(&[(2, vec![])], &[1]), Next::Close);
    assert_eq!(required(&[(5, vec![])], &[1]), Next::StartTls);
    violates(Tls::Required, &[&FLAGS[..], &option(1, b"")].concat());
    assert_eq!(check(Tls::Active, &[(5, vec![])], &[INVALID]), Next::More);
    let mut handshake = Handshake::new(export(), Tls::Required);
    handshake.push(&[&FLAGS[..], &option(5, &[])].concat(), &mut Vec::new()).unwrap();
    let (_, next) = handshake.push(&option(7, &info("", &[])), &mut Vec::new()).unwrap();
    assert!(matches!(next, Next::Transmission(session) if session.form() == Form::Simple));
}

#[test]
fn what_no_client_sends_ends_the_connection() {
    violates(Tls::Off, &[0, 0, 0, 4]);
    violates(Tls::Off, &[0xff; 4]);
    violates(Tls::Off, &[&FLAGS[..], &[b'x'; 16]].concat());
    violates(Tls::Off, &[&FLAGS[..], b"IHAVEOPT", &[0, 0, 0, 3, 0, 1, 0, 1]].concat());
    violates(Tls::Off, &[&FLAGS[..], &option(11, &[]), &option(1, &[])].concat());
}

#[test]
fn the_session_is_what_was_agreed_on() {
    assert_eq!(session(export(), &[]).form(), Form::Simple);
    assert_eq!(session(export(), &[(8, vec![])]).form(), Form::Structured);
    assert_eq!(session(export(), &[(8, vec![]), (11, vec![])]).form(), Form::Extended);
}

proptest! {
    /// However a socket cuts it, the same is answered.
    #[test]
    fn pieces_are_as_good_as_the_whole(
        options in prop::collection::vec((0u32..13, prop::collection::vec(any::<u8>(), 0..40)), 0..6),
        cuts in prop::collection::vec(1usize..50, 1..8),
    ) {
        let mut bytes = FLAGS.to_vec();
        options.iter().for_each(|(number, data)| bytes.extend(option(*number, data)));
        let mut whole = Vec::new();
        let expected = Handshake::new(export(), Tls::Off).push(&bytes, &mut whole);
        let mut handshake = Handshake::new(export(), Tls::Off);
        let (mut out, mut held, mut taken_in_all) = (Vec::new(), Vec::new(), 0);
        let mut last = Ok(Next::More);
        let mut rest = &bytes[..];
        for cut in cuts.iter().cycle() {
            if rest.is_empty() || last != Ok(Next::More) {
                break;
            }
            let (now, later) = rest.split_at(rest.len().min(*cut));
            held.extend(now);
            rest = later;
            last = handshake.push(&held, &mut out).map(|(taken, next)| {
                held.drain(..taken);
                taken_in_all += taken;
                next
            });
        }
        prop_assert_eq!(out, whole);
        prop_assert_eq!(last.map(|next| (taken_in_all, next)), expected);
    }
}
