//! Counts how often something is allocated by all threads but the test's own, and the bytes that
//! all threads have.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

struct Counted;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
static MOST_BYTES: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    static COUNTS: Cell<bool> = const { Cell::new(true) };
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

// SAFETY: every call goes to the system's allocator as it is; only numbers are kept beside it.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(COUNTS.get().into(), Ordering::Relaxed);
        let bytes = BYTES.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        MOST_BYTES.fetch_max(bytes, Ordering::Relaxed);
        // SAFETY: the caller keeps the trait's promises.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps the trait's promises.
        unsafe { System.dealloc(at, layout) }
    }
}

/// From now on does not count what this thread allocates.
pub(crate) fn leave_out_this_thread() {
    COUNTS.set(false);
}

/// How often something was allocated since the process began; a larger place for the same counts
/// again.
pub(crate) fn allocations() -> usize {
    ALLOCATIONS.load(Ordering::Relaxed)
}

/// The bytes that are allocated now.
pub(crate) fn bytes() -> usize {
    BYTES.load(Ordering::Relaxed)
}

/// What `run` gives, and how many bytes were allocated at the same time meanwhile besides those
/// that were before.
pub(crate) fn most_bytes<T>(run: impl FnOnce() -> T) -> (T, usize) {
    let before = bytes();
    MOST_BYTES.store(before, Ordering::Relaxed);
    let given = run();
    (given, MOST_BYTES.load(Ordering::Relaxed) - before)
}
