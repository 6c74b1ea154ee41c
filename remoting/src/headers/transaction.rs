//! Headers of transactional messages.

use message::Str;

use super::base::RpcFields;

crate::headers! {
    /// Commits (8) or rolls back (12) a half message (code 37).
    EndTransactionRequestHeader: RpcFields {
        topic: Option<Str>,
        producer_group: Str,
        tran_state_table_offset: i64,
        commit_log_offset: i64,
        commit_or_rollback: i32,
        from_transaction_check: bool = false,
        msg_id: Str,
        transaction_id: Option<Str>,
    }
    /// Empty.
    EndTransactionResponseHeader {}
    /// Asks a producer what became of a half message (code 39, broker to client).
    CheckTransactionStateRequestHeader: RpcFields {
        topic: Option<Str>,
        tran_state_table_offset: i64,
        commit_log_offset: i64,
        msg_id: Option<Str>,
        transaction_id: Option<Str>,
        offset_msg_id: Option<Str>,
    }
    /// Declared by Java and sent by nobody.
    CheckTransactionStateResponseHeader {
        producer_group: Str,
        tran_state_table_offset: i64,
        commit_log_offset: i64,
        commit_or_rollback: i32,
    }
    /// Has a half message checked again (code 323).
    ResumeCheckHalfMessageRequestHeader {
        topic: Option<Str>,
        msg_id: Option<Str>,
    }
}
