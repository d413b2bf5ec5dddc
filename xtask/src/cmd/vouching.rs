//! What commands that state how something was made have in common: who signs the statement, and what its file is called.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Session;
use crate::bill::dsse::envelope;
use crate::error::{Context, Result};
use crate::placing;
use crate::signing::{Signing, SigningArgs};

/// Who signs.
#[derive(Debug, clap::Args)]
pub(super) struct Vouching {
    #[command(flatten)]
    signing: SigningArgs,
    /// Name of the key in the envelope
    #[arg(long, value_name = "ID", requires = "sign")]
    sign_key: Option<String>,
}

/// A plain statement's file, and one in a signed envelope, for one statement and for one a line.
const ENDINGS: [[&str; 2]; 2] = [["intoto.json", "intoto.jsonl"], ["intoto.dsse.json", "intoto.dsse.jsonl"]];

impl Vouching {
    /// Who signs, if that is wanted.
    pub(super) fn signing(&self) -> Option<Signing> {
        self.signing.wanted()
    }

    /// A statement as one line of JSON, in an envelope where it is signed; `what` it is of, for errors.
    pub(super) fn line(&self, session: &Session, statement: Value, what: &str) -> Result<Vec<u8>> {
        let encoding = || format!("cannot encode the provenance of {what}");
        let value = match self.signing() {
            None => statement,
            Some(signing) => {
                let payload = serde_json::to_vec(&statement).context(encoding)?;
                let what = format!("the provenance of {what}");
                envelope(&payload, &signing, self.sign_key.as_deref(), &what, &session.cancel)?
            }
        };
        let mut line = serde_json::to_vec(&value).context(encoding)?;
        line.push(b'\n');
        Ok(line)
    }

    /// The name of the file with one statement about `name`.
    pub(super) fn file(&self, name: &str) -> String {
        format!("{name}.{}", ENDINGS[usize::from(self.signing().is_some())][0])
    }

    /// The same with several, each in a line.
    pub(super) fn lines(&self, name: &str) -> String {
        format!("{name}.{}", ENDINGS[usize::from(self.signing().is_some())][1])
    }
}

/// Removes what was stated about another file of that name.
pub(super) fn remove_earlier(file: &Path) -> Result<()> {
    let stated = |ending: &str| PathBuf::from(format!("{}.{ending}", file.display()));
    ENDINGS.iter().try_for_each(|[ending, _]| placing::remove_file(&stated(ending)))
}
