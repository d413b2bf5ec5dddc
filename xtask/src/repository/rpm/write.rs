//! The files of `repodata/`: templates filled with what packages say.

use std::collections::BTreeSet;
use std::path::Path;

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

use super::described::{Described, described};
use crate::error::{Context, Error, Result};
use crate::package::documents::gzip;
use crate::process::Cancel;
use crate::repository::{Found, each, sha256, sweep, write_named};
use crate::signing::Signing;

/// What is said of packages, by name. A template's ending makes that what is filled in is escaped.
const FORMS: [(&str, &str); 4] = [
    ("primary.xml", include_str!("primary.xml")),
    ("filelists.xml", include_str!("filelists.xml")),
    ("other.xml", include_str!("other.xml")),
    ("repomd.xml", include_str!("repomd.xml")),
];

/// One of the files that `repomd.xml` names.
#[derive(Debug, Serialize)]
struct Part {
    kind: &'static str,
    file: String,
    sha256: String,
    size: usize,
    open_sha256: String,
    open_size: usize,
}

/// Where a package is in the repository.
pub fn location(file: &Path, bytes: &[u8]) -> Result<String> {
    described(&Found { location: file.display().to_string(), bytes: bytes.to_vec() })?.place()
}

/// Says of all its packages what they are; gives how many these are.
pub fn index(repository: &Path, signing: Option<&Signing>, cancel: &Cancel) -> Result<usize> {
    let mut packages: Vec<Described> = Vec::new();
    each(repository, "packages", "rpm", &mut |package| {
        cancel.check()?;
        packages.push(described(package)?);
        Ok(())
    })?;
    let filling = |error: minijinja::Error| Error::machine("cannot write repodata").because(error.to_string());
    let mut forms = Environment::new();
    for (name, form) in FORMS {
        forms.add_template(name, form).map_err(filling)?;
    }
    let fill = |name: &str, values: Value| -> Result<Vec<u8>> {
        let text = forms.get_template(name).and_then(|form| form.render(values)).map_err(filling)?;
        Ok(format!("{text}\n").into_bytes())
    };
    let dir = repository.join("repodata");
    let mut parts = Vec::new();
    for kind in ["primary", "filelists", "other"] {
        let open = fill(&format!("{kind}.xml"), context! { packages => Serde(&packages) })?;
        let packed = gzip(&open);
        let sum = sha256(&packed);
        let file = format!("{sum}-{kind}.xml.gz");
        write_named(&dir, &file, &packed)?;
        parts.push(Part {
            kind,
            file,
            sha256: sum,
            size: packed.len(),
            open_sha256: sha256(&open),
            open_size: open.len(),
        });
    }
    let time = packages.iter().map(|package| package.time).max().unwrap_or(0);
    let list = dir.join("repomd.xml");
    let before = crate::atomic::read(&list)?.unwrap_or_default();
    let now = fill("repomd.xml", context! { parts => Serde(&parts), time })?;
    let signature = signing.map(|signing| -> Result<Vec<u8>> {
        let aside = tempfile::tempdir().context(|| "cannot make a directory".to_owned())?;
        let unsigned = aside.path().join("repomd.xml");
        crate::atomic::write(&unsigned, &now)?;
        signing.signature(&unsigned, &format!("the index of `{}`", repository.display()), cancel)
    });
    let signature = signature.transpose()?;
    crate::atomic::write(&list, &now)?;
    let mut named = BTreeSet::from(["repomd.xml".to_owned()]);
    if let Some(signature) = signature {
        crate::atomic::write(&dir.join("repomd.xml.asc"), &signature)?;
        named.insert("repomd.xml.asc".to_owned());
    }
    // Whoever has read the list before this one still gets what it names.
    for text in [before, now] {
        let text = String::from_utf8_lossy(&text).into_owned();
        let names = text.split("href=\"repodata/").skip(1).filter_map(|rest| rest.split('"').next());
        named.extend(names.map(str::to_owned));
    }
    sweep(&dir, &named)?;
    Ok(packages.len())
}
