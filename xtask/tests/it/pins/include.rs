//! A manifest that includes another one, as a user sees it.

use super::project::Project;

#[test]
fn an_included_source_is_locked_and_its_file_is_named() {
    let project = Project::new();
    project.upstream("a");
    project.track("branch = 'main'");
    let base = project.checkout.read("manifests/m.toml");
    project.checkout.write("manifests/common/base.toml", &base);
    project.checkout.write("manifests/m.toml", "include = ['common/base.toml']\nsummary = 'mine'\n");
    project.refused(&["build"], &["source `a` has no pin", "manifests/common/base.toml:4"]);
    project.ok(&["update"]);
    project.ok(&["fetch"]);
    let shown = project.ok(&["list", "--origins"]);
    for line in ["manifests/m.toml:2  (over manifests/common/base.toml:1)", "sources.a", "manifests/common/base.toml:4"]
    {
        assert!(shown.contains(line), "{line} is not in {shown}");
    }
    let json = project.json(&["list", "--origins", "--json"]);
    assert!(json["values"].as_array().unwrap().iter().any(|value| value["overrides"][0].is_string()), "{json}");
    // What is only a part is no manifest.
    assert!(!project.ok(&["list", "--manifests"]).contains("base"));
}
