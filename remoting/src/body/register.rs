//! The body of a broker's registration (code 103) in its three forms: JSON, the list of topics of
//! brokers before 3.0.11, and the compressed form. Stock brokers compress without saying so in the
//! header, so the form is told by the first byte.

use std::io::{Read, Write};

use bytes::Bytes;
use flate2::Compression;
use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use message::Str;

use super::topic::{
    TopicConfig, TopicConfigAndMappingSerializeWrapper, TopicConfigSerializeWrapper,
};
use crate::json::{BodyError, Named, from_body, to_body};
use crate::version::Version;

/// The first byte of a zlib stream with the usual window; no JSON starts with it.
const ZLIB_MARK: u8 = 0x78;

/// A compressed registration may grow to this size.
const MAX_INFLATED_BYTES: u64 = 64 << 20;

/// And by this factor; lists of topics compress some 20 times.
const MAX_INFLATION: u64 = 200;

super::bodies! {
    /// What a broker announces: its topics and its filter servers, which are no more.
    RegisterBrokerBody {
        filter_server_list: Vec<Str>,
        topic_config_serialize_wrapper: TopicConfigAndMappingSerializeWrapper,
    }
}

impl RegisterBrokerBody {
    /// Reads any form that a broker of `version` sends; no bytes are an empty body.
    ///
    /// # Errors
    /// If the bytes are of no form, cut off, or grow beyond 64 MiB or 200 times.
    pub fn decode(bytes: &[u8], version: Version) -> Result<Self, BodyError> {
        match bytes.first() {
            None => Ok(Self::default()),
            Some(&ZLIB_MARK) => Self::inflate(bytes)
                .and_then(|plain| Self::from_plain(&plain, version))
                .map_err(|error| error.of_class("RegisterBrokerBody")),
            Some(_) if version < Version::V3_0_11 => {
                let topics: TopicConfigSerializeWrapper = from_body(bytes)?;
                let mut body = Self::default();
                body.topic_config_serialize_wrapper.data_version = topics.data_version;
                body.topic_config_serialize_wrapper.topic_config_table = topics.topic_config_table;
                Ok(body)
            }
            Some(_) => from_body(bytes),
        }
    }

    fn inflate(bytes: &[u8]) -> Result<Vec<u8>, BodyError> {
        let limit = MAX_INFLATED_BYTES.min(bytes.len() as u64 * MAX_INFLATION);
        let mut plain = Vec::new();
        ZlibDecoder::new(bytes)
            .take(limit + 1)
            .read_to_end(&mut plain)
            .map_err(|error| BodyError::new(format!("the zlib stream is damaged: {error}")))?;
        if plain.len() as u64 > limit {
            let compressed = bytes.len();
            return Err(BodyError::new(format!(
                "{compressed} compressed bytes grow beyond the limit of {limit}"
            )));
        }
        Ok(plain)
    }

    fn from_plain(plain: &[u8], version: Version) -> Result<Self, BodyError> {
        let mut parts = Parts { rest: plain };
        let mut body = Self::default();
        let topics = &mut body.topic_config_serialize_wrapper;
        topics.data_version = from_body(parts.part("data version")?)?;
        for _ in 0..parts.count("topics")? {
            let topic = topic_from_line(parts.part("topic")?)?;
            topics.topic_config_table.insert(topic.topic_name.clone(), topic);
        }
        // Java logs a bad list and goes on without it.
        body.filter_server_list = from_body(parts.part("filter servers")?).unwrap_or_default();
        if version >= Version::V5_0_0 {
            for _ in 0..parts.count("mappings")? {
                let mapping: super::mapping::TopicQueueMappingInfo =
                    from_body(parts.part("mapping")?)?;
                let topic = mapping.topic.clone().unwrap_or_default();
                topics.topic_queue_mapping_info_map.insert(topic, mapping);
            }
        }
        Ok(body)
    }

