//! What every invariant may take (S5): processor time and memory grow with the bytes that are read, and no faster.
//!
//! Bounds are wide, for instrumented code is slow; what grows with the square of 64 KiB is beyond them all the same.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Read;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::time::{ClockId, clock_gettime};

use super::invariants::Check;
use oci2ext4::codec::Decoder;

/// Bytes that an invariant may hold at a time: its own buffers and images, and so many for each byte read.
const MEMORY: usize = 96 << 20;
const MEMORY_PER_BYTE: usize = 256;

/// Seconds of processor time, of all threads: so many in any case, and for each byte read.
const TIME: f64 = 1.5;
const TIME_PER_BYTE: f64 = 60e-6;

/// Decoded bytes are read too. A bomb has so many at most before it is nothing but slow.
const DECODED: u64 = 64 << 20;

/// Bytes of the program, and the most that there were since somebody looked.
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counted. What C libraries allocate is not; libFuzzer bounds all of the process.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn grow(bytes: usize) {
    let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(live, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        grow(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        grow(size);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        unsafe { System.realloc(pointer, layout, size) }
    }
}

/// Checks the invariant and that it keeps within both bounds.
pub fn bounded(check: Check, bytes: &[u8]) {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let start = seconds();
    check(bytes);
    let spent = seconds() - start;
    let held = PEAK.load(Ordering::Relaxed).saturating_sub(before);
    // Decoded bytes were read too; to count them takes time, and is rarely needed.
    let limits = |read: usize| (TIME + TIME_PER_BYTE * read as f64, MEMORY + MEMORY_PER_BYTE * read);
    let (time, memory) = limits(bytes.len());
    if spent <= time && held <= memory {
        return;
    }
    let read = bytes.len() + decoded(bytes);
    let (time, memory) = limits(read);
    assert!(spent <= time, "{spent:.2} s of processor time for {read} bytes, at most {time:.2}");
    assert!(held <= memory, "{held} bytes of memory for {read} bytes, at most {memory}");
}

/// Bytes that come out of a compressed stream.
fn decoded(bytes: &[u8]) -> usize {
    let Ok(decoder) = Decoder::new(bytes) else { return 0 };
    let mut decoder = decoder.take(DECODED);
    let mut piece = vec![0; 1 << 16];
    let mut sum = 0;
    while let Ok(len @ 1..) = decoder.read(&mut piece) {
        sum += len;
    }
    sum
}

/// Processor time of this process so far.
fn seconds() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 * 1e-9
}
