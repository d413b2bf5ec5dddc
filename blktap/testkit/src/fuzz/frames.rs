//! Any bytes on tapdisk's control socket: a request, however it is cut, or a reply; what can be read is written the same.
//! Input: sizes of pieces, bytes.

use arbitrary::{Arbitrary, Unstructured};
use tap_proto::{Decoded, Decoder, FRAME_BYTES, Frame, Malformed, Reply};

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    pieces: [u8; 4],
    bytes: &'a [u8],
}

/// The target.
pub fn run(data: &[u8]) {
    let Ok(Input { pieces, bytes }) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let whole = decode(bytes, &[bytes.len().max(1)]);
    let cut = decode(bytes, &pieces.map(|len| usize::from(len).max(1)));
    assert!(whole == cut, "pieces are as good as the whole");
    if let Ok(Decoded::Request { cookie, request }) = whole {
        assert_eq!(decode(&request.encode(cookie), &[usize::MAX]), Ok(Decoded::Request { cookie, request }));
    }
    if let Some(frame) = bytes.first_chunk::<FRAME_BYTES>() {
        reply(frame);
    }
}

fn decode(mut bytes: &[u8], pieces: &[usize]) -> Result<Decoded, Malformed> {
    let mut decoder = Decoder::default();
    for len in pieces.iter().cycle() {
        let (now, rest) = bytes.split_at(bytes.len().min(*len));
        match decoder.push(now)? {
            Decoded::More if rest.is_empty() => break,
            Decoded::More => bytes = rest,
            request => return Ok(request),
        }
    }
    Ok(Decoded::More)
}

fn reply(frame: &Frame) {
    if let Ok((cookie, reply)) = Reply::decode(frame) {
        assert_eq!(Reply::decode(&reply.encode(cookie)), Ok((cookie, reply)));
    }
}
