//! Package URLs, as <https://github.com/package-url/purl-spec> has them: how scanners of vulnerabilities know a part.

/// A part of one, with what has a meaning there as `%XX`.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' => quoted.push(char::from(byte)),
            _ => quoted.push_str(&format!("%{byte:02X}")),
        }
    }
    quoted
}

/// A crate.
pub(super) fn cargo(name: &str, version: &str) -> String {
    format!("pkg:cargo/{}@{}", quoted(name), quoted(version))
}

/// A Debian source package; Ubuntu says so in its versions.
pub(super) fn debian_source(package: &str, version: &str) -> String {
    let vendor = if version.contains("ubuntu") { "ubuntu" } else { "debian" };
    format!("pkg:deb/{vendor}/{}@{}?arch=source", quoted(package), quoted(version))
}

/// An installed package of a distribution.
pub(super) fn installed(kind: &str, vendor: &str, package: &str, version: &str) -> String {
    format!("pkg:{kind}/{}/{}@{}", quoted(vendor), quoted(package), quoted(version))
}

/// A commit of a repository.
pub(super) fn git(name: &str, url: &str, commit: &str) -> String {
    let path = url.strip_prefix("https://github.com/").map(|path| path.trim_end_matches('/').trim_end_matches(".git"));
    match path.and_then(|path| path.split_once('/')).filter(|(_, repository)| !repository.contains('/')) {
        Some((owner, repository)) => {
            // Case does not count there, and the lower one is wanted.
            let [owner, repository] = [owner, repository].map(|text| quoted(&text.to_ascii_lowercase()));
            format!("pkg:github/{owner}/{repository}@{commit}")
        }
        None => format!("pkg:generic/{}@{commit}?vcs_url={}", quoted(name), quoted(&format!("git+{url}@{commit}"))),
    }
}

/// A file from an address.
pub(super) fn file(name: &str, url: &str, sha256: &str) -> String {
    format!("pkg:generic/{}?checksum=sha256:{sha256}&download_url={}", quoted(name), quoted(url))
}

/// What has no home but this repository.
pub(super) fn generic(name: &str, version: &str) -> String {
    format!("pkg:generic/{}@{}", quoted(name), quoted(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_else_is_quoted() {
        assert_eq!(debian_source("qemu", "1:7.2+dfsg-7"), "pkg:deb/debian/qemu@1:7.2%2Bdfsg-7?arch=source");
        assert_eq!(git("x", "https://github.com/Xapi/Blktap.git", "ab"), "pkg:github/xapi/blktap@ab");
        assert_eq!(
            git("xen", "https://xenbits.xen.org/xen.git", "ab"),
            "pkg:generic/xen@ab?vcs_url=git%2Bhttps:%2F%2Fxenbits.xen.org%2Fxen.git%40ab"
        );
    }
}
