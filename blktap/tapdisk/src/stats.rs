//! What a disk has done, as JSON: names and order are blktap's; `reqs` and `usecs` are ours.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};
use tap_proto::Flags;

use crate::shared::Operations;
use crate::store::Link;
use crate::vbd::Vbd;

/// blktap's own name for this key: the storage manager reads it under this one.
const REDIRECTED_SECTORS: &str = "FIXME_enospc_redirect_count";
/// Numbers of blktap's drivers.
const DRIVERS: [(&str, u8); 5] = [("aio", 0), ("vhd", 4), ("ram", 5), ("log", 9), ("nbd", 15)];

/// The object of one disk.
pub(crate) fn of(vbd: &Vbd) -> Value {
    let image = vbd.image();
    let traffic = image.as_ref().map(|image| &image.shared.traffic);
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    let pair = |count: fn(&Operations) -> &AtomicU64| {
        traffic.map_or([0, 0], |it| [load(count(&it.reads)), load(count(&it.writes))])
    };
    let (sectors, requests, micros) = (pair(|it| &it.sectors), pair(|it| &it.done), pair(|it| &it.micros));
    let begun = traffic.map_or(0, |it| load(&it.reads.begun) + load(&it.writes.begun));
    let done = traffic.map_or(0, |it| load(&it.reads.done) + load(&it.writes.done));
    let fate = image.as_ref().map(|image| image.fate()).unwrap_or_default();
    let chain = image.as_ref().map(|image| image.chain()).unwrap_or_default();
    let images: Vec<_> = chain.iter().enumerate().map(|(depth, link)| layer(depth, link, sectors)).collect();
    json!({
        "name": vbd.name().as_os_str().to_string_lossy(),
        "secs": sectors,
        "images": images,
        REDIRECTED_SECTORS: fate.redirected_sectors(),
        "nbd_mirror_failed": u8::from(fate.is_mirror_lost()),
        "reqs_outstanding": begun.saturating_sub(done),
        "reqs": requests,
        "usecs": micros,
        "read_caching": image.is_some_and(|image| image.flags().contains(Flags::NO_O_DIRECT)).to_string(),
    })
}

/// An image of the chain. What clients asked for is counted where it was asked for: at the leaf.
fn layer(depth: usize, link: &Link, sectors: [u64; 2]) -> Value {
    let number = DRIVERS.iter().find(|(kind, _)| *kind == link.kind).map(|(_, number)| number);
    json!({
        "name": link.path.to_string_lossy(),
        "hits": if depth == 0 { sectors } else { [0, 0] },
        "fail": [0, 0],
        "driver": { "type": number, "name": link.kind, "status": Value::Null },
    })
}
