//! Lines of JSON for machines: objects of strings, numbers, booleans and lists. Knows syntax only.

use std::fmt::{self, Display, Write};
use std::path::Path;

/// An object in one line.
#[derive(Debug, Default)]
pub(crate) struct Object(String);

impl Object {
    /// Adds a member whose value is JSON already: a number, a boolean, a nested value.
    pub(crate) fn raw(mut self, name: &str, value: impl Display) -> Self {
        let comma = if self.0.is_empty() { "" } else { "," };
        self.0.push_str(&format!("{comma}\"{name}\":{value}"));
        self
    }

    /// Adds a text.
    pub(crate) fn text(self, name: &str, value: &str) -> Self {
        let value = quoted(value);
        self.raw(name, value)
    }

    /// Adds a path. What is not UTF-8 in it is replaced, for JSON cannot carry it.
    pub(crate) fn path(self, name: &str, value: &Path) -> Self {
        self.text(name, &value.to_string_lossy())
    }
}

impl Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{}}}", self.0)
    }
}

/// A list of values.
pub(crate) fn list(values: impl IntoIterator<Item = Object>) -> String {
    let values: Vec<String> = values.into_iter().map(|value| value.to_string()).collect();
    format!("[{}]", values.join(","))
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for letter in text.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            control if control < ' ' => {
                write!(quoted, "\\u{:04x}", u32::from(control)).expect("a String takes all that is written");
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_escaped() {
        let object = Object::default().text("a", "q\" b\\ n\n é").raw("n", 7).raw("l", list([Object::default()]));
        assert_eq!(object.to_string(), r#"{"a":"q\" b\\ n\u000a é","n":7,"l":[{}]}"#);
    }
}
