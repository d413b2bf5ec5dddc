//! serde's refusals in the words of people who write definitions. The only file that knows how serde and toml phrase
//! them.

use super::diagnostic::Finding;
use super::place::Place;
use super::suggest::did_you_mean;

/// Why serde refused a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal<'a> {
    /// A key that the table does not know, and those it knows.
    UnknownKey { key: &'a str, known: Vec<&'a str> },
    /// A kind of build system or origin that there is not.
    UnknownVariant { key: &'a str, known: Vec<&'a str> },
    /// A key that must be there.
    Missing(&'a str),
    /// A value of another type.
    WrongType { found: &'static str, wanted: &'static str },
    /// A choice of exactly one key that has none (0), several (2) or is no table (1).
    NotOneKey { keys: usize },
    /// Said by the type itself.
    Other,
}

impl<'a> Refusal<'a> {
    pub(super) fn of(message: &'a str) -> Self {
        let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let first = quoted.first().copied().unwrap_or_default();
        let known = || quoted.iter().skip(1).copied().collect();
        if message.starts_with("unknown field ") {
            Refusal::UnknownKey { key: first, known: known() }
        } else if message.starts_with("unknown variant ") {
            Refusal::UnknownVariant { key: first, known: known() }
        } else if message.starts_with("missing field ") {
            Refusal::Missing(first)
        } else if message.starts_with("wanted exactly 1 element, found 0") {
            Refusal::NotOneKey { keys: 0 }
        } else if message.starts_with("wanted exactly 1 element") {
            Refusal::NotOneKey { keys: 2 }
        } else if message.starts_with("wanted string or table") || message.contains("unit variant") {
            Refusal::NotOneKey { keys: 1 }
        } else {
            let types = message.strip_prefix("invalid type: ").and_then(|types| types.rsplit_once(", expected "));
            match types.and_then(|(found, wanted)| Some((type_found(found)?, type_wanted(wanted)?))) {
                Some((found, wanted)) => Refusal::WrongType { found, wanted },
                None => Refusal::Other,
            }
        }
    }
}

fn type_found(serde: &str) -> Option<&'static str> {
    Some(match serde.split([' ', '`']).next()? {
        "string" => "a string",
        "integer" | "floating" => "a number",
        "boolean" => "true or false",
        "sequence" => "a list",
        "map" => "a table",
        _ => return None,
    })
}

fn type_wanted(serde: &str) -> Option<&'static str> {
    Some(match serde.split(' ').next()? {
        "a" if serde == "a string" => "a string",
        "a" if serde == "a sequence" => "a list",
        "a" if serde == "a map" => "a table",
        "a" if serde == "a boolean" => "true or false",
        "struct" => "a table",
        "u16" | "u32" | "u64" | "usize" => "a number",
        _ => return None,
    })
}

/// The finding about `refusal` at `place` of `text`.
pub(super) fn finding(place: &Place, refusal: &Refusal<'_>, message: &str, text: &str) -> Finding {
    let name = place.to_string();
    match refusal {
        Refusal::UnknownKey { key, known } => {
            let finding = Finding::new(place.clone().name(), format!("unknown key `{key}`"), "not a key of this table");
            finding.help(among("did you mean", key, known, "keys here"))
        }
        Refusal::UnknownVariant { key, known } => {
            let kind = if name.starts_with("build") { "build system" } else { "kind of origin" };
            let finding =
                Finding::new(place.clone().name(), format!("unknown {kind} `{key}`"), "there is no such kind");
            finding.help(among("did you mean", key, known, "kinds"))
        }
        Refusal::Missing(key) => {
            let inside = if name.is_empty() { String::new() } else { format!(" in `{name}`") };
            let label = if name.is_empty() { "not in this file" } else { "not in this table" };
            Finding::new(place.clone(), format!("key `{key}` is missing{inside}"), label).help(example(key))
        }
        Refusal::WrongType { found, wanted } => {
            let message = format!("`{name}` is {found}, but {wanted} is wanted");
            let finding = Finding::new(place.clone(), message, format!("{wanted} is wanted"));
            match (*found, *wanted, place.source(text)) {
                ("a string", "a list", Some(source)) => {
                    finding.help(format!("write `{} = [{source}]`", place.last_key().unwrap_or_default()))
                }
                ("a number", "a string", Some(source)) => finding.help(format!("write `\"{source}\"`")),
                _ => finding,
            }
        }
        Refusal::NotOneKey { keys } => {
            let (message, label) = match keys {
                0 => (format!("`{name}` is empty"), "one kind is wanted"),
                1 => (format!("`{name}` is not one of its kinds"), "a table with one kind is wanted"),
                _ => (format!("`{name}` has more than one kind"), "exactly one is wanted"),
            };
            Finding::new(place.clone(), message, label).help(if name.starts_with("build") {
                "write one of `[build.autotools]`, `[build.make]`, `[build.kconfig]`, `[build.meson]`, `[build.cmake]`, \
                 `[build.cargo]`, `[build.steps]`"
                    .to_owned()
            } else {
                "write one of `git = { ... }`, `archive = { ... }`, `apt = { ... }`, `path = { ... }`".to_owned()
            })
        }
        Refusal::Other => {
            let (what, why) = message.split_once(": ").unwrap_or((message, ""));
            Finding::new(place.clone(), what, if why.is_empty() { "refused" } else { why })
        }
    }
}

/// The near one, or all of them.
fn among(near: &str, word: &str, known: &[&str], all: &str) -> String {
    match did_you_mean(word, known.iter().copied()) {
        Some(known) => format!("{near} `{known}`?"),
        None if known.is_empty() => "this table has no keys".to_owned(),
        None => format!("{all}: {}", known.join(", ")),
    }
}

/// What could be written for a missing key.
fn example(key: &str) -> String {
    let value = match key {
        "summary" => "\"what it is, in one line\"",
        "licence" => "\"GPL-2.0-only\"",
        "homepage" | "url" => "\"https://...\"",
        "source" => "\"NAME of a source of the manifest\"",
        "build" => return "write `[build.autotools]`, `[build.make]`, ... as components/README.md explains".to_owned(),
        "inputs" => "[\"**\"]",
        "run" => "[\"make\", \"install\", \"DESTDIR={stage}\"]",
        "reason" => "\"why it is not built there\"",
        "components" => "[\"NAME\", ...]",
        "sources" => return "write `[sources.NAME]` as manifests/README.md explains".to_owned(),
        "urls" => "[\"https://...\"]",
        "bins" => "{ NAME = \"/usr/bin/NAME\" }",
        "config" => "\"{src}/FILE\"",
        _ => "\"...\"",
    };
    format!("write `{key} = {value}`")
}
