//! What stands in a package's directory of documents: what it is, under which licence, from which source.

use std::io::Write;

use super::licences::Licences;
use super::{Format, Package};
use crate::definition::LAST_EPOCH;

/// Who answers for packages when nobody is named.
pub const MAINTAINER: &str = "Sultana <sultana@localhost>";

/// The package's directory of documents.
pub fn dir(package: &Package, prefix: &str) -> String {
    format!("{}/share/doc/{}", prefix.trim_start_matches('/'), package.name)
}

/// Adds them to the package's files.
pub fn add(package: &mut Package, prefix: &str, format: Format, maintainer: &str, licences: &Licences) {
    let dir = dir(package, prefix);
    let texts = licences.collected(&package.components, format == Format::Deb);
    let copyright = copyright(package, &texts).into_bytes();
    match format {
        Format::Deb => {
            package.add(format!("{dir}/changelog.Debian.gz"), gzip(changelog(package, maintainer).as_bytes()));
            package.add(format!("{dir}/copyright"), copyright);
        }
        Format::Rpm => package.add(dir.replace("/share/doc/", "/share/licenses/") + "/copyright", copyright),
        Format::Tar => package.add(format!("{dir}/copyright"), copyright),
    }
}

/// In the form that programs can read (DEP-5).
fn copyright(package: &Package, texts: &str) -> String {
    let Package { component, homepage, licence, .. } = package;
    // DEP-5 has its own words for what SPDX writes with capitals.
    let licence = licence.replace(" AND ", " and ").replace(" OR ", " or ").replace(" WITH ", " with ");
    let mut lines = String::new();
    for line in texts.trim_end().lines().map(str::trim_end) {
        lines.push_str(if line.is_empty() { " ." } else { " " });
        lines.push_str(line);
        lines.push('\n');
    }
    format!(
        "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\
         Upstream-Name: {component}\n\
         Source: {homepage}\n\n\
         Files: *\n\
         Copyright: the authors that the source names, {homepage}\n\
         License: {licence}\n{lines}"
    )
}

fn changelog(package: &Package, maintainer: &str) -> String {
    let Package { component, version, .. } = package;
    format!(
        "{component} ({}) unstable; urgency=medium\n\n  * Made by Sultana from {component} {}.\n\n -- {maintainer}  {}\n",
        version.deb(),
        version.upstream,
        date(package.epoch)
    )
}

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// `Tue, 02 Jan 1980 00:00:00 +0000`.
pub fn date(epoch: u64) -> String {
    const DAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let epoch = epoch.min(LAST_EPOCH);
    let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(epoch);
    let text = humantime::format_rfc3339_seconds(time).to_string();
    let day = DAYS[usize::try_from(epoch / 86_400 % 7).unwrap_or(0)];
    let month = text[5..7].parse::<usize>().map_or("Jan", |month| MONTHS[(month - 1) % 12]);
    format!("{day}, {} {month} {} {} +0000", &text[8..10], &text[..4], &text[11..19])
}

/// The time of what `date` wrote.
pub fn time(date: &str) -> Option<u64> {
    let words: Vec<&str> = date.split_whitespace().collect();
    let [_, day, month, year, clock, _] = words[..] else { return None };
    let month = MONTHS.iter().position(|name| *name == month)? + 1;
    let time = humantime::parse_rfc3339(&format!("{year}-{month:02}-{day}T{clock}Z")).ok()?;
    time.duration_since(std::time::UNIX_EPOCH).ok().map(|since| since.as_secs())
}

/// Without a name or a time in it.
pub fn gzip(bytes: &[u8]) -> Vec<u8> {
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
        assert_eq!(time("Fri, 25 Nov 2022 21:52:17 UTC"), Some(1_669_413_137));
        assert_eq!(date(LAST_EPOCH + 1), "Fri, 31 Dec 9999 23:59:59 +0000");
        assert_eq!([time(""), time("Fri, 25 Nom 2022 21:52:17 UTC"), time("a b c d e f")], [None; 3]);
    }
}
