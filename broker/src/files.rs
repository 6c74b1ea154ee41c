//! The JSON text of the files under `config`, as Java writes it: its members and their order are
//! those of the bodies on the wire, laid out over lines. Not here: where the files are and how they
//! are replaced (the store). Numbers in a list stay on one line, as Java's `int[]` do.

use serde::Serialize;

/// The text of a file: tabs before, no blank behind the colon, integer keys without quotes.
pub fn text<T: Serialize>(file: &T) -> String {
    lay_out(&compact(file))
}

/// The same on one line.
pub fn compact<T: Serialize>(file: &T) -> String {
    String::from_utf8_lossy(&remoting::json::to_body(file)).into_owned()
}

fn lay_out(compact: &str) -> String {
    let mut out = String::with_capacity(compact.len() * 2);
    let (mut depth, mut in_string, mut escaped) = (0, false, false);
    let mut chars = compact.chars().peekable();
    let line = |out: &mut String, depth: usize| {
        out.push('\n');
        out.extend(std::iter::repeat_n('\t', depth));
    };
    while let Some(c) = chars.next() {
        if in_string {
            out.push(c);
            (in_string, escaped) = (escaped || c != '"', c == '\\' && !escaped);
            continue;
        }
        match c {
            '{' | '[' => {
                out.push(c);
                if let Some(end) = chars.next_if(|next| matches!(next, '}' | ']')) {
                    out.push(end);
                } else if c == '[' && chars.peek().is_some_and(|c| matches!(c, '0'..='9' | '-')) {
                    while let Some(number) = chars.next_if(|next| *next != ']') {
                        out.push(number);
                    }
                    out.extend(chars.next());
                } else {
                    depth += 1;
                    line(&mut out, depth);
                }
            }
            '}' | ']' => {
                depth -= 1;
                line(&mut out, depth);
                out.push(c);
            }
            ',' => {
                out.push(c);
                line(&mut out, depth);
            }
            _ => {
                out.push(c);
                in_string = c == '"';
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_outside_of_strings_is_moved() {
        let compact = r#"{"a{\"":{0:1,1:[]},"b":["x,y","\\"],"c":{},"d":[1,-2]}"#;
        let expected = "{\n\t\"a{\\\"\":{\n\t\t0:1,\n\t\t1:[]\n\t},\n\t\"b\":[\n\t\t\"x,y\",\n\t\t\
                        \"\\\\\"\n\t],\n\t\"c\":{},\n\t\"d\":[1,-2]\n}";
        assert_eq!(lay_out(compact), expected);
    }
}
