//! Addresses of repositories. Pure.

use crate::digest::Digest;
use crate::layout::Layout;

/// Plain paths of a definition are relative to the repository's root; everything else stays.
pub(super) fn absolute(layout: &Layout, urls: &[String]) -> Vec<String> {
    let absolute = |url: &String| {
        if is_plain_path(url) { layout.root.join(url).to_string_lossy().into_owned() } else { url.clone() }
    };
    urls.iter().map(absolute).collect()
}

/// A path, neither `scheme://…` nor `host:path`, by git's own rule: a colon before the first slash is a host's.
fn is_plain_path(url: &str) -> bool {
    url.find(':').is_none_or(|colon| url.find('/').is_some_and(|slash| slash < colon))
}

/// On this machine.
pub(super) fn is_local(url: &str) -> bool {
    is_plain_path(url) || url.starts_with("file://")
}

/// A directory name for a repository's mirror: readable, and no two repositories have the same.
pub(super) fn mirror_name(url: &str) -> String {
    let url = url.trim_end_matches('/');
    let readable = url.rsplit(['/', ':']).find(|part| !part.is_empty() && *part != ".git").unwrap_or("repository");
    let readable = readable.strip_suffix(".git").unwrap_or(readable);
    let readable: String =
        readable.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).take(40).collect();
    let readable = readable.trim_start_matches('.');
    format!(
        "{}-{}.git",
        if readable.is_empty() { "repository" } else { readable },
        &Digest::of(url.as_bytes()).short()[..8]
    )
}

/// A submodule's address: as it is, or relative to its superproject's as git-submodule(1) says. `Err` says why it is not used.
pub(super) fn submodule(superproject: &str, url: &str) -> Result<String, String> {
    if url.is_empty() || url.starts_with('-') || url.contains("::") || url.chars().any(char::is_control) {
        return Err(format!("`{url}` is not an address that is fetched from"));
    }
    if !url.starts_with("./") && !url.starts_with("../") {
        // A repository from the network must not make us read what is on this machine.
        return if is_local(url) && !is_local(superproject) {
            Err(format!("`{url}` is on this machine, but its superproject is not"))
        } else {
            Ok(url.to_owned())
        };
    }
    let mut base = superproject.trim_end_matches('/');
    let mut rest = url;
    loop {
        if let Some(after) = rest.strip_prefix("../") {
            let cut = base.rfind(['/', ':']).filter(|cut| !base[..*cut].ends_with(":/") && !base[..*cut].is_empty());
            let cut = cut.ok_or_else(|| format!("`{url}` leads out of `{superproject}`"))?;
            base = &base[..cut + usize::from(base.as_bytes()[cut] == b':')];
            rest = after;
        } else if let Some(after) = rest.strip_prefix("./") {
            rest = after;
        } else {
            break;
        }
    }
    let separator = if base.ends_with(':') { "" } else { "/" };
    Ok(format!("{base}{separator}{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_have_readable_names_that_differ() {
        let (one, other) = (mirror_name("https://a/qemu-xen.git"), mirror_name("https://b/qemu-xen.git"));
        assert!(one.starts_with("qemu-xen-") && one.ends_with(".git") && one != other, "{one} {other}");
        assert_eq!(mirror_name("https://a/x.git/"), mirror_name("https://a/x.git"));
        assert!(mirror_name("host:../..").starts_with("repository-"));
        assert!(mirror_name("/srv/foo/.git").starts_with("foo-"));
    }

    #[test]
    fn submodules_are_found_relative_to_their_superproject() {
        let check = |base: &str, url: &str| submodule(base, url).ok();
        assert_eq!(check("https://h/a/b.git", "../c.git").as_deref(), Some("https://h/a/c.git"));
        assert_eq!(check("https://h/a/b.git/", "../../c.git").as_deref(), Some("https://h/c.git"));
        assert_eq!(check("me@h:a/b.git", "../c.git").as_deref(), Some("me@h:a/c.git"));
        assert_eq!(check("me@h:b.git", "../c.git").as_deref(), Some("me@h:c.git"));
        assert_eq!(check("/srv/b", "./c").as_deref(), Some("/srv/b/c"));
        assert_eq!(check("https://h/a", "https://other/x").as_deref(), Some("https://other/x"));
    }

    #[test]
    fn submodules_cannot_name_what_they_should_not() {
        for url in ["--upload-pack=evil", "ext::sh -c evil", "/etc", "file:///etc", "", "../../../../x"] {
            assert!(submodule("https://h/a/b.git", url).is_err(), "{url}");
        }
        assert!(submodule("/srv/a", "/srv/b").is_ok());
    }

    #[test]
    fn plain_paths_are_told_from_hosts() {
        assert!(is_plain_path("../x") && is_plain_path("/a:b") && is_plain_path("x/y:z"));
        assert!(!is_plain_path("host:x") && !is_plain_path("https://h/x"));
    }
}
