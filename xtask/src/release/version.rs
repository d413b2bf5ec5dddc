//! What a release is called, by Xen's own rules: `xen/Makefile` says the version, candidate, `-unstable` or vendor's suffix included; a
//! tag (or the distribution's version) says which candidate, as `git describe` would; a commit that is no tag adds its name. Only what the lock says counts, so that every machine finds the same name: `git describe`
//! would depend on how much history a checkout has.

use crate::definition::{Origin, Pin};
use crate::package::documents;
use crate::xen_version::{candidate, xen_version};

/// The version of the source at the top of an archive. `makefile` is the text of its `xen/Makefile`, if it has one; `vendor` is what
/// XEN_VENDORVERSION is for this build.
pub fn version(makefile: Option<&str>, vendor: &str, origin: &Origin, pin: Option<&Pin>) -> String {
    let commit = pin.and_then(|pin| pin.commit.as_ref()).map(|commit| &commit.as_str()[..12]);
    let tag = if let Origin::Git(git) = origin { git.tag.as_deref() } else { None };
    let named = tag.or_else(|| pin.and_then(|pin| pin.version.as_deref()));
    match (makefile.and_then(|text| xen_version(text, vendor, named.and_then(candidate))), commit) {
        (Some(version), Some(commit)) if tag.is_none() => format!("{version}-g{commit}"),
        (Some(version), _) => version,
        (None, Some(commit)) => format!("g{commit}"),
        (None, None) => match pin {
            Some(Pin { version: Some(version), .. }) => version.split_once(':').map_or(&version[..], |it| it.1).into(),
            Some(pin) => pin.tree.to_string()[..12].to_owned(),
            None => "0".to_owned(),
        },
    }
}

/// `Thu Nov 13 16:58:23 2025 +0000 git:0123456789ab`, as Xen's `scmversion` has it of a git tree, but always in UTC and with so many digits;
/// what `xl info` shows has place for 63 characters. Nothing for what is neither a commit nor a version of a distribution.
pub fn changeset(pin: &Pin) -> String {
    let what = match (&pin.commit, &pin.version) {
        (Some(commit), _) => format!("git:{}", &commit.as_str()[..12]),
        (None, Some(version)) => format!("deb:{version}"),
        (None, None) => return String::new(),
    };
    let mail = documents::date(pin.epoch);
    let words: Vec<&str> = mail.split([',', ' ']).filter(|word| !word.is_empty()).collect();
    let [weekday, day, month, year, clock, zone] = words[..] else { return what };
    format!("{weekday} {month} {} {clock} {year} {zone} {what}", day.trim_start_matches('0'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Git;

    fn pin() -> Pin {
        let commit = "0123456789abcdef0123456789abcdef01234567".to_owned();
        Pin {
            commit: Some(commit.try_into().unwrap()),
            signed_tag: None,
            version: None,
            tree: crate::digest::Digest::of(b"").hash,
            epoch: 0,
            files: Vec::new(),
            submodules: Vec::new(),
        }
    }

    #[test]
    fn a_changeset_is_date_and_revision_as_git_and_xen_write_them() {
        assert_eq!(changeset(&Pin { epoch: 1_762_387_200, ..pin() }), "Thu Nov 6 00:00:00 2025 +0000 git:0123456789ab");
        let debian =
            Pin { commit: None, version: Some("4.17.5+72-g01140da4e8-1".into()), epoch: 1_763_053_103, ..pin() };
        assert_eq!(changeset(&debian), "Thu Nov 13 16:58:23 2025 +0000 deb:4.17.5+72-g01140da4e8-1");
        assert_eq!(changeset(&Pin { commit: None, ..pin() }), "");
    }

    fn check(extra: &str, vendor: &str, git: Git, wanted: &str) {
        let text = format!(
            "export XEN_VERSION       = 4\nexport XEN_SUBVERSION    = 21\nexport XEN_EXTRAVERSION ?= {extra}$(XEN_VENDORVERSION)\n\
             export XEN_FULLVERSION   = $(XEN_VERSION).$(XEN_SUBVERSION)$(XEN_EXTRAVERSION)\n"
        );
        assert_eq!(version(Some(&text), vendor, &Origin::Git(git), Some(&pin())), wanted);
    }

    #[test]
    fn releases_candidates_and_branches_have_the_names_that_xen_gives_them() {
        let tag = |tag: &str| Git { tag: Some(tag.into()), ..Git::default() };
        let branch = || Git { branch: Some("staging".into()), ..Git::default() };
        check(".0", "", tag("RELEASE-4.21.0"), "4.21.0");
        check(".3", "-vendor.2", tag("RELEASE-4.21.3"), "4.21.3-vendor.2");
        check(".0-rc", "", tag("4.21.0-rc2"), "4.21.0-rc2");
        check(".0-rc", "-v.1", tag("RELEASE-4.21.0-rc10"), "4.21.0-rc10-v.1");
        check(".0-rc", "", branch(), "4.21.0-rc-g0123456789ab");
        check("-unstable", "", branch(), "4.21-unstable-g0123456789ab");
        check(".4-pre", "", branch(), "4.21.4-pre-g0123456789ab");
    }
}
