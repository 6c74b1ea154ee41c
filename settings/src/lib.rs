//! Every setting of a broker and of a name server: Java's keys, types and defaults, read from
//! Java's property files and checked once before anything starts.
//!
//! Pure: texts come in, typed settings and diagnostics go out. No file is read, no host name
//! looked up; what only the machine knows comes in as a `Machine`.

mod broker;
mod check;
mod diagnostic;
pub mod docs;
mod family;
mod machine;
mod namesrv;
mod net;
pub mod properties;
mod rules;
mod store;
mod table;
mod unread;
mod value;

pub use broker::Broker;
pub use check::{Checked, File, Given, Idle, Report, check};
pub use diagnostic::{Diagnostic, Place, Severity};
pub use family::{BrokerSettings, Family, NamesrvSettings, UpdateError, is_important, told};
pub use machine::{BROKER_PORT, Machine, NAMESRV_PORT};
pub use namesrv::Namesrv;
pub use net::Net;
pub use store::Store;
pub use table::{Invalid, Row, Table};
pub use unread::{Class, Group, Kind, Unread, Verdict};
pub use value::{Allowed, BrokerRole, FlushDiskType, MessageRequestMode, Text, Value};
