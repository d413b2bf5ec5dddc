//! What an end leaves behind: of the server, of its socket, of the image.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::process::Signal;
use vhd::Timestamp;
use vhd::check::{self, Options};
use vhd::repair::{Repair, Source};

use crate::oracle::reads;
use crate::served::{Mode, SIZE, Served, content, images};

#[test]
fn signals_end_it_cleanly_and_the_socket_goes() {
    let images = images();
    let image = images.path().join("dynamic.vhd");
    for signal in [Signal::INT, Signal::TERM, Signal::HUP] {
        let served = Served::new(&image, &[]);
        let mut client = served.client();
        assert_eq!(client.write(0, 0, &[7; 4096]), 0);
        let socket = served.socket.clone();
        assert_eq!(served.end(signal), 0);
        assert!(!socket.exists() && client.sees_the_end());
    }
}

/// Writes one sector after the other until the server is gone, and kills it in the middle. Which were acknowledged?
fn killed(image: &Path, mode: Mode, until: u64) -> u64 {
    let served = Served::with(image, mode, &[]);
    let done = Arc::new(AtomicU64::new(0));
    let (mut client, counter) = (served.client(), Arc::clone(&done));
    let writer = std::thread::spawn(move || {
        for sector in 0..SIZE as u64 / 512 {
            // The kill ends this with an error that is of no interest.
            let written = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                client.write(0, sector * 512, &[u8::try_from(sector % 255 + 1).unwrap(); 512])
            }));
            if !written.is_ok_and(|status| status == 0) {
                return;
            }
            counter.store(sector + 1, Ordering::SeqCst);
        }
    });
    while done.load(Ordering::SeqCst) < until {
        std::thread::yield_now();
    }
    assert_eq!(served.end(Signal::KILL), -9);
    writer.join().unwrap();
    done.load(Ordering::SeqCst)
}

/// What the tools say of an image whose server was killed: it is valid but for a footer that may stand elsewhere, and
/// after `repair` it is valid.
fn check_killed(image: &Path) {
    let copy = image.with_extension("copy");
    std::fs::copy(image, &copy).unwrap();
    let options = Options { now: Timestamp(u32::MAX), ignore_primary_footer: true, ..Options::default() };
    assert_eq!(check::check(&copy, &options).unwrap().findings, []);
    Repair::open(&copy, Source::Any).unwrap().write().unwrap();
    assert_eq!(check::check(&copy, &Options { ignore_primary_footer: false, ..options }).unwrap().findings, []);
}

#[test]
fn a_kill_loses_nothing_that_was_acknowledged() {
    let is_full = std::env::var("XTASK_TIER").is_ok_and(|tier| tier == "full");
    let mut moments = vec![("child.vhd", 1), ("dynamic.vhd", 3000), ("child.vhd", 4500), ("fixed.vhd", 100)];
    if is_full {
        let names = ["child.vhd", "dynamic.vhd", "fixed.vhd"];
        moments.extend((0..24u64).map(|turn| (names[short(turn % 3)], turn * 2_654_435_761 % 5000)));
    }
    for (mode, (name, until)) in Mode::ALL.into_iter().flat_map(|mode| moments.iter().map(move |&it| (mode, it))) {
        let until = if mode == Mode::Writeback { until } else { until.min(600) };
        let images = images();
        let image = images.path().join(name);
        let acknowledged = killed(&image, mode, until);
        check_killed(&image);
        // It is served again, over the socket that is left.
        let served = Served::new(&image, &[]);
        let mut oracle = content(name);
        let bytes = served.client().read(0, SIZE).unwrap();
        for (sector, bytes) in (0u64..).zip(oracle.chunks_mut(512)) {
            if sector < acknowledged {
                bytes.fill(u8::try_from(sector % 255 + 1).unwrap());
            }
        }
        // The one that was on its way may be there or not.
        let next = short(acknowledged) * 512;
        assert!(bytes[..next] == oracle[..next], "{name}: something of {acknowledged} sectors is lost");
        assert!(bytes[next + 512..] == oracle[next + 512..], "{name}: something else was written");
        assert_eq!(served.end(Signal::TERM), 0);
        reads(&image, &bytes);
    }
}

fn short(number: u64) -> usize {
    usize::try_from(number).unwrap()
}
