//! Messages of a client, put together by hand.

use nbd::{Export, Handshake, Next, Session, Tls};

pub(crate) const SIZE_BYTES: u64 = 1 << 30;

pub(crate) fn export() -> Export {
    Export {
        name: "disk".to_owned(),
        description: "a.vhd".to_owned(),
        size_bytes: SIZE_BYTES,
        is_read_only: false,
        preferred_bytes: 4096,
    }
}

pub(crate) const FLAGS: [u8; 4] = [0, 0, 0, 3];

pub(crate) fn option(number: u32, data: &[u8]) -> Vec<u8> {
    let len = u32::try_from(data.len()).unwrap();
    [&b"IHAVEOPT"[..], &number.to_be_bytes(), &len.to_be_bytes(), data].concat()
}

/// A text with its length ahead of it.
pub(crate) fn text(text: &str) -> Vec<u8> {
    [&u32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat()
}

/// The data of LIST_META_CONTEXT and SET_META_CONTEXT.
pub(crate) fn contexts(name: &str, queries: &[&str]) -> Vec<u8> {
    let count = u32::try_from(queries.len()).unwrap().to_be_bytes();
    let queries: Vec<u8> = queries.iter().flat_map(|query| text(query)).collect();
    [&text(name)[..], &count, &queries].concat()
}

/// The data of INFO and GO.
pub(crate) fn info(name: &str, items: &[u16]) -> Vec<u8> {
    let count = u16::try_from(items.len()).unwrap().to_be_bytes();
    let items: Vec<u8> = items.iter().flat_map(|item| item.to_be_bytes()).collect();
    [&text(name)[..], &count, &items].concat()
}

/// Answers: option, kind, data.
pub(crate) fn answers(mut bytes: &[u8]) -> Vec<(u32, u32, Vec<u8>)> {
    let mut answers = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(bytes[..8], 0x3_e889_0455_65a9u64.to_be_bytes());
        let number = |at: usize| u32::from_be_bytes(bytes[at..][..4].try_into().unwrap());
        let len = number(16) as usize;
        answers.push((number(8), number(12), bytes[20..][..len].to_vec()));
        bytes = &bytes[20 + len..];
    }
    answers
}

/// What a client agrees on that sends these options, and then GO.
pub(crate) fn session(export: Export, options: &[(u32, Vec<u8>)]) -> Session {
    let mut bytes = FLAGS.to_vec();
    options.iter().for_each(|(number, data)| bytes.extend(option(*number, data)));
    bytes.extend(option(7, &info("", &[])));
    match Handshake::new(export, Tls::Off).push(&bytes, &mut Vec::new()).unwrap() {
        (taken, Next::Transmission(session)) if taken == bytes.len() => session,
        other => panic!("{other:?}"),
    }
}
