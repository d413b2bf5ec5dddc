//! Memory in the hands of the kernel: from when a transfer is put into a ring until it is known to be done. All unsafe code
//! of this crate.
#![allow(unsafe_code, reason = "the kernel reads and writes memory behind the compiler's back")]

use std::io;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::Duration;

use io_uring::{IoUring, opcode, types::Fd};
use vhd::{Bytes, Transfer};

/// The longest transfer that the interface has room for; the rest comes later.
const MAX_BYTES: usize = 1 << 30;
/// Nobody asked for it to end, so it is done by whoever waits.
const ECANCELED: i32 = 125;
/// Between two looks at a ring that cannot be waited for.
const PAUSE: Duration = Duration::from_millis(1);

/// Makes one attempt at each transfer, which are no more than the ring has room for. Returns whether the ring is as it was:
/// empty. Otherwise it must not be used again.
pub(crate) fn fly(ring: &mut IoUring, transfers: &mut [Transfer<'_>]) -> bool {
    let mut flight = Flight { ring, pushed: 0, landed: 0 };
    for (index, transfer) in transfers.iter_mut().enumerate().filter(|(_, transfer)| !transfer.is_over()) {
        let (file, offset) = (Fd(transfer.file().as_raw_fd()), transfer.offset());
        let entry = match transfer.left() {
            Bytes::Into(bytes) => opcode::Read::new(file, bytes.as_mut_ptr(), len(bytes)).offset(offset).build(),
            Bytes::From(bytes) => opcode::Write::new(file, bytes.as_ptr(), len(bytes)).offset(offset).build(),
        };
        // SAFETY: the memory and the file are borrowed by the transfer, which is borrowed until this function returns or
        // unwinds. Both ways lead through the end of `flight`, which waits until the kernel has neither any more. Nobody
        // looks at the memory meanwhile.
        if unsafe { flight.ring.submission().push(&entry.user_data(index as u64)) }.is_err() {
            break;
        }
        flight.pushed += 1;
    }
    flight.wait(|index, attempt| {
        if let Some(transfer) = usize::try_from(index).ok().and_then(|index| transfers.get_mut(index)) {
            transfer.note(attempt);
        }
    })
}

fn len(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len().min(MAX_BYTES)).expect("a gibibyte is a length of 32 bits")
}

/// Transfers that the kernel may have.
struct Flight<'a> {
    ring: &'a mut IoUring,
    pushed: usize,
    landed: usize,
}

impl Flight<'_> {
    /// Hands all to the kernel, calls with what became of each, and returns when it has none of them. `false` where it did not
    /// take them all.
    fn wait(&mut self, mut note: impl FnMut(u64, io::Result<usize>)) -> bool {
        while self.landed < self.pushed {
            let waited = self.ring.submit_and_wait(self.pushed - self.landed);
            self.land(&mut note);
            match waited {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // Those that it did not take stay in the ring, and nobody will hand them over.
                Err(_) => {
                    self.wait_for_taken(&mut note);
                    return self.landed == self.pushed;
                }
            }
        }
        true
    }

    /// Returns when the kernel has nothing that it took, however long that is and whatever it says.
    fn wait_for_taken(&mut self, mut note: impl FnMut(u64, io::Result<usize>)) {
        loop {
            let untaken = self.ring.submission().len();
            if self.landed + untaken >= self.pushed {
                return;
            }
            // Any system call lets what is done be seen.
            thread::sleep(PAUSE);
            self.land(&mut note);
        }
    }

    fn land(&mut self, mut note: impl FnMut(u64, io::Result<usize>)) {
        for done in self.ring.completion() {
            self.landed += 1;
            match usize::try_from(done.result()) {
                Ok(moved) => note(done.user_data(), Ok(moved)),
                Err(_) if done.result() == -ECANCELED => {}
                Err(_) => note(done.user_data(), Err(io::Error::from_raw_os_error(-done.result()))),
            }
        }
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        // Only when unwinding there is anything to wait for.
        self.wait_for_taken(|_, _| {});
    }
}
