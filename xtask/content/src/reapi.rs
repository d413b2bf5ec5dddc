//! The messages of the Bazel Remote Execution API (v2) that a build is made of, with the field numbers of
//! `build/bazel/remote/execution/v2/remote_execution.proto`. Only messages; what they mean here stands in `action.rs` and `tree.rs`.
//!
//! Canonical form, as the specification demands: names in a `Directory` and variables in a `Command` are sorted, so that equal
//! content has equal bytes and so an equal digest.

use prost::Message;

use crate::digest::{self, Hash};

/// `Digest`: hash in hex, size in bytes.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Digest {
    #[prost(string, tag = "1")]
    pub hash: String,
    #[prost(int64, tag = "2")]
    pub size_bytes: i64,
}

/// `Action`: what the cache is asked for.
#[derive(Clone, PartialEq, Message)]
pub struct Action {
    #[prost(message, optional, tag = "1")]
    pub command_digest: Option<Digest>,
    #[prost(message, optional, tag = "2")]
    pub input_root_digest: Option<Digest>,
    #[prost(bool, tag = "7")]
    pub do_not_cache: bool,
    #[prost(message, optional, tag = "10")]
    pub platform: Option<Platform>,
}

/// `Command`: argv, environment and where outputs stand.
#[derive(Clone, PartialEq, Message)]
pub struct Command {
    #[prost(string, repeated, tag = "1")]
    pub arguments: Vec<String>,
    #[prost(message, repeated, tag = "2")]
    pub environment_variables: Vec<EnvironmentVariable>,
    #[prost(string, tag = "6")]
    pub working_directory: String,
    #[prost(string, repeated, tag = "7")]
    pub output_paths: Vec<String>,
}

/// `Command.EnvironmentVariable`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct EnvironmentVariable {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `Platform`: selects a worker, so only OS family and instruction set stand in it.
#[derive(Clone, PartialEq, Message)]
pub struct Platform {
    #[prost(message, repeated, tag = "1")]
    pub properties: Vec<Property>,
}

/// `Platform.Property` and `NodeProperty`.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct Property {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}

/// `Directory`: one level of a tree.
#[derive(Clone, PartialEq, Message)]
pub struct Directory {
    #[prost(message, repeated, tag = "1")]
    pub files: Vec<FileNode>,
    #[prost(message, repeated, tag = "2")]
    pub directories: Vec<DirectoryNode>,
    #[prost(message, repeated, tag = "3")]
    pub symlinks: Vec<SymlinkNode>,
    #[prost(message, optional, tag = "5")]
    pub node_properties: Option<NodeProperties>,
}

/// `FileNode`.
#[derive(Clone, PartialEq, Message)]
pub struct FileNode {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub digest: Option<Digest>,
    #[prost(bool, tag = "4")]
    pub is_executable: bool,
    #[prost(message, optional, tag = "6")]
    pub node_properties: Option<NodeProperties>,
}

/// `NodeProperties`: here only for modes that `is_executable` cannot say.
#[derive(Clone, PartialEq, Message)]
pub struct NodeProperties {
    #[prost(message, optional, tag = "3")]
    pub unix_mode: Option<UInt32Value>,
}

/// `google.protobuf.UInt32Value`: a number that may be absent.
#[derive(Clone, Copy, PartialEq, Eq, Message)]
pub struct UInt32Value {
    #[prost(uint32, tag = "1")]
    pub value: u32,
}

/// `DirectoryNode`.
#[derive(Clone, PartialEq, Message)]
pub struct DirectoryNode {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(message, optional, tag = "2")]
    pub digest: Option<Digest>,
}

/// `SymlinkNode`.
#[derive(Clone, PartialEq, Message)]
pub struct SymlinkNode {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub target: String,
}

/// `ActionResult`: what the action cache holds.
#[derive(Clone, PartialEq, Message)]
pub struct ActionResult {
    #[prost(message, repeated, tag = "3")]
    pub output_directories: Vec<OutputDirectory>,
    #[prost(int32, tag = "4")]
    pub exit_code: i32,
}

/// `OutputDirectory`: a whole tree, by the digest of its `Tree` and of its root `Directory`.
#[derive(Clone, PartialEq, Message)]
pub struct OutputDirectory {
    #[prost(string, tag = "1")]
    pub path: String,
    #[prost(message, optional, tag = "3")]
    pub tree_digest: Option<Digest>,
    #[prost(message, optional, tag = "5")]
    pub root_directory_digest: Option<Digest>,
}

/// `Tree`: a root and every directory below it.
#[derive(Clone, PartialEq, Message)]
pub struct Tree {
    #[prost(message, optional, tag = "1")]
    pub root: Option<Directory>,
    #[prost(message, repeated, tag = "2")]
    pub children: Vec<Directory>,
}

impl From<digest::Digest> for Digest {
    fn from(digest: digest::Digest) -> Self {
        Digest { hash: digest.hash.to_string(), size_bytes: i64::try_from(digest.size).unwrap_or(i64::MAX) }
    }
}

impl TryFrom<&Digest> for digest::Digest {
    type Error = String;

    fn try_from(wire: &Digest) -> Result<Self, String> {
        let hash: Hash = wire.hash.parse()?;
        let size = u64::try_from(wire.size_bytes).map_err(|_| format!("size {} is negative", wire.size_bytes))?;
        Ok(digest::Digest { hash, size })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_wire_form_of_the_specification() {
        let file = FileNode {
            name: "a".into(),
            digest: Some(Digest { hash: "00".into(), size_bytes: 1 }),
            is_executable: true,
            node_properties: Some(NodeProperties { unix_mode: Some(UInt32Value { value: 0o4755 }) }),
        };
        let directory = Directory { files: vec![file], ..Directory::default() };
        // field 1 (files), length; name 0a, digest 12 {0a hash, 10 size}, is_executable 20, node_properties 32 {1a {08 mode}}
        let wanted = [
            0x0a, 0, 0x0a, 1, b'a', 0x12, 6, 0x0a, 2, b'0', b'0', 0x10, 1, 0x20, 1, 0x32, 5, 0x1a, 3, 0x08, 0xed, 0x13,
        ];
        let mut wanted = wanted.to_vec();
        wanted[1] = (wanted.len() - 2) as u8;
        assert_eq!(directory.encode_to_vec(), wanted);
        assert_eq!(Directory::decode(wanted.as_slice()).unwrap(), directory);
    }
}
