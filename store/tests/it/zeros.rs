//! Zeros that were sent are not zeros that a power failure left.

use crate::support::*;
use message::{Draft, Placement, record};
use simulator::SimDisk;
use std::path::Path;
use std::sync::Arc;
use store::disk::Allocation;
use store::{Disk, FlushMode, Settings};

const LOG: &str = "/store/commitlog/00000000000000000000";

fn with_zeros(body: &str, zeros: usize) -> Draft {
    let mut draft = draft("T", 0, body);
    draft.properties = [b"k\x01", vec![0; zeros].as_slice(), b"\x02"].concat().into();
    draft
}

#[test]
fn zeros_in_a_message_never_end_the_log() {
    for zeros in [1, 511, 512, 1_023, 1_100, 5_000, 32_767 - 3] {
        for flush_mode in [FlushMode::Async, FlushMode::Sync] {
            let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(3));
            let commit_log_file_bytes = 64 << 10;
            let settings =
                Settings { commit_log_file_bytes, flush_mode, ..small(Path::new("/store")) };
            let mut sent = Vec::new();
            for round in 0..3 {
                let store = open(&disk, &settings);
                assert_eq!(bodies(&store, "T", 0), sent, "{zeros} zeros, start {round}");
                let mut one = |draft: Draft| {
                    sent.push(String::from_utf8(draft.body.to_vec()).unwrap());
                    append(&store, NOW, draft);
                };
                one(with_zeros("properties", zeros));
                one(draft("T", 0, &"\0".repeat(2_000)));
                (0..20).for_each(|number| one(draft("T", 0, &format!("later-{number}"))));
                // The last message of a killed process is as legal as one in the middle.
                let fits = zeros < 30_000;
                one(if fits { with_zeros("last", zeros) } else { draft("T", 0, "last") });
                store.flush(NOW).unwrap();
            }
        }
    }
}

/// A broker that seals nothing wrote these.
fn written_elsewhere(disk: &Arc<dyn Disk>, settings: &Settings, drafts: &[Draft]) {
    let mut log = Vec::new();
    for (queue_offset, draft) in (0..).zip(drafts) {
        let placement =
            Placement { queue_offset, log_offset: log.len() as i64, store_timestamp: NOW };
        draft.encode(placement, &mut log);
    }
    let file = disk.open(Path::new(LOG), settings.commit_log_file_bytes, Allocation::Reserved);
    file.unwrap().write_at(0, &log).unwrap();
    disk.replace(Path::new("/store/abort"), b"", None).unwrap();
}

#[test]
fn what_looks_torn_ends_the_log_only_where_nothing_follows() {
    let check = |drafts: &[Draft], kept: &[&str]| {
        let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(3));
        let settings = small(Path::new("/store"));
        written_elsewhere(&disk, &settings, drafts);
        assert_eq!(bodies(&open(&disk, &settings), "T", 0), kept);
    };
    let (zeros, plain) = (with_zeros("zeros", 1_100), draft("T", 0, "plain"));
    check(&[zeros.clone(), plain.clone()], &["zeros", "plain"]);
    check(&[plain.clone(), zeros.clone()], &["plain"]);
    check(&[plain.clone(), zeros.clone(), plain.clone()], &["plain", "zeros", "plain"]);
    let mut stale = zeros;
    stale.properties = [&stale.properties[..], b"__CRC32#\x010000000000\x02"].concat().into();
    check(&[stale.clone(), plain], &["zeros", "plain"]);
    check(&[stale], &[]);
}

#[test]
fn properties_with_zeros_are_sealed() {
    let disk: Arc<dyn Disk> = Arc::new(SimDisk::new(3));
    let store = open(&disk, &small(Path::new("/store")));
    append(&store, NOW, with_zeros("zeros", 10));
    append(&store, NOW, draft("T", 0, "plain"));
    let found = read(&store, "T", 0, 0);
    let sealed = found.messages.iter().map(|bytes| record::verify_property_crc(bytes));
    assert_eq!(sealed.collect::<Vec<_>>(), [Some(true), None]);
    assert_eq!(record_of(&found.messages[0]).property("k"), Some("\0".repeat(10).as_str()));
}
