//! A subscription from its expression (Java: `FilterAPI.build`), and which kinds are taken.

use message::{Str, hash};
use remoting::body::heartbeat::{SUB_ALL, SubscriptionData, TAG};
use remoting::codes::ResponseCode;
use remoting::reply::Refusal;

/// Between the tags of an expression.
const OR: &str = "||";

/// The subscription to `topic` that `expression` asks for; `None` when it names no tag at all, or
/// is empty in a language that needs text.
pub fn build(topic: &Str, expression: &str, kind: &str) -> Option<SubscriptionData> {
    let base = SubscriptionData { topic: topic.clone(), ..SubscriptionData::default() };
    if kind != TAG {
        let sub_string = Some(expression).filter(|text| !text.is_empty())?;
        return Some(SubscriptionData {
            sub_string: Some(sub_string.into()),
            expression_type: Some(kind.into()),
            ..base
        });
    }
    if expression.is_empty() || expression == SUB_ALL {
        return Some(SubscriptionData { sub_string: Some(Str::from_static(SUB_ALL)), ..base });
    }
    let tags = expression.split(OR).map(str::trim).filter(|tag| !tag.is_empty());
    let tags_set: std::collections::BTreeSet<Str> = tags.map(Str::from).collect();
    // An expression of nothing but bars has no tag; one bar alone does, as in Java.
    if expression.split(OR).all(str::is_empty) {
        return None;
    }
    let code_set = tags_set.iter().map(|tag| hash::java_hash(tag)).collect();
    Some(SubscriptionData { sub_string: Some(expression.into()), tags_set, code_set, ..base })
}

/// Whether filters of this kind are taken at all: those by tags, and in SQL92 where it is switched
/// on (`enablePropertyFilter`).
///
/// # Errors
/// The refusal of the others.
pub fn check_kind(kind: Option<&str>, is_class: bool, sql: bool) -> Result<(), Refusal> {
    let kind = kind.unwrap_or_default();
    let refused = match () {
        () if is_class => "a class: filter by tags, or in SQL92",
        () if kind.is_empty() || kind == TAG || sql => return Ok(()),
        () => kind,
    };
    let remark = format!("The broker does not support consumer to filter message by {refused}");
    Err(Refusal::new(ResponseCode::SYSTEM_ERROR, remark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_java_reads_them() {
        let topic = Str::from("T");
        let tags = |expression: &str| {
            let built = build(&topic, expression, TAG)?;
            let tags = built.tags_set.iter().map(ToString::to_string).collect::<Vec<_>>();
            Some((built.sub_string?.to_string(), tags))
        };
        assert_eq!(tags(""), Some(("*".into(), vec![])));
        assert_eq!(tags("*"), Some(("*".into(), vec![])));
        let two = tags(" TagA || TagB||").unwrap();
        assert_eq!(two, (" TagA || TagB||".into(), vec!["TagA".into(), "TagB".into()]));
        assert_eq!(tags("||"), None);
        assert!(build(&topic, "a > 1", "SQL92").is_some());
        assert!(build(&topic, "", "SQL92").is_none());
        // The empty name is one of its own: what comes with it names no tags.
        assert!(build(&topic, "TagA", "").unwrap().tags_set.is_empty());
        assert!(build(&topic, "", "").is_none());
        assert!(build(&topic, "TagA", "TAG").unwrap().code_set.contains(&2_598_919));
    }
}
