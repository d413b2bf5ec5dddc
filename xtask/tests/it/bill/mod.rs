//! What is told of a result: bills of materials, licences, provenance, where a file comes from, what a release lacks.

mod explain;
mod licences;
mod project;
mod provenance;
mod release_check;
mod sbom;
mod validators;
