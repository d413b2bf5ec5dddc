//! What a build is made of, as values: files and trees by digest, and a directory read into one at the price of one `lstat` a
//! file. Also the error type, which everything above shares. A crate of its own only because it is all that runs hot when there is
//! nothing to do: it is compiled optimised, and the rest of xtask, which is much more code, is not.

pub mod atomic;
pub mod digest;
pub mod error;
pub mod reapi;
pub mod stat_index;
pub mod tree;
