//! Which of Debian's packages bring what files need, and in which version, as dpkg-shlibdeps finds it: from the `symbols` and `shlibs` that
//! installed packages of libraries come with. Reads dpkg's files; runs nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use super::Foreign;
use crate::error::{Context, Error, Result};

/// One library, as its package describes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Library {
    /// Dependencies by number; `#MINVER#` stands for the version.
    templates: Vec<String>,
    /// Symbols with their version, each with the lowest version of the package that has it and its template.
    symbols: BTreeMap<(String, String), (String, usize)>,
}

/// What the installed packages bring.
#[derive(Clone, Debug, Default)]
pub struct System {
    libraries: BTreeMap<String, Library>,
    /// By path, of the programs in the directories where interpreters are.
    programs: BTreeMap<String, String>,
}

/// A package for each interpreter that is more than the file; `None` for those that every system has.
const INTERPRETERS: [(&str, Option<&str>); 6] = [
    ("sh", None),
    ("bash", None),
    ("dash", None),
    ("python3", Some("python3:any")),
    ("perl", Some("perl:any")),
    ("make", Some("make:any")),
];

impl System {
    /// Reads dpkg's directory, `/var/lib/dpkg` on a running system, as far as it is about packages of that architecture.
    pub fn read(admin: &Path, arch: &str) -> Result<Self> {
        let dir = admin.join("info");
        let reading = || format!("cannot read what installed packages bring, `{}`", dir.display());
        let entries = fs::read_dir(&dir).map_err(|error| {
            Error::machine(reading())
                .because(error)
                .help("make packages for Debian on Debian: dependencies come from the libraries that were linked to")
        })?;
        let mut system = System::default();
        let mut paths = entries.map(|entry| Ok(entry.context(reading)?.path())).collect::<Result<Vec<_>>>()?;
        paths.sort();
        for path in paths {
            let Some(extension) = path.extension().and_then(|extension| extension.to_str()) else { continue };
            let Some(stem) = path.file_stem().and_then(|stem| stem.to_str()) else { continue };
            let (package, of) = stem.split_once(':').unwrap_or((stem, arch));
            if of != arch {
                continue;
            }
            let text = || fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).context(reading);
            match extension {
                "symbols" => system.symbols(&text()?),
                "shlibs" => system.shlibs(&text()?),
                "list" => system.list(package, &text()?),
                _ => {}
            }
        }
        Ok(system)
    }

    /// See deb-symbols(5).
    fn symbols(&mut self, text: &str) {
        let mut current: Option<&mut Library> = None;
        for line in text.lines() {
            match line.as_bytes().first() {
                Some(b' ') => {
                    let Some(library) = current.as_deref_mut() else { continue };
                    let mut words = line.split_whitespace();
                    let (Some(symbol), Some(version)) = (words.next(), words.next()) else { continue };
                    let Some((name, of)) = symbol.rsplit_once('@') else { continue };
                    let template = words.next().and_then(|number| number.parse().ok()).unwrap_or(0);
                    library.symbols.insert((name.to_owned(), of.to_owned()), (version.to_owned(), template));
                }
                Some(b'|') => {
                    if let Some(library) = current.as_deref_mut() {
                        library.templates.push(line[1..].trim().to_owned());
                    }
                }
                Some(b'*' | b'#') | None => {}
                Some(_) => {
                    let Some((soname, template)) = line.split_once(' ') else { continue };
                    let library = Library { templates: vec![template.trim().to_owned()], ..Library::default() };
                    self.libraries.insert(soname.to_owned(), library);
                    current = self.libraries.get_mut(soname);
                }
            }
        }
    }

    /// See deb-shlibs(5). Where there are symbols, they say more.
    fn shlibs(&mut self, text: &str) {
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let (Some(name), Some(version)) = (words.next(), words.next()) else { continue };
            let dependency = words.collect::<Vec<_>>().join(" ");
            // A first word with a colon is about another kind of package.
            if name.ends_with(':') || dependency.is_empty() {
                continue;
            }
            for soname in [format!("{name}.so.{version}"), format!("{name}-{version}.so")] {
                let fresh = || Library { templates: vec![dependency.clone()], ..Library::default() };
                self.libraries.entry(soname).or_insert_with(fresh);
            }
        }
    }

    fn list(&mut self, package: &str, text: &str) {
        let is_program = |path: &&str| {
            ["/bin/", "/usr/bin/", "/sbin/", "/usr/sbin/"]
                .iter()
                .any(|dir| path.strip_prefix(dir).is_some_and(|name| !name.is_empty() && !name.contains('/')))
        };
        for path in text.lines().filter(is_program) {
            self.programs.insert(path.to_owned(), package.to_owned());
        }
    }

    /// The dependencies of a package whose files need that; an error names the file that cannot run.
    pub fn dependencies(&self, of: &str, foreign: &Foreign) -> Result<BTreeSet<String>> {
        let mut found = BTreeSet::new();
        for (soname, users) in &foreign.libraries {
            let Some(library) = self.libraries.get(soname) else {
                let user = users.first().map_or("", String::as_str);
                return Err(Error::machine(format!("cannot say what package `{of}` depends on"))
                    .because(format!("{user} is linked to {soname}, which no installed package brings"))
                    .help(format!("dpkg -S '*/{soname}'   # who has it; install that, or build what brings it")));
            };
            found.extend(library.dependencies(foreign));
        }
        for interpreter in &foreign.interpreters {
            let base = interpreter.rsplit('/').next().unwrap_or_default();
            let known =
                INTERPRETERS.iter().find(|(name, _)| *name == base).map(|(_, package)| package.map(str::to_owned));
            let owner =
                || self.programs.get(interpreter).or_else(|| self.programs.get(interpreter.strip_prefix("/usr")?));
            found.extend(known.unwrap_or_else(|| owner().cloned()));
        }
        if let Some(python) = &foreign.python {
            let (major, minor) = python.split_once('.').unwrap_or((python, "0"));
            let next: u32 = minor.parse().unwrap_or(0) + 1;
            found.insert(format!("python3 (>= {python}~)"));
            found.insert(format!("python3 (<< {major}.{next})"));
        }
        Ok(highest(found))
    }
}

