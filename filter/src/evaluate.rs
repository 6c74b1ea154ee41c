//! The verdict of an expression on a message: three-valued logic, and Java's rules of comparing
//! values of unlike types, of which some are exceptions (Java: `ComparisonExpression`).

use crate::expression::{Between, Constant, Node, Order, Place, Search};
use crate::number;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;

/// What has no verdict: Java throws here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Illegal {
    /// A text that is no number is compared with a number, or by size with another text.
    NotANumber,
    /// A truth value is compared with a text, in this order.
    Types,
}

impl fmt::Display for Illegal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotANumber => "a text that is no number is compared as one",
            Self::Types => "a truth value cannot be compared with a text",
        })
    }
}

/// A value while it is looked at; none is null.
#[derive(Clone, Copy, Debug)]
enum Value<'v> {
    Truth(bool),
    Int(i32),
    Long(i64),
    Double(f64),
    Text(&'v str),
}

type Values<'v> = [Option<Cow<'v, str>>];

/// The verdict of a whole expression.
pub(crate) fn evaluate(root: &Node, values: &Values<'_>) -> Result<Option<bool>, Illegal> {
    truth(root, values)
}

/// The value of a node that is a truth value, unknown or null by its kind.
fn truth(node: &Node, values: &Values<'_>) -> Result<Option<bool>, Illegal> {
    Ok(match value(node, values)? {
        Some(Value::Truth(truth)) => Some(truth),
        _ => None,
    })
}

fn value<'v>(node: &'v Node, values: &'v Values<'_>) -> Result<Option<Value<'v>>, Illegal> {
    let truth = match node {
        Node::Constant(constant) => return Ok(of_constant(constant)),
        Node::Property(place) => return Ok(values[*place].as_deref().map(Value::Text)),
        Node::Negate(node) => return Ok(value(node, values)?.and_then(negated)),
        // A property is a text, and no text is a truth value.
        Node::Cast(place) => values[*place].as_ref().map(|_| false),
        Node::Not(node) => truth(node, values)?.map(|truth| !truth),
        Node::All(nodes) => all(nodes, values)?,
        Node::Any(nodes) => any(nodes, values)?,
        Node::Equal(left, right) => equal(value(left, values)?, value(right, values)?)?,
        Node::IsNull(node) => Some(value(node, values)?.is_none()),
        Node::Order(order, left, right) => {
            compared(*order, value(left, values)?, || value(right, values))?
        }
        Node::Between(between) => in_range(between, values)?,
        Node::Search(search) => Some(found(search, values)?),
        Node::In { property, not, texts } => {
            values[*property].as_ref().map(|text| texts.contains(&**text) != *not)
        }
    };
    Ok(truth.map(Value::Truth))
}

fn of_constant(constant: &Constant) -> Option<Value<'_>> {
    Some(match constant {
        Constant::Null => return None,
        Constant::Truth(truth) => Value::Truth(*truth),
        Constant::Int(number) => Value::Int(*number),
        Constant::Long(number) => Value::Long(*number),
        Constant::Double(number) => Value::Double(*number),
        Constant::Text(text) => Value::Text(text),
    })
}

fn negated(value: Value<'_>) -> Option<Value<'_>> {
    match value {
        Value::Int(number) => Some(Value::Int(number.wrapping_neg())),
        Value::Long(number) => Some(Value::Long(number.wrapping_neg())),
        Value::Double(number) => Some(Value::Double(-number)),
        Value::Truth(_) | Value::Text(_) => None,
    }
}

fn all(nodes: &[Node], values: &Values<'_>) -> Result<Option<bool>, Illegal> {
    let mut verdict = Some(true);
    for node in nodes {
        match truth(node, values)? {
            Some(true) => {}
            Some(false) => return Ok(Some(false)),
            None => verdict = None,
        }
    }
    Ok(verdict)
}

fn any(nodes: &[Node], values: &Values<'_>) -> Result<Option<bool>, Illegal> {
    let mut verdict = Some(false);
    for node in nodes {
        match truth(node, values)? {
            Some(false) => {}
            Some(true) => return Ok(Some(true)),
            None => verdict = None,
        }
    }
    Ok(verdict)
}

/// Two nulls are equal, a null on the left alone is unknown.
fn equal(left: Option<Value<'_>>, right: Option<Value<'_>>) -> Result<Option<bool>, Illegal> {
    Ok(match (left, right) {
        (None, None) => Some(true),
        (None, Some(_)) => None,
        (Some(_), None) => Some(false),
        (Some(left), Some(right)) => Some(compare(left, right)? == Ordering::Equal),
    })
}

/// The right value is not looked at when the left one is null.
fn compared<'v>(
    order: Order,
    left: Option<Value<'_>>,
    right: impl FnOnce() -> Result<Option<Value<'v>>, Illegal>,
) -> Result<Option<bool>, Illegal> {
    let Some(left) = left else { return Ok(None) };
    let Some(right) = right()? else { return Ok(None) };
    let is = match (left, right) {
        (Value::Text(left), Value::Text(right)) => {
            let left = number::double(left).ok_or(Illegal::NotANumber)?;
            number::compare(left, number::double(right).ok_or(Illegal::NotANumber)?)
        }
        (left, right) => compare(left, right)?,
    };
    Ok(Some(match order {
        Order::Greater => is.is_gt(),
        Order::GreaterEqual => is.is_ge(),
        Order::Less => is.is_lt(),
        Order::LessEqual => is.is_le(),
    }))
}

