//! Where in a definition something stands: by keys and indexes, so that checks work on plain values and only a file
//! with a mistake is ever read a second time, for the bytes of its message.

use std::fmt;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// One step down.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// Into a table.
    Key(String),
    /// Into a list.
    Index(usize),
}

/// What of the place is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
enum Part {
    /// The value.
    #[default]
    Value,
    /// The key in front of it.
    Key,
    /// Bytes of a string, as it reads after its escapes are resolved.
    Bytes(Range<usize>),
}

/// A path from the top of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    path: Vec<Segment>,
    part: Part,
}

impl Place {
    /// The value of a key at the top of the file.
    pub fn of(key: &str) -> Self {
        Place::default().key(key)
    }

    /// The value of a key of this table.
    pub fn key(mut self, key: &str) -> Self {
        self.path.push(Segment::Key(key.to_owned()));
        self
    }

    /// An item of this list.
    pub fn index(mut self, index: usize) -> Self {
        self.path.push(Segment::Index(index));
        self
    }

    /// The key itself instead of its value.
    pub fn name(mut self) -> Self {
        self.part = Part::Key;
        self
    }

    /// These bytes of the string here.
    pub fn bytes(mut self, range: Range<usize>) -> Self {
        self.part = Part::Bytes(range);
        self
    }

    /// The last key of the path.
    pub fn last_key(&self) -> Option<&str> {
        self.path.iter().rev().find_map(|segment| match segment {
            Segment::Key(key) => Some(key.as_str()),
            Segment::Index(_) => None,
        })
    }

    /// The steps down.
    pub fn path(&self) -> &[Segment] {
        &self.path
    }

    /// What this stands in; the file as a whole is its own parent.
    pub fn parent(mut self) -> Self {
        self.path.pop();
        self.part = Part::Value;
        self
    }

    /// This place is `other` or inside it.
    pub fn is_within(&self, other: &Place) -> bool {
        self.path.starts_with(&other.path)
    }

