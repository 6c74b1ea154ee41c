//! `KVTable`: a flat table of texts.

use std::collections::BTreeMap;

use message::Str;

super::bodies! {
    /// A flat table (codes 28, 103 and 219).
    KVTable {
        table: BTreeMap<Str, Str>,
    }
}
