//! What must not be, in words.

/// Problems that are told; more of them say no more.
const MOST: usize = 20;

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<String>);

impl Problems {
    /// Notes one.
    pub(crate) fn note(&mut self, what: String) {
        if self.0.len() < MOST {
            self.0.push(what);
        }
    }

    /// The first ones.
    pub(crate) fn told(&self) -> &[String] {
        &self.0
    }
}