/// Of several lowest versions of one package only the highest says something.
fn highest(dependencies: BTreeSet<String>) -> BTreeSet<String> {
    let lowest = |text: &str| {
        let (name, version) = text.strip_suffix(')')?.split_once(" (>= ")?;
        (!version.contains([',', '|'])).then(|| (name.to_owned(), version.to_owned()))
    };
    let mut bounds: BTreeMap<String, String> = BTreeMap::new();
    for (name, version) in dependencies.iter().filter_map(|text| lowest(text)) {
        let known = bounds.entry(name).or_insert_with(|| version.clone());
        if is_later(&version, known) {
            *known = version;
        }
    }
    let others = dependencies.into_iter().filter(|text| lowest(text).is_none() && !bounds.contains_key(text));
    let others: BTreeSet<String> = others.collect();
    bounds.iter().map(|(name, version)| format!("{name} (>= {version})")).chain(others).collect()
}

impl Library {
    /// One for each template that is in use, with the highest of the versions that symbols ask for.
    fn dependencies(&self, foreign: &Foreign) -> Vec<String> {
        let mut lowest: BTreeMap<usize, &str> = BTreeMap::new();
        for (name, version) in &foreign.symbols {
            let of = version.as_deref().unwrap_or("Base");
            let Some((version, template)) = self.symbols.get(&(name.clone(), of.to_owned())) else { continue };
            let known = lowest.entry(*template).or_insert(version);
            if is_later(version, known) {
                *known = version;
            }
        }
        if lowest.is_empty() {
            lowest.insert(0, "");
        }
        let text = |(template, version): (usize, &str)| {
            let bound = if version.is_empty() { String::new() } else { format!("(>= {version})") };
            let template = self.templates.get(template).or_else(|| self.templates.first())?;
            Some(template.replace("#MINVER#", &bound).trim().to_owned())
        };
        lowest.into_iter().filter_map(text).collect()
    }
}

