//! Headers of users and access rules; the rules themselves are bodies.

use message::Str;

crate::headers! {
    /// Creates the user in the body (code 3001).
    CreateUserRequestHeader {
        username: Option<Str>,
    }
    /// Changes a user (code 3002).
    UpdateUserRequestHeader {
        username: Option<Str>,
    }
    /// Deletes a user (code 3003).
    DeleteUserRequestHeader {
        username: Option<Str>,
    }
    /// Asks for a user (code 3004).
    GetUserRequestHeader {
        username: Option<Str>,
    }
    /// Asks for the users that match (code 3005).
    ListUsersRequestHeader {
        filter: Option<Str>,
    }
    /// Creates the rules in the body (code 3006).
    CreateAclRequestHeader {
        subject: Option<Str>,
    }
    /// Changes rules (code 3007).
    UpdateAclRequestHeader {
        subject: Option<Str>,
    }
    /// Deletes rules (code 3008).
    DeleteAclRequestHeader {
        subject: Option<Str>,
        policy_type: Option<Str>,
        resource: Option<Str>,
    }
    /// Asks for a subject's rules (code 3009).
    GetAclRequestHeader {
        subject: Option<Str>,
    }
    /// Asks for the rules that match (code 3010).
    ListAclsRequestHeader {
        subject_filter: Option<Str>,
        resource_filter: Option<Str>,
    }
}
