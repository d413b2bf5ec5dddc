//! Extended attributes of an image's file, where an image without a batmap keeps what others have in its header.

use std::mem::size_of;

use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::error::{Error, Result};
use crate::medium::Medium;

/// One byte.
pub(crate) const MARKER: &str = "user.com.citrix.xenclient.backend.marker";
/// What a batmap header holds in its place: a byte that is 1, nonce and hash.
pub(crate) const KEY_HASH: &str = "user.com.citrix.xenclient.backend.keyhash";

/// Reads an attribute of exactly this type's length; `None` where there is none.
pub(crate) fn read<T: FromBytes + IntoBytes>(medium: &impl Medium, name: &str) -> Result<Option<T>> {
    let doing = || format!("cannot read attribute {name} of `{}`", medium.path().display());
    let mut value = T::new_zeroed();
    match medium.attribute(name, value.as_mut_bytes()) {
        Ok(Some(len)) if len == size_of::<T>() => Ok(Some(value)),
        Ok(Some(len)) => Err(Error::corrupt(format!("it has {len} bytes, not {}", size_of::<T>())).within(doing())),
        Ok(None) => Ok(None),
        Err(source) => Err(Error::io(doing(), source)),
    }
}

/// Sets an attribute, durably.
pub(crate) fn write(medium: &impl Medium, name: &str, value: &(impl IntoBytes + Immutable)) -> Result<()> {
    let done = medium.set_attribute(name, value.as_bytes());
    done.map_err(|source| Error::io(format!("cannot set attribute {name} of `{}`", medium.path().display()), source))
}
