//! Files under `config` that are damaged or gone, and offsets that queues do not have.

use crate::support::{Caller, World, said};
use remoting::body::topic::TopicConfigSerializeWrapper;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::headers::offset::{
    QueryConsumerOffsetRequestHeader, UpdateConsumerOffsetRequestHeader,
};
use remoting::headers::send::SendMessageRequestHeader;
use std::path::Path;

async fn send(client: &Caller, topic: &'static str, queue_id: i32) {
    let header = SendMessageRequestHeader {
        producer_group: "p",
        topic,
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        queue_id,
        ..Default::default()
    };
    let message = Command::request(RequestCode::SEND_MESSAGE).with_header(&header).with_body("x");
    let answer = client.ask(message).await;
    assert_eq!(answer.response_code(), ResponseCode::SUCCESS, "{:?}", answer.head.remark);
}

async fn commit(client: &Caller, group: &'static str, at: i64) {
    let header = UpdateConsumerOffsetRequestHeader {
        consumer_group: group.into(),
        topic: "T".into(),
        queue_id: Some(1),
        commit_offset: Some(at),
        ..Default::default()
    };
    let answer = client.call(RequestCode::UPDATE_CONSUMER_OFFSET, &header).await;
    assert_eq!(said(&answer), (ResponseCode::SUCCESS, ""));
}

/// Where the group goes on; -1 when it has to know by itself.
async fn query(client: &Caller, group: &'static str) -> i64 {
    query_of(client, group, "T").await
}

async fn query_of(client: &Caller, group: &'static str, topic: &'static str) -> i64 {
    let header = QueryConsumerOffsetRequestHeader {
        consumer_group: group.into(),
        topic: topic.into(),
        queue_id: 1,
        ..Default::default()
    };
    let answer = client.call(RequestCode::QUERY_CONSUMER_OFFSET, &header).await;
    match answer.response_code() {
        ResponseCode::QUERY_NOT_FOUND => -1,
        _ => answer.fields.get("offset").unwrap().parse().unwrap(),
    }
}

/// Topics by name, with their queues.
async fn topics(client: &Caller) -> Vec<(String, i32)> {
    let answer = client.ask(Command::request(RequestCode::GET_ALL_TOPIC_CONFIG)).await;
    let table: TopicConfigSerializeWrapper = remoting::json::from_body(&answer.body).unwrap();
    let mut all: Vec<_> = table
        .topic_config_table
        .iter()
        .map(|(name, topic)| (name.to_string(), topic.write_queue_nums))
        .collect();
    all.sort();
    all
}

/// A broker with messages in T, of which the group has consumed three.
async fn world() -> World {
    let world = World::start().await;
    let client = world.client();
    for _ in 0..5 {
        send(&client, "T", 1).await;
    }
    send(&client, "Other", 3).await;
    create_group(&client, "g").await;
    commit(&client, "g", 3).await;
    world
}

/// Clients make a group by naming it; so does a query of its subscriptions.
async fn create_group(client: &Caller, group: &'static str) {
    let body = format!("{{\"groupName\":\"{group}\"}}");
    let command =
        Command::request(RequestCode::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP).with_body(body);
    assert_eq!(client.ask(command).await.response_code(), ResponseCode::SUCCESS);
}

fn spoil(dir: &Path, name: &str, how: usize) {
    let path = dir.join("config").join(name);
    let text = std::fs::read(&path).unwrap();
    match how {
        0 => std::fs::write(&path, "").unwrap(),
        1 => std::fs::write(&path, "{}").unwrap(),
        2 => std::fs::write(&path, vec![0; text.len()]).unwrap(),
        3 => std::fs::write(&path, &text[..text.len() / 2]).unwrap(),
        4 => std::fs::write(&path, [&text[..20], b"\xff", &text[21..]].concat()).unwrap(),
        _ => std::fs::remove_file(&path).unwrap(),
    }
}

fn spoil_both(dir: &Path, name: &str, how: usize) {
    spoil(dir, name, how);
    let _ = std::fs::remove_file(dir.join("config").join(format!("{name}.bak")));
}

