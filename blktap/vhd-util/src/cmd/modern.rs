//! Options of the commands that blktap never had: short and long ones, and errors that teach. Knows syntax only.

use std::ffi::{OsStr, OsString};

use lexopt::{Arg, Parser};

use crate::report::EINVAL;
use crate::terminal::Terminal;

/// Why a command line is no run, for people.
pub(super) struct Misuse(String);

impl From<lexopt::Error> for Misuse {
    fn from(error: lexopt::Error) -> Self {
        Misuse(error.to_string())
    }
}

/// Takes the value of an option.
pub(super) struct Value<'a> {
    option: String,
    parser: &'a mut Parser,
}

impl Value<'_> {
    pub(super) fn any(&mut self) -> Result<OsString, Misuse> {
        Ok(self.parser.value()?)
    }

    /// One of these words.
    pub(super) fn one_of<T: Copy>(&mut self, words: &[(&str, T)]) -> Result<T, Misuse> {
        let word = self.any()?;
        let found = words.iter().find(|(name, _)| OsStr::new(name) == word).map(|&(_, value)| value);
        found.ok_or_else(|| {
            let names: Vec<_> = words.iter().map(|&(name, _)| name).collect();
            Misuse(format!("{} is `{}`, not one of {}", self.option, word.display(), names.join(", ")))
        })
    }

    pub(super) fn number(&mut self) -> Result<u64, Misuse> {
        let text = self.any()?;
        let number = text.to_str().and_then(|text| text.parse().ok());
        number.ok_or_else(|| Misuse(format!("{} is `{}`, not a whole number", self.option, text.display())))
    }
}

/// Calls `take` with each option. The exit status of a command line that is no run, which is told.
pub(super) fn parse(
    command: &str,
    help: &str,
    arguments: &[OsString],
    terminal: &mut Terminal,
    mut take: impl FnMut(Arg<'_>, &mut Value<'_>) -> Result<(), Misuse>,
) -> Option<i32> {
    let mut parser = Parser::from_args(arguments);
    loop {
        let option = match parser.next() {
            Ok(None) => return None,
            Ok(Some(Arg::Long("help") | Arg::Short('h'))) => {
                terminal.print(help);
                return Some(0);
            }
            Ok(Some(Arg::Short(letter))) => Owned::Short(letter),
            Ok(Some(Arg::Long(name))) => Owned::Long(name.to_owned()),
            Ok(Some(Arg::Value(value))) => {
                return Some(misused(command, &format!("`{}` is no option", value.display()), terminal));
            }
            Err(error) => return Some(misused(command, &error.to_string(), terminal)),
        };
        let mut value = Value { option: option.text(), parser: &mut parser };
        if let Err(Misuse(why)) = take(option.as_arg(), &mut value) {
            return Some(misused(command, &why, terminal));
        }
    }
}

/// An option that does not hold on to the parser, from which its value is still to be taken.
enum Owned {
    Short(char),
    Long(String),
}

impl Owned {
    fn text(&self) -> String {
        match self {
            Owned::Short(letter) => format!("-{letter}"),
            Owned::Long(name) => format!("--{name}"),
        }
    }

    fn as_arg(&self) -> Arg<'_> {
        match self {
            Owned::Short(letter) => Arg::Short(*letter),
            Owned::Long(name) => Arg::Long(name),
        }
    }
}

/// Tells that a command was called wrongly; returns the exit status.
pub(super) fn misused(command: &str, why: &str, terminal: &mut Terminal) -> i32 {
    terminal.say(format_args!("error: {why}"));
    terminal.help(format_args!("vhd-util {command} --help"));
    EINVAL
}
