//! What a start makes good when files under `config` were damaged or lost: what the queues and the
//! other files still prove of them. Nothing here is done while the files are whole, but for offsets
//! that their queues cannot have.

use crate::attributes::{Attributes, holds_inner_batches, keeps_newest};
use crate::groups::Groups;
use crate::mappings::{self, Mappings};
use crate::offsets::Offsets;
use crate::topics::{QUEUES_LIMIT, Topics, simple};
use message::{Str, names};
use remoting::body::topic::TopicConfig;
use std::collections::{BTreeMap, BTreeSet};
use store::{ConfigOrigin, Progress, Step, Store};

/// Moved offsets that are named one by one.
const NAMED_MAX: usize = 1_000;

/// Whether the table that was read may lack something that was there.
fn is_whole(origin: ConfigOrigin) -> bool {
    origin == ConfigOrigin::File
}

/// Has the topics answer for no queue that the pieces of the mappings' file still name: where their
/// queues are is lost, and a logical queue must not be taken for one of the broker's own.
pub(crate) fn withhold_static_topics(
    mappings: &Mappings,
    topics: &Topics,
    store: &Store,
    broker_name: &str,
) {
    let mut pieces = store.config().pieces(mappings::FILE);
    pieces.retain(|c| !c.is_whitespace());
    let parts: Vec<&str> = pieces.split('"').collect();
    let keys = parts.windows(2).filter(|of| of[1].starts_with(":{")).map(|of| of[0]);
    let named = parts.windows(3).filter(|of| of[..2] == ["topic", ":"]).map(|of| of[2]);
    let known: BTreeSet<&str> = keys.chain(named).filter(|it| topics.contains(it)).collect();
    let lost: Vec<Str> = known.into_iter().map(Str::from).collect();
    mappings.withhold(&lost, broker_name);
    tracing::error!(
        topics = ?lost.iter().take(NAMED_MAX).collect::<Vec<_>>(),
        "neither config/{} nor its .bak can be understood: where queues of static topics are is \
         lost. Requests for these topics, which are still named there, are refused (code 501) \
         until their mapping is given anew: mqadmin updateStaticTopic, with -mf and the file that \
         it wrote when it last changed them, or what they hold is out of reach. A static topic \
         that is not among these is taken for a plain one: then stop, and put a good copy there \
         before anybody sends",
        mappings::FILE
    );
}

/// Tells the store of which topics the newest messages are kept, and `watch` how far it has come.
///
/// # Errors
/// When the files of one have other sizes than set.
pub(crate) fn keep_newest(
    topics: &Topics,
    store: &Store,
    watch: &dyn Fn(Progress),
) -> Result<(), store::Error> {
    let mut kept = topics.names();
    kept.retain(|topic| topics.find(topic).is_some_and(|it| keeps_newest(&it)));
    let step = Step::count(watch, "opening compacted topics", kept.len() as u64);
    kept.iter().try_for_each(|topic| {
        store.keep_newest(topic, false)?;
        step.advance(1);
        Ok(())
    })
}

/// Makes the topics that have queues on the disk and are not known any more, with as many queues as
/// there are, and tells the store of what kind queues are.
pub(crate) fn make_lost_topics(topics: &Topics, store: &Store, origin: ConfigOrigin, now: i64) {
    for topic in topics.names().iter().filter_map(|topic| topics.find(topic)) {
        agree_on_kind(topics, store, &topic, now);
    }
    if is_whole(origin) {
        return;
    }
    for topic in store.topics() {
        if topics.is_system(&topic) || names::is_lmq(&topic) {
            continue;
        }
        let last = store.queue_ids(&topic).into_iter().filter(|id| *id < QUEUES_LIMIT).max();
        let Some(queues) = last.map(|last| last + 1) else { continue };
        match topics.find(&topic) {
            None => {
                tracing::error!(
                    %topic,
                    queues,
                    "made anew from its queues, as config/topics.json lacks it: its permissions \
                     are read and write, and other attributes that it had are lost; where it had \
                     any, set them with mqadmin updateTopic"
                );
                let wanted =
                    TopicConfig { attributes: proven(store, &topic), ..simple(&topic, queues) };
                topics.create_on_send_back(wanted, now);
            }
            Some(known) if known.read_queue_nums.max(known.write_queue_nums) < queues => {
                tracing::error!(%topic, queues, "has more queues than topics.json.bak says");
                let wanted = TopicConfig {
                    read_queue_nums: queues,
                    write_queue_nums: queues,
                    attributes: BTreeMap::new(),
                    ..(*known).clone()
                };
                if let Err(error) = topics.update(wanted, now) {
                    tracing::error!(%topic, error, "could not be changed");
                }
            }
            Some(_) => {}
        }
    }
}

