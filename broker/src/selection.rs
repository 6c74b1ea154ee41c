//! Which messages of a queue a pull wants (Java: `ExpressionMessageFilter`,
//! `ExpressionForRetryMessageFilter`): all, those of some tags, or those that an expression over
//! their properties is true of. Not here: where expressions are kept ([`crate::filters`]).

use crate::filters::Known;
use filter::Expression;
use message::{Str, properties, property, record};
use remoting::body::heartbeat::{SUB_ALL, SubscriptionData};
use std::collections::HashMap;
use std::sync::Arc;
use store::Filter;

/// What a pull wants.
#[derive(Clone, Debug)]
pub enum Selection {
    /// Every message.
    All,
    /// Messages whose tag has one of these hashes; the client looks at the tags themselves.
    Tags(Vec<i32>),
    /// Messages that the expression is true of.
    Expression(Arc<Expression>),
    /// As [`Self::Expression`], of a group whose bits stand with the messages of an extended queue.
    Marked(Arc<Known>),
    /// Retried messages, each by the expression for the topic that it came from; those of other
    /// topics all.
    Retried(Arc<HashMap<Str, Arc<Expression>>>),
}

impl Selection {
    /// By the tags of a subscription.
    pub fn of_tags(subscription: &SubscriptionData) -> Self {
        if subscription.sub_string.as_deref() == Some(SUB_ALL) {
            return Self::All;
        }
        Self::Tags(subscription.code_set.iter().copied().collect())
    }

    /// Whether a message's properties must be looked at.
    pub fn needs_properties(&self) -> bool {
        matches!(self, Self::Expression(_) | Self::Marked(_) | Self::Retried(_))
    }

    /// Whether a message with these properties is wanted, as far as they decide. One that an
    /// expression has no verdict on is not.
    pub fn wants_properties(&self, encoded: &[u8]) -> bool {
        let expression = match self {
            Self::All | Self::Tags(_) => return true,
            Self::Expression(expression) => expression,
            Self::Marked(known) => &known.expression,
            Self::Retried(expressions) => {
                let topic = properties::find(encoded, property::RETRY_TOPIC).unwrap_or_default();
                match expressions.get(topic) {
                    Some(expression) => expression,
                    None => return true,
                }
            }
        };
        expression.evaluate(properties::pairs(encoded)) == Ok(Some(true))
    }
}

impl Filter for Selection {
    fn wants_tags_code(&self, tags_code: i64) -> bool {
        match self {
            // Java compares the low 32 bits.
            Self::Tags(codes) => codes.contains(&(tags_code as i32)),
            _ => true,
        }
    }

    fn wants_bits(&self, bits: &[u8], stored_ms: i64) -> bool {
        match self {
            Self::Marked(known) => known.may_want(bits, stored_ms),
            _ => true,
        }
    }

    fn wants_all(&self) -> bool {
        matches!(self, Self::All)
    }

    fn judges_records(&self) -> bool {
        self.needs_properties()
    }

    fn wants_record(&self, bytes: &[u8]) -> bool {
        if !self.needs_properties() {
            return true;
        }
        record::claim(bytes).is_some_and(|claim| self.wants_properties(claim.properties))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compiled(source: &str) -> Arc<Expression> {
        Arc::new(Expression::compile(source).unwrap())
    }

    #[test]
    fn only_true_lets_a_message_pass() {
        let wants = Selection::Expression(compiled("a > 5 AND b = 'x'"));
        assert!(wants.wants_properties(b"a\x016\x02b\x01x\x02"));
        assert!(!wants.wants_properties(b"a\x014\x02b\x01x\x02"), "false");
        assert!(!wants.wants_properties(b"a\x016\x02"), "unknown");
        assert!(!wants.wants_properties(b"a\x01six\x02b\x01x\x02"), "an exception in Java");
        assert!(wants.wants_tags_code(7) && wants.needs_properties());
    }

    #[test]
    fn a_retried_message_is_judged_by_the_topic_it_came_from() {
        let wants = Selection::Retried(Arc::new([("T".into(), compiled("a = 1"))].into()));
        assert!(wants.wants_properties(b"RETRY_TOPIC\x01T\x02a\x011\x02"));
        assert!(!wants.wants_properties(b"RETRY_TOPIC\x01T\x02a\x012\x02"));
        assert!(wants.wants_properties(b"RETRY_TOPIC\x01U\x02a\x012\x02"));
    }
}
