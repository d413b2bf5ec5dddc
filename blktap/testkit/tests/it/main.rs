//! Tests with the shared bodies of the fuzz targets.
#![allow(clippy::unwrap_used, reason = "a test says what failed by failing there")]

mod corpus;
