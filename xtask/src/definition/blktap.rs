//! `blktap = "rust" | "c" | "system" | "none"` of a manifest: one word for what would be four edits of its lists. Two blktaps install
//! the same files, so a manifest builds at most one.

use serde::Deserialize;

use super::{Manifest, Name};

/// Which blktap a manifest is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Blktap {
    /// The one of this repository.
    Rust,
    /// Upstream's, in C.
    C,
    /// The machine's own, by the path of its tap-ctl.
    System,
    /// None: everything else still builds, and has no VHD disks.
    None,
}

/// Components that are a blktap, ours first; of the C ones the first is the usual one.
const ALL: [&str; 3] = ["blktap", "blktap-c", "blktap-2015"];

/// Where the machine's own is looked for if `[system]` does not say.
const SYSTEM: &str = "/usr/sbin/tap-ctl";

impl Manifest {
    /// Puts the chosen blktap where another one stands in the lists. Places stay what they are, so messages still point right.
    pub(super) fn choose_blktap(&mut self) {
        let chosen = match self.blktap {
            Some(Blktap::Rust) => ALL[0],
            Some(Blktap::C) => {
                let listed =
                    |name: &&&str| self.components.iter().chain(&self.optional).any(|one| one.as_str() == **name);
                ALL[1..].iter().find(listed).copied().unwrap_or(ALL[1])
            }
            Some(Blktap::System | Blktap::None) | None => return,
        };
        let chosen: Name = chosen.parse().expect("it is a name");
        let is_other = |name: &Name| ALL.contains(&name.as_str()) && *name != chosen;
        if self.components.contains(&chosen) {
            return;
        }
        match self.components.iter_mut().find(|name| is_other(name)) {
            Some(other) => *other = chosen,
            None => self.components.push(chosen),
        }
    }

    /// Takes the blktaps out that are not the chosen one. After the checks: what follows them in a list moves.
    pub(super) fn drop_other_blktaps(&mut self) {
        let keep = match self.blktap {
            None => return,
            Some(Blktap::Rust) => vec![ALL[0]],
            Some(Blktap::C) => ALL[1..].to_vec(),
            Some(Blktap::System | Blktap::None) => Vec::new(),
        };
        let chosen = self.components.iter().find(|name| keep.contains(&name.as_str())).cloned();
        let stays = |name: &Name| !ALL.contains(&name.as_str()) || Some(name) == chosen.as_ref();
        self.components.retain(stays);
        self.optional.retain(|name| !ALL.contains(&name.as_str()));
        if self.blktap == Some(Blktap::System) {
            let name: Name = ALL[0].parse().expect("it is a name");
            self.system.entry(name).or_insert_with(|| SYSTEM.to_owned());
        } else {
            self.system.retain(|name, _| !ALL.contains(&name.as_str()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(choice: &str, components: &str, wanted: &str) {
        let text = format!("summary='s'\nblktap='{choice}'\ncomponents=[{components}]\n[sources]\n");
        let mut manifest: Manifest = toml::from_str(&text).unwrap();
        manifest.choose_blktap();
        manifest.drop_other_blktaps();
        let system = manifest.system.iter().map(|(name, path)| format!("{name}={path}"));
        let names = manifest.components.iter().map(Name::to_string);
        assert_eq!(names.chain(system).collect::<Vec<_>>().join(" "), wanted, "{choice} of {components}");
    }

    #[test]
    fn one_word_chooses_the_blktap() {
        check("rust", "'xen', 'blktap'", "xen blktap");
        check("rust", "'blktap-c', 'xen'", "blktap xen");
        check("c", "'blktap', 'xen'", "blktap-c xen");
        check("c", "'xen', 'blktap-2015'", "xen blktap-2015");
        check("c", "'xen'", "xen blktap-c");
        check("system", "'blktap', 'xen'", "xen blktap=/usr/sbin/tap-ctl");
        check("none", "'blktap', 'xen'", "xen");
    }
}
