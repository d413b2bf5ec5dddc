//! Any bytes as an NBD client: handshake, then requests. However a socket cuts them, the same is answered; no request is
//! accepted that reaches past the disk. Input: sizes of pieces, whether TLS is demanded, bytes.

use arbitrary::{Arbitrary, Unstructured};
use nbd::{Command, ErrorCode, Export, Extent, Form, Handshake, MAX_PAYLOAD_BYTES, Next, Session, Tls};

const SIZE_BYTES: u64 = (1 << 40) + 512;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    pieces: [u8; 4],
    needs_tls: bool,
    is_read_only: bool,
    bytes: &'a [u8],
}

/// The target.
pub fn run(data: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(data)) else { return };
    let whole = serve(&input, &[input.bytes.len().max(1)]);
    let cut = serve(&input, &input.pieces.map(|len| usize::from(len).max(1)));
    assert!(whole == cut, "pieces are as good as the whole");
}

/// What is answered, and whether the client broke the protocol.
fn serve(input: &Input<'_>, pieces: &[usize]) -> (Vec<u8>, bool) {
    let export = Export {
        name: "disk".to_owned(),
        description: String::new(),
        size_bytes: SIZE_BYTES,
        is_read_only: input.is_read_only,
        preferred_bytes: 4096,
    };
    let mut handshake = Handshake::new(export, if input.needs_tls { Tls::Required } else { Tls::Off });
    let (mut out, mut held, mut rest) = (Vec::new(), Vec::new(), input.bytes);
    let mut session = None;
    let mut payload = 0;
    for len in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (now, later) = rest.split_at(rest.len().min(*len));
        held.extend(now);
        rest = later;
        while session.is_none() {
            let Ok((taken, next)) = handshake.push(&held, &mut out) else { return (out, true) };
            held.drain(..taken);
            match next {
                Next::More => {
                    assert!(held.len() < Handshake::MAX_BYTES, "no more is held than is said");
                    break;
                }
                // Of the same client, all the same.
                Next::StartTls => assert!(input.needs_tls),
                Next::Close => return (out, false),
                Next::Transmission(agreed) => session = Some(agreed),
            }
        }
        let Some(session) = &session else { continue };
        let Some(taken) = requests(session, &held, &mut payload, &mut out) else { return (out, true) };
        held.drain(..taken);
    }
    (out, false)
}

/// Answers requests that are all there. How many bytes that was; `None` where they are none.
fn requests(session: &Session, bytes: &[u8], payload: &mut usize, out: &mut Vec<u8>) -> Option<usize> {
    let mut taken = 0;
    loop {
        let dropped = (*payload).min(bytes.len() - taken);
        *payload -= dropped;
        taken += dropped;
        let Some((request, len)) = session.request(&bytes[taken..]).ok()? else { return Some(taken) };
        assert!(len <= bytes.len() - taken && request.payload_bytes <= MAX_PAYLOAD_BYTES);
        taken += len;
        *payload = usize::try_from(request.payload_bytes).unwrap();
        if let Err((code, why)) = session.check(&request) {
            session.failed(&request, code, why, out);
            continue;
        }
        match request.command {
            Command::Flush | Command::Disconnect => session.done(&request, out),
            Command::Unknown(_) => unreachable!("it is refused"),
            Command::BlockStatus => {
                let extent = Extent { len_bytes: request.len_bytes.min(1 << 30), is_hole: true, is_zero: true };
                session.status(&request, &[extent], out);
            }
            Command::Read if session.form() != Form::Simple => session.end(&request, out),
            _ => session.failed(&request, ErrorCode::Io, "no", out),
        }
        if !matches!(request.command, Command::Flush | Command::Disconnect) {
            assert!(request.offset + request.len_bytes <= SIZE_BYTES, "{request:?} is inside");
        }
    }
}
