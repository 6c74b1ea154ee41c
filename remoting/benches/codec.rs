//! What one send costs in the codec, in both header forms: `cargo bench -p remoting`.
//! No socket and no handler; the whole way is measured by `scripts/bench-vs-java`.

use bytes::{Bytes, BytesMut};
use divan::Bencher;
use divan::counter::ItemsCount;
use remoting::codes::{RequestCode, ResponseCode};
use remoting::command::Command;
use remoting::flat::Header;
use remoting::frame::{self, Form, Limits};
use remoting::headers::send::{SendMessageRequestHeaderV2, SendMessageResponseHeader};
use remoting::outbox::Outbox;
use remoting::reply::{Answer, Ticket};

/// As many as one read of a busy socket yields.
const FRAMES: usize = 64;
const FORMS: [Form; 2] = [Form::Json, Form::Rocketmq];

fn main() {
    divan::main();
}

fn request(form: Form) -> Command {
    let header = SendMessageRequestHeaderV2 {
        producer_group: "producer",
        topic: "Topic",
        default_topic: "TBW102",
        default_topic_queue_nums: 4,
        queue_id: 2,
        born_timestamp: 1_700_000_000_000,
        properties: Some(
            "UNIQ_KEY\u{1}7F000001B3E018B4AAC2000000000001\u{2}WAIT\u{1}true\u{2}TAGS\u{1}A\u{2}",
        ),
        reconsume_times: Some(0),
        unit_mode: Some(false),
        batch: Some(false),
        ..SendMessageRequestHeaderV2::default()
    };
    let mut command = Command::request(RequestCode::SEND_MESSAGE_V2)
        .with_header(&header)
        .with_body(Bytes::from_static(&[b'x'; 128]));
    command.form = form;
    command
}

/// Cutting frames off the stream and reading their typed headers.
#[divan::bench(args = FORMS)]
fn read_sends(bencher: Bencher<'_, '_>, form: Form) {
    let mut one = BytesMut::new();
    request(form).encode(&mut one);
    let stream = one.repeat(FRAMES);
    let limits = Limits::default();
    bencher
        .counter(ItemsCount::new(FRAMES))
        .with_inputs(|| BytesMut::from(stream.as_slice()))
        .bench_local_values(|mut input| {
            let mut queues = 0;
            while let Some(frame) = frame::split(&mut input, &limits).expect("our own frame") {
                let command = Command::decode(frame, &limits);
                let command = command.expect("our own header");
                let header = SendMessageRequestHeaderV2::read(&command.fields);
                queues += header.expect("our own fields").queue_id;
            }
            queues
        });
}

/// Writing the answers to them.
#[divan::bench(args = FORMS)]
fn write_answers(bencher: Bencher<'_, '_>, form: Form) {
    let ticket = Ticket::of(&request(form));
    let header = SendMessageResponseHeader {
        msg_id: "7F00000100002A9F00000000000186A0",
        queue_id: 2,
        queue_offset: 100_000,
        ..SendMessageResponseHeader::default()
    };
    bencher.counter(ItemsCount::new(FRAMES)).with_inputs(Outbox::default).bench_local_refs(|out| {
        for _ in 0..FRAMES {
            let answer = Answer::code(ResponseCode::SUCCESS).with_header(&header);
            ticket.answer(answer, out);
        }
    });
}
