//! A signed envelope around a statement, DSSE v1: <https://github.com/secure-systems-lab/dsse>. The signature is made by a command of
//! whoever releases, and what it made is verified before it is used.

use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine};
use serde_json::{Value, json};

use crate::error::{Context, Error, Result};
use crate::process::{Cancel, Program};

/// What the payload is.
const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Shell commands with `$FILE` and `$SIGNATURE` set.
#[derive(Clone, Debug)]
pub struct Signing {
    /// Writes `$SIGNATURE`, over the bytes of `$FILE`.
    pub sign: String,
    /// Fails when `$SIGNATURE` is not one of `$FILE`.
    pub verify: String,
    /// Names the key for whoever verifies.
    pub key: Option<String>,
}

/// What is signed: type and payload with their lengths.
fn pre_authentication(payload: &[u8]) -> Vec<u8> {
    let mut bytes = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len()).into_bytes();
    bytes.extend(payload);
    bytes
}

/// The envelope; `what` is named in errors.
pub fn envelope(payload: &[u8], signing: &Signing, what: &str, cancel: &Cancel) -> Result<Value> {
    let signing_it = || format!("cannot sign {what}");
    let dir = tempfile::tempdir().context(signing_it)?;
    let (file, signature) = (dir.path().join("statement"), dir.path().join("signature"));
    let bytes = pre_authentication(payload);
    std::fs::write(&file, &bytes).context(signing_it)?;
    let run = |script: &str, file: &Path| {
        Program::new(["sh", "-ec", script]).env("FILE", file).env("SIGNATURE", &signature).run(cancel)
    };
    run(&signing.sign, &file)?.success(|| format!("{}: `{}` failed", signing_it(), signing.sign))?;
    let Some(made) = crate::atomic::read(&signature)?.filter(|made| !made.is_empty()) else {
        return Err(Error::machine(format!("{}: `{}` wrote no $SIGNATURE", signing_it(), signing.sign))
            .help("XTASK_SIGN='gpg --detach-sign --output \"$SIGNATURE\" \"$FILE\"'"));
    };
    run(&signing.verify, &file)?
        .success(|| format!("the signature of {what} is not one: `{}` failed", signing.verify))?;
    // A command that takes anything verifies nothing.
    let other = dir.path().join("other");
    std::fs::write(&other, [&bytes, &b" "[..]].concat()).context(signing_it)?;
    if run(&signing.verify, &other)?.status.success() {
        return Err(Error::input(format!("cannot verify {what}: `{}` also takes what was not signed", signing.verify))
            .help("XTASK_SIGN_VERIFY='gpg --verify \"$SIGNATURE\" \"$FILE\"'"));
    }
    let mut entry = json!({ "sig": BASE64_STANDARD.encode(made) });
    if let Some(key) = &signing.key {
        entry["keyid"] = key.clone().into();
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

    #[test]
    fn a_signature_that_nothing_verifies_is_not_used() {
        let check = |sign: &str, verify: &str| {
            let signing = Signing { sign: sign.to_owned(), verify: verify.to_owned(), key: None };
            envelope(b"{}", &signing, "it", &Cancel::default()).map_err(|error| error.report())
        };
        let (sign, verify) = ("sha256sum < \"$FILE\" > \"$SIGNATURE\"", "sha256sum < \"$FILE\" | cmp - \"$SIGNATURE\"");
        let good = check(sign, verify).unwrap();
        assert_eq!(good["payload"], "e30=");
        assert!(check("exit 3", verify).unwrap_err().contains("`exit 3` failed"));
        assert!(check("true", verify).unwrap_err().contains("wrote no $SIGNATURE"));
        assert!(check("echo x > \"$SIGNATURE\"", verify).unwrap_err().contains("is not one"));
        assert!(check(sign, "true").unwrap_err().contains("also takes what was not signed"));
    }
}
