//! Times of the format: seconds since 2000-01-01 00:00 UTC in 32 bits. Never reads a clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 2000-01-01 00:00 UTC in Unix seconds.
const EPOCH_UNIX_SECS: u32 = 946_684_800;

/// A time as images store it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp(
    /// Seconds since 2000-01-01 00:00 UTC.
    pub u32,
);

impl Timestamp {
    /// Seconds since the Unix epoch.
    pub fn unix_secs(self) -> i64 {
        i64::from(self.0) + i64::from(EPOCH_UNIX_SECS)
    }
}

impl From<SystemTime> for Timestamp {
    /// The nearest time that the format can hold (2000 to 2136); fractions of a second are cut off.
    fn from(time: SystemTime) -> Self {
        let epoch = UNIX_EPOCH + Duration::from_secs(EPOCH_UNIX_SECS.into());
        let since = time.duration_since(epoch).unwrap_or_default().as_secs();
        Timestamp(u32::try_from(since).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(unix_secs: u64, stored: u32) {
        assert_eq!(Timestamp::from(UNIX_EPOCH + Duration::from_secs(unix_secs)), Timestamp(stored));
    }

    #[test]
    fn counts_from_the_year_2000_and_stays_in_range() {
        check(946_684_800, 0);
        check(946_684_801, 1);
        check(0, 0);
        check(10_000_000_000, u32::MAX);
        assert_eq!(Timestamp(1).unix_secs(), 946_684_801);
    }
}