fn in_range(between: &Between, values: &Values<'_>) -> Result<Option<bool>, Illegal> {
    let Between { value: node, low, high, not } = between;
    let found = value(node, values)?;
    let (of_low, of_high) = match not {
        true => (Order::Less, Order::Greater),
        false => (Order::GreaterEqual, Order::LessEqual),
    };
    let first = compared(of_low, found, || value(low, values))?;
    // A range ends here when it is not kept, its opposite when it is.
    if first == Some(*not) {
        return Ok(first);
    }
    let second = compared(of_high, found, || value(high, values))?;
    if second == Some(*not) {
        return Ok(second);
    }
    Ok(first.and(second))
}

/// Never unknown, and an empty text is nowhere, not even not there.
fn found(search: &Search, values: &Values<'_>) -> Result<bool, Illegal> {
    let Search { value: node, place, text, not } = search;
    if text.is_empty() {
        return Ok(false);
    }
    let Some(Value::Text(within)) = value(node, values)? else { return Ok(false) };
    let found = match place {
        Place::Anywhere => within.contains(&**text),
        Place::Start => within.starts_with(&**text),
        Place::End => within.ends_with(&**text),
    };
    Ok(found != *not)
}

/// Java's comparison of two values that are not null: of unlike types one is made the other's if
/// there is a way, else the left one counts as less. Some of those ways end in a cast that fails.
fn compare(left: Value<'_>, right: Value<'_>) -> Result<Ordering, Illegal> {
    use Value::{Double, Int, Long, Text, Truth};
    let int = |text| number::int(text).ok_or(Illegal::NotANumber);
    let long = |text| number::long(text).ok_or(Illegal::NotANumber);
    let double = |text| number::double(text).ok_or(Illegal::NotANumber);
    Ok(match (left, right) {
        (Truth(left), Truth(right)) => left.cmp(&right),
        (Int(left), Int(right)) => left.cmp(&right),
        (Long(left), Long(right)) => left.cmp(&right),
        (Double(left), Double(right)) => number::compare(left, right),
        (Text(left), Text(right)) => left.cmp(right),
        (Int(left), Long(right)) => i64::from(left).cmp(&right),
        (Long(left), Int(right)) => left.cmp(&i64::from(right)),
        (Int(left), Double(right)) => number::compare(f64::from(left), right),
        (Double(left), Int(right)) => number::compare(left, f64::from(right)),
        (Double(left), Long(right)) => number::compare(left, right as f64),
        (Long(left), Double(right)) => number::compare(left as f64, right),
        (Truth(_), Text(_)) => return Err(Illegal::Types),
        (Int(left), Text(right)) => left.cmp(&int(right)?),
        (Text(left), Int(right)) => int(left)?.cmp(&right),
        (Long(left), Text(right)) => left.cmp(&long(right)?),
        (Text(left), Long(right)) => long(left)?.cmp(&right),
        (Double(left), Text(right)) => number::compare(left, double(right)?),
        (Text(left), Double(right)) => number::compare(double(left)?, right),
        (Text(left), Truth(right)) => left.eq_ignore_ascii_case("true").cmp(&right),
        (Truth(_), Int(_) | Long(_) | Double(_)) | (Int(_) | Long(_) | Double(_), Truth(_)) => {
            Ordering::Less
        }
    })
}

/// Whether two constants are the ends of a range: the upper one is not less, and Java can say so.
pub(crate) fn is_range(low: &Constant, high: &Constant) -> bool {
    let (Some(low), Some(high)) = (of_constant(low), of_constant(high)) else { return false };
    compare(high, low).is_ok_and(Ordering::is_ge)
}
