//! What is told of a result: bills of materials, licences, provenance, where a file comes from, what a release lacks.

mod licences;
mod project;
mod sbom;
mod validators;
