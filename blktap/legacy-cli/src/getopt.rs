//! Options as getopt(3) takes them: short, clustered, values attached or next, in any order with other arguments.
//! Knows syntax only.

use std::ffi::{OsStr, OsString};

use lexopt::Arg;

/// What a command line turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub struct Parsed {
    /// Options in order, as far as they were right.
    pub options: Vec<(char, Option<OsString>)>,
    /// How it ended.
    pub end: End,
}

impl Parsed {
    /// Whether the option was given.
    pub fn has(&self, letter: char) -> bool {
        self.options.iter().any(|&(given, _)| given == letter)
    }

    /// The value of the option, the last one if it was given more than once.
    pub fn value(&self, letter: char) -> Option<&OsStr> {
        let values = self.options.iter().filter(|&&(given, _)| given == letter);
        values.filter_map(|(_, value)| value.as_deref()).next_back()
    }

    /// The arguments that are no options.
    pub fn operands(&self) -> &[OsString] {
        match &self.end {
            End::Operands(operands) => operands,
            End::Done | End::LongHelp | End::Wrong(_) => &[],
        }
    }
}

/// How a command line ended. Options before the end count: `-h -Z` is a request for help, `-Z -h` is an error.
#[derive(Debug, PartialEq, Eq)]
pub enum End {
    /// All of it was options.
    Done,
    /// There were arguments that are no options.
    Operands(Vec<OsString>),
    /// There was `--help`.
    LongHelp,
    /// There was an option that is wrong: getopt's line for standard error.
    Wrong(String),
}

/// Parses the arguments after a command's name. `spec` is getopt's: letters, a colon after those that take a value.
pub fn parse(command: &str, spec: &str, arguments: &[OsString]) -> Parsed {
    let mut parser = lexopt::Parser::from_args(arguments);
    parser.set_short_equals(false);
    let mut options = Vec::new();
    let mut operands = Vec::new();
    let wrong = |what: &str, letter: char| End::Wrong(format!("{command}: {what} -- '{letter}'"));
    let end = loop {
        let letter = match parser.next() {
            Ok(None) if operands.is_empty() => break End::Done,
            Ok(None) => break End::Operands(operands),
            Ok(Some(Arg::Value(operand))) => {
                operands.push(operand);
                continue;
            }
            Ok(Some(Arg::Long("help"))) => break End::LongHelp,
            // getopt without long options reads `--x` as the option `-`.
            Ok(Some(Arg::Long(_))) | Err(_) => break wrong("invalid option", '-'),
            Ok(Some(Arg::Short(letter))) => letter,
        };
        match takes_value(spec, letter) {
            None => break wrong("invalid option", letter),
            Some(false) => options.push((letter, None)),
            Some(true) => match parser.value() {
                Ok(value) => options.push((letter, Some(value))),
                Err(_) => break wrong("option requires an argument", letter),
            },
        }
    };
    Parsed { options, end }
}

/// Whether the option takes a value; `None` when there is no such option.
fn takes_value(spec: &str, letter: char) -> Option<bool> {
    let at = spec.find(letter).filter(|_| letter != ':')?;
    Some(spec[at + letter.len_utf8()..].starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(arguments: &[&str], options: &[(char, Option<&str>)], end: End) {
        let arguments: Vec<OsString> = arguments.iter().map(OsString::from).collect();
        let options = options.iter().map(|&(letter, value)| (letter, value.map(OsString::from))).collect();
        assert_eq!(parse("query", "n:vs:h", &arguments), Parsed { options, end }, "{arguments:?}");
    }

    #[test]
    fn short_options_cluster_and_values_attach() {
        check(&["-vn", "x"], &[('v', None), ('n', Some("x"))], End::Done);
        check(&["-vnx"], &[('v', None), ('n', Some("x"))], End::Done);
        check(&["-n=x"], &[('n', Some("=x"))], End::Done);
        check(&["-n", "-v"], &[('n', Some("-v"))], End::Done);
        check(&["-n", "--", "-v"], &[('n', Some("--")), ('v', None)], End::Done);
    }

    #[test]
    fn other_arguments_do_not_end_the_options() {
        let operand = |text: &str| End::Operands(vec![text.into()]);
        check(&["x", "-v"], &[('v', None)], operand("x"));
        check(&["-v", "--", "-h"], &[('v', None)], operand("-h"));
        check(&["-"], &[], operand("-"));
    }

    #[test]
    fn wrong_options_end_the_options() {
        let wrong = |text: &str| End::Wrong(text.into());
        check(&["-vZh"], &[('v', None)], wrong("query: invalid option -- 'Z'"));
        check(&["-h", "-Z"], &[('h', None)], wrong("query: invalid option -- 'Z'"));
        check(&["--foo"], &[], wrong("query: invalid option -- '-'"));
        check(&["-n"], &[], wrong("query: option requires an argument -- 'n'"));
        check(&["-:"], &[], wrong("query: invalid option -- ':'"));
    }

    #[test]
    fn long_help_is_ours() {
        check(&["-v", "--help"], &[('v', None)], End::LongHelp);
    }

    #[test]
    fn the_last_value_counts() {
        let parsed = parse("query", "n:vs:h", &["-n", "x", "-v", "-n", "y", "z"].map(OsString::from));
        assert_eq!((parsed.has('v'), parsed.has('h'), parsed.has('n')), (true, false, true));
        assert_eq!((parsed.value('n'), parsed.value('s')), (Some(OsStr::new("y")), None));
        assert_eq!(parsed.operands(), ["z"]);
        assert!(parse("query", "v", &["-v".into()]).operands().is_empty());
    }
}
