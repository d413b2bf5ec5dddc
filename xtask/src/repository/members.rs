//! The members of a package as deb(5) has them: an ar archive of the common form, without the names that its dialects put elsewhere.
//! Reads what anybody may have written, so every number is checked before it is used.

use std::io;

use crate::definition::LAST_EPOCH;

/// A file in a package.
pub(super) struct Member<'a> {
    pub(super) name: &'a str,
    /// Seconds since 1970.
    pub(super) time: u64,
    pub(super) bytes: &'a [u8],
}

/// All of them, in their order.
pub(super) fn members(package: &[u8]) -> io::Result<Vec<Member<'_>>> {
    let invalid = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    let mut rest = package.strip_prefix(b"!<arch>\n").ok_or_else(|| invalid("it is no ar archive".to_owned()))?;
    let mut members = Vec::new();
    while !rest.is_empty() {
        let at = package.len() - rest.len();
        let broken = |what: &str| invalid(format!("the member at byte {at} has {what}"));
        let (header, behind) = rest.split_at_checked(60).ok_or_else(|| broken("no whole header"))?;
        let text = |from: usize, to: usize| str::from_utf8(&header[from..to]).map(str::trim_end).unwrap_or_default();
        let number = |from, to| text(from, to).parse::<u64>().ok();
        let name = text(0, 16);
        if name.is_empty() || name.starts_with('/') || name.starts_with("#1/") {
            return Err(broken(&format!("the name `{name}`, which no package has")));
        }
        let time = number(16, 28).filter(|time| *time <= LAST_EPOCH).ok_or_else(|| broken("a time that is no date"))?;
        let size = number(48, 58).and_then(|size| usize::try_from(size).ok());
        let (bytes, behind) = size
            .and_then(|size| behind.split_at_checked(size))
            .ok_or_else(|| broken("a size that is not that of what follows"))?;
        members.push(Member { name: name.strip_suffix('/').unwrap_or(name), time, bytes });
        // Each begins at an even place.
        rest = behind.get(bytes.len() % 2..).unwrap_or_default();
    }
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(name: &str, time: &str, bytes: &[u8]) -> Vec<u8> {
        let header = format!("!<arch>\n{name:<16}{time:<12}0     0     100644  {:<10}`\n", bytes.len());
        [header.as_bytes(), bytes].concat()
    }

    #[test]
    fn members_have_names_times_and_contents() {
        let two =
            [archive("debian-binary/", "7", b"2.0"), b"\n".to_vec(), archive("x", "253402300799", b"")[8..].to_vec()];
        let two = two.concat();
        let found: Vec<_> = members(&two).unwrap().iter().map(|one| (one.name, one.time, one.bytes.len())).collect();
        assert_eq!(found, [("debian-binary", 7, 3), ("x", LAST_EPOCH, 0)]);
    }

    #[test]
    fn what_is_no_package_is_an_error() {
        let check = |bytes: &[u8], why: &str| {
            let error = members(bytes).err().unwrap().to_string();
            assert!(error.contains(why), "{error}");
        };
        check(b"", "it is no ar archive");
        check(&archive("x", "7", b"12")[..50], "the member at byte 8 has no whole header");
        check(&archive("x", "7", b"12")[..69], "a size that is not that of what follows");
        check(&archive("x", "seven", b""), "a time that is no date");
        check(&archive("x", "253402300800", b""), "a time that is no date");
        for name in ["/5", "//", "#1/999999999", ""] {
            check(&archive(name, "7", b""), &format!("the name `{name}`, which no package has"));
        }
    }
}
