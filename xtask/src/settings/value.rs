//! What a setting may be, by its kind. Looks at nothing but the text.

use super::key::{Key, Part};

/// Who is to provide a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provide {
    /// We build it.
    Internal,
    /// The machine, wherever it usually has it.
    System,
    /// The machine if it has one that is right, else we.
    Auto,
    /// The machine, there.
    At(String),
    /// Nobody.
    Without,
}

impl Provide {
    /// Reads a value that `checked` let through.
    pub fn parse(value: &str) -> Self {
        match value {
            "yes" => Provide::System,
            "no" => Provide::Internal,
            "auto" => Provide::Auto,
            "without" => Provide::Without,
            path => Provide::At(path.to_owned()),
        }
    }
}

/// The value in its one form, or what is wrong with it.
pub(super) fn checked(key: &Key, value: &str) -> Result<String, String> {
    let trimmed = value.trim();
    let own = || Ok(trimmed.to_owned());
    match key {
        Key::Directory(_) => absolute(trimmed).and_then(|()| own()),
        Key::Provider(name) => match trimmed {
            "yes" | "no" | "auto" | "without" => own(),
            path if path.starts_with('/') => absolute(path).and_then(|()| own()),
            _ => Err(format!(
                "yes, no, auto or an absolute path is wanted: --with-system-{name}=/usr/…; to leave it out: --without-{name}"
            )),
        },
        Key::Source(_, Part::Revision) => revision(trimmed).and_then(|()| own()),
        Key::Source(_, Part::Url) | Key::Extfiles => address(trimmed).and_then(|()| own()),
        Key::Source(..) => {
            if trimmed.is_empty() {
                Err("it is empty".to_owned())
            } else {
                own()
            }
        }
        Key::GitHttp => match trimmed {
            "y" | "yes" | "1" | "true" => Ok("y".to_owned()),
            "n" | "no" | "0" | "false" | "" => Ok("n".to_owned()),
            _ => Err("y or n is wanted".to_owned()),
        },
        Key::Variable(_) | Key::Components => {
            let is_plain = |c: char| c.is_ascii_alphanumeric() || " -_.,:+".contains(c);
            if trimmed.chars().all(is_plain) { own() } else { Err("names are wanted, with spaces between".to_owned()) }
        }
        Key::Destdir => absolute(trimmed).and_then(|()| own()),
        Key::Tool(_) => {
            let is_program = !trimmed.is_empty() && !trimmed.starts_with('-') && !trimmed.contains(char::is_whitespace);
            if is_program { own() } else { Err("the name or the path of one program is wanted".to_owned()) }
        }
    }
}

fn absolute(path: &str) -> Result<(), String> {
    if !path.starts_with('/') {
        return Err("an absolute path is wanted".to_owned());
    }
    let is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
    if !path.split('/').skip(1).all(is_plain) {
        return Err("a path without `..`, `.`, `//` and an end in `/` is wanted".to_owned());
    }
    // It goes into command lines of configure scripts and makefiles, and not all of those quote.
    let is_safe = |c: char| c.is_ascii_alphanumeric() || "/-_.+~@%,".contains(c);
    if path.chars().all(is_safe) {
        Ok(())
    } else {
        Err("a path without spaces and signs that a shell knows is wanted".to_owned())
    }
}

fn revision(text: &str) -> Result<(), String> {
    let is_bad = text.is_empty()
        || text.starts_with('-')
        || text.contains("..")
        || text.contains(|c: char| c.is_whitespace() || c.is_control() || ":~^?*[\\".contains(c));
    if is_bad { Err("a commit, tag or branch is wanted".to_owned()) } else { Ok(()) }
}

fn address(text: &str) -> Result<(), String> {
    if text.is_empty() || text.starts_with('-') || text.contains(char::is_whitespace) {
        return Err("a URL or a directory is wanted".to_owned());
    }
    Ok(())
}
