//! `graph`: what needs what, as text, DOT, JSON or one page.

use std::collections::BTreeMap;
#[cfg(feature = "extras")]
use std::path::PathBuf;

use petgraph::dot::{Config, Dot};
use petgraph::graph::DiGraph;
use serde::Serialize;

use super::{Selection, Session};
use crate::definition::Name;
use crate::error::Result;
use crate::machine::Machine;
use crate::plan::Provider;
use crate::state::State;
use crate::world::World;

/// Show what needs what, with durations and cache hits
///
///     cargo xtask graph                    as an indented text
///     cargo xtask graph --dot | dot -Tsvg  as a picture
///     cargo xtask graph --html graph.html  one page with times and cache hits
///     cargo xtask graph --json
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    #[command(flatten)]
    pub(super) selection: Selection,
    /// Print Graphviz DOT
    #[arg(long, conflicts_with = "html")]
    dot: bool,
    /// Write one self-contained page there
    #[arg(long, value_name = "FILE")]
    html: Option<std::path::PathBuf>,
}

/// One component in the graph.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
struct Row {
    component: Name,
    summary: String,
    needs: Vec<Name>,
    runtime_needs: Vec<Name>,
    provided: String,
    /// Seconds of the last real build; nothing if it never was built here.
    seconds: Option<f64>,
    steps: Vec<(String, f64)>,
    /// It came out of the store the last time.
    restored: bool,
    /// It is on the longest path through the recorded times.
    critical: bool,
    /// Earliest start, by recorded seconds and without a limit on jobs.
    start: f64,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    #[cfg(not(feature = "extras"))]
    if args.html.is_some() {
        return super::extras::run_with_extras(session);
    }
    let definitions = session.settled()?;
    let wanted = args.selection.wanted(session)?;
    let world = World::new(session.layout.clone(), definitions, &wanted, Machine::of(&session.layout, false)?)?;
    let rows = rows(&world, &State::read(&session.layout));
    if session.json {
        return super::print_json(&rows);
    }
    if args.dot {
        println!("{}", dot(&rows));
        return Ok(());
    }
    #[cfg(feature = "extras")]
    if let Some(file) = &args.html {
        return page(session, file.clone(), &rows);
    }
    text(&rows);
    Ok(())
}

fn rows(world: &World, state: &State) -> Vec<Row> {
    let seconds = |name: &Name| state.built.get(name).map_or(0.0, |built| built.seconds);
    let critical = world.plan.critical_seconds(&seconds);
    let longest = critical.values().fold(0.0, |a: f64, b| a.max(*b));
    let mut starts: BTreeMap<&Name, f64> = BTreeMap::new();
    let mut rows = Vec::new();
    for name in &world.plan.order {
        let component = world.component(name);
        let start =
            component.needs.iter().filter_map(|need| Some(starts.get(need)? + seconds(need))).fold(0.0, f64::max);
        starts.insert(name, start);
        let built = state.built.get(name);
        rows.push(Row {
            component: name.clone(),
            summary: component.summary.clone(),
            needs: component.needs.clone(),
            runtime_needs: component.runtime_needs.clone(),
            provided: "built".to_owned(),
            seconds: built.map(|built| built.seconds).filter(|seconds| *seconds > 0.0),
            steps: built.map(|built| built.steps.clone()).unwrap_or_default(),
            restored: built.is_some_and(|built| built.restored),
            critical: longest > 0.0 && (start + critical[name] - longest).abs() < 1e-6,
            start,
        });
    }
    for (name, provider) in &world.plan.providers {
        let provided = match provider {
            Provider::Internal => continue,
            Provider::System(path) => format!("system {path}"),
            Provider::Skipped(reason) => format!("not built here: {reason}"),
            Provider::Absent(without) => Provider::absent("not provided", without),
        };
        rows.push(Row {
            component: name.clone(),
            summary: world.component(name).summary.clone(),
            needs: Vec::new(),
            runtime_needs: Vec::new(),
            provided,
            seconds: None,
            steps: Vec::new(),
            restored: false,
            critical: false,
            start: 0.0,
        });
    }
    rows
}

fn text(rows: &[Row]) {
    let by_name: BTreeMap<&Name, &Row> = rows.iter().map(|row| (&row.component, row)).collect();
    let is_needed = |name: &Name| rows.iter().any(|row| row.needs.contains(name));
    for row in rows.iter().filter(|row| !is_needed(&row.component)) {
        branch(row, &by_name, 0, "");
    }
}

fn branch(row: &Row, by_name: &BTreeMap<&Name, &Row>, depth: usize, how: &str) {
    let seconds = row.seconds.map(|seconds| format!("  {}", crate::run::duration(seconds))).unwrap_or_default();
    let restored = if row.restored { ", from the store" } else { "" };
    println!("{:indent$}{how}{}  {}{seconds}{restored}", "", row.component, row.provided, indent = depth * 3);
    for need in &row.needs {
        if let Some(row) = by_name.get(need) {
            branch(row, by_name, depth + 1, "needs ");
        }
    }
    for need in &row.runtime_needs {
        let provided = by_name.get(need).map_or("not provided", |row| row.provided.as_str());
        println!("{:indent$}names {need} ({provided})", "", indent = (depth + 1) * 3);
    }
}

fn dot(rows: &[Row]) -> String {
    let mut graph: DiGraph<String, &str> = DiGraph::new();
    let nodes: BTreeMap<&Name, _> = rows
        .iter()
        .map(|row| {
            let seconds = row.seconds.map(|seconds| format!("\n{}", crate::run::duration(seconds))).unwrap_or_default();
            (&row.component, graph.add_node(format!("{}\n{}{seconds}", row.component, row.provided)))
        })
        .collect();
    for row in rows {
        for (needs, label) in [(&row.needs, "needs"), (&row.runtime_needs, "names")] {
            for need in needs.iter().filter_map(|need| nodes.get(need)) {
                graph.add_edge(nodes[&row.component], *need, label);
            }
        }
    }
    let style = |_, edge: petgraph::graph::EdgeReference<'_, &str>| {
        if *edge.weight() == "names" { "style=dashed".to_owned() } else { String::new() }
    };
    let shape = |_, _| "shape=box".to_owned();
    format!("{}", Dot::with_attr_getters(&graph, &[Config::EdgeNoLabel], &style, &shape))
}

#[cfg(feature = "extras")]
fn page(session: &Session, file: PathBuf, rows: &[Row]) -> Result<()> {
    use crate::error::Context;
    let rendering = || format!("cannot make the page `{}`", file.display());
    let mut environment = minijinja::Environment::new();
    environment.set_auto_escape_callback(|_| minijinja::AutoEscape::Html);
    environment.add_filter("duration", crate::run::duration);
    environment.add_template("graph", include_str!("graph.html")).context(rendering)?;
    let total = rows.iter().map(|row| row.start + row.seconds.unwrap_or(0.0)).fold(1.0, f64::max);
    let work: f64 = rows.iter().filter_map(|row| row.seconds).sum();
    let context = minijinja::context! { manifest => session.manifest.as_str(), rows => minijinja::value::Serde(rows), total => total, work => work };
    let html = environment.get_template("graph").and_then(|template| template.render(context)).context(rendering)?;
    let file = std::env::current_dir().context(rendering)?.join(file);
    crate::atomic::write(&file, html.as_bytes())?;
    println!("{}", file.display());
    Ok(())
}
