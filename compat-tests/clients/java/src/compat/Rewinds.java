package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.rebalance.AllocateMessageQueueAveragely;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/** What operators do when a group went wrong: look where messages went, and send it back. */
final class Rewinds {
    static final String BROKER = "broker-a";

    private Rewinds() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("resetOffsetByOffset", Rewinds::byOffset);
        scenarios.put("resetOffsetOnline", Rewinds::online);
        scenarios.put("resetOffsetByTimeOld", Rewinds::byTimeOld);
        scenarios.put("getConsumerStatus", Rewinds::status);
        scenarios.put("cloneGroupOffset", Rewinds::cloned);
        scenarios.put("queryCq", Rewinds::queue);
        scenarios.put("consumeMessageDirectly", Rewinds::directly);
        scenarios.put("messageTrack", Rewinds::track);
        scenarios.put("queryMsgTraceById", Rewinds::trace);
    }

    /** A topic whose first ten messages a member of the group "g" has had; it is gone again. */
    static String consumed(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Kit.fill(kit.producer(), topic, 0, 10);
        consume(kit, topic, 10);
        return topic;
    }

    /** A member of the group "g" comes, has so many messages, and goes. */
    private static void consume(Kit kit, String topic, int count) throws Exception {
        DefaultMQPushConsumer consumer = kit.push(kit.group("g"), topic, "*");
        Inbox.open(consumer).awaitSize(count);
        consumer.shutdown();
    }

    private static Inbox member(Kit kit, String group, String topic) throws Exception {
        return Inbox.open(kit.push(group, topic, "*"));
    }

    private static void byOffset(Kit kit) throws Exception {
        String topic = consumed(kit);
        Mqadmin.run(kit, "resetOffsetByTime", "-t", topic, "-g", kit.group("g"), "-s", "0",
                "-b", kit.broker(), "-q", "0", "-o", "7").says("reset consumer offset to 7");
        Inbox again = member(kit, kit.group("g"), topic);
        again.awaitSize(3);
        again.all().forEach(m -> check(m.getQueueOffset() >= 7, "got %s", m));
    }

    /** Nobody is stopped: the members go back by themselves. */
    private static void online(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Kit.fill(kit.producer(), topic, 0, 10);
        Inbox inbox = member(kit, kit.group("g"), topic);
        inbox.awaitSize(10);
        Mqadmin.run(kit, "resetOffsetByTime", "-t", topic, "-g", kit.group("g"), "-s", "0")
                .row(BROKER, "0", "0");
        // A stock broker tells a member that waits only when a message comes.
        kit.producer().send(new Message(topic, "news".getBytes()));
        await("all once more", () -> inbox.bodies().stream().filter("0"::equals).count() == 2);
        await("the last", () -> inbox.bodies().contains("news"));
    }

    /** The way of old releases, which mqadmin has no command for any more: offsets are written. */
    static void byTimeOld(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Kit.fill(kit.producer(), topic, 0, 10);
        Thread.sleep(100);
        long between = System.currentTimeMillis();
        Thread.sleep(100);
        Kit.fill(kit.producer(), topic, 0, 10);
        consume(kit, topic, 20);
        var moved =
            kit.admin().resetOffsetByTimestampOld(kit.group("g"), topic, between, true).get(0);
        same(10L, moved.getRollbackOffset(), "offset after the reset");
        Inbox again = member(kit, kit.group("g"), topic);
        again.awaitSize(10);
        again.all().forEach(m -> check(m.getQueueOffset() >= 10, "got %s", m));
    }

    /** Where a member is, by its own word. */
    static void status(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Kit.fill(kit.producer(), topic, 0, 10);
        member(kit, kit.group("g"), topic).awaitSize(10);
        await("the member's offset", () -> {
            var members = kit.admin().getConsumeStatus(topic, kit.group("g"), "");
            same(1, members.size(), "members");
            return members.values().iterator().next().values().contains(10L);
        });
    }

    private static void cloned(Kit kit) throws Exception {
        String topic = consumed(kit);
        String copy = kit.group("copy");
        Mqadmin.run(kit, "updateSubGroup", "-b", kit.broker(), "-g", copy);
        Mqadmin.run(kit, "cloneGroupOffset", "-s", kit.group("g"), "-d", copy, "-t", topic,
                "-o", "true").says("clone group offset success");
        Kit.fill(kit.producer(), topic, 0, 3);
        Inbox inbox = member(kit, copy, topic);
        inbox.awaitSize(3);
        inbox.all().forEach(m -> check(m.getQueueOffset() >= 10, "got %s", m));
    }

    /** The entries of a queue, and what a group that filters in SQL92 wants of it. */
    private static void queue(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Kit.fill(kit.producer(), topic, 0, 10);
        DefaultMQPushConsumer consumer = kit.push(kit.group("g"), topic, "*");
        consumer.subscribe(topic, MessageSelector.bySql("colour = 'blue'"));
        Inbox.open(consumer);
        await("the filter", () -> Mqadmin.run(kit, "queryCq", "-t", topic, "-q", "0", "-i", "0",
                "-c", "5", "-b", kit.broker(), "-g", kit.group("g")).text.contains("bitNum"));
        Mqadmin found = Mqadmin.run(kit, "queryCq", "-t", topic, "-q", "0", "-i", "0", "-c", "5",
                "-b", kit.broker(), "-g", kit.group("g"));
        found.says("colour = 'blue'", "SQL92", "max: 10, min: 0", "\"bitNum\":112", "idx: 0", "idx: 4");
        found.lacks("idx: 5");
    }

    private static void directly(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        SendResult sent = kit.producer().send(new Message(topic, "hello".getBytes()));
        DefaultMQPushConsumer consumer = kit.push(kit.group("g"), topic, "*");
        Inbox inbox = Inbox.open(consumer);
        inbox.awaitSize(1);
        String client = consumer.getDefaultMQPushConsumerImpl().getmQClientFactory().getClientId();
        Mqadmin.run(kit, "queryMsgById", "-t", topic, "-i", sent.getOffsetMsgId(), "-g",
                kit.group("g"), "-d", client).says("CR_SUCCESS");
        inbox.awaitSize(2);
        Mqadmin.run(kit, "queryMsgById", "-t", topic, "-i", sent.getOffsetMsgId(), "-g",
                kit.group("g"), "-d", "nobody").says("not online");
    }

    /** Whether each group has had a message, as the offsets tell it. */
    private static void track(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQPushConsumer consumer = kit.push(kit.group("g"), topic, "*");
        consumer.setPersistConsumerOffsetInterval(500);
        Inbox inbox = Inbox.open(consumer);
        SendResult sent = kit.producer().send(new Message(topic, "hello".getBytes()));
        inbox.awaitSize(1);
        await("the track", () -> Mqadmin.run(kit, "queryMsgById", "-t", topic, "-i",
                sent.getOffsetMsgId()).text.contains("trackType=CONSUMED"));
        Mqadmin.run(kit, "queryMsgById", "-t", topic, "-i", sent.getOffsetMsgId())
                .says("consumerGroup=" + kit.group("g"));
        consumer.shutdown();
        await("nobody", () -> Mqadmin.run(kit, "queryMsgById", "-t", topic, "-i",
                sent.getOffsetMsgId()).text.contains("trackType=NOT_ONLINE"));
    }

    /** What clients write about a message, in the broker's own topic and in another one. */
    private static void trace(Kit kit) throws Exception {
        for (String traces : new String[] {null, kit.topic("traces", 1)}) {
            String stem = traces == null ? "own" : "other";
            String topic = kit.topic(stem, 1);
            DefaultMQProducer producer =
                kit.own(new DefaultMQProducer(kit.group(stem + "-p"), null, true, traces));
            producer.start();
            DefaultMQPushConsumer consumer = kit.push(new DefaultMQPushConsumer(
                kit.group(stem + "-g"), null, new AllocateMessageQueueAveragely(), true, traces),
                topic, "*");
            Inbox inbox = Inbox.open(consumer);
            String key = kit.group(stem + "-key");
            String id = producer.send(new Message(topic, "tag", key, "hello".getBytes())).getMsgId();
            inbox.awaitSize(1);
            String from = traces == null ? "RMQ_SYS_TRACE_TOPIC" : traces;
            await("the trace", () -> {
                String text = Mqadmin.run(kit, "queryMsgTraceById", "-i", id, "-t", from).text;
                return text.contains("Pub") && text.contains("Sub ");
            });
            Mqadmin.run(kit, "queryMsgTraceById", "-i", id, "-t", from)
                .says(kit.group(stem + "-p"), kit.group(stem + "-g"), "success");
            same(2, rows(kit, from, key), "traces of the key");
        }
    }

    private static int rows(Kit kit, String topic, String key) {
        String text = Mqadmin.run(kit, "queryMsgByKey", "-t", topic, "-k", key).text;
        return (int) text.lines().filter(line -> line.matches("[0-9A-F]{16,}\\s.*")).count();
    }
}