#[tokio::test]
async fn topics_and_groups_that_are_lost_are_made_from_what_proves_them() {
    for how in 0..6 {
        let mut world = world().await;
        let before = topics(&world.client()).await;
        assert!(before.contains(&("T".to_owned(), 4)), "{before:?}");
        world
            .restart_after(|dir| {
                spoil_both(dir, "topics.json", how);
                spoil_both(dir, "subscriptionGroup.json", how);
            })
            .await;
        let client = world.client();
        let after = topics(&client).await;
        let queues = |of| after.iter().find(|(name, _)| name == of).map(|(_, queues)| *queues);
        assert_eq!((queues("T"), queues("Other")), (Some(2), Some(4)), "{how}: {after:?}");
        assert_eq!(query(&client, "g").await, 3, "{how}");
        commit(&client, "g", 4).await;
    }
}

#[tokio::test]
async fn a_damaged_offset_file_falls_back_and_never_to_zero() {
    for how in 0..6 {
        let mut world = world().await;
        world.restart().await;
        commit(&world.client(), "g", 4).await;
        world.restart_after(|dir| spoil(dir, "consumerOffset.json", how)).await;
        assert_eq!(query(&world.client(), "g").await, 3, "{how}: that of the backup");
        assert_eq!(query(&world.client(), "new").await, -1, "{how}: it may have come since then");
        world.restart().await;
        assert_eq!(query(&world.client(), "new").await, -1, "{how}: nor after a restart");
        commit(&world.client(), "g", 5).await;
        world.restart_after(|dir| spoil_both(dir, "consumerOffset.json", how)).await;
        let client = world.client();
        assert_eq!(query(&client, "g").await, -1, "{how}");
        assert_eq!(query(&client, "new").await, -1, "{how}: nobody knows that it is new");
        commit(&client, "g", 2).await;
        assert_eq!(query(&client, "g").await, 2, "{how}");
        send(&client, "Later", 1).await;
        drop(client);
        world.restart().await;
        let client = world.client();
        assert_eq!(query(&client, "g").await, 2, "{how}");
        assert_eq!(query(&client, "new").await, -1, "{how}: nor after a restart");
        let later = query_of(&client, "new", "Later").await;
        assert_eq!(later, 0, "{how}: what came after the loss nobody had consumed");
    }
}

/// Changes bits of the last digit of `before` in a file that keeps its time, as a medium does.
fn rot(dir: &Path, name: &str, (before, bits): (&str, u8)) {
    let path = dir.join("config").join(name);
    let mut text = std::fs::read(&path).unwrap();
    let modified = path.metadata().unwrap().modified().unwrap();
    let at = text.windows(before.len()).position(|it| it == before.as_bytes()).unwrap();
    text[at + before.len() - 1] ^= bits;
    std::fs::write(&path, text).unwrap();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(modified).unwrap();
}

/// Commits until the file has a time that is noted: one of whole seconds may be that of others.
async fn commit_noted(world: &mut World, at: i64) {
    loop {
        commit(&world.client(), "g", at - 1).await;
        world.restart().await;
        commit(&world.client(), "g", at).await;
        world.restart().await;
        let modified = world.config("consumerOffset.json").metadata().unwrap().modified().unwrap();
        let since = modified.duration_since(std::time::UNIX_EPOCH).unwrap();
        if since.subsec_millis() != 0 {
            return;
        }
    }
}

#[tokio::test]
async fn an_offset_with_a_flipped_bit_is_the_one_that_was_saved() {
    let mut world = world().await;
    commit_noted(&mut world, 4).await;
    let mut saved = String::new();
    world
        .restart_after(|dir| {
            saved = std::fs::read_to_string(dir.join("config/consumerOffset.json")).unwrap();
            assert!(saved.contains(":4"), "{saved}");
            rot(dir, "consumerOffset.json", (":4", 1));
        })
        .await;
    assert_eq!(query(&world.client(), "g").await, 4, "one bit is mended");
    commit_noted(&mut world, 4).await;
    world.restart_after(|dir| rot(dir, "consumerOffset.json", (":4", 0b110))).await;
    assert_eq!(query(&world.client(), "g").await, 3, "with more it is that of the backup");
    world
        .restart_after(|dir| {
            let kept = dir.join("config/consumerOffset.json.in-the-way");
            assert_eq!(std::fs::read_to_string(kept).unwrap().len(), saved.len());
        })
        .await;
}

