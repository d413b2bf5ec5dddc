//! Numbers as `read` prints them: decimal, or hexadecimal as printf's `%#x` has it.

use std::fmt;

/// How numbers are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Radix {
    #[default]
    Decimal,
    Hex,
}

impl Radix {
    /// The number, ready to be printed.
    pub(crate) fn show(self, value: impl Into<u64>) -> Number {
        Number { value: value.into(), radix: self }
    }
}

/// A number and how it is written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number {
    value: u64,
    radix: Radix,
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.radix, self.value) {
            // printf puts `0x` before every number but this one.
            (Radix::Decimal, _) | (Radix::Hex, 0) => self.value.fmt(f),
            (Radix::Hex, value) => write!(f, "{value:#x}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(radix: Radix, value: u64, expected: &str) {
        assert_eq!(radix.show(value).to_string(), expected);
    }

    #[test]
    fn numbers_are_those_of_printf() {
        check(Radix::Decimal, 0, "0");
        check(Radix::Decimal, u64::MAX, "18446744073709551615");
        check(Radix::Hex, 0, "0");
        check(Radix::Hex, 1, "0x1");
        check(Radix::Hex, u64::MAX, "0xffffffffffffffff");
    }
}
