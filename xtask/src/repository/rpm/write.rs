//! The files of `repodata/`: templates filled with what packages say.

use std::collections::BTreeSet;
use std::path::Path;

use minijinja::value::Serde;
use minijinja::{Environment, Value, context};
use serde::Serialize;

use super::described::{Described, described};
use crate::error::{Error, Result};
use crate::package::documents::gzip;
use crate::process::Cancel;
use crate::repository::{Found, Signature, each, is_sum, publish, sha256, sweep, write_named};
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
    let location = file.display().to_string();
    described(&Found { path: file.to_owned(), location, bytes: bytes.to_vec() })?.place()
}

/// What signs the index.
pub fn signature<'a>(repository: &Path, signing: Option<&'a Signing>) -> Signature<'a> {
    Signature { path: repository.join("repodata/repomd.xml.asc"), signing, variable: "XTASK_SIGN" }
}

/// What is said of packages, in files that are called by their content and this.
const PARTS: [&str; 3] = ["primary", "filelists", "other"];

fn is_part(name: &str) -> bool {
    let kind = |kind: &&str| name.strip_suffix(&format!("-{kind}.xml.gz")).is_some_and(is_sum);
    PARTS.iter().any(kind)
}

/// What a list says of files that somebody else added and that are still there: groups, advisories, modules (`modifyrepo_c`).
fn others(repository: &Path, list: &str) -> Vec<String> {
    let between = |text: &str, from: &str, to: &str| Some(text.split_once(from)?.1.split_once(to)?.0.to_owned());
    let is_others = |data: &str| -> Option<bool> {
        let kind = between(data, "type=\"", "\"")?;
        let is_there = repository.join(between(data, "href=\"", "\"")?).is_file();
        Some(is_there && !PARTS.iter().any(|part| kind.starts_with(part)))
    };
    let data = list.split("<data ").skip(1).filter_map(|rest| rest.split_once("</data>"));
    let others = data.filter(|(data, _)| is_others(data) == Some(true));
    others.map(|(data, _)| format!("<data {data}</data>")).collect()
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
    for kind in PARTS {
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
    let others = others(repository, &String::from_utf8_lossy(&before));
    let now = fill("repomd.xml", context! { parts => Serde(&parts), others, time })?;
    publish(&list, &now, &[signature(repository, signing)], cancel, || Ok(()))?;
    let mut named = BTreeSet::new();
    // Whoever has read the list before this one still gets what it names.
    for text in [before, now] {
        let text = String::from_utf8_lossy(&text).into_owned();
        let names = text.split("href=\"repodata/").skip(1).filter_map(|rest| rest.split('"').next());
        named.extend(names.map(str::to_owned));
    }
    sweep(&dir, &named, is_part)?;
    Ok(packages.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_put_beside_the_index_stays_and_stays_listed() {
        let dir = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| std::fs::write(dir.path().join("repodata").join(path), text).unwrap();
        let index = || index(dir.path(), None, &Cancel::default()).unwrap();
        index();
        let list = || std::fs::read_to_string(dir.path().join("repodata/repomd.xml")).unwrap();
        let ours = list();
        // As modifyrepo_c and createrepo_c write them.
        let data = |kind: &str, file: &str| {
            format!("<data type=\"{kind}\">\n  <location href=\"repodata/{file}\"/>\n</data>\n")
        };
        let old = format!("{}-primary.xml.gz", "0".repeat(64));
        let more = [("group", "comps.xml"), ("updateinfo", "gone.xml"), ("primary_db", "primary.sqlite.bz2")];
        let more: String = more.iter().map(|(kind, file)| data(kind, file)).collect();
        write("repomd.xml", &ours.replace("</repomd>", &format!("{more}</repomd>")));
        for file in ["comps.xml", "repomd.xml.key", "primary.sqlite.bz2", &old] {
            write(file, "");
        }
        for _ in 0..2 {
            index();
            assert_eq!(list(), ours.replace("</repomd>", &format!("{}</repomd>", data("group", "comps.xml"))));
        }
        let there = |file: &str| dir.path().join("repodata").join(file).exists();
        assert!(there("comps.xml") && there("repomd.xml.key") && there("primary.sqlite.bz2") && !there(&old));
    }

    #[test]
    fn what_is_no_rpm_is_refused_with_what_says_more() {
        let report = location(Path::new("dir/x.rpm"), b"no package").unwrap_err().report();
        assert!(report.contains("cannot read package `dir/x.rpm`\n  because: "), "{report}");
        assert!(report.contains("\nhelp: rpm -qip 'dir/x.rpm'"), "{report}");
    }

    #[test]
    fn a_signature_is_not_taken_away_without_a_word() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |signing: Option<&Signing>| signature(dir.path(), signing).refuse_loss("again");
        refused(None).unwrap();
        crate::atomic::write(&signature(dir.path(), None).path, b"signed").unwrap();
        let report = refused(None).unwrap_err().report();
        for line in ["repomd.xml.asc` signs: no command signs the next one", "XTASK_SIGN=", "again --unsigned"] {
            assert!(report.contains(line), "{report}");
        }
        refused(Some(&Signing { sign: String::new(), verify: String::new() })).unwrap();
        index(dir.path(), None, &Cancel::default()).unwrap();
        assert!(!signature(dir.path(), None).path.exists());
    }
}
