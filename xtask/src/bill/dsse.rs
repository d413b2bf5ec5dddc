//! A signed envelope around a statement, DSSE v1: <https://github.com/secure-systems-lab/dsse>.

use std::io::Write as _;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use crate::error::{Context, Result};
use crate::process::Cancel;
use crate::signing::Signing;

/// What the payload is.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// What is signed: type and payload with their lengths.
fn pre_authentication(payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    bytes.extend(payload);
    bytes
}

/// The envelope; `what` is named in errors, `key` tells whoever verifies which one it was.
pub fn envelope(payload: &[u8], signing: &Signing, key: Option<&str>, what: &str, cancel: &Cancel) -> Result<Value> {
    let mut file = tempfile::NamedTempFile::new().context(|| format!("cannot sign {what}"))?;
    file.write_all(&pre_authentication(payload)).context(|| format!("cannot sign {what}"))?;
    let made = signing.signature(file.path(), what, cancel)?;
    let mut entry = json!({ "sig": BASE64_STANDARD.encode(made) });
    if let Some(key) = key {
        entry["keyid"] = key.into();
    }
    Ok(json!({ "payloadType": PAYLOAD_TYPE, "payload": BASE64_STANDARD.encode(payload), "signatures": [entry] }))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the protocol's own text, with our type.
    #[test]
    fn type_and_payload_are_signed_with_their_lengths() {
        let bytes = pre_authentication(b"hello world");
        assert_eq!(bytes, b"DSSEv1 28 application/vnd.in-toto+json 11 hello world");
    }
}
