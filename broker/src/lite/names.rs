//! Names of lite topics: `%LMQ%$PARENT$LITE` is the light queue of one (Java `LiteUtil`).

use message::Str;

const PREFIX: &str = "%LMQ%$";
const SEPARATOR: char = '$';
/// Stands between topic and group in the name for all lite topics of a parent.
const OF_ALL: char = '@';

/// The light queue of a lite topic; `None` when one of the two names is empty.
pub fn queue(parent: &str, lite: &str) -> Option<Str> {
    let is_there = !parent.is_empty() && !lite.is_empty();
    is_there.then(|| format!("{PREFIX}{parent}{SEPARATOR}{lite}").into())
}

/// The parent topic and the lite topic of a light queue.
pub fn parts(queue: &str) -> Option<(&str, &str)> {
    let (parent, lite) = queue.strip_prefix(PREFIX)?.split_once(SEPARATOR)?;
    (!parent.is_empty() && !lite.is_empty() && !lite.contains(SEPARATOR)).then_some((parent, lite))
}

/// Stands for all lite topics of a parent, for a group that reads all of them.
pub fn of_all(parent: &str, group: &str) -> Str {
    format!("{parent}{OF_ALL}{group}").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_apart_as_they_were_put_together() {
        let name = queue("P", "a").unwrap();
        assert_eq!((&*name, parts(&name)), ("%LMQ%$P$a", Some(("P", "a"))));
        for odd in ["%LMQ%a", "%LMQ%$P", "%LMQ%$P$", "%LMQ%$$a", "%LMQ%$P$a$b", "P$a"] {
            assert_eq!(parts(odd), None, "{odd}");
        }
        assert_eq!((queue("P", ""), queue("", "a")), (None, None));
    }
}
