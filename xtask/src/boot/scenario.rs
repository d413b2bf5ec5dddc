//! The scenarios by name.

use super::report::Report;
use super::{Boot, Ready, linux_nbd, xen};

/// Something to boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[cfg_attr(feature = "extras", derive(schemars::JsonSchema))]
#[serde(rename_all = "kebab-case")]
pub enum Scenario {
    /// Xen and a dom0, up to a prompt that answers
    Dom0,
    /// A PV guest: created, writes, reads back, destroyed without a trace
    Pv,
    /// A plain Linux guest with its disk over NBD from tapdisk
    LinuxNbd,
}

impl Scenario {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Scenario::Dom0 => "dom0",
            Scenario::Pv => "pv",
            Scenario::LinuxNbd => "linux-nbd",
        }
    }

    pub(super) fn run(self, boot: &Boot<'_>, report: &mut Report) -> Ready<()> {
        match self {
            Scenario::Dom0 => xen::run(boot, report, xen::Until::Prompt),
            Scenario::Pv => xen::run(boot, report, xen::Until::Guest),
            Scenario::LinuxNbd => linux_nbd::run(boot, report),
        }
    }
}
