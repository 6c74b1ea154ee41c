//! Writes docs/settings.md from the tables, so that it can never tell anything else than the code.

use std::fmt::Write as _;

use crate::broker::Broker;
use crate::machine::FROM_MACHINE;
use crate::namesrv::Namesrv;
use crate::net::Net;
use crate::store::Store;
use crate::table::Table;
use crate::unread::{BROKER_CLASSES, Class, Group, NAMESRV_CLASSES, Verdict};

/// What stands above the tables.
const HEAD: &str = "\
# Settings

<!-- Generated from the tables of the crate `settings`. Do not edit; run
     cargo run -p settings --example docs > docs/settings.md -->

Names, types and defaults are those of Apache RocketMQ 5.5.0, and so is the format of the file
(`java.util.Properties`). A key that is unknown is reported; a value that does not parse, lies
outside what is allowed or contradicts another one refuses the start. Keys marked *live* can be
changed while the process runs (`mqadmin updateBrokerConfig`, `updateNamesrvConfig`); all others
need a restart.

A broker reads the classes BrokerConfig, MessageStoreConfig, NettyServerConfig, NettyClientConfig
and AuthConfig; a name server reads NamesrvConfig, NettyServerConfig and NettyClientConfig.
";

/// The whole document.
#[must_use]
pub fn markdown() -> String {
    let mut page = HEAD.to_owned();
    let tables: [&dyn Table; 4] =
        [&Broker::default(), &Store::default(), &Net::default(), &Namesrv::default()];
    for table in tables {
        write_table(&mut page, table);
    }
    let mut classes: Vec<&Class> = BROKER_CLASSES.to_vec();
    classes.extend(
        NAMESRV_CLASSES
            .iter()
            .filter(|class| BROKER_CLASSES.iter().all(|known| known.name != class.name)),
    );
    page += "\n# Accepted without effect\n\nListed at start when they are set to something else \
             than their default.\n";
    write_groups(&mut page, &classes, Verdict::Accepted);
    page += "\n# Refused\n\nThe process does not start when one of them is set to something else \
             than its default, because ignoring it would mislead.\n";
    write_groups(&mut page, &classes, Verdict::Refused);
    page
}

fn write_table(page: &mut String, table: &dyn Table) {
    line(page, format_args!("\n## {}\n", table.class()));
    line(page, format_args!("| key | type | default | live | meaning |"));
    line(page, format_args!("|---|---|---|---|---|"));
    for (row, (key, default)) in table.rows().iter().zip(table.entries()) {
        let machine = FROM_MACHINE.iter().find(|(known, _)| *known == key).map(|(_, text)| *text);
        let default = machine.map(str::to_owned).or(default).unwrap_or_default();
        let live = if row.live { "live" } else { "" };
        let allowed = row.allowed.as_deref();
        let allowed = allowed.map_or_else(String::new, |allowed| format!(" Expects {allowed}."));
        let meaning = format!("{}{allowed}", row.doc).replace('|', "\\|");
        line(page, format_args!("| `{key}` | {} | {default} | {live} | {meaning} |", row.kind));
    }
}

fn write_groups(page: &mut String, classes: &[&Class], verdict: Verdict) {
    for class in classes {
        let groups: Vec<&Group> =
            class.groups.iter().filter(|group| group.verdict == verdict).collect();
        if groups.is_empty() {
            continue;
        }
        line(page, format_args!("\n## {}\n", class.name));
        for group in groups {
            let keys: Vec<String> = group
                .keys
                .iter()
                .map(|unread| match unread.default {
                    Some("") | None => format!("`{}`", unread.key),
                    Some(default) => format!("`{}={default}`", unread.key),
                })
                .collect();
            line(page, format_args!("- {}: {}", group.reason, keys.join(", ")));
        }
    }
}

fn line(page: &mut String, text: std::fmt::Arguments<'_>) {
    writeln!(page, "{text}").expect("a String takes every write");
}
