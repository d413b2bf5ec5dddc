//! What commands that state how something was made have in common: who signs the statement, and what its file is called.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Session;
use crate::bill::dsse::envelope;
use crate::error::{Context, Result};
use crate::placing;
use crate::signing::Signing;

/// Who signs, if somebody does.
#[derive(Debug)]
pub(super) struct Vouching {
    pub(super) signing: Option<Signing>,
    /// The name of the key in the envelope.
    pub(super) key: Option<String>,
}

/// How the name of a file with a statement ends, and of one with a signed envelope.
const PLAIN: &str = "intoto.json";
const SIGNED: &str = "intoto.dsse.json";

impl Vouching {
    /// A statement as one line of JSON, in an envelope where it is signed; `what` it is of, for errors.
    pub(super) fn line(&self, session: &Session, statement: Value, what: &str) -> Result<Vec<u8>> {
        let encoding = || format!("cannot encode the provenance of `{what}`");
        let value = match &self.signing {
            None => statement,
            Some(signing) => {
                let payload = serde_json::to_vec(&statement).context(encoding)?;
                let what = format!("the provenance of `{what}`");
                envelope(&payload, signing, self.key.as_deref(), &what, &session.cancel)?
            }
        };
        let mut line = serde_json::to_vec(&value).context(encoding)?;
        line.push(b'\n');
        Ok(line)
    }

    /// The name of the file with the statement about `name`.
    pub(super) fn file(&self, name: &str) -> String {
        format!("{name}.{}", if self.signing.is_some() { SIGNED } else { PLAIN })
    }

    /// Puts the statement about a file beside it; gives its path.
    pub(super) fn beside(&self, session: &Session, file: &Path, statement: Value) -> Result<PathBuf> {
        let stated = PathBuf::from(self.file(&file.display().to_string()));
        crate::atomic::write(&stated, &self.line(session, statement, &file.display().to_string())?)?;
        Ok(stated)
    }
}

/// Removes what was stated about another file of that name.
pub(super) fn remove_earlier(file: &Path) -> Result<()> {
    [PLAIN, SIGNED]
        .iter()
        .try_for_each(|ending| placing::remove_file(&PathBuf::from(format!("{}.{ending}", file.display()))))
}
