//! What `make -C xen xenversion` prints, from the assignments at the top of Xen's `xen/Makefile`. Reads nothing, runs nothing.

/// The version in the text of a `xen/Makefile`, if it says one: `4.21.0-rc`, `4.21-unstable`. `vendor` is what XEN_VENDORVERSION is.
/// Makefiles do not say the number of a candidate; `candidate` is that, where it is known.
pub fn xen_version(makefile: &str, vendor: &str, candidate: Option<&str>) -> Option<String> {
    let value = |wanted: &str| {
        makefile.lines().find_map(|line| {
            let (name, value) = line.strip_prefix("export ").unwrap_or(line).split_once('=')?;
            (name.trim_end_matches(['?', ':']).trim() == wanted).then(|| value.trim())
        })
    };
    let (major, minor, extra) = (value("XEN_VERSION")?, value("XEN_SUBVERSION")?, value("XEN_EXTRAVERSION")?);
    let (extra, is_vendors) = match extra.strip_suffix("$(XEN_VENDORVERSION)") {
        Some(extra) => (extra, true),
        None => (extra, false),
    };
    let number = candidate.filter(|_| extra.ends_with("-rc")).unwrap_or_default();
    let vendor = if is_vendors { vendor } else { "" };
    Some(format!("{major}.{minor}{extra}{number}{vendor}")).filter(|version| !version.contains('$'))
}

/// The number of a candidate in the name of a tag or in a version: `2` in `4.21.0-rc2`, `4.21.0~rc2-1` and `RELEASE-4.21.0-rc2`.
pub fn candidate(text: &str) -> Option<&str> {
    let (_, rest) = text.rsplit_once("-rc").or_else(|| text.rsplit_once("~rc"))?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    Some(&rest[..end]).filter(|number| !number.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_makefile_says_the_version_and_something_else_the_number_of_a_candidate() {
        let check = |extra: &str, candidate: Option<&str>, wanted: Option<&str>| {
            let text = format!(
                "# Xen\nexport XEN_VERSION       = 4\nexport XEN_SUBVERSION    = 21\nexport XEN_EXTRAVERSION ?= {extra}\n\
                 export XEN_FULLVERSION   = $(XEN_VERSION).$(XEN_SUBVERSION)$(XEN_EXTRAVERSION)\n"
            );
            assert_eq!(xen_version(&text, "-v.2", candidate).as_deref(), wanted);
        };
        check(".3$(XEN_VENDORVERSION)", None, Some("4.21.3-v.2"));
        check(".3", None, Some("4.21.3"));
        check("-unstable$(XEN_VENDORVERSION)", Some("2"), Some("4.21-unstable-v.2"));
        check(".0-rc$(XEN_VENDORVERSION)", Some("2"), Some("4.21.0-rc2-v.2"));
        check(".0-rc", None, Some("4.21.0-rc"));
        check(".0-rc3", Some("3"), Some("4.21.0-rc3"));
        check("$(shell date)", None, None);
        assert_eq!(xen_version("XEN_VERSION = 4\n", "", None), None);
    }

    #[test]
    fn tags_and_versions_of_debian_have_the_number_of_a_candidate() {
        let check = |text: &str, wanted: Option<&str>| assert_eq!(candidate(text), wanted, "{text}");
        check("4.21.0-rc2", Some("2"));
        check("RELEASE-4.21.0-rc11", Some("11"));
        check("4.20.0~rc4-1", Some("4"));
        check("4.20.0+rc", None);
        check("4.20.0-rc", None);
        check("RELEASE-4.20.0", None);
    }
}
