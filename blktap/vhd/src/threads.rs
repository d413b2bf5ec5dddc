//! An engine of threads, for systems that permit no other. Bytes go to a thread and come back in memory of its own: no thread
//! ever holds memory of a caller's.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use crate::aligned::AlignedBuffer;
use crate::engine::{Bytes, Engine, Transfer};

/// Memory that one batch has with the threads at a time.
const ROUND_BYTES: usize = 8 << 20;

/// A number of threads that transfer.
#[derive(Debug)]
pub struct Threads {
    queue: Arc<Queue>,
    workers: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    /// There is something to do.
    signal: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    is_closed: bool,
}

/// One attempt at a transfer.
#[derive(Debug)]
struct Job {
    index: usize,
    file: Arc<File>,
    offset: u64,
    is_read: bool,
    buffer: AlignedBuffer,
    done: Sender<Done>,
}

#[derive(Debug)]
struct Done {
    index: usize,
    attempt: io::Result<usize>,
    buffer: AlignedBuffer,
}

impl Threads {
    /// Starts so many threads. They end with the value.
    pub fn new(count: usize) -> io::Result<Self> {
        let mut threads = Threads { queue: Arc::default(), workers: vec![] };
        for _ in 0..count {
            let queue = Arc::clone(&threads.queue);
            let worker = thread::Builder::new().name("transfers".to_owned()).spawn(move || queue.work());
            threads.workers.push(worker?);
        }
        Ok(threads)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.queue.lock().is_closed = true;
        self.queue.signal.notify_all();
        for worker in self.workers.drain(..) {
            // One that panicked has said so.
            drop(worker.join());
        }
    }
}

impl Engine for Threads {
    fn run(&self, transfers: &mut [Transfer<'_>]) {
        if self.workers.is_empty() {
            return;
        }
        let mut first = 0;
        while first < transfers.len() {
            let (done, results) = channel();
            let (mut jobs, mut bytes) = (VecDeque::new(), 0);
            for (index, transfer) in transfers.iter_mut().enumerate().skip(first) {
                first = index + 1;
                bytes += match transfer.left() {
                    Bytes::Into(bytes) => bytes.len(),
                    Bytes::From(bytes) => bytes.len(),
                };
                jobs.push_back(Job::of(index, transfer, done.clone()));
                if bytes >= ROUND_BYTES {
                    break;
                }
            }
            drop(done);
            self.queue.lock().jobs.append(&mut jobs);
            self.queue.signal.notify_all();
            // Until every job has come back, or its thread is gone.
            for Done { index, attempt, buffer } in results {
                let transfer = &mut transfers[index];
                if let (Bytes::Into(bytes), Ok(moved)) = (transfer.left(), &attempt) {
                    bytes[..*moved].copy_from_slice(&buffer.bytes()[..*moved]);
                }
                transfer.note(attempt);
            }
        }
    }
}

impl Job {
    fn of(index: usize, transfer: &mut Transfer<'_>, done: Sender<Done>) -> Self {
        let (file, offset) = (Arc::clone(transfer.file()), transfer.offset());
        let (is_read, buffer) = match transfer.left() {
            Bytes::Into(bytes) => (true, AlignedBuffer::zeroed(bytes.len())),
            Bytes::From(bytes) => {
                let mut buffer = AlignedBuffer::zeroed(bytes.len());
                buffer.bytes_mut().copy_from_slice(bytes);
                (false, buffer)
            }
        };
        Job { index, file, offset, is_read, buffer, done }
    }

    fn run(mut self) {
        let attempt = match self.is_read {
            true => self.file.read_at(self.buffer.bytes_mut(), self.offset),
            false => self.file.write_at(self.buffer.bytes(), self.offset),
        };
        // Who asked waits for it.
        self.done.send(Done { index: self.index, attempt, buffer: self.buffer }).ok();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        while let Some(job) = self.next() {
            job.run();
        }
    }

    /// The next job; `None` when there will be none.
    fn next(&self) -> Option<Job> {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                return Some(job);
            }
            if waiting.is_closed {
                return None;
            }
            waiting = self.signal.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
