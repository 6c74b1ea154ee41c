//! Prints docs/settings.md.

#![allow(clippy::print_stdout)]

fn main() {
    print!("{}", settings::docs::markdown());
}
