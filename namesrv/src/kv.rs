//! The key-value configuration: values by namespace and key (Java: `KVConfigManager`), and the text
//! of its file, `kvConfig.json`.
//!
//! Pure: who writes the text, and where, is the business of the state around it.

use message::Str;
use remoting::body::table::KVTable;
use remoting::json::{self, BodyError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The namespace of ordered topics (Java: `NamesrvUtil.NAMESPACE_ORDER_TOPIC_CONFIG`).
pub const ORDER_TOPICS: &str = "ORDER_TOPIC_CONFIG";

/// All values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Kv {
    /// Namespace, then key. A namespace stays when its last value goes, as in Java.
    config_table: BTreeMap<Str, BTreeMap<Str, Str>>,
}

impl Kv {
    /// Reads the text of a file, which may be one of Java's.
    ///
    /// # Errors
    /// When it is not JSON of the expected shape.
    pub fn from_text(text: &[u8]) -> Result<Self, BodyError> {
        json::from_body(text)
    }

    /// The text of the file.
    pub fn to_text(&self) -> bytes::Bytes {
        json::to_body(self)
    }

    /// Sets a value.
    pub fn put(&mut self, namespace: Str, key: Str, value: Str) {
        self.config_table.entry(namespace).or_default().insert(key, value);
    }

    /// Deletes a value, if it is there.
    pub fn delete(&mut self, namespace: &str, key: &str) {
        if let Some(values) = self.config_table.get_mut(namespace) {
            values.remove(key);
        }
    }

    /// A value.
    pub fn value(&self, namespace: &str, key: &str) -> Option<&Str> {
        self.config_table.get(namespace)?.get(key)
    }

    /// All values of a namespace; `None` for one that never had any.
    pub fn namespace(&self, namespace: &str) -> Option<KVTable> {
        let table = self.config_table.get(namespace)?.clone();
        Some(KVTable { table })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_java_is_read_and_written_back() {
        let text = br#"{"configTable":{"ORDER_TOPIC_CONFIG":{"t":"b:8;c:4"},"empty":{}}}"#;
        let kv = Kv::from_text(text).unwrap();
        assert_eq!(kv.value(ORDER_TOPICS, "t"), Some(&Str::from("b:8;c:4")));
        assert_eq!(kv.namespace("empty"), Some(KVTable::default()));
        assert_eq!(kv.namespace("unknown"), None);
        assert_eq!(kv.to_text(), &text[..]);
        assert_eq!(Kv::from_text(b"{}").unwrap(), Kv::default());
        assert!(Kv::from_text(b"{\"configTable\":[1]}").is_err());
        assert!(Kv::from_text(b"").is_err());
    }

    #[test]
    fn a_namespace_outlives_its_values() {
        let mut kv = Kv::default();
        kv.delete("n", "k");
        assert_eq!(kv.namespace("n"), None);
        kv.put("n".into(), "k".into(), "1".into());
        kv.put("n".into(), "k".into(), "2".into());
        assert_eq!(kv.value("n", "k"), Some(&Str::from("2")));
        kv.delete("n", "k");
        assert_eq!(kv.value("n", "k"), None);
        assert_eq!(kv.namespace("n"), Some(KVTable::default()));
    }
}
