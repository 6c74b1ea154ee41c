package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

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
    private static final int EACH = 250;
    private static final int DONE = 100;
    private static final int BIG = 300_000;

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
        String big = kit.topic("big", 1);
        producer.send(new Message(big, "x".repeat(BIG).getBytes()));
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
        Inbox big = Inbox.open(kit, kit.group("big"));
        big.awaitSize(1);
        same(BIG, big.all().get(0).getBody().length, "big body");

        DefaultMQProducer producer = kit.producer();
        long now = System.currentTimeMillis();
        await("a message by key", () -> producer
                .queryMessage(topic, "key-3-200", 8, now - 3_600_000, now + 60_000)
                .getMessageList().size() == 1);
        MessageQueue first = producer.fetchPublishMessageQueues(topic).get(0);
        same((long) EACH, producer.send(new Message(topic, "new".getBytes()), first)
                .getQueueOffset(), "queue offset of the next message");
        fresh.awaitSize(QUEUES * EACH + 1);
    }
}
