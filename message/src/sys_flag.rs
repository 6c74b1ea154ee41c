//! The bits of a record's `sysFlag` (Java `MessageSysFlag`). Only the bits: what the broker does
//! about them is decided where it is done.

/// The body is compressed by the algorithm that [`COMPRESSION_MASK`] names.
pub const COMPRESSED: i32 = 0x1;
/// Left from old clients; changes nothing.
pub const MULTI_TAGS: i32 = 0x2;
/// The two bits that hold the transaction type.
pub const TRANSACTION_MASK: i32 = 0xC;
/// Not part of a transaction.
pub const TRANSACTION_NONE: i32 = 0x0;
/// A half message.
pub const TRANSACTION_PREPARED: i32 = 0x4;
/// A committed message.
pub const TRANSACTION_COMMIT: i32 = 0x8;
/// A rolled-back message.
pub const TRANSACTION_ROLLBACK: i32 = 0xC;
/// The born host is an IPv6 address (16 bytes instead of 4).
pub const BORN_HOST_V6: i32 = 0x10;
/// The store host is an IPv6 address (16 bytes instead of 4).
pub const STORE_HOST_V6: i32 = 0x20;
/// The consumer has to unwrap the body into its messages.
pub const NEED_UNWRAP: i32 = 0x40;
/// The record is one inner batch (its body is a client batch body).
pub const INNER_BATCH: i32 = 0x80;
/// The three bits that name the compression.
pub const COMPRESSION_MASK: i32 = 0x700;
/// LZ4 frame format.
pub const COMPRESSION_LZ4: i32 = 0x100;
/// Zstandard frames.
pub const COMPRESSION_ZSTD: i32 = 0x200;
/// A zlib stream; old clients leave the bits 0 and mean this.
pub const COMPRESSION_ZLIB: i32 = 0x300;

/// The transaction bits alone.
pub const fn transaction_type(sys_flag: i32) -> i32 {
    sys_flag & TRANSACTION_MASK
}

/// `sys_flag` with its transaction bits replaced by `kind`.
pub const fn with_transaction_type(sys_flag: i32, kind: i32) -> i32 {
    (sys_flag & !TRANSACTION_MASK) | kind
}

/// Whether a consume queue gets an entry for such a record: half and rolled-back ones get none.
pub const fn is_visible(sys_flag: i32) -> bool {
    matches!(transaction_type(sys_flag), TRANSACTION_NONE | TRANSACTION_COMMIT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transaction_type_replaces_only_its_own_bits() {
        let flag = COMPRESSED | COMPRESSION_ZSTD | TRANSACTION_PREPARED;
        assert!(!is_visible(flag));
        let committed = with_transaction_type(flag, TRANSACTION_COMMIT);
        assert_eq!(committed, COMPRESSED | COMPRESSION_ZSTD | TRANSACTION_COMMIT);
        assert!(is_visible(committed));
    }
}
