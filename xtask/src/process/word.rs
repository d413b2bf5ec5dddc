//! Lines of a shell that can be pasted: each word is quoted where it must be. Starts nothing.

use std::cmp::Reverse;
use std::fmt;

/// One shell line that can be pasted.
pub fn shell_line<S: AsRef<str>>(argv: impl IntoIterator<Item = S>) -> String {
    argv.into_iter().map(|item| Word::text(item.as_ref()).to_string()).collect::<Vec<_>>().join(" ")
}

/// A word of a shell's line. The shell expands the variables in it and nothing else.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Word(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Variable(&'static str),
}

impl Word {
    /// A word that is what it says.
    pub fn text(text: &str) -> Self {
        let mut word = Word::default();
        word.push(Piece::Text(text.to_owned()));
        word
    }

    /// What a variable is, and text behind it.
    pub fn variable(name: &'static str, rest: &str) -> Self {
        let mut word = Word(vec![Piece::Variable(name)]);
        word.push(Piece::Text(rest.to_owned()));
        word
    }

    /// Text with another word at each of these places in it; of two that begin at one place the longer counts.
    pub fn filled(text: &str, holes: &[(String, Word)]) -> Self {
        let (mut word, mut rest) = (Word::default(), text);
        let next = |rest: &str| {
            let found = holes.iter().filter_map(|(hole, value)| Some((rest.find(hole.as_str())?, hole.len(), value)));
            found.min_by_key(|(at, length, _)| (*at, Reverse(*length)))
        };
        while let Some((at, length, value)) = next(rest) {
            word.push(Piece::Text(rest[..at].to_owned()));
            value.0.iter().for_each(|piece| word.push(piece.clone()));
            rest = &rest[at + length..];
        }
        word.push(Piece::Text(rest.to_owned()));
        word
    }

    fn push(&mut self, piece: Piece) {
        match (self.0.last_mut(), piece) {
            (_, Piece::Text(text)) if text.is_empty() => {}
            (Some(Piece::Text(before)), Piece::Text(text)) => before.push_str(&text),
            (_, piece) => self.0.push(piece),
        }
    }
}

/// Quoted.
impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:+,@%^".contains(c);
        match &self.0[..] {
            [] => return f.write_str("''"),
            [Piece::Text(text)] if text.chars().all(plain) => return f.write_str(text),
            _ => {}
        }
        // What is special between double quotes; `!` is to a shell that somebody types into.
        let special = |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains(['"', '$', '`', '\\', '!']));
        if matches!(self.0[..], [Piece::Text(_)]) || self.0.iter().any(special) {
            return self.0.iter().try_for_each(|piece| match piece {
                Piece::Text(text) => write!(f, "'{}'", text.replace('\'', r"'\''")),
                Piece::Variable(name) => write!(f, "\"${name}\""),
            });
        }
        f.write_str("\"")?;
        for (index, piece) in self.0.iter().enumerate() {
            let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '_';
            match (piece, self.0.get(index + 1)) {
                (Piece::Text(text), _) => f.write_str(text)?,
                (Piece::Variable(name), Some(Piece::Text(next))) if next.starts_with(goes_on) => {
                    write!(f, "${{{name}}}")?;
                }
                (Piece::Variable(name), _) => write!(f, "${name}")?,
            }
        }
        f.write_str("\"")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::{Cancel, Program};

    #[test]
    fn shell_lines_can_be_pasted() {
        assert_eq!(shell_line(["make", "-C", "a b", "X=it's", ""]), r"make -C 'a b' 'X=it'\''s' ''");
    }

    /// Filled so, written so, and a shell makes of it what is wanted.
    fn check(text: &str, written: &str, wanted: &str) {
        let holes = [("<top>", Word::variable("TOP", "")), ("<top>/x", Word::variable("TOP", ".x"))];
        let word = Word::filled(text, &holes.map(|(hole, word)| (hole.to_owned(), word))).to_string();
        assert_eq!(word, written);
        let script = format!("printf %s {word}");
        let ended = Program::new(["sh", "-ec", &script]).env("TOP", "/a  b").run(&Cancel::default()).unwrap();
        assert_eq!(String::from_utf8(ended.success(|| script).unwrap()).unwrap(), wanted);
    }

    #[test]
    fn variables_of_a_word_are_expanded_and_nothing_else_is() {
        check("<top>", r#""$TOP""#, "/a  b");
        check("-L<top>/lib -L<top>/x/lib", r#""-L$TOP/lib -L$TOP.x/lib""#, "-L/a  b/lib -L/a  b.x/lib");
        check("<top>_<top>", r#""${TOP}_$TOP""#, "/a  b_/a  b");
        check("it's <top>", r#""it's $TOP""#, "it's /a  b");
        check("$TOP '<top>'", r#"'$TOP '\'''"$TOP"''\'''"#, "$TOP '/a  b'");
        check("<top><top>!", r#""$TOP""$TOP"'!'"#, "/a  b/a  b!");
        check("", "''", "");
    }
}