#[tokio::test]
async fn a_group_that_never_committed_starts_at_the_first_message() {
    let mut world = world().await;
    for _ in 0..2 {
        assert_eq!(query(&world.client(), "new").await, 0);
        world.restart().await;
    }
    world.restart_after(|dir| std::fs::remove_dir_all(dir.join("config")).unwrap()).await;
    assert_eq!(query(&world.client(), "new").await, -1, "with all of config gone nobody knows");
}

#[tokio::test]
async fn offsets_that_a_queue_does_not_have_go_to_the_nearest() {
    let mut world = world().await;
    commit(&world.client(), "g", 50).await;
    assert_eq!(query(&world.client(), "g").await, 5, "the end");
    commit(&world.client(), "g", 70).await;
    world.restart().await;
    assert_eq!(query(&world.client(), "g").await, 5);
    commit(&world.client(), "g", 0).await;
    world.restart().await;
    assert_eq!(query(&world.client(), "g").await, 0, "what is there stays");
}

/// What a person may be able to mend.
#[tokio::test]
async fn a_file_that_is_not_understood_is_moved_aside_before_another_takes_its_place() {
    let mut world = world().await;
    world.restart().await;
    commit(&world.client(), "g", 4).await;
    let (mut damaged, mut older) = (Vec::new(), Vec::new());
    world
        .restart_after(|dir| {
            spoil(dir, "consumerOffset.json", 4);
            let read = |name: &str| std::fs::read(dir.join("config").join(name)).unwrap();
            damaged = read("consumerOffset.json");
            older = read("consumerOffset.json.bak");
        })
        .await;
    commit(&world.client(), "g", 5).await;
    world
        .restart_after(|dir| {
            let read = |name: &str| std::fs::read(dir.join("config").join(name)).unwrap();
            assert_eq!(read("consumerOffset.json.in-the-way"), damaged);
        })
        .await;
    assert_eq!(query(&world.client(), "g").await, 5);
}

/// A file of another user's is no damage: who started then would lose what it says.
#[tokio::test]
async fn a_file_that_the_system_does_not_give_refuses_the_start() {
    for name in ["consumerOffset.json", "topics.json", "delayOffset.json"] {
        let mut world = world().await;
        let take = |dir: &Path| {
            let file = dir.join("config").join(name);
            std::fs::rename(&file, dir.join("kept")).unwrap();
            // Whoever runs the tests may read everything, but not this.
            std::os::unix::fs::symlink(&file, &file).unwrap();
        };
        let give = |dir: &Path| {
            std::fs::rename(dir.join("kept"), dir.join("config").join(name)).unwrap();
        };
        let refused = world.restart_refused(take, give).await;
        assert!(refused.contains(name) && refused.contains("cannot be read"), "{refused}");
        assert_eq!(query(&world.client(), "g").await, 3, "{name}");
    }
}

/// What is no file keeps nothing that could be lost.
#[tokio::test]
async fn what_is_no_file_under_config_refuses_no_start() {
    let mut world = world().await;
    world
        .restart_after(|dir| {
            let config = dir.join("config");
            std::fs::remove_file(config.join("delayOffset.json")).ok();
            std::fs::create_dir(config.join("delayOffset.json")).unwrap();
        })
        .await;
    assert_eq!(query(&world.client(), "g").await, 3);
    world
        .restart_after(|dir| {
            std::fs::rename(dir.join("config"), dir.join("kept")).unwrap();
            std::fs::write(dir.join("config"), "no directory").unwrap();
        })
        .await;
    send(&world.client(), "T", 0).await;
}
