//! What every fuzz target has: a bound on its memory. The bodies are in `testkit`.

use std::alloc::System;

use cap::Cap;

pub use libfuzzer_sys;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, testkit::fuzz::MAX_BYTES);

/// A program that fuzzes this body.
#[macro_export]
macro_rules! target {
    ($body:path) => {
        $crate::libfuzzer_sys::fuzz_target!(|data: &[u8]| $body(data));
    };
}
