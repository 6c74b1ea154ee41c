package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.stream.IntStream;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageDecoder;

/** The ways to send; each message is read back. */
final class Sends {
    private Sends() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("send-sync", Sends::sync);
        scenarios.put("send-async", Sends::async);
        scenarios.put("send-oneway", Sends::oneway);
        scenarios.put("send-batch", Sends::batch);
        scenarios.put("send-priority", Sends::priority);
        scenarios.put("topic-auto-create", Sends::autoCreate);
        scenarios.put("trace", Sends::trace);
    }

    private static void sync(Kit kit) throws Exception {
        String topic = kit.topic("t", 4);
        DefaultMQProducer producer = kit.producer();
        Set<Integer> queues = new TreeSet<>();
        for (int i = 0; i < 8; i++) {
            Message message = new Message(topic, "tag", "key" + i, ("b" + i).getBytes());
            message.putUserProperty("colour", "blue " + i);
            SendResult result = producer.send(message);
            same(SendStatus.SEND_OK, result.getSendStatus(), "status");
            check(result.getOffsetMsgId().length() == 32, "offset id %s", result.getOffsetMsgId());
            check(result.getRegionId() != null, "no region id");
            same(i / 4L, result.getQueueOffset(), "queue offset of message " + i);
            queues.add(result.getMessageQueue().getQueueId());
            var address = MessageDecoder.decodeMessageId(result.getOffsetMsgId()).getAddress();
            same(kit.broker(), address.toString().substring(1), "address in the offset id");
        }
        same(Set.of(0, 1, 2, 3), queues, "queues used in turn");
        var got = Inbox.drain(kit, topic, 8);
        for (var message : got) {
            String number = new String(message.getBody()).substring(1);
            same("tag", message.getTags(), "tags");
            same("key" + number, message.getKeys(), "keys");
            same("blue " + number, message.getUserProperty("colour"), "user property");
            check(message.getBornTimestamp() <= message.getStoreTimestamp(), "times");
        }
    }

    private static void async(Kit kit) throws Exception {
        String topic = kit.topic("t", 4);
        DefaultMQProducer producer = kit.producer();
        int count = 200;
        CountDownLatch open = new CountDownLatch(count);
        List<Throwable> failures = Collections.synchronizedList(new ArrayList<>());
        Set<String> ids = Collections.synchronizedSet(new TreeSet<>());
        for (int i = 0; i < count; i++) {
            producer.send(new Message(topic, ("b" + i).getBytes()), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    ids.add(result.getOffsetMsgId());
                    open.countDown();
                }

                @Override
                public void onException(Throwable e) {
                    failures.add(e);
                    open.countDown();
                }
            });
        }
        check(open.await(20, TimeUnit.SECONDS), "%d callbacks missing", open.getCount());
        check(failures.isEmpty(), "failed: %s", failures);
        same(count, ids.size(), "distinct offset ids");
        Inbox.drain(kit, topic, count);
    }

    private static void oneway(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        DefaultMQProducer producer = kit.producer();
        for (int i = 0; i < 50; i++) {
            producer.sendOneway(new Message(topic, ("b" + i).getBytes()));
        }
        Inbox.drain(kit, topic, 50);
    }

    /** A priority is the number of the queue, as far as there are so many; not in other kinds. */
    private static void priority(Kit kit) throws Exception {
        String topic = kit.topic("t", 4);
        String key = "_SYS_MSG_PRIORITY_";
        DefaultMQProducer producer = kit.producer();
        int[][] sent = {{0, 0}, {2, 2}, {3, 3}, {9, 3}};
        for (int[] one : sent) {
            for (int i = 0; i < 3; i++) {
                Message message = new Message(topic, ("p" + one[0]).getBytes());
                MessageAccessor.putProperty(message, key, String.valueOf(one[0]));
                SendResult result = producer.send(message);
                same(one[1], result.getMessageQueue().getQueueId(), "queue in the answer");
                same((long) (one[0] == 9 ? 3 + i : i), result.getQueueOffset(), "queue offset");
            }
        }
        Message grouped = new Message(topic, "grouped".getBytes());
        MessageAccessor.putProperty(grouped, key, "1");
        grouped.putUserProperty("__SHARDINGKEY", "k");
        producer.send(grouped);
        for (var message : Inbox.drain(kit, topic, 13)) {
            String body = new String(message.getBody());
            if (body.equals("grouped")) {
                check(message.getProperty(key) == null, "a grouped message keeps its priority");
            } else {
                int asked = Integer.parseInt(body.substring(1));
                same(Math.min(asked, 3), message.getQueueId(), "queue of " + body);
                same(String.valueOf(asked), message.getProperty(key), "priority of " + body);
            }
        }
    }

    private static void batch(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        DefaultMQProducer producer = kit.producer();
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < 20; i++) {
            batch.add(new Message(topic, "tag" + i, "key" + i, ("b" + i).getBytes()));
        }
        SendResult result = producer.send(batch);
        same(SendStatus.SEND_OK, result.getSendStatus(), "status");
        same(20, result.getOffsetMsgId().split(",").length, "offset ids");
        same(20, result.getMsgId().split(",").length, "unique ids");
        var got = Inbox.drain(kit, topic, 20);
        got.sort((a, b) -> Long.compare(a.getQueueOffset(), b.getQueueOffset()));
        for (int i = 0; i < 20; i++) {
            same("b" + i, new String(got.get(i).getBody()), "body at queue offset " + i);
            same("tag" + i, got.get(i).getTags(), "tags at queue offset " + i);
            same((long) i, got.get(i).getQueueOffset(), "queue offset");
        }
        same(1L, got.stream().map(m -> m.getQueueId()).distinct().count(), "queues of a batch");
    }

    private static void autoCreate(Kit kit) throws Exception {
        String topic = kit.prefix + "-fresh";
        DefaultMQProducer producer = kit.producer();
        producer.send(new Message(topic, "b0".getBytes()));
        // A consumer that starts now asks once, and then not for 30 s.
        var queue = kit.admin().examineTopicRouteInfo(topic).getQueueDatas().get(0);
        same(4, queue.getWriteQueueNums(), "write queues");
        same(4, queue.getReadQueueNums(), "read queues");
        same(6, queue.getPerm(), "perm");
        for (int i = 1; i < 8; i++) {
            producer.send(new Message(topic, ("b" + i).getBytes()));
        }
        Inbox.drain(kit, topic, 8);
    }

    private static void trace(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        String traces = kit.topic("traces", 1);
        DefaultMQProducer producer =
                kit.own(new DefaultMQProducer(kit.group("traced"), null, true, traces));
        producer.start();
        List<String> ids = new ArrayList<>();
        for (int i : IntStream.range(0, 3).toArray()) {
            ids.add(producer.send(new Message(topic, ("b" + i).getBytes())).getMsgId());
        }
        StringBuilder text = new StringBuilder();
        Inbox inbox = Inbox.open(kit, traces);
        await("all three traces", () -> {
            inbox.all().forEach(m -> text.append(new String(m.getBody())));
            return ids.stream().allMatch(id -> text.indexOf(id) >= 0);
        });
        check(text.indexOf("Pub") >= 0 && text.indexOf(topic) >= 0, "trace text: %s", text);
    }
}
