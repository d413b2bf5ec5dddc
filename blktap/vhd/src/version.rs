//! Version numbers of the format: major and minor in 16 bits each.

use std::fmt;

/// A version as images store it, major number in the high half.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// Major number.
    pub major: u16,
    /// Minor number.
    pub minor: u16,
}

impl Version {
    /// The version `major.minor`.
    pub const fn new(major: u16, minor: u16) -> Self {
        Version { major, minor }
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl From<u32> for Version {
    fn from(packed: u32) -> Self {
        let [a, b, c, d] = packed.to_be_bytes();
        Version::new(u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]))
    }
}

impl From<Version> for u32 {
    fn from(version: Version) -> Self {
        u32::from(version.major) << 16 | u32::from(version.minor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(packed: u32, major: u16, minor: u16) {
        assert_eq!(Version::from(packed), Version::new(major, minor));
        assert_eq!(u32::from(Version::new(major, minor)), packed);
    }

    #[test]
    fn packs_major_above_minor() {
        check(0x0001_0003, 1, 3);
        check(1, 0, 1);
        check(u32::MAX, 0xffff, 0xffff);
    }
}
