//! JSON Schema of the definitions, for editors. Made from the same types that read them.

use super::{Component, Gate, Job, Manifest};

/// Of `components/NAME.toml`.
pub fn component_schema() -> String {
    text::<Component>()
}

/// Of `manifests/NAME.toml`.
pub fn manifest_schema() -> String {
    text::<Manifest>()
}

/// Of `ci/gates/NAME.toml`.
pub fn gate_schema() -> String {
    text::<Gate>()
}

/// Of `ci/jobs/NAME.toml`.
pub fn job_schema() -> String {
    text::<Job>()
}

fn text<T: schemars::JsonSchema>() -> String {
    let schema = schemars::schema_for!(T);
    serde_json::to_string_pretty(&schema).expect("a schema is plain JSON: it has no map whose keys are not text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_read_as_in_the_files_and_unknown_ones_are_refused() {
        let schema: serde_json::Value = serde_json::from_str(&component_schema()).unwrap();
        assert!(schema["properties"]["runtime-needs"]["description"].is_string());
        assert_eq!(schema["additionalProperties"], false);
        assert!(schema["required"].as_array().unwrap().contains(&"summary".into()));
        let schema: serde_json::Value = serde_json::from_str(&manifest_schema()).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        let patches = schema["$defs"]["Apt"]["properties"]["debian-patches"].to_string()
            + &schema["$defs"]["DebianPatches"].to_string();
        assert!(patches.contains("array"), "{patches}");
        let schema: serde_json::Value = serde_json::from_str(&gate_schema()).unwrap();
        assert_eq!(schema["additionalProperties"], false);
        let keys = schema["properties"].as_object().unwrap();
        assert!(keys.contains_key("bisect") && !keys.contains_key("defined"), "{keys:?}");
        let schema: serde_json::Value = serde_json::from_str(&job_schema()).unwrap();
        assert_eq!(schema["properties"]["timeout"]["type"], "string");
        assert!(schema["$defs"]["Tier"].to_string().contains("smoke"), "{schema}");
    }
}
