//! Transfers by io_uring, and by threads, which must do the same.
#![allow(clippy::unwrap_used, reason = "a test says what failed by failing there")]

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use uring::Uring;
use vhd::{Bytes, Engine, Threads, Transfer};

/// Runs a test by every engine that the system permits.
fn check(test: impl Fn(&dyn Engine)) {
    test(&Threads::new(3).unwrap());
    match Uring::new() {
        Ok(uring) => test(&uring),
        Err(error) => eprintln!("SKIPPED: no io_uring: {error}"),
    }
}

fn file(len: usize) -> Arc<File> {
    let file = tempfile::tempfile().unwrap();
    file.write_all_at(&(0..251).cycle().take(len).collect::<Vec<u8>>(), 0).unwrap();
    Arc::new(file)
}

fn left(transfer: &mut Transfer<'_>) -> usize {
    match transfer.left() {
        Bytes::Into(bytes) => bytes.len(),
        Bytes::From(bytes) => bytes.len(),
    }
}

#[test]
fn batches_of_any_length_from_many_threads_move_their_bytes() {
    check(|engine| {
        let source = file(251 * 1000);
        thread::scope(|scope| {
            for thread in 0..24u64 {
                let source = &source;
                scope.spawn(move || {
                    let target = file(0);
                    for count in [0, 1, 2, 127, 128, 129, 1000] {
                        let mut memory = vec![[0; 251]; count];
                        let reads = memory.iter_mut().zip(0u64..);
                        let reads = reads.map(|(bytes, index)| Transfer::read(source, index * 251 + thread, bytes, 1));
                        let mut reads: Vec<_> = reads.collect();
                        engine.run(&mut reads);
                        let short = reads.iter_mut().filter(|read| !read.is_over()).count();
                        assert!(short <= usize::from(count == 1000 && thread > 0), "only at the end of the file");
                        drop(reads);
                        let writes = memory.iter().zip(0u64..);
                        let writes = writes.map(|(bytes, index)| Transfer::write(&target, index * 251, bytes, 1));
                        let mut writes: Vec<_> = writes.collect();
                        engine.run(&mut writes);
                        assert!(writes.iter().all(Transfer::is_over));
                    }
                    let mut found = vec![0; 251 * 999];
                    target.read_exact_at(&mut found, 0).unwrap();
                    assert!(found.iter().zip(thread..).all(|(&byte, at)| u64::from(byte) == at % 251));
                });
            }
        });
    });
}

#[test]
fn an_error_is_that_of_its_transfer() {
    check(|engine| {
        let named = tempfile::NamedTempFile::new().unwrap();
        let (writable, readable) = (file(100), Arc::new(File::open(named.path()).unwrap()));
        let mut transfers = [
            Transfer::write(&readable, 0, b"no", 1),
            Transfer::write(&writable, 0, b"yes", 1),
            Transfer::write(&readable, 0, b"", 1),
        ];
        engine.run(&mut transfers);
        // An error ends a transfer where it is.
        assert!(transfers.iter().all(Transfer::is_over));
        assert_eq!(transfers.each_mut().map(left), [2, 0, 0]);
    });
}

#[test]
fn a_read_behind_the_end_is_over_without_bytes() {
    check(|engine| {
        let (file, mut one, mut two) = (file(10), [9; 8], [9; 8]);
        let mut transfers = [Transfer::read(&file, 6, &mut one, 8), Transfer::read(&file, 10, &mut two, 8)];
        engine.run(&mut transfers);
        assert!(transfers.iter().all(Transfer::is_over));
        assert_eq!(transfers.each_mut().map(left), [4, 8]);
        assert_eq!((one, two), ([6, 7, 8, 9, 9, 9, 9, 9], [9; 8]));
    });
}

#[test]
fn nothing_is_under_way_when_the_engine_returns() {
    // Threads read at positions, which a pipe has not.
    let Ok(uring) = Uring::new() else { return };
    let (reader, mut writer) = io::pipe().unwrap();
    let (reader, ready) = (Arc::new(File::from(OwnedFd::from(reader))), file(4));
    let has_written = AtomicBool::new(false);
    let (mut late, mut early) = ([0; 4], [0; 4]);
    thread::scope(|scope| {
        scope.spawn(|| {
            has_written.store(true, Ordering::SeqCst);
            writer.write_all(b"late").unwrap();
        });
        uring.run(&mut [Transfer::read(&reader, 0, &mut late, 1), Transfer::read(&ready, 0, &mut early, 1)]);
        assert!(has_written.load(Ordering::SeqCst));
    });
    assert_eq!((&late, early), (b"late", [0, 1, 2, 3]));
}
