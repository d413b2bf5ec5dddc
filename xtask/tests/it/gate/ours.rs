//! The gates of this repository.

use xtask::definition::{Definitions, Does, Gate, gate_names};
use xtask::layout::Layout;

use crate::build::checkout::Checkout;

fn here() -> Layout {
    let root = crate::repository().to_path_buf();
    Layout { store: root.join(".xtask/none"), root }
}

#[test]
fn every_gate_is_of_sources_and_components_that_its_manifest_has() {
    let names = gate_names(&here());
    for wanted in ["blktap-c", "debian-12", "seabios", "sultana", "xen-unstable"] {
        assert!(names.iter().any(|name| name.as_str() == wanted), "{wanted} is not in {names:?}");
    }
    for name in names {
        let gate = Gate::load(&here(), &name).unwrap_or_else(|why| panic!("{why}"));
        let definitions = Definitions::load(&here(), &gate.manifest).unwrap_or_else(|why| panic!("{why}"));
        for (tree, tracked) in &gate.trees {
            let is_known = tracked.project || definitions.manifest.sources.contains_key(tree);
            assert!(is_known, "{name}: `{tree}` is no source of {}", gate.manifest);
        }
        for (job, defined) in &gate.defined {
            if let Does::Build { components } = &defined.run {
                let missing = components.iter().find(|component| !definitions.components.contains_key(*component));
                assert_eq!(missing, None, "{name}: {job}");
            }
        }
        // What it moves decides what some job makes.
        assert!(gate.defined.iter().any(|(_, job)| !matches!(job.run, Does::Test { .. })), "{name}");
    }
}

#[test]
fn gates_that_never_ran_are_shown_too() {
    let checkout = Checkout::new();
    let ran = checkout.run(&["gate", "status"]);
    assert_eq!(ran.code, Some(2), "{}", ran.stdout);
    ran.says(&["no gate has run here"]);
    for gate in ["a", "b"] {
        checkout.write(&format!("ci/gates/{gate}.toml"), "");
    }
    let ran = checkout.run(&["gate", "status"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert_eq!(ran.stdout, "a: nothing pushed yet\nb: nothing pushed yet\n");
    assert!(!checkout.path(".xtask/gate/gate.db").exists());
}
