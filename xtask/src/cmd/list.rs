//! `list`: manifests, components, sources.

use super::Session;
use crate::definition::{Definitions, Stand, manifest_names};
use crate::error::{Error, Result};
use crate::overrides::Overrides;

/// List the components and sources of a manifest
///
///     cargo xtask list                     components of the default manifest
///     cargo xtask list --manifests         the manifests there are
///     cargo xtask list --origins           which file each value of a manifest that includes others comes from
///     cargo xtask list --json              with everything that is known of each
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The manifests instead
    #[arg(long)]
    manifests: bool,
    /// Where each value of the manifest stands instead, and what it overrides
    #[arg(long, conflicts_with = "manifests")]
    origins: bool,
    /// Settings, to see what they would change
    #[arg(value_name = "NAME=VALUE")]
    pub(super) settings: Vec<String>,
}

pub fn run(session: &Session, args: &Args) -> Result<()> {
    if args.manifests {
        return manifests(session);
    }
    if let Some(name) = args.settings.first() {
        return Err(Error::input(format!("`{name}` is no setting: NAME=VALUE is wanted")).help("cargo xtask list"));
    }
    if args.origins {
        return origins(session, &session.definitions()?);
    }
    let definitions = session.settled()?;
    let manifest = &definitions.manifest;
    let overrides = Overrides::in_force(&session.layout, &definitions)?;
    let how = |name| {
        if manifest.components.contains(name) {
            "built".to_owned()
        } else if let Some(path) = manifest.system.get(name) {
            format!("system {path}{}", if manifest.optional.contains(name) { ", or built with --all" } else { "" })
        } else if manifest.optional.contains(name) {
            "built with --all".to_owned()
        } else if definitions.is_named(name) {
            "built when needed".to_owned()
        } else {
            "not provided".to_owned()
        }
    };
    if session.json {
        let components: Vec<_> = definitions
            .components
            .iter()
            .map(|(name, component)| {
                serde_json::json!({
                    "component": name, "summary": component.summary, "licence": component.licence,
                    "homepage": component.homepage, "source": component.source, "needs": component.needs,
                    "runtime-needs": component.runtime_needs, "provided": how(name),
                })
            })
            .collect();
        return super::print_json(
            &serde_json::json!({ "manifest": session.manifest, "overrides": overrides, "components": components }),
        );
    }
    println!("{}: {}\n", session.manifest, manifest.summary);
    for (name, component) in &definitions.components {
        println!(
            "  {name:<12} {}\n{:15}{} from {}, {}",
            component.summary,
            "",
            how(name),
            component.source,
            component.licence
        );
    }
    if !overrides.0.is_empty() {
        println!("\n  overridden: {}", overrides.line());
    }
    Ok(())
}

fn origins(session: &Session, definitions: &Definitions) -> Result<()> {
    let at = |stand: &Stand| format!("{}:{}", stand.file, stand.line);
    if session.json {
        let row = |(value, stand, over): (&str, &Stand, &[Stand])| {
            let over: Vec<String> = over.iter().map(at).collect();
            serde_json::json!({ "value": value, "from": at(stand), "overrides": over })
        };
        let values: Vec<_> = definitions.origins.values().map(row).collect();
        return super::print_json(&serde_json::json!({ "manifest": session.manifest, "values": values }));
    }
    for (value, stand, over) in definitions.origins.values() {
        let over = over.iter().rev().map(at).collect::<Vec<_>>().join(", ");
        let over = if over.is_empty() { over } else { format!("  (over {over})") };
        println!("  {value:<24} {}{over}", at(stand));
    }
    Ok(())
}

fn manifests(session: &Session) -> Result<()> {
    let mut rows = Vec::new();
    for name in manifest_names(&session.layout) {
        let definitions = Definitions::load(&session.layout, &name)?;
        rows.push((name, definitions.manifest.summary, definitions.lock.is_some()));
    }
    if session.json {
        let rows: Vec<_> = rows
            .iter()
            .map(
                |(name, summary, locked)| serde_json::json!({ "manifest": name, "summary": summary, "locked": locked }),
            )
            .collect();
        return super::print_json(&rows);
    }
    for (name, summary, locked) in rows {
        println!("  {name:<12} {summary}{}", if locked { "" } else { " (a plan, not locked)" });
    }
    Ok(())
}
