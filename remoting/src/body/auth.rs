//! Users and access rules.

use message::Str;

super::bodies! {
    /// A user (codes 3001 to 3005).
    #[derive(Eq)]
    UserInfo {
        password: Option<Str>,
        user_status: Option<Str>,
        user_type: Option<Str>,
        username: Option<Str>,
    }
    /// The rules of a subject (codes 3006 to 3010).
    #[derive(Eq)]
    AclInfo {
        policies: Option<Vec<PolicyInfo>>,
        subject: Option<Str>,
    }
    /// Rules of one kind.
    #[derive(Eq)]
    PolicyInfo {
        entries: Option<Vec<PolicyEntryInfo>>,
        policy_type: Option<Str>,
    }
    /// One rule.
    #[derive(Eq)]
    PolicyEntryInfo {
        actions: Option<Vec<Str>>,
        decision: Option<Str>,
        resource: Option<Str>,
        source_ips: Option<Vec<Str>>,
    }
}
