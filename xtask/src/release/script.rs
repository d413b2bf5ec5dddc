//! `sultana/BUILDING` read again, as a person does who builds from it: the line for cargo xtask, and the shell script of its second part.

use super::building::{BY_HAND, WITH_XTASK};
use crate::error::{Error, Result};

/// What it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Builds everything with cargo xtask, at the top of the archive.
    pub with_xtask: String,
    /// What stands before the commands of all components.
    head: String,
    /// The commands of each component, in order.
    parts: Vec<(String, String)>,
}

impl Script {
    /// Reads it.
    pub fn read(text: &str) -> Result<Self> {
        let lacks = |what: &str| Error::input(format!("`BUILDING` of the archive has no {what}"));
        let (_, rest) = text.split_once(WITH_XTASK).ok_or_else(|| lacks("commands for cargo xtask"))?;
        let (with_xtask, by_hand) = rest.split_once(BY_HAND).ok_or_else(|| lacks("commands by hand"))?;
        let with_xtask: Vec<&str> = with_xtask.lines().filter_map(command).collect();
        if with_xtask.is_empty() {
            return Err(lacks("commands for cargo xtask"));
        }
        let (mut head, mut parts) = (String::new(), Vec::<(String, String)>::new());
        // A paragraph that is no command says whose the next are.
        let mut whose = None;
        for line in by_hand.lines() {
            match (command(line), &mut parts.last_mut()) {
                (Some(command), _) if whose.is_some() => {
                    parts.push((whose.take().unwrap_or_default(), format!("{command}\n")));
                }
                (Some(command), Some((_, part))) => part.push_str(&format!("{command}\n")),
                (Some(command), None) => head.push_str(&format!("{command}\n")),
                (None, _) => {
                    let named = line.split_once(": ").map(|(name, _)| name).filter(|name| !name.contains(' '));
                    whose = named.map(str::to_owned).or(whose);
                }
            }
        }
        if parts.is_empty() {
            return Err(lacks("commands by hand"));
        }
        Ok(Script { with_xtask: with_xtask.join("\n"), head, parts })
    }

    /// The script of each component, which can be run by itself after those before it.
    pub fn by_hand(&self) -> impl ExactSizeIterator<Item = (&str, String)> {
        self.parts.iter().map(|(name, part)| (&name[..], format!("{}{part}", self.head)))
    }
}

fn command(line: &str) -> Option<&str> {
    line.strip_prefix("    ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_those_of_a_person_who_pastes_them() {
        let text = format!(
            "Building x-1\n\n    sha256sum\n\n{WITH_XTASK}\n\nNeeds Rust: new.\n\n    cd sultana\n\n{BY_HAND}\n\nTOP is where.\n\n    \
             export TOP\n    umask 022\n\na: what it is: this\n\n    (\n    make\n    )\n\nb is built by a.\n\nc: other\n\n    (\n    )\n"
        );
        let script = Script::read(&text).unwrap();
        assert_eq!(script.with_xtask, "cd sultana");
        let parts: Vec<_> = script.by_hand().collect();
        assert_eq!(parts[0], ("a", "export TOP\numask 022\n(\nmake\n)\n".to_owned()));
        assert_eq!(parts[1], ("c", "export TOP\numask 022\n(\n)\n".to_owned()));
        assert!(Script::read("nothing").unwrap_err().report().contains("no commands for cargo xtask"));
    }
}