    /// The compressed form as 5.x brokers send it. It loses every topic's `order` and
    /// `topicSysFlag`.
    pub fn to_compressed(&self) -> Bytes {
        let topics = &self.topic_config_serialize_wrapper;
        let mut plain = Vec::new();
        put_part(&mut plain, &to_body(&topics.data_version));
        put_count(&mut plain, topics.topic_config_table.len());
        for topic in topics.topic_config_table.values() {
            put_part(&mut plain, topic_line(topic).as_bytes());
        }
        put_part(&mut plain, &to_body(&self.filter_server_list));
        put_count(&mut plain, topics.topic_queue_mapping_info_map.len());
        for mapping in topics.topic_queue_mapping_info_map.values() {
            put_part(&mut plain, &to_body(mapping));
        }
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        let compressed = encoder.write_all(&plain).and_then(|()| encoder.finish());
        compressed.expect("writing to memory does not fail").into()
    }
}

/// A topic as one line: `name readQueues writeQueues perm filterType attributesJSON`.
fn topic_line(topic: &TopicConfig) -> String {
    let attributes = to_body(&topic.attributes);
    format!(
        "{} {} {} {} {} {}",
        topic.topic_name,
        topic.read_queue_nums,
        topic.write_queue_nums,
        topic.perm,
        topic.topic_filter_type.name(),
        String::from_utf8_lossy(&attributes),
    )
}

fn topic_from_line(line: &[u8]) -> Result<TopicConfig, BodyError> {
    let line = String::from_utf8_lossy(line);
    let bad = || BodyError::new(format!("{line:?} is no line of a topic"));
    let mut words = line.splitn(6, ' ');
    let name = words.next().filter(|name| !name.is_empty()).ok_or_else(bad)?;
    let mut number = || words.next().and_then(|word| word.parse().ok()).ok_or_else(bad);
    let (read_queue_nums, write_queue_nums, perm) = (number()?, number()?, number()?);
    let filter_type = words.next().and_then(Named::from_text).ok_or_else(bad)?;
    // Java drops attributes that it cannot read.
    let attributes = words.next().and_then(|json| from_body(json.as_bytes()).ok());
    Ok(TopicConfig {
        attributes: attributes.unwrap_or_default(),
        perm,
        read_queue_nums,
        topic_filter_type: filter_type,
        topic_name: name.into(),
        write_queue_nums,
        ..TopicConfig::default()
    })
}

fn put_count(plain: &mut Vec<u8>, count: usize) {
    let count = i32::try_from(count).expect("a broker has fewer than 2^31 topics");
    plain.extend_from_slice(&count.to_be_bytes());
}

fn put_part(plain: &mut Vec<u8>, part: &[u8]) {
    put_count(plain, part.len());
    plain.extend_from_slice(part);
}

/// The parts of an inflated body, each behind its length.
struct Parts<'a> {
    rest: &'a [u8],
}

impl<'a> Parts<'a> {
    fn take(&mut self, length: usize, what: &str) -> Result<&'a [u8], BodyError> {
        let Some((part, rest)) = self.rest.split_at_checked(length) else {
            let left = self.rest.len();
            return Err(BodyError::new(format!(
                "the {what} should take {length} bytes, but {left} are left"
            )));
        };
        self.rest = rest;
        Ok(part)
    }

    fn count(&mut self, what: &str) -> Result<usize, BodyError> {
        let mut count = [0; 4];
        count.copy_from_slice(self.take(4, what)?);
        let count = i32::from_be_bytes(count);
        usize::try_from(count)
            .map_err(|_| BodyError::new(format!("the number of {what} is {count}")))
    }

    fn part(&mut self, what: &str) -> Result<&'a [u8], BodyError> {
        let length = self.count(what)?;
        self.take(length, what)
    }
}

#[cfg(test)]
mod tests {
    use super::super::data_version::DataVersion;
    use super::super::mapping::TopicQueueMappingInfo;
    use super::*;

