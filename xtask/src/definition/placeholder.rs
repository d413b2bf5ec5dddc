//! Placeholders in the strings of a component: the closed set, and how they are told from text. Knows no values and no
//! rules of where which of them may stand: `recipe/` fills them in, `check_text.rs` knows where they belong.

use std::fmt;
use std::ops::Range;

use super::Name;
use super::suggest::did_you_mean;

/// What stands between braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Placeholder {
    /// `{src}`: the tree that is built.
    Src,
    /// `{build}`: a directory beside it.
    Build,
    /// `{stage}`: DESTDIR.
    Stage,
    /// `{deps}`: the merged outputs of `needs`.
    Deps,
    /// `{prefix}`: `/usr` unless something else was chosen, and so the next three.
    Prefix,
    /// `{sysconfdir}`: `/etc`.
    Sysconfdir,
    /// `{localstatedir}`: `/var`.
    Localstatedir,
    /// `{libdir}`: `/usr/lib`.
    Libdir,
    /// `{jobs}`: how many jobs a tool that is no client of the jobserver may start.
    Jobs,
    /// `{epoch}`: SOURCE_DATE_EPOCH.
    Epoch,
    /// `{changeset}`: date and revision of the source, as Xen writes it.
    Changeset,
    /// `{arch}`: the instruction set, as `uname -m` says it.
    Arch,
    /// `{path}`: the path that the manifest names for a system component.
    Path,
    /// `{extra:SOURCE}`: the files of another source.
    Extra(Name),
    /// `{output:NAME}`: the installed path of a named output.
    Output(String),
    /// `{set:NAME}`: the value of a variable of `[settings]`.
    Set(String),
    /// `{told:COMPONENT}`: the argv items that a component tells its consumers.
    Told(Name),
}

/// Those without an argument.
const PLAIN: [(&str, Placeholder); 13] = [
    ("src", Placeholder::Src),
    ("build", Placeholder::Build),
    ("stage", Placeholder::Stage),
    ("deps", Placeholder::Deps),
    ("prefix", Placeholder::Prefix),
    ("sysconfdir", Placeholder::Sysconfdir),
    ("localstatedir", Placeholder::Localstatedir),
    ("libdir", Placeholder::Libdir),
    ("jobs", Placeholder::Jobs),
    ("epoch", Placeholder::Epoch),
    ("changeset", Placeholder::Changeset),
    ("arch", Placeholder::Arch),
    ("path", Placeholder::Path),
];

/// Those with one.
const WITH_ARGUMENT: [&str; 4] = ["extra", "output", "set", "told"];

impl fmt::Display for Placeholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Placeholder::Extra(source) => write!(f, "{{extra:{source}}}"),
            Placeholder::Output(name) => write!(f, "{{output:{name}}}"),
            Placeholder::Set(name) => write!(f, "{{set:{name}}}"),
            Placeholder::Told(component) => write!(f, "{{told:{component}}}"),
            plain => {
                let word = PLAIN.iter().find(|(_, known)| known == plain).map_or("", |(word, _)| word);
                write!(f, "{{{word}}}")
            }
        }
    }
}

/// One piece of a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part<'a> {
    /// Stands for itself; `{{` and `}}` are already one brace.
    Text(&'a str),
    /// To be filled in.
    Hole(Placeholder),
}

/// Braces that are no placeholder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadPlaceholder {
    /// Bytes of the string.
    pub range: Range<usize>,
    /// What is wrong.
    pub message: String,
    /// What helps.
    pub help: String,
}

impl fmt::Display for BadPlaceholder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BadPlaceholder {}

/// The pieces of `text` in order, or its first bad placeholder.
pub fn parse(text: &str) -> Result<Vec<Part<'_>>, BadPlaceholder> {
    Parts::of(text).map(|part| part.map(|(part, _)| part)).collect()
}

