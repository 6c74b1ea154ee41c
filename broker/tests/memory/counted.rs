//! Counts how often the event loops allocate something, and the bytes that all threads have.
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

struct Counted;

static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
static MOST_BYTES: AtomicUsize = AtomicUsize::new(0);

/// Set when all threads have their names, of which one that begins has none yet.
static BEGUN: AtomicBool = AtomicBool::new(false);

thread_local! {
    /// Whether this thread is an event loop; nobody knows before it allocates something.
    static IS_LOOP: Cell<Option<bool>> = const { Cell::new(None) };
}

#[global_allocator]
static ALLOCATOR: Counted = Counted;

// SAFETY: every call goes to the system's allocator as it is; only numbers are kept beside it.
unsafe impl GlobalAlloc for Counted {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if BEGUN.load(Ordering::Relaxed) {
            ALLOCATIONS.fetch_add(is_loop().into(), Ordering::Relaxed);
        }
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

/// Whether this thread serves connections. Others work by the clock, however much is sent.
fn is_loop() -> bool {
    IS_LOOP.get().unwrap_or_else(|| {
        // What asking allocates is not counted.
        IS_LOOP.set(Some(false));
        let is_loop = thread::current().name().is_some_and(|name| name.starts_with("net-"));
        IS_LOOP.set(Some(is_loop));
        is_loop
    })
}

/// From now on allocations are counted.
pub(crate) fn begin() {
    BEGUN.store(true, Ordering::Relaxed);
}

/// How often something was allocated since [`begin`]; a larger place for the same counts
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