    /// Written by a stock 5.5.0 `RegisterBrokerBody.encode(true)`.
    const STOCK: &str = "78da5d8e5f8bc23010c4e3c37d8f32af16513cf4c89be01f0a7a227708874848e3aa85b\
        629c9f6414abfbb6911845b7661f8b1338c10e2ab81b175c9e420c7313c6ba623399fd9b2079c15146051414\
        ee6e3f7b4428841b825479359b7b3e827f9de6c57ea77b1891a0497d7371af1a32248ac93f51e3186fff072b\
        55dfca1cbfa38e18af32b941aa4a52eba8f34b84ced5c72d9e9d0a169635c32c70fc8abce3dc5a0ca9a3be43\
        47437b60f55ea96db54e74a052fdb2a330172af59e7879a6af2909fed13fa7f48f2";

    fn bytes(hex: &str) -> Vec<u8> {
        let pairs = hex.as_bytes().chunks(2);
        pairs.map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn sample() -> RegisterBrokerBody {
        let topic = TopicConfig {
            topic_name: "t".into(),
            attributes: [("+message.type", "DELAY"), ("message.type", "FIFO")]
                .map(|(key, value)| (key.into(), value.into()))
                .into(),
            ..TopicConfig::default()
        };
        let mapping = TopicQueueMappingInfo {
            bname: Some("b".into()),
            epoch: 3,
            topic: Some("t".into()),
            total_queues: 4,
            ..TopicQueueMappingInfo::default()
        };
        RegisterBrokerBody {
            filter_server_list: vec!["f".into()],
            topic_config_serialize_wrapper: TopicConfigAndMappingSerializeWrapper {
                data_version: DataVersion::new(1_700_000_000_000),
                topic_config_table: [("t".into(), topic)].into(),
                topic_queue_mapping_info_map: [("t".into(), mapping)].into(),
                ..Default::default()
            },
        }
    }

    #[test]
    fn stock_bytes_are_read_and_ours_are_the_same() {
        assert_eq!(RegisterBrokerBody::decode(&bytes(STOCK), Version::CURRENT), Ok(sample()));
        let ours = sample().to_compressed();
        assert_eq!(RegisterBrokerBody::decode(&ours, Version::CURRENT), Ok(sample()));
    }

    #[test]
    fn other_forms() {
        let json = to_body(&sample());
        assert_eq!(RegisterBrokerBody::decode(&json, Version::V4_9_3), Ok(sample()));
        let old = br#"{"topicConfigTable":{"t":{"topicName":"t"}}}"#;
        let body = RegisterBrokerBody::decode(old, Version::V3_0_7_SNAPSHOT).unwrap();
        assert!(body.topic_config_serialize_wrapper.topic_config_table.contains_key("t"));
        let mut without_mapping = sample();
        without_mapping.topic_config_serialize_wrapper.topic_queue_mapping_info_map.clear();
        let read = RegisterBrokerBody::decode(&bytes(STOCK), Version::V4_9_4);
        assert_eq!(read, Ok(without_mapping));
    }

    #[test]
    fn every_cut_is_an_error() {
        let whole = bytes(STOCK);
        for length in 1..whole.len() - 4 {
            assert!(RegisterBrokerBody::decode(&whole[..length], Version::CURRENT).is_err());
        }
        let plain = RegisterBrokerBody::inflate(&whole).unwrap();
        for length in 0..plain.len() {
            let cut = RegisterBrokerBody::from_plain(&plain[..length], Version::CURRENT);
            assert!(cut.is_err(), "{length} of {} bytes", plain.len());
        }
    }

    #[test]
    fn a_bomb_is_refused() {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&vec![0; 1 << 20]).unwrap();
        let error = RegisterBrokerBody::decode(&encoder.finish().unwrap(), Version::CURRENT);
        assert!(error.unwrap_err().to_string().contains("grow beyond the limit"));
    }
}
