//! A process that may open no more files.

use crate::bad_disk::BadDisk;
use crate::support::*;
use std::sync::Arc;
use store::{Append, AppendError, Bound, OsDisk};

#[test]
fn too_many_open_files_refuse_and_fence_nothing() {
    let dir = TempDir::new();
    let settings = small(dir.path());
    let (bad, disk) = BadDisk::around(Arc::new(OsDisk));
    let store = open(&disk, &settings);
    append(&store, NOW, draft("A", 0, "before"));
    store.flush(NOW).unwrap();
    bad.refuse_files(true);
    append(&store, NOW, draft("B", 0, "its queue has no file"));
    store.flush(NOW + 1).unwrap();
    assert_eq!(store.fence_reason(), None);
    assert_eq!(store.refusal(), Some(AppendError::DiskFull));
    let full = store.full().unwrap();
    assert!(full.bound == Bound::OpenFiles && full.to_string().contains("ulimit -n"), "{full}");
    let mut refused = [Append::one(draft("A", 0, "refused"))];
    store.append(NOW + 2, &mut refused);
    assert_eq!(refused[0].outcome, Err(AppendError::DiskFull));
    bad.refuse_files(false);
    store.flush(NOW + 3).unwrap();
    append(&store, NOW + 4, draft("A", 0, "after"));
    assert_eq!(bodies(&store, "A", 0), ["before", "after"]);
    assert_eq!(bodies(&store, "B", 0), ["its queue has no file"]);
    // So too where it is the next log file that cannot be opened.
    bad.refuse_files(true);
    let mut last = Ok(());
    for number in 0..100 {
        let mut one = [Append::one(draft("A", 0, &"x".repeat(1_000 + number)))];
        store.append(NOW + 5, &mut one);
        last = one[0].outcome.map(drop);
    }
    assert_eq!((last, store.fence_reason()), (Err(AppendError::DiskFull), None));
    bad.refuse_files(false);
    store.flush(NOW + 6).unwrap();
    append(&store, NOW + 7, draft("A", 0, "again"));
    assert_eq!(bodies(&store, "A", 0).last().unwrap(), "again");
    store.close().unwrap();
}
