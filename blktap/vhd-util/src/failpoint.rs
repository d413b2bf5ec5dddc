//! Failures on demand: blktap's variables, with which test-suites of storage managers interrupt a command. A command that
//! meets one stops there, as if killed, with the status of wrong usage. Knows names only.

use crate::terminal::Terminal;

/// A place in a command. The name of its variable is `VHD_UTIL_TEST_FAIL_` and what [`FailPoint::name`] gives.
#[derive(Clone, Copy, Debug)]
pub(crate) enum FailPoint {
    ReparentBegin,
    ReparentLocator,
    ReparentEnd,
    ResizeBegin,
    ResizeDataMoved,
    ResizeMetadataMoved,
    ResizeEnd,
}

impl FailPoint {
    fn name(self) -> String {
        let name = match self {
            FailPoint::ReparentBegin => "REPARENT_BEGIN",
            FailPoint::ReparentLocator => "REPARENT_LOCATOR",
            FailPoint::ReparentEnd => "REPARENT_END",
            FailPoint::ResizeBegin => "RESIZE_BEGIN",
            FailPoint::ResizeDataMoved => "RESIZE_DATA_MOVED",
            FailPoint::ResizeMetadataMoved => "RESIZE_METADATA_MOVED",
            FailPoint::ResizeEnd => "RESIZE_END",
        };
        format!("VHD_UTIL_TEST_FAIL_{name}")
    }

    /// Whether its variable is there, with any value.
    pub(crate) fn is_set(self) -> bool {
        std::env::var_os(self.name()).is_some()
    }

    /// The same, and says so in blktap's words.
    pub(crate) fn is_hit(self, terminal: &mut Terminal) -> bool {
        if self.is_set() {
            terminal.print(format_args!("Failing at {}\n", self.name()));
        }
        self.is_set()
    }
}
