//! What must hold inside one manifest, once its shape is right. Looks at no other file.

use super::diagnostic::Finding;
use super::form::{installed_fault, package_fault, relative_fault, url_fault};
use super::lock::Commit;
use super::place::Place;
use super::{Git, Manifest, Origin, Signed};

/// Everything that is wrong in `manifest` alone.
pub(super) fn check_manifest(manifest: &Manifest) -> Vec<Finding> {
    let mut findings = Vec::new();
    let listed = || {
        let list = |key, names: &'_ Vec<_>| {
            names.iter().cloned().enumerate().map(move |(index, name)| (key, index, name)).collect::<Vec<_>>()
        };
        [list("components", &manifest.components), list("optional", &manifest.optional)].concat()
    };
    let all = listed();
    for (position, (key, index, name)) in all.iter().enumerate() {
        if let Some((first_key, first, _)) = all[..position].iter().find(|(_, _, earlier)| earlier == name) {
            let finding =
                Finding::new(Place::of(key).index(*index), format!("component `{name}` is listed twice"), "again here");
            findings.push(finding.also(Place::of(first_key).index(*first), "first here"));
        }
    }
    if manifest.components.is_empty() {
        findings.push(Finding::new(Place::of("components"), "the manifest builds nothing", "no component"));
    }
    for (name, origin) in &manifest.sources {
        check_origin(&|| Place::of("sources").key(name.as_str()).key(origin.kind()), origin, &mut findings);
    }
    for (name, path) in &manifest.system {
        let is_absolute = path.starts_with('/') && path.len() > 1 && !path.split('/').any(|part| part == "..");
        if !is_absolute {
            let finding = Finding::new(
                Place::of("system").key(name.as_str()),
                format!("system path `{path}` is not absolute"),
                "starts with `/`, without `..`",
            );
            findings.push(
                finding.help("write the path that the program or firmware has on the machine that runs it: `/usr/...`"),
            );
        }
    }
    for path in manifest.shared.keys() {
        if let Some(fault) = installed_fault(path) {
            findings.push(Finding::new(
                Place::of("shared").key(path).name(),
                format!("`{path}` is no installed path"),
                fault,
            ));
        }
    }
    findings
}

fn check_origin(place: &dyn Fn() -> Place, origin: &Origin, findings: &mut Vec<Finding>) {
    let mut empty = |key: &str, is_empty: bool, what: &str| {
        if is_empty {
            findings.push(Finding::new(place().key(key), format!("`{key}` is empty"), what));
        }
    };
    match origin {
        Origin::Git(git) => {
            empty("urls", git.urls.is_empty(), "at least one URL is wanted");
            check_urls(place, &git.urls, findings);
            check_git(place, git, findings);
            check_signed(place, git, findings);
        }
        Origin::Archive(archive) => {
            empty("urls", archive.urls.is_empty(), "at least one URL is wanted");
            check_urls(place, &archive.urls, findings);
        }
        Origin::Apt(apt) => {
            empty("version", apt.version.as_ref().is_some_and(String::is_empty), "leave it out for the newest one");
            if let Some(fault) = package_fault(&apt.package) {
                let message = format!("`{}` is no Debian source package", apt.package);
                findings.push(Finding::new(place().key("package"), message, fault));
            }
        }
        Origin::Path(local) => empty("dir", local.dir.is_empty(), "a directory is wanted"),
    }
}

fn check_urls(place: &dyn Fn() -> Place, urls: &[String], findings: &mut Vec<Finding>) {
    for (index, url) in urls.iter().enumerate() {
        if let Some(fault) = url_fault(url) {
            findings.push(Finding::new(place().key("urls").index(index), format!("bad URL `{url}`"), fault));
        }
    }
}

fn check_signed(place: &dyn Fn() -> Place, git: &Git, findings: &mut Vec<Finding>) {
    match (git.require_signed, &git.allowed_signers) {
        (Some(_), None) => findings
            .push(Finding::new(place().key("require-signed"), "nobody is said to sign this source", "by whom?").help(
                "add `allowed-signers = \"FILE\"`: ssh's allowed_signers, or a GPG keyring, beside the manifest",
            )),
        (None, Some(_)) => findings.push(
            Finding::new(place().key("allowed-signers"), "these signers are not asked for", "without `require-signed`")
                .help("add `require-signed = \"tag\"` or `require-signed = \"commit\"`"),
        ),
        _ => {}
    }
    if let (Some(Signed::Tag), None) = (git.require_signed, &git.tag) {
        let message = "a signed tag is wanted, but this origin names no tag";
        findings.push(
            Finding::new(place().key("require-signed"), message, "nothing here is a tag")
                .help("name it, `tag = \"...\"`, or write `require-signed = \"commit\"`"),
        );
    }
    if let Some((file, fault)) = git.allowed_signers.as_ref().and_then(|file| Some((file, relative_fault(file)?))) {
        findings.push(Finding::new(
            place().key("allowed-signers"),
            format!("`{file}` is no file below the manifest's directory"),
            fault,
        ));
    }
}

fn check_git(place: &dyn Fn() -> Place, git: &Git, findings: &mut Vec<Finding>) {
    let given: Vec<(&str, &str)> =
        [("branch", &git.branch), ("tag", &git.tag), ("commit", &git.commit), ("ref", &git.r#ref)]
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.as_deref()?)))
            .collect();
    match given.as_slice() {
        [] => {
            let finding =
                Finding::new(place(), "this git origin names no revision", "one of branch, tag, commit, ref is wanted");
            findings.push(finding.help("add `branch = \"master\"`, or tag, commit or ref"));
        }
        [_] => {}
        [(first, _), .., (last, _)] => {
            let keys: Vec<_> = given.iter().map(|(key, _)| format!("`{key}`")).collect();
            let message = format!("this git origin names {} revisions: {}", given.len(), keys.join(", "));
            let finding = Finding::new(place().key(last).name(), message, "and another one");
            findings.push(finding.also(place().key(first).name(), "one revision").help("keep exactly one of them"));
        }
    }
    for (key, value) in given {
        let fault = match key {
            "commit" => Commit::try_from(value.to_owned()).err().map(|_| "40 lower-case hex digits are wanted"),
            "ref" if !value.starts_with("refs/") => Some("a full name is wanted: `refs/...`"),
            _ if value.is_empty() => Some("it is empty"),
            _ if value.starts_with('-')
                || value.contains([' ', ':', '~', '^', '?', '*', '[', '\\'])
                || value.contains("..") =>
            {
                Some("git allows no such name")
            }
            _ => None,
        };
        if let Some(fault) = fault {
            findings.push(Finding::new(place().key(key), format!("bad {key} `{value}`"), fault));
        }
    }
}