/// Brings a topic's queues to the kind that the table says, or, where they have messages of an
/// earlier life, the table to theirs: a Java broker does not start where the two differ.
pub(crate) fn agree_on_kind(topics: &Topics, store: &Store, topic: &TopicConfig, now: i64) {
    let (name, is_batch) = (&topic.topic_name, holds_inner_batches(topic));
    match store.hold_batches(name, is_batch) {
        Ok(true) => {}
        Ok(false) => {
            tracing::error!(
                topic = %name,
                is_batch = !is_batch,
                "has messages in queues of another kind than topics.json says (queue.type): the \
                 table follows them. For queues of the other kind delete the topic and make it \
                 again"
            );
            topics.set_kind(name, !is_batch, now);
        }
        Err(error) => {
            tracing::error!(topic = %name, %error, "what its queues are like cannot be noted");
        }
    }
}

/// The attributes that the files of a topic prove.
fn proven(store: &Store, topic: &str) -> Attributes {
    let kind = (names::QUEUE_TYPE.into(), names::INNER_BATCHES.into());
    let policy = (names::CLEANUP_POLICY.into(), names::COMPACTION.into());
    let kind = store.holds_batches(topic).then_some(kind);
    let policy = store.has_compacted(topic).then_some(policy);
    kind.into_iter().chain(policy).collect()
}

/// Makes the groups that have committed offsets or a retry topic and are not known any more.
pub(crate) fn make_groups(
    groups: &Groups,
    offsets: &Offsets,
    store: &Store,
    origin: ConfigOrigin,
    now: i64,
) {
    if is_whole(origin) {
        return;
    }
    let mut proven = offsets.groups();
    let topics = store.topics();
    let of_retry = topics.iter().filter(|topic| names::is_retry(topic));
    proven.extend(of_retry.filter_map(|topic| names::group_of(topic)).map(str::to_owned));
    for group in proven {
        if names::check_group(&group).is_ok() && !groups.contains(&group) {
            tracing::error!(
                group,
                "made anew with default settings: subscriptionGroup.json lacks it"
            );
            groups.find_or_create(&group, true, now);
        }
    }
}

/// Sees to it that no group is sent back to the start, or behind the end, by what is lost.
///
/// A broker writes the file before it takes a message, whether a group has committed or not, and a
/// Java broker within ten seconds: without it, a log with messages says that it was lost.
pub(crate) fn check_offsets(offsets: &Offsets, store: &Store, origin: ConfigOrigin) {
    let is_lost = match origin {
        ConfigOrigin::File => false,
        // It is older than the file: a group that committed first since then is not in it.
        ConfigOrigin::Backup | ConfigOrigin::Damaged => true,
        ConfigOrigin::Missing => store.max_log_offset() > 0,
    };
    if let Some(before) = offsets.lost_before() {
        if before <= store.min_log_offset() {
            offsets.set_lost(None);
        } else {
            tracing::warn!(
                before,
                "where groups were was lost at an earlier start: none that has committed nothing \
                 since is sent to the start of a queue with messages before that log offset"
            );
        }
    }
    if origin == ConfigOrigin::Backup {
        tracing::error!(
            "consumerOffset.json cannot be used, its .bak is: what groups committed between the \
             two is lost. They go on where the .bak has them, and get again what they consumed \
             since; one that is not in it goes on where its consumers' consumeFromWhere says, and \
             not from the start. To do: nothing, or restore a newer copy before consumers start"
        );
        offsets.set_lost(Some(store.max_log_offset().max(1)));
    } else if is_lost {
        tracing::error!(
            "neither consumerOffset.json nor its .bak can be used: where groups were is lost. None \
             is sent to the start: each goes on where its consumers' consumeFromWhere says, which \
             is the end unless they say otherwise, and would miss what it had not consumed. Before \
             starting them, restore the file, or set the groups to a time: mqadmin \
             resetOffsetByTime"
        );
        offsets.set_lost(Some(store.max_log_offset().max(1)));
    }
    if let Some(noted_to) = offsets.noted_to() {
        // The file was written before these were deleted, or made again.
        offsets.retain(|_, topic, _| !store.is_of_former_life(topic, noted_to));
    }
    let moved = offsets.keep_within(|topic, queue_id| {
        // What is kept for good stays readable when it left the commit log.
        let first = if store.keeps_newest(topic) { 0 } else { store.min_offset(topic, queue_id) };
        let ends = (first, store.max_offset(topic, queue_id));
        (ends.1 > 0).then_some(ends)
    });
    if let Some(more) = moved.len().checked_sub(NAMED_MAX).filter(|more| *more > 0) {
        tracing::warn!(more, "offsets were moved to the nearest that their queues have");
    }
    for moved in moved.iter().take(NAMED_MAX) {
        let (group, topic) = (&moved.group, &moved.topic);
        tracing::warn!(
            group,
            topic,
            queue_id = moved.queue_id,
            old = moved.old,
            new = moved.new,
            "a committed offset that its queue does not have goes to the nearest that it has"
        );
    }
}
