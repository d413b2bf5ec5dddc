//! What must hold between files: every component and source that is named is there, and `needs` has no cycle.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::tarjan_scc;
use petgraph::graph::DiGraph;

use super::diagnostic::Finding;
use super::place::Place;
use super::suggest::did_you_mean;
use super::{Component, Manifest, Name};

/// What is known of the files: names of components that could not be read count as there.
pub(super) struct World<'a> {
    pub names: &'a BTreeSet<Name>,
    pub components: &'a BTreeMap<Name, Component>,
    pub manifest_name: &'a Name,
    pub manifest: Option<&'a Manifest>,
}

impl World<'_> {
    /// Components that are not there, named in a component.
    pub(super) fn check_component(&self, component: &Component, is_built: bool, findings: &mut Vec<Finding>) {
        for (key, needs) in [("needs", &component.needs), ("runtime-needs", &component.runtime_needs)] {
            for (index, need) in needs.iter().enumerate() {
                self.check_name(need, || Place::of(key).index(index), findings);
            }
        }
        if let Some(with) = component.tarball.iter().find_map(|tarball| tarball.built_with.as_ref()) {
            self.check_name(with, || Place::of("tarball").key("with"), findings);
        }
        let Some(manifest) = self.manifest.filter(|_| is_built) else { return };
        self.check_source(manifest, &component.source, || Place::of("source"), findings);
        for source in component.extra.keys() {
            self.check_source(manifest, source, || Place::of("extra").key(source.as_str()), findings);
        }
    }

    /// Components that are not there, named in the manifest.
    pub(super) fn check_manifest(&self, manifest: &Manifest) -> Vec<Finding> {
        let mut findings = Vec::new();
        for (key, names) in [("components", &manifest.components), ("optional", &manifest.optional)] {
            for (index, name) in names.iter().enumerate() {
                self.check_name(name, || Place::of(key).index(index), &mut findings);
            }
        }
        for name in manifest.system.keys() {
            self.check_name(name, || Place::of("system").key(name.as_str()).name(), &mut findings);
        }
        for (path, name) in &manifest.shared {
            self.check_name(name, || Place::of("shared").key(path), &mut findings);
        }
        findings
    }

    fn check_name(&self, name: &Name, place: impl Fn() -> Place, findings: &mut Vec<Finding>) {
        if self.names.contains(name) {
            return;
        }
        let create = format!("create components/{name}.toml, as components/README.md explains");
        let help = match did_you_mean(name.as_str(), self.names.iter().map(Name::as_str)) {
            Some(near) => format!("did you mean `{near}`? If not, {create}"),
            None => create,
        };
        findings.push(
            Finding::new(place(), format!("there is no component `{name}`"), format!("no components/{name}.toml"))
                .help(help),
        );
    }

    fn check_source(&self, manifest: &Manifest, source: &Name, place: impl Fn() -> Place, findings: &mut Vec<Finding>) {
        if manifest.sources.contains_key(source) {
            return;
        }
        let add = format!("add `[sources.{source}]` to manifests/{}.toml", self.manifest_name);
        let help = match did_you_mean(source.as_str(), manifest.sources.keys().map(Name::as_str)) {
            Some(near) => format!("did you mean `{near}`? If not, {add}"),
            None => add,
        };
        let message = format!("manifest `{}` has no source `{source}`", self.manifest_name);
        findings.push(Finding::new(place(), message, "not in its `[sources]`").help(help));
    }

    /// Each cycle in `needs`, by the component whose file shows it.
    pub(super) fn cycles(&self) -> Vec<(Name, Finding)> {
        let mut graph = DiGraph::<&Name, ()>::new();
        let nodes: BTreeMap<&Name, _> = self.components.keys().map(|name| (name, graph.add_node(name))).collect();
        for (name, component) in self.components {
            for need in component.needs.iter().filter_map(|need| nodes.get(need)) {
                graph.update_edge(nodes[name], *need, ());
            }
        }
        let mut found = Vec::new();
        for group in tarjan_scc(&graph) {
            let members: BTreeSet<&Name> = group.iter().map(|node| graph[*node]).collect();
            if let Some(chain) = members.first().and_then(|start| self.chain(start, &members)) {
                found.push(cycle_finding(&chain, self.components));
            }
        }
        found.into_iter().flatten().collect()
    }

    /// The shortest way from `start` through `needs` back to it.
    fn chain<'a>(&'a self, start: &'a Name, members: &BTreeSet<&'a Name>) -> Option<Vec<&'a Name>> {
        let mut came_from: BTreeMap<&Name, &Name> = BTreeMap::new();
        let mut level = vec![start];
        while !level.is_empty() {
            let mut next = Vec::new();
            for name in level {
                for need in &self.components.get(name)?.needs {
                    if need == start {
                        let mut chain = vec![start, name];
                        while let Some(before) = chain.last().and_then(|last| came_from.get(last)) {
                            chain.push(before);
                        }
                        if name == start {
                            chain.truncate(1);
                            chain.push(start);
                        }
                        chain.reverse();
                        return Some(chain);
                    }
                    if members.contains(need) && !came_from.contains_key(need) {
                        came_from.insert(need, name);
                        next.push(need);
                    }
                }
            }
            level = next;
        }
        None
    }
}

/// Shown at the first link, in the file of the first component.
fn cycle_finding(chain: &[&Name], components: &BTreeMap<Name, Component>) -> Option<(Name, Finding)> {
    let (first, second) = (*chain.first()?, *chain.get(1)?);
    let index = components.get(first)?.needs.iter().position(|need| need == second)?;
    let shown: Vec<_> = chain.iter().map(|name| name.as_str()).collect();
    let message = if first == second {
        format!("component `{first}` needs itself")
    } else {
        format!("components need each other in a circle: {}", shown.join(" -> "))
    };
    let finding = Finding::new(Place::of("needs").index(index), message, "leads back to this component");
    let help = "what is only named by its installed path belongs into `runtime-needs`, where circles are allowed";
    Some((first.clone(), finding.help(help)))
}
