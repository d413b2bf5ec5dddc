//! Which components are built, in which order, and who provides the others. Decides from definitions alone.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::toposort;
use petgraph::graph::{DiGraph, NodeIndex};

use crate::definition::{Component, Manifest, Name, Skip};
use crate::error::{Error, Result};

/// Who provides a component at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// We build it.
    Internal,
    /// The machine, at this path.
    System(String),
    /// Not built here, for this reason.
    Skipped(String),
    /// Nobody; what that means, as far as its file says.
    Absent(Option<String>),
}

impl Provider {
    /// `how` nobody provides it, and what cannot be done then.
    pub fn absent(how: &str, without: &Option<String>) -> String {
        without.as_ref().map_or_else(|| how.to_owned(), |without| format!("{how}: {without}"))
    }
}

/// The machine as far as skip rules look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `uname -m`.
    pub arch: String,
    /// `ID` and `ID_LIKE` of os-release.
    pub distro: Vec<String>,
}

/// What is built, in an order in which each component follows its needs.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Components to build.
    pub order: Vec<Name>,
    /// Each component's needs, and theirs, nearest last.
    pub needs: BTreeMap<Name, Vec<Name>>,
    /// For every component of the manifest and everything that one of them names.
    pub providers: BTreeMap<Name, Provider>,
}

/// What the user asked for.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// By name; empty means the manifest's own list.
    pub names: Vec<Name>,
    /// The manifest's optional components too.
    pub all: bool,
}

impl Plan {
    /// Plans `wanted`. Definitions have been checked: `wanted` is named and `needs` has no cycle.
    pub fn new(
        manifest: &Manifest,
        components: &BTreeMap<Name, Component>,
        wanted: &Wanted,
        platform: &Platform,
    ) -> Result<Self> {
        let mut chosen: BTreeSet<Name> = manifest.components.iter().cloned().collect();
        if wanted.all {
            chosen.extend(manifest.optional.iter().cloned());
        }
        let mut build: BTreeSet<Name> =
            if wanted.names.is_empty() { chosen.clone() } else { wanted.names.iter().cloned().collect() };
        let mut open: Vec<Name> = build.iter().cloned().collect();
        while let Some(name) = open.pop() {
            for need in components.get(&name).into_iter().flat_map(|component| &component.needs) {
                if build.insert(need.clone()) {
                    open.push(need.clone());
                }
            }
        }
        chosen.extend(build.iter().cloned());

        let skipped: BTreeMap<&Name, String> = components
            .iter()
            .filter_map(|(name, component)| Some((name, skip(&component.skip, platform)?.reason.clone())))
            .collect();
        let providers: BTreeMap<Name, Provider> = components
            .keys()
            .map(|name| {
                let provider = match (skipped.get(name), manifest.system.get(name)) {
                    (None, _) if chosen.contains(name) => Provider::Internal,
                    (_, Some(path)) => Provider::System(path.clone()),
                    (Some(reason), None) => Provider::Skipped(reason.clone()),
                    (None, None) => Provider::Absent(components[name].without.clone()),
                };
                (name.clone(), provider)
            })
            .collect();
        build.retain(|name| !skipped.contains_key(name));
        for name in &build {
            if let Some(need) = components[name].needs.iter().find(|need| skipped.contains_key(need)) {
                return Err(Error::input(format!("cannot build `{name}`: it needs `{need}`, which is not built here"))
                    .because(skipped[need].clone()));
            }
        }
        let order = order(&build, components)?;
        let mut needs: BTreeMap<Name, Vec<Name>> = BTreeMap::new();
        for name in &order {
            let mut all: Vec<Name> = Vec::new();
            for need in &components[name].needs {
                let below = needs.get(need).cloned().unwrap_or_default();
                for one in below.into_iter().chain([need.clone()]) {
                    if !all.contains(&one) {
                        all.push(one);
                    }
                }
            }
            needs.insert(name.clone(), all);
        }
        Ok(Plan { order, needs, providers })
    }

    /// Components that are built and name `name` among their direct or indirect needs.
    pub fn dependants<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a Name> {
        self.order.iter().filter(move |other| self.needs[*other].contains(name))
    }

