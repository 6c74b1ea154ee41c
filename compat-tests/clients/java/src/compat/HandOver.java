package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * One broker writes a store, another reads it: {@code store-write} fills topics and leaves a group
 * in the middle, {@code store-read}, run with the same prefix on the other broker, finds it all.
 */
final class HandOver {
    private static final int QUEUES = 4;
    private static final int EACH = 50;
    private static final int DONE = 20;
    private static final int BIG = 300_000;
    private static final int BATCH = 5;
    private static final int LONG = 4_000;
    private static final List<String> KINDS = List.of("zlib", "lz4", "zstd");

    private HandOver() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("store-write", HandOver::write);
        scenarios.put("store-read", HandOver::read);
    }

    private static void write(Kit kit) throws Exception {
        String topic = kit.topic("t", QUEUES);
        kit.topic("odd", 3, 4);
        DefaultMQProducer producer = kit.producer();
        List<MessageQueue> queues = producer.fetchPublishMessageQueues(topic);
        for (int i = 0; i < EACH; i++) {
            for (MessageQueue queue : queues) {
                String name = queue.getQueueId() + "-" + i;
                Message message = new Message(topic, i % 2 == 0 ? "even" : "odd", "key-" + name,
                        ("body " + name).getBytes());
                message.putUserProperty("name", name);
                producer.send(message, queue);
            }
        }
        String more = kit.topic("more", 1);
        producer.send(new Message(more, "big", "x".repeat(BIG).getBytes()));
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < BATCH; i++) {
            batch.add(new Message(more, "part", "k" + i + " all", ("part " + i).getBytes()));
        }
        producer.send(batch);
        for (String kind : KINDS) {
            DefaultMQProducer other = kit.newProducer(kit.group(kind));
            check(Version.compression(other, kind), "no compression by %s", kind);
            other.start();
            other.send(new Message(more, kind, kind.repeat(LONG).getBytes()));
        }
        Version.group(kit.admin(), kit.broker(), kit.group("g"), true);
        for (MessageQueue queue : queues) {
            kit.admin().updateConsumeOffset(kit.broker(), kit.group("g"), queue, DONE);
        }
    }

    private static void read(Kit kit) throws Exception {
        String topic = kit.group("t");
        await("routes", () -> {
            var odd = kit.admin().examineTopicRouteInfo(kit.group("odd")).getQueueDatas().get(0);
            same(3, odd.getReadQueueNums(), "queues of the odd topic");
            same(4, odd.getPerm(), "perm of the odd topic");
            return kit.admin().examineTopicRouteInfo(topic).getQueueDatas().size() == 1;
        });
        Inbox fresh = Inbox.open(kit, topic);
        fresh.awaitSize(QUEUES * EACH);
        Set<String> names = new HashSet<>();
        fresh.all().forEach(message -> {
            String name = message.getUserProperty("name");
            names.add(name);
            same("body " + name, new String(message.getBody()), "body");
            same("key-" + name, message.getKeys(), "keys");
            same(name, message.getQueueId() + "-" + message.getQueueOffset(), "place");
        });
        same(QUEUES * EACH, names.size(), "distinct messages");
        Inbox rest = Inbox.open(kit.push(kit.group("g"), topic, "even"));
        rest.awaitSize(QUEUES * (EACH - DONE) / 2);
        rest.all().forEach(m -> check(m.getQueueOffset() >= DONE, "offset was lost: %s", m));
        Inbox more = Inbox.open(kit, kit.group("more"));
        more.awaitSize(1 + BATCH + KINDS.size());
        for (var message : more.all()) {
            String tag = message.getTags();
            String body = new String(message.getBody());
            long number = message.getQueueOffset() - 1;
            switch (tag) {
                case "big" -> same(BIG, body.length(), "big body");
                case "part" -> {
                    same("part " + number, body, "part of the batch");
                    same("k" + number + " all", message.getKeys(), "keys in the batch");
                }
                default -> same(tag.repeat(LONG), body, "body by " + tag);
            }
        }

        DefaultMQProducer producer = kit.producer();
        long now = System.currentTimeMillis();
        await("a message by key", () -> producer
                .queryMessage(topic, "key-3-40", 8, now - 3_600_000, now + 60_000)
                .getMessageList().size() == 1);
        MessageQueue first = producer.fetchPublishMessageQueues(topic).get(0);
        same((long) EACH, producer.send(new Message(topic, "new".getBytes()), first)
                .getQueueOffset(), "queue offset of the next message");
        fresh.awaitSize(QUEUES * EACH + 1);
    }
}
