//! The plan, printed; nothing is done.

use super::Session;
use crate::definition::Name;
use crate::error::Result;
use crate::plan::Provider;
use crate::state::State;
use crate::world::World;

/// Prints what a build would do.
pub(super) fn show(session: &Session, world: &World) -> Result<()> {
    let state = State::read(&session.layout);
    let mut lines = Vec::new();
    for name in &world.plan.order {
        let component = world.component(name);
        let origin = world.origin(&component.source)?;
        let pin = match (world.pin(&component.source), origin.kind()) {
            (_, "path") => "local".to_owned(),
            (Some(pin), _) => pin
                .version
                .clone()
                .or(pin.commit.as_ref().map(ToString::to_string))
                .unwrap_or_else(|| pin.tree.to_string()),
            (None, _) => "not locked".to_owned(),
        };
        let seconds = state.built.get(name).map(|built| built.seconds);
        lines.push(serde_json::json!({
            "component": name, "source": component.source, "origin": origin.kind(), "pin": pin,
            "needs": component.needs, "expected-seconds": seconds,
        }));
    }
    if session.json {
        return crate::cmd::print_json(&serde_json::json!({ "manifest": session.manifest, "plan": lines }));
    }
    println!("{}: {}", session.manifest, world.definitions.manifest.summary);
    if world.definitions.lock.is_none() {
        println!(
            "This manifest has no lock: it is a plan. Where its origins can be reached: cargo xtask update -m {}",
            session.manifest
        );
    }
    for (name, line) in world.plan.order.iter().zip(&lines) {
        let needs: Vec<&str> = world.component(name).needs.iter().map(Name::as_str).collect();
        let after = if needs.is_empty() { String::new() } else { format!("  after {}", needs.join(", ")) };
        println!(
            "  build   {name:<12} {} {}{after}",
            line["origin"].as_str().unwrap_or_default(),
            line["pin"].as_str().unwrap_or_default()
        );
    }
    for (name, provider) in &world.plan.providers {
        match provider {
            Provider::System(path) => println!("  system  {name:<12} {path}"),
            Provider::Skipped(reason) => println!("  skip    {name:<12} {reason}"),
            Provider::Absent => println!("  without {name:<12} nobody provides it"),
            Provider::Internal => {}
        }
    }
    Ok(())
}
