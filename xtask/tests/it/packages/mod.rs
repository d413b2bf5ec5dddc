//! Packages of the default manifest as distributions' own programs see them: in roots that are thrown away, and in the eyes of lintian and
//! rpmlint. How packages are made of small results is in `build/package.rs`.

mod debian;
mod lint;
mod root;
mod rpm;
