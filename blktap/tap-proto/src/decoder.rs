//! Putting a request together from pieces, however a socket cuts it. Holds one request at most: 929 bytes.

use zeroize::Zeroizing;

use crate::Malformed;
use crate::raw::FRAME_BYTES;
use crate::request::{Extra, Open, Request};
use crate::text::TEXT_BYTES;

/// A frame, a path, and a key with its length.
const MAX_BYTES: usize = FRAME_BYTES + TEXT_BYTES + 1 + 128;

/// What has arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Not all of it yet.
    More,
    /// A request, and the minor that it is about.
    Request {
        /// The frame's cookie.
        cookie: u16,
        /// What is asked.
        request: Request,
    },
}

/// Collects the bytes of one request.
#[derive(Default)]
pub struct Decoder {
    bytes: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for Decoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Without the bytes: there may be a key among them.
        f.debug_struct("Decoder").field("len", &self.bytes.len()).finish()
    }
}

impl Decoder {
    /// Takes bytes as they come. What follows the request is not wanted: one connection has one.
    ///
    /// # Errors
    ///
    /// Bytes that are no request; tapdisk answers EINVAL and closes.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Decoded, Malformed> {
        let room = MAX_BYTES - self.bytes.len();
        if self.bytes.capacity() == 0 {
            // At once: growing would leave copies of a key behind.
            self.bytes.reserve_exact(MAX_BYTES);
        }
        self.bytes.extend(&bytes[..bytes.len().min(room)]);
        let Some((frame, rest)) = self.bytes.split_first_chunk::<FRAME_BYTES>() else { return Ok(Decoded::More) };
        let (cookie, mut request) = Request::decode(frame)?;
        if let Request::Open(Open { flags, extra, .. }) | Request::Resume(Open { flags, extra, .. }) = &mut request {
            match Extra::decode(*flags, rest)? {
                None => return Ok(Decoded::More),
                Some((found, _)) => *extra = found,
            }
        }
        Ok(Decoded::Request { cookie, request })
    }
}
