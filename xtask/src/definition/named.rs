//! What a manifest names, and why something else is not built with it.

use super::load::built;
use super::suggest::did_you_mean;
use super::{Definitions, Name, manifest_names};
use crate::error::{Error, Result};
use crate::layout::Layout;

impl Definitions {
    /// The manifest lists it, or something that it lists needs it.
    pub fn is_named(&self, name: &Name) -> bool {
        built(&self.manifest, &self.components).contains(name)
    }

    /// `Err` when one of `names` cannot be built with this manifest, with the reason and who can.
    pub fn refuse_unnamed(&self, layout: &Layout, names: &[Name]) -> Result<()> {
        let Some(name) = names.iter().find(|name| !self.is_named(name)) else { return Ok(()) };
        let manifest = &self.manifest_name;
        if !self.all_components.contains_key(name) {
            let known = self.all_components.keys().map(Name::as_str);
            let near = did_you_mean(name.as_str(), known.clone()).map(|near| format!("did you mean `{near}`?"));
            let known = known.collect::<Vec<_>>().join(", ");
            let error = Error::input(format!("there is no component `{name}`; components/ has {known}"));
            let error = near.into_iter().fold(error, Error::help);
            return Err(error.help("cargo xtask list"));
        }
        let source = &self.all_components[name];
        let reason = match self.manifest.system.get(name) {
            Some(path) => format!("there it is the machine's own, `{path}`"),
            None if !self.manifest.sources.contains_key(source) => format!("it has no source `{source}` either"),
            None => "it is in neither of its lists".to_owned(),
        };
        let error = Error::input(format!("manifest `{manifest}` does not name component `{name}`")).because(reason);
        let names_it = |other: &&Name| {
            *other != manifest && Definitions::load(layout, other).is_ok_and(|definitions| definitions.is_named(name))
        };
        Err(match manifest_names(layout).iter().find(names_it) {
            Some(other) => error.help(format!("cargo xtask build {name} --manifest {other}")),
            None => error.help(format!("list it in manifests/{manifest}.toml, and give it the source `{source}`")),
        })
    }
}