    /// What stands there in `text`, if that is short.
    pub fn source<'a>(&self, text: &'a str) -> Option<&'a str> {
        let (table, _) = DeTable::parse_recoverable(text);
        self.locate(&table, text).map(|range| &text[range]).filter(|source| source.len() < 60 && !source.contains('\n'))
    }

    /// The bytes of `text` that are meant; `table` is what `text` was parsed into. `None` if the place is not in the
    /// file.
    pub fn locate(&self, table: &Spanned<DeTable<'_>>, text: &str) -> Option<Range<usize>> {
        let Some((last, above)) = self.path.split_last() else { return Some(0..first_line(text)) };
        let mut here = Node::Table(table.as_ref());
        for segment in above {
            here = here.down(segment)?.1;
        }
        let (key, value) = here.down(last)?;
        let value_span = value.span();
        match &self.part {
            Part::Key => key.or(value_span),
            Part::Bytes(bytes) => {
                let span = value_span?;
                let inner = raw_bytes(&text[span.clone()], bytes)?;
                Some(span.start + inner.start..span.start + inner.end)
            }
            // A table that is spread over the file is shown by its name.
            Part::Value if value.is_table() => {
                value_span.filter(|span| text[span.clone()].starts_with(['[', '{'])).or(key)
            }
            Part::Value => value_span,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, segment) in self.path.iter().enumerate() {
            match segment {
                Segment::Key(key) if position == 0 => f.write_str(key)?,
                Segment::Key(key) => write!(f, ".{key}")?,
                Segment::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// Where a walk down stands.
#[derive(Clone, Copy)]
enum Node<'a, 'i> {
    Table(&'a DeTable<'i>),
    Value(&'a Spanned<DeValue<'i>>),
}

impl<'a, 'i> Node<'a, 'i> {
    fn down(self, segment: &Segment) -> Option<(Option<Range<usize>>, Node<'a, 'i>)> {
        let table = match self {
            Node::Table(table) => Some(table),
            Node::Value(value) => value.as_ref().as_table(),
        };
        match segment {
            Segment::Key(key) => {
                let (key, value) = table?.iter().find(|(known, _)| known.as_ref() == key)?;
                Some((Some(key.span()), Node::Value(value)))
            }
            Segment::Index(index) => match self {
                Node::Table(_) => None,
                Node::Value(value) => Some((None, Node::Value(value.as_ref().as_array()?.get(*index)?))),
            },
        }
    }

    fn span(&self) -> Option<Range<usize>> {
        match self {
            Node::Table(_) => None,
            Node::Value(value) => Some(value.span()),
        }
    }

    fn is_table(&self) -> bool {
        match self {
            Node::Table(_) => true,
            Node::Value(value) => value.as_ref().is_table(),
        }
    }
}

/// What a problem of the file as a whole points at.
fn first_line(text: &str) -> usize {
    text.find('\n').unwrap_or(text.len())
}

/// The bytes of the written string `raw` (with its quotes) that became the bytes `wanted` of its value.
fn raw_bytes(raw: &str, wanted: &Range<usize>) -> Option<Range<usize>> {
    let quote = raw.chars().next().filter(|c| *c == '"' || *c == '\'')?;
    let triple: String = [quote; 3].iter().collect();
    let is_long = raw.len() >= 6 && raw.starts_with(&triple);
    let (mut at, edge) = if is_long { (3, 3) } else { (1, 1) };
    if is_long {
        // A line break right after the opening quotes is not part of the value.
        at += raw[at..].len()
            - raw[at..].strip_prefix("\r\n").or(raw[at..].strip_prefix('\n')).unwrap_or(&raw[at..]).len();
    }
    let end = raw.len().checked_sub(edge)?;
    let (mut value, mut start) = (0, None);
    while at < end {
        if value >= wanted.start && start.is_none() {
            start = Some(at);
        }
        if value >= wanted.end && start.is_some() {
            break;
        }
        let (raw_length, value_length) = match raw[at..].strip_prefix('\\').filter(|_| quote == '"') {
            Some(escape) => escape_lengths(escape)?,
            None => raw[at..].chars().next().map(|c| (c.len_utf8(), c.len_utf8()))?,
        };
        at += raw_length;
        value += value_length;
    }
    start.map(|start| start..at.min(end))
}

/// How many bytes an escape takes (its backslash counted, `escape` is what follows it) and how many its value has.
fn escape_lengths(escape: &str) -> Option<(usize, usize)> {
    let digits = match escape.chars().next()? {
        'u' => 4,
        'U' => 8,
        'x' => 2,
        // A line that goes on: nothing until the next visible character.
        c if c.is_whitespace() => return Some((1 + escape.len() - escape.trim_start().len(), 0)),
        _ => return Some((2, 1)),
    };
    let code = u32::from_str_radix(escape.get(1..=digits)?, 16).ok()?;
    Some((digits + 2, char::from_u32(code)?.len_utf8()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, place: Place) -> Option<&str> {
        let table = DeTable::parse(text).unwrap();
        place.locate(&table, text).map(|range| &text[range])
    }

    #[test]
    fn values_keys_and_headers_are_found() {
        let text = "a = [1, 'x']\n[b.c]\nd = 'y'\n[[s]]\nn = 1\n[[s]]\nn = 2\n[e]\nf = { g = 1 }\n";
        assert_eq!(check(text, Place::of("a").index(1)), Some("'x'"));
        assert_eq!(check(text, Place::of("a").name()), Some("a"));
        assert_eq!(check(text, Place::of("b").key("c").key("d")), Some("'y'"));
        assert_eq!(check(text, Place::of("b").key("c")), Some("[b.c]"));
        assert_eq!(check(text, Place::of("b")), Some("b"));
        assert_eq!(check(text, Place::of("s").index(1)), Some("[[s]]"));
        assert_eq!(check(text, Place::of("s").index(1).key("n")), Some("2"));
        assert_eq!(check(text, Place::of("e").key("f")), Some("{ g = 1 }"));
        assert_eq!(check(text, Place::default()), Some("a = [1, 'x']"));
        assert_eq!(check(text, Place::of("nowhere")), None);
    }

    #[test]
    fn bytes_of_a_string_are_found_behind_escapes() {
        let bytes = |range| Place::of("a").bytes(range);
        assert_eq!(check("a = 'x{y}'", bytes(1..4)), Some("{y}"));
        assert_eq!(check(r#"a = "\t\u00e4{y}z""#, bytes(3..6)), Some("{y}"));
        assert_eq!(check("a = \"\"\"\nx{y}\"\"\"", bytes(1..4)), Some("{y}"));
        assert_eq!(check("a = \"\"\"x\\\n   {y}z\"\"\"", bytes(1..4)), Some("\\\n   {y}"));
        assert_eq!(check("a = 'x'", bytes(1..2)), None);
    }
}