/// The pieces of a string with the bytes they take; goes on after a bad one.
#[derive(Clone, Debug)]
pub struct Parts<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parts<'a> {
    /// Starts at the beginning of `text`.
    pub fn of(text: &'a str) -> Self {
        Parts { text, at: 0 }
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = Result<(Part<'a>, Range<usize>), BadPlaceholder>;

    fn next(&mut self) -> Option<Self::Item> {
        let start = self.at;
        let rest = &self.text[start..];
        let first = rest.bytes().next()?;
        if rest.starts_with("{{") || rest.starts_with("}}") {
            self.at = start + 2;
            return Some(Ok((Part::Text(&rest[..1]), start..self.at)));
        }
        let escapes = "a brace that is meant as such is written twice: `{{` or `}}`".to_owned();
        match first {
            b'}' => {
                self.at = start + 1;
                let message = "`}` closes no placeholder".to_owned();
                Some(Err(BadPlaceholder { range: start..self.at, message, help: escapes }))
            }
            b'{' => {
                let Some(length) = rest[1..].find(['{', '}']).filter(|end| rest[1 + end..].starts_with('}')) else {
                    self.at = start + 1;
                    let message = "`{` opens a placeholder that is not closed".to_owned();
                    return Some(Err(BadPlaceholder { range: start..self.at, message, help: escapes }));
                };
                self.at = start + length + 2;
                let range = start..self.at;
                Some(match hole(&rest[1..=length]) {
                    Ok(hole) => Ok((Part::Hole(hole), range)),
                    Err((message, help)) => {
                        let word = &rest[1..=length];
                        let help = help
                            .unwrap_or_else(|| format!("braces that are meant as such are written `{{{{{word}}}}}`"));
                        Err(BadPlaceholder { range, message, help })
                    }
                })
            }
            _ => {
                let length = rest.find(['{', '}']).unwrap_or(rest.len());
                self.at = start + length;
                Some(Ok((Part::Text(&rest[..length]), start..self.at)))
            }
        }
    }
}

/// What `word` between braces means, or what is wrong with it and what helps.
fn hole(word: &str) -> Result<Placeholder, (String, Option<String>)> {
    let Some((kind, argument)) = word.split_once(':') else {
        if let Some((_, plain)) = PLAIN.iter().find(|(name, _)| *name == word) {
            return Ok(plain.clone());
        }
        if WITH_ARGUMENT.contains(&word) {
            return Err((format!("`{{{word}}}` lacks its name"), Some(format!("write `{{{word}:NAME}}`"))));
        }
        let known = PLAIN.iter().map(|(name, _)| *name);
        let help = did_you_mean(word, known).map(|name| format!("did you mean `{{{name}}}`?"));
        return Err((format!("unknown placeholder `{{{word}}}`"), help));
    };
    let name = || {
        Name::try_from(argument.to_owned()).map_err(|why| (format!("bad name in placeholder `{{{word}}}`"), Some(why)))
    };
    match kind {
        "extra" => Ok(Placeholder::Extra(name()?)),
        "output" => Ok(Placeholder::Output(name()?.into())),
        // Checked against `[settings]`, whose names are those of variables.
        "set" => Ok(Placeholder::Set(argument.to_owned())),
        "told" => Ok(Placeholder::Told(name()?)),
        _ if PLAIN.iter().any(|(plain, _)| *plain == kind) => {
            Err((format!("`{{{kind}}}` takes no name"), Some(format!("write `{{{kind}}}`"))))
        }
        _ => {
            let help = did_you_mean(kind, WITH_ARGUMENT).map(|known| format!("did you mean `{{{known}:{argument}}}`?"));
            Err((format!("unknown placeholder `{{{word}}}`"), help))
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str) -> String {
        let show = |part| match part {
            Ok((Part::Text(text), _)) => format!("[{text}]"),
            Ok((Part::Hole(hole), _)) => hole.to_string(),
            Err(BadPlaceholder { range, message, help }) => {
                format!("!{}..{} {message}; {help}!", range.start, range.end)
            }
        };
        Parts::of(text).map(show).collect()
    }

    #[test]
    fn text_and_holes_are_told_apart() {
        assert_eq!(check("DESTDIR={stage}"), "[DESTDIR=]{stage}");
        assert_eq!(check("{extra:xen}/a/{arch}"), "{extra:xen}[/a/]{arch}");
        assert_eq!(check("{told:seabios}"), "{told:seabios}");
        assert_eq!(check("$${{FOO}} }}{{"), "[$$][{][FOO][}][ ][}][{]");
        assert_eq!(check(""), "");
    }

    #[test]
    fn bad_ones_say_where_and_what_helps() {
        let braces = "a brace that is meant as such is written twice: `{{` or `}}`";
        assert_eq!(check("a{sorc}"), "[a]!1..7 unknown placeholder `{sorc}`; did you mean `{src}`?!");
        assert_eq!(
            check("{FOO}"),
            "!0..5 unknown placeholder `{FOO}`; braces that are meant as such are written `{{FOO}}`!"
        );
        assert_eq!(check("{tol:x}"), "!0..7 unknown placeholder `{tol:x}`; did you mean `{told:x}`?!");
        assert_eq!(check("{told}"), "!0..6 `{told}` lacks its name; write `{told:NAME}`!");
        assert_eq!(check("{src:x}"), "!0..7 `{src}` takes no name; write `{src}`!");
        assert_eq!(check("a}"), format!("[a]!1..2 `}}` closes no placeholder; {braces}!"));
        assert_eq!(check("{a{src}"), format!("!0..1 `{{` opens a placeholder that is not closed; {braces}![a]{{src}}"));
        assert!(check("{told:A b}").starts_with("!0..10 bad name in placeholder `{told:A b}`; `A b` is not a name"));
    }

    proptest! {
        #[test]
        fn any_text_is_covered_without_gaps(text in "[{}:a-z\u{e4}\u{1f600} ]{0,40}") {
            let mut end = 0;
            for part in Parts::of(&text) {
                let range = part.map_or_else(|bad| bad.range, |(_, range)| range);
                prop_assert_eq!(range.start, end);
                prop_assert!(range.end > range.start && text.is_char_boundary(range.end));
                end = range.end;
            }
            prop_assert_eq!(end, text.len());
        }

        #[test]
        fn escaped_text_reads_back(text in "\\PC{0,40}") {
            let escaped = text.replace('{', "{{").replace('}', "}}");
            let read: String = parse(&escaped).unwrap().iter().map(|part| match part {
                Part::Text(text) => *text,
                Part::Hole(_) => "a hole",
            }).collect();
            prop_assert_eq!(read, text);
        }
    }
}
