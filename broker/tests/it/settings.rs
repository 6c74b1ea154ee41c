//! Settings of a running broker: looked at, changed, and kept in its file.

use crate::admin::{SUCCESS, get};
use crate::support::{World, said};
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;

#[tokio::test]
async fn settings_change_all_or_none_and_say_why_not() {
    let world = World::start().await;
    let client = world.client();
    let update = async |text: &'static str| {
        client.ask(Command::request(RequestCode::UPDATE_BROKER_CONFIG).with_body(text)).await
    };
    let all = async || get(&client, RequestCode::GET_BROKER_CONFIG).await;
    let has = |answer: &Command, line: &str| {
        String::from_utf8_lossy(&answer.body).lines().any(|found| found == line)
    };
    assert!(has(&all().await, "fileReservedTime=72"));
    for (text, code, word) in [
        ("fileReservedTime=48\nbrokerConfigPath=/x", ResponseCode::NO_PERMISSION, "black list"),
        ("fileReservedTime=48\nlistenPort=1", ResponseCode::NO_PERMISSION, "listenPort"),
        ("fileReservedTime=x", ResponseCode::INVALID_PARAMETER, "fileReservedTime"),
        ("fileReservedTimes=1", ResponseCode::NO_PERMISSION, "fileReservedTime?"),
    ] {
        let answer = update(text).await;
        let (found, remark) = said(&answer);
        assert_eq!(found, code, "{remark}");
        assert!(remark.contains(word), "{remark}");
    }
    let before = all().await;
    assert!(has(&before, "fileReservedTime=72"));
    let changes = "fileReservedTime=48\nmaxMessageSize=10\nsendMessageThreadPoolNums=3";
    assert_eq!(said(&update(changes).await), SUCCESS);
    let after = all().await;
    assert!(changes.lines().all(|line| has(&after, line)), "{after:?}");
    assert_ne!(before.fields.get("version"), after.fields.get("version"));
}

#[tokio::test]
async fn changed_settings_are_in_the_file_when_it_is_said_so() {
    let name = format!("rockhopper-settings-{}.conf", std::process::id());
    let file = std::env::temp_dir().join(name);
    std::fs::write(&file, "# ours\nfileReservedTime=72\n").unwrap();
    let world = World::start_as(|options| options.config_file = Some(file.clone())).await;
    let client = world.client();
    let update = async |hours: u32| {
        let text = format!("fileReservedTime={hours}");
        client.ask(Command::request(RequestCode::UPDATE_BROKER_CONFIG).with_body(text)).await
    };
    for hours in 1..=20 {
        assert_eq!(said(&update(hours).await), SUCCESS);
        let text = std::fs::read_to_string(&file).unwrap();
        assert_eq!(text, format!("# ours\nfileReservedTime={hours}\n"));
    }
    std::fs::remove_file(&file).unwrap();
    let answer = update(48).await;
    let (code, remark) = said(&answer);
    assert_eq!(code, ResponseCode::SYSTEM_ERROR, "{remark}");
    assert!(remark.contains(file.to_str().unwrap()), "{remark}");
    std::fs::remove_file(file.with_extension("conf.bak")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_changes_that_come_at_once_none_is_lost() {
    let world = World::start().await;
    let (one, another) = (world.client(), world.client());
    let update = |text: String| Command::request(RequestCode::UPDATE_BROKER_CONFIG).with_body(text);
    for n in 1..=200 {
        let lines = [format!("fileReservedTime={n}"), format!("sendMessageThreadPoolNums={n}")];
        let [first, second] = lines.clone();
        let said_both = tokio::join!(one.ask(update(first)), another.ask(update(second)));
        assert_eq!((said(&said_both.0), said(&said_both.1)), (SUCCESS, SUCCESS));
        let all = get(&one, RequestCode::GET_BROKER_CONFIG).await;
        let text = String::from_utf8_lossy(&all.body);
        assert!(lines.iter().all(|line| text.lines().any(|found| found == line)), "{n}: {text}");
    }
}