/// dpkg's order of versions (deb-version(7)).
pub fn is_later(a: &str, b: &str) -> bool {
    fn parts(version: &str) -> (u64, &str, &str) {
        let (epoch, rest) = version.split_once(':').unwrap_or(("0", version));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        (epoch.parse().unwrap_or(0), upstream, revision)
    }
    let (a, b) = (parts(a), parts(b));
    a.0.cmp(&b.0).then_with(|| compare(a.1, b.1)).then_with(|| compare(a.2, b.2)).is_gt()
}

fn compare(a: &str, b: &str) -> std::cmp::Ordering {
    // Of what is not a digit: `~` before the end, letters before everything else.
    let weight = |byte: Option<&u8>| match byte {
        Some(b'~') => -1,
        None => 0,
        Some(byte) if byte.is_ascii_digit() => 0,
        Some(byte) if byte.is_ascii_alphabetic() => i32::from(*byte),
        Some(byte) => i32::from(*byte) + 256,
    };
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() || !b.is_empty() {
        while a.first().is_some_and(|byte| !byte.is_ascii_digit())
            || b.first().is_some_and(|byte| !byte.is_ascii_digit())
        {
            let order = weight(a.first()).cmp(&weight(b.first()));
            if order.is_ne() {
                return order;
            }
            (a, b) = (a.get(1..).unwrap_or_default(), b.get(1..).unwrap_or_default());
        }
        let number = |text: &mut &[u8]| {
            let end = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
            let (digits, rest) = text.split_at(end);
            *text = rest;
            let zeros = digits.iter().take_while(|byte| **byte == b'0').count();
            digits[zeros..].to_vec()
        };
        let (x, y) = (number(&mut a), number(&mut b));
        let order = x.len().cmp(&y.len()).then_with(|| x.cmp(&y));
        if order.is_ne() {
            return order;
        }
    }
    std::cmp::Ordering::Equal
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIBC: &str = "\
libc.so.6 libc6 #MINVER#
| libc6 (>> 2.36), libc6 (<< 2.37)
* Build-Depends-Package: libc6-dev
 malloc@GLIBC_2.2.5 2.2.5
 arc4random@GLIBC_2.36 2.36
 __private@GLIBC_PRIVATE 0 1
";

    fn foreign(symbols: &[(&str, &str)]) -> Foreign {
        Foreign {
            libraries: BTreeMap::from([("libc.so.6".to_owned(), BTreeSet::from(["/usr/bin/x".to_owned()]))]),
            symbols: symbols.iter().map(|(name, of)| ((*name).to_owned(), Some((*of).to_owned()))).collect(),
            ..Foreign::default()
        }
    }

    fn check(foreign: &Foreign) -> Result<Vec<String>> {
        let mut system = System::default();
        system.symbols(LIBC);
        system.shlibs("libncurses 6 libncurses6 (>= 6.3)\nudeb: libncurses 6 no\nlibdb\t5.3\tlibdb5.3\nlibc 6 worse\n");
        system.list("gawk", "/usr/bin/gawk\n/usr/share/x\n/usr/bin\n");
        Ok(system.dependencies("p", foreign)?.into_iter().collect())
    }

    #[test]
    fn the_highest_version_of_all_symbols_is_asked_for() {
        assert_eq!(check(&foreign(&[("malloc", "GLIBC_2.2.5")])).unwrap(), ["libc6 (>= 2.2.5)"]);
        let both = foreign(&[("arc4random", "GLIBC_2.36"), ("malloc", "GLIBC_2.2.5"), ("unknown", "X")]);
        assert_eq!(check(&both).unwrap(), ["libc6 (>= 2.36)"]);
        assert_eq!(check(&foreign(&[("__private", "GLIBC_PRIVATE")])).unwrap(), ["libc6 (>> 2.36), libc6 (<< 2.37)"]);
        assert_eq!(check(&foreign(&[])).unwrap(), ["libc6"]);
    }

    #[test]
    fn packages_of_a_foreign_architecture_are_not_asked() {
        let dir = tempfile::tempdir().unwrap();
        let info = dir.path().join("info");
        fs::create_dir(&info).unwrap();
        for (arch, version) in [("amd64", "1"), ("i386", "2"), ("armhf", "3")] {
            let symbols = format!("libx.so.1 libx1 #MINVER#\n x@X_1 {version}\n");
            fs::write(info.join(format!("libx1:{arch}.symbols")), symbols).unwrap();
        }
        fs::write(info.join("xawk.list"), "/usr/bin/x\n").unwrap();
        let foreign = Foreign {
            libraries: BTreeMap::from([("libx.so.1".to_owned(), BTreeSet::new())]),
            symbols: BTreeSet::from([("x".to_owned(), Some("X_1".to_owned()))]),
            interpreters: BTreeSet::from(["/usr/bin/x".to_owned()]),
            ..Foreign::default()
        };
        for (arch, version) in [("amd64", "1"), ("i386", "2"), ("armhf", "3")] {
            let found = System::read(dir.path(), arch).unwrap().dependencies("p", &foreign).unwrap();
            assert_eq!(found.into_iter().collect::<Vec<_>>(), [format!("libx1 (>= {version})"), "xawk".to_owned()]);
        }
    }

    #[test]
    fn libraries_without_symbols_interpreters_and_pythons() {
        let mut all = Foreign::default();
        for library in ["libncurses.so.6", "libdb-5.3.so"] {
            all.libraries.insert(library.to_owned(), BTreeSet::new());
        }
        for program in ["/bin/bash", "/usr/bin/python3", "/usr/bin/gawk", "/opt/x"] {
            all.interpreters.insert(program.to_owned());
        }
        all.python = Some("3.11".to_owned());
        let wanted =
            ["gawk", "libdb5.3", "libncurses6 (>= 6.3)", "python3 (<< 3.12)", "python3 (>= 3.11~)", "python3:any"];
        assert_eq!(check(&all).unwrap(), wanted);
    }

    #[test]
    fn a_library_that_nobody_brings_is_named() {
        let mut foreign = foreign(&[]);
        foreign.libraries.insert("libx.so.1".to_owned(), BTreeSet::from(["/usr/sbin/y".to_owned()]));
        let report = check(&foreign).unwrap_err().report();
        assert!(report.contains("/usr/sbin/y is linked to libx.so.1"), "{report}");
    }

    #[test]
    fn of_several_bounds_the_highest_stays() {
        let found = ["libc6 (>= 2.4)", "libc6 (>= 2.34)", "libc6", "libx (>> 1), libx (<< 2)", "python3 (<< 3.12)"];
        let found = highest(found.iter().map(ToString::to_string).collect());
        assert_eq!(
            found.into_iter().collect::<Vec<_>>(),
            ["libc6 (>= 2.34)", "libx (>> 1), libx (<< 2)", "python3 (<< 3.12)"]
        );
    }

    #[test]
    fn versions_are_ordered_as_dpkg_orders_them() {
        let order =
            ["1.0~rc1", "1.0", "1.0-1", "1.0a", "1.0+b", "1.0.1", "1.2", "1.10", "1:0.1", "1:1.2.0-1", "1:1.2.0-1+x"];
        for pair in order.windows(2) {
            assert!(is_later(pair[1], pair[0]) && !is_later(pair[0], pair[1]), "{pair:?}");
        }
        assert!(!is_later("01.0", "1.0") && !is_later("1.0", "1.00"));
    }
}
