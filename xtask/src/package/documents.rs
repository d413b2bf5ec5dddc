//! What stands in a package's directory of documents: what it is, under which licence, from which source.

use std::io::Write;

use super::{Format, Package};

/// Who answers for packages when nobody is named.
pub const MAINTAINER: &str = "Sultana <sultana@localhost>";

/// Names and contents of the files of `/usr/share/doc/NAME`.
pub fn documents(package: &Package, format: Format, maintainer: &str) -> Vec<(String, Vec<u8>)> {
    let mut documents = vec![("copyright".to_owned(), copyright(package).into_bytes())];
    if format == Format::Deb {
        let changelog = changelog(package, maintainer);
        documents.push(("changelog.Debian.gz".to_owned(), gzip(changelog.as_bytes())));
    }
    documents
}

/// Adds them to the package's files.
pub fn add(package: &mut Package, prefix: &str, format: Format, maintainer: &str) {
    let dir = format!("{}/share/doc/{}", prefix.trim_start_matches('/'), package.name);
    for (name, bytes) in documents(package, format, maintainer) {
        package.add(format!("{dir}/{name}"), bytes);
    }
}

/// In the form that programs can read (DEP-5).
fn copyright(package: &Package) -> String {
    let Package { component, homepage, licence, .. } = package;
    // DEP-5 has its own words for what SPDX writes with capitals.
    let licence = licence.replace(" AND ", " and ").replace(" OR ", " or ").replace(" WITH ", " with ");
    let mut texts: Vec<&str> = COMMON.iter().filter(|(id, _)| licence.contains(id)).map(|(_, text)| *text).collect();
    texts.dedup();
    let texts = match texts.is_empty() {
        true => " The text stands in the source.\n".to_owned(),
        false => {
            let lines: String = texts.iter().map(|text| format!(" /usr/share/common-licenses/{text}\n")).collect();
            format!(" On Debian systems the texts are in\n{lines}")
        }
    };
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: {component}\n\
         Source: {homepage}\n\n\
         Files: *\n\
         Copyright: the authors that the source names, {homepage}\n\
         License: {licence}\n{texts}"
    )
}

/// Texts that every Debian system has.
const COMMON: [(&str, &str); 6] = [
    ("Apache-2.0", "Apache-2.0"),
    ("GPL-2.0", "GPL-2"),
    ("LGPL-2.1", "LGPL-2.1"),
    ("LGPL-2.0", "LGPL-2"),
    ("LGPL-3.0", "LGPL-3"),
    ("GPL-3.0", "GPL-3"),
];

fn changelog(package: &Package, maintainer: &str) -> String {
    let Package { component, version, .. } = package;
    format!(
        "{component} ({}) unstable; urgency=medium\n\n  * Made by Sultana from {component} {}.\n\n -- {maintainer}  {}\n",
        version.deb(),
        version.upstream,
        date(package.epoch)
    )
}

/// `Tue, 02 Jan 1980 00:00:00 +0000`.
fn date(epoch: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(epoch);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    let day = DAYS[usize::try_from(epoch / 86_400 % 7).unwrap_or(0)];
    let month = text[5..7].parse::<usize>().map_or("Jan", |month| MONTHS[(month - 1) % 12]);
    format!("{day}, {} {month} {} {} +0000", &text[8..10], &text[..4], &text[11..19])
}

/// Without a name or a time in it.
pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::GzBuilder::new().mtime(0).write(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).and_then(|()| encoder.finish()).expect("a vector takes everything")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_mail() {
        assert_eq!(date(315_619_200), "Wed, 02 Jan 1980 00:00:00 +0000");
        assert_eq!(date(1_669_413_137), "Fri, 25 Nov 2022 21:52:17 +0000");
    }
}