    /// How long everything from the start of each component to the end of the build takes at least, from recorded seconds.
    pub fn critical_seconds(&self, seconds: &impl Fn(&Name) -> f64) -> BTreeMap<Name, f64> {
        let mut critical: BTreeMap<Name, f64> = BTreeMap::new();
        for name in self.order.iter().rev() {
            let after = self.dependants(name).filter_map(|other| critical.get(other)).fold(0.0, |a: f64, b| a.max(*b));
            critical.insert(name.clone(), seconds(name) + after);
        }
        critical
    }
}

fn skip<'a>(rules: &'a [Skip], platform: &Platform) -> Option<&'a Skip> {
    let holds = |list: &[String], here: &[String]| list.is_empty() || list.iter().any(|item| here.contains(item));
    rules
        .iter()
        .find(|rule| holds(&rule.arch, std::slice::from_ref(&platform.arch)) && holds(&rule.distro, &platform.distro))
}

fn order(build: &BTreeSet<Name>, components: &BTreeMap<Name, Component>) -> Result<Vec<Name>> {
    let mut graph: DiGraph<&Name, ()> = DiGraph::new();
    // Later nodes come out first, so adding them backwards keeps equals in alphabetical order.
    let nodes: BTreeMap<&Name, NodeIndex> = build.iter().rev().map(|name| (name, graph.add_node(name))).collect();
    for (name, node) in &nodes {
        for need in &components[*name].needs {
            if let Some(need) = nodes.get(need) {
                graph.add_edge(*need, *node, ());
            }
        }
    }
    let order = toposort(&graph, None)
        .map_err(|cycle| Error::input(format!("`{}` needs itself, through its needs", graph[cycle.node_id()])))?;
    Ok(order.into_iter().map(|node| graph[node].clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn world() -> (Manifest, BTreeMap<Name, Component>) {
        let manifest = "summary='s'\ncomponents=['a','c']\noptional=['d']\n[sources]\n[system]\ne='/usr/e'\nd='/usr/d'";
        let component = |rest: &str| -> Component {
            let head = "summary='s'\nlicence='MIT'\nhomepage='h'\nsource='x'\n[build.steps]\n";
            toml::from_str(&format!("{rest}\n{head}")).unwrap()
        };
        let components = [
            ("a", component("needs=['b']\nruntime-needs=['e']")),
            ("b", component("")),
            ("c", component("needs=['a']")),
            ("d", component("needs=['a']")),
            ("e", component("skip=[{arch=['vax'],reason='no vax'}]")),
        ];
        (toml::from_str(manifest).unwrap(), components.map(|(name, c)| (name.parse().unwrap(), c)).into())
    }

    fn check(wanted: Wanted, arch: &str) -> (String, Plan) {
        let (manifest, components) = world();
        let platform = Platform { arch: arch.into(), distro: vec!["debian".into()] };
        let plan = Plan::new(&manifest, &components, &wanted, &platform).unwrap();
        (plan.order.iter().map(Name::as_str).collect::<Vec<_>>().join(" "), plan)
    }

    #[test]
    fn needs_come_first_and_optional_ones_when_asked_for() {
        assert_eq!(check(Wanted::default(), "x86_64").0, "b a c");
        assert_eq!(check(Wanted { all: true, ..Wanted::default() }, "x86_64").0, "b a c d");
        let (order, plan) = check(Wanted { names: vec!["d".parse().unwrap()], ..Wanted::default() }, "x86_64");
        assert_eq!(order, "b a d");
        assert_eq!(plan.providers["d"], Provider::Internal, "what is named is ours from then on");
        assert_eq!(plan.needs["d"].iter().map(Name::as_str).collect::<Vec<_>>(), ["b", "a"]);
    }

    #[test]
    fn everything_has_a_provider() {
        let plan = check(Wanted::default(), "vax").1;
        assert_eq!(plan.providers["d"], Provider::System("/usr/d".into()));
        assert_eq!(plan.providers["e"], Provider::System("/usr/e".into()));
        assert_eq!(plan.providers["b"], Provider::Internal, "a need of a built component is built");
    }

    #[test]
    fn the_critical_path_counts_what_comes_after() {
        let plan = check(Wanted::default(), "x86_64").1;
        let critical = plan.critical_seconds(&|name| if name.as_str() == "c" { 10.0 } else { 1.0 });
        assert_eq!((critical["b"], critical["a"], critical["c"]), (12.0, 11.0, 10.0));
    }
}
