//! How single words of a definition must be written: globs, paths, names of variables, tools and packages, URLs,
//! licences. Each function says what is wrong, or nothing.

/// A glob of files of a source, relative to its top.
pub(super) fn glob_fault(glob: &str) -> Option<&'static str> {
    if glob.is_empty() {
        return Some("it is empty");
    }
    if glob.starts_with('/') || glob.starts_with("./") {
        return Some("it is relative to the top of the source and starts with neither `/` nor `./`");
    }
    if glob.ends_with('/') {
        return Some("it names a directory; everything below it is `DIR/**`");
    }
    if glob.split('/').any(|part| part == ".." || part == "." || part.is_empty()) {
        return Some("it has a part that is `..`, `.` or empty");
    }
    let (mut braces, mut bytes) = (0_usize, glob.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b'\\' if bytes.next().is_none() => return Some("it ends with a lone `\\`"),
            b'[' if !bytes.any(|byte| byte == b']') => return Some("its `[` is not closed"),
            b'{' => braces += 1,
            b'}' => match braces.checked_sub(1) {
                Some(left) => braces = left,
                None => return Some("its `}` closes nothing"),
            },
            _ => {}
        }
    }
    (braces > 0).then_some("its `{` is not closed")
}

/// A path as it is installed.
pub(super) fn installed_fault(path: &str) -> Option<&'static str> {
    if !path.starts_with('/') {
        return Some("an installed path starts with `/`");
    }
    if path == "/" || path.ends_with('/') {
        return Some("it names a directory");
    }
    let is_plain = path.split('/').skip(1).all(|part| !part.is_empty() && part != "." && part != "..");
    (!is_plain).then_some("it has a part that is `..`, `.` or empty")
}

/// A path inside this repository or a source.
pub(super) fn relative_fault(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("it is empty");
    }
    if path.starts_with('/') {
        return Some("it starts with `/`");
    }
    let is_plain = path.split('/').all(|part| !part.is_empty() && part != "." && part != "..");
    (!is_plain).then_some("it has a part that is `..`, `.` or empty")
}

/// The name of an environment variable.
pub(super) fn env_fault(name: &str) -> Option<&'static str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts_well = name.chars().next().is_some_and(|c| !c.is_ascii_digit());
    (!starts_well || !name.chars().all(is_word)).then_some("letters, digits and `_`, not starting with a digit")
}

/// The name of a program, to be found in the sandbox's PATH.
pub(super) fn tool_fault(name: &str) -> Option<&'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
    (name.is_empty() || !name.chars().all(is_plain)).then_some("the name of a program, without a directory")
}

/// The name of a distribution's package. Package managers take more than names there: options, and `NAME-` to remove
/// one.
pub(super) fn package_fault(name: &str) -> Option<&'static str> {
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        return Some("a package name starts with a letter or digit");
    }
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.+:@".contains(c);
    let is_name = name.chars().all(is_plain) && !name.ends_with(['-', ':', '.']);
    (!is_name).then_some("a package name is letters, digits, `-`, `_`, `.`, `+`, `:`, `@`")
}

/// An address that a source is fetched from: a URL, `host:path` or a directory.
pub(super) fn url_fault(url: &str) -> Option<&'static str> {
    if url.is_empty() {
        return Some("it is empty");
    }
    if url.starts_with('-') || url.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Some("a URL has no blanks and does not start with `-`");
    }
    let is_word = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
    let helper = url.split_once("::").filter(|(helper, _)| is_word(helper));
    helper.map(|_| "helpers of git (`helper::address`) run programs and are not taken")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs() {
        for good in ["**", "xen/**", "a/*.c", "a/{b,c}/d", "a/[ab]?", "a\\{b"] {
            assert_eq!(glob_fault(good), None, "{good}");
        }
        for bad in ["", "/a", "./a", "a/", "a/../b", "a//b", "a/[b", "a/{b", "a}b", "a\\"] {
            assert!(glob_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn paths() {
        assert_eq!(installed_fault("/usr/lib/xen/boot/seabios.bin"), None);
        for bad in ["", "/", "usr/bin/a", "/usr/../a", "/usr//a", "/usr/a/", "/./a"] {
            assert!(installed_fault(bad).is_some(), "{bad}");
        }
        assert_eq!(relative_fault("components/a/0001-x.patch"), None);
        for bad in ["", "/a", "../a", "a/./b"] {
            assert!(relative_fault(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn words() {
        assert!(env_fault("XEN_WHOAMI").is_none() && env_fault("_a1").is_none());
        assert!(env_fault("").is_some() && env_fault("1A").is_some() && env_fault("A-B").is_some());
        assert!(tool_fault("g++").is_none() && tool_fault("/bin/cc").is_some() && tool_fault("").is_some());
    }

    #[test]
    fn packages_and_urls() {
        for good in ["g++", "libstdc++-12-dev", "libc6:i386", "7zip", "gtk+3.0"] {
            assert_eq!(package_fault(good), None, "{good}");
        }
        for bad in ["", "mawk-", "-o", "a b", "a=1", "a/stable", "--root", "a;b"] {
            assert!(package_fault(bad).is_some(), "{bad}");
        }
        for good in ["https://x/y.git", "git@host:path", "../sibling", "file:///x", "http://[::1]:80/x"] {
            assert_eq!(url_fault(good), None, "{good}");
        }
        for bad in ["", "-x", "https://x y", "ext::sh -c x", "ext::sh"] {
            assert!(url_fault(bad).is_some(), "{bad}");
        }
    }
}
