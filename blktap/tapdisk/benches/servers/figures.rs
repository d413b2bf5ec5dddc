//! What was measured: for each server and quantity the figures of all rounds, of which the median counts.

use std::collections::BTreeMap;

use crate::server::Server;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Quantity {
    /// Time of processors that the server takes for a request, in microseconds.
    Cpu,
    /// Requests a second.
    Rate,
    /// Half of the requests are answered in so many microseconds.
    P50,
    SystemCalls,
    Millis,
    /// MiB that are resident.
    Memory,
    /// [`Quantity::Cpu`] of the chain to that of one image.
    DepthCpu,
    /// Time a request on the chain to that on one image.
    DepthTime,
    /// Processors that others kept busy meanwhile.
    OtherCores,
}

impl Quantity {
    pub(crate) fn more_is_better(self) -> bool {
        self == Quantity::Rate
    }

    /// A figure with its unit, as tables have it.
    pub(crate) fn show(self, value: f64) -> String {
        if self == Quantity::Rate && value >= 1_000.0 {
            let places = usize::from(value < 10_000.0);
            return format!("{:.places$} k/s", value / 1e3);
        }
        let places = match value {
            _ if self == Quantity::Rate => 0,
            value if value < 10.0 => 2,
            value if value < 100.0 => 1,
            _ => 0,
        };
        let name = if self == Quantity::P50 { "p50 " } else { "" };
        format!("{name}{value:.places$}{}", self.unit())
    }

    pub(crate) fn unit(self) -> &'static str {
        match self {
            Quantity::Cpu | Quantity::P50 => " us",
            Quantity::Rate => " /s",
            Quantity::SystemCalls | Quantity::OtherCores => "",
            Quantity::Millis => " ms",
            Quantity::Memory => " MiB",
            Quantity::DepthCpu => " of the CPU",
            Quantity::DepthTime => " of the time",
        }
    }
}

/// The figures of a row.
#[derive(Debug, Default)]
pub(crate) struct Figures(BTreeMap<(Server, Quantity), Vec<f64>>);

impl Figures {
    pub(crate) fn add(&mut self, server: Server, quantity: Quantity, value: f64) {
        self.0.entry((server, quantity)).or_default().push(value);
    }

    pub(crate) fn median(&self, server: Server, quantity: Quantity) -> Option<f64> {
        median(self.0.get(&(server, quantity))?.clone())
    }

    /// The best that one of the others reaches.
    pub(crate) fn best_peer(&self, quantity: Quantity) -> Option<f64> {
        let peers = Server::PEERS.iter().filter_map(|&peer| self.median(peer, quantity));
        peers.reduce(if quantity.more_is_better() { f64::max } else { f64::min })
    }

    /// What others kept busy while this was measured.
    pub(crate) fn other_cores(&self) -> Option<f64> {
        let others = self.0.iter().filter(|((_, quantity), _)| *quantity == Quantity::OtherCores);
        median(others.flat_map(|(_, values)| values).copied().collect())
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_unstable_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}
