package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.impl.factory.MQClientInstance;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.header.QueryConsumerOffsetRequestHeader;
import org.apache.rocketmq.remoting.protocol.statictopic.LogicQueueMappingItem;
import org.apache.rocketmq.remoting.protocol.statictopic.TopicConfigAndQueueMapping;
import org.apache.rocketmq.tools.admin.MQAdminUtils;

/**
 * Static topics on two brokers: their queues keep numbers and offsets when they move. An offset
 * where a queue begins on another broker is rounded up to a multiple of 10,000 by the stock tool.
 */
final class Statics {
    private static final int BLOCK = 10_000;
    private static final Duration LONG = Duration.ofSeconds(60);

    private Statics() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("static-topic", Statics::made);
        scenarios.put("static-remapped", Statics::remapped);
        scenarios.put("static-offsets", Statics::offsets);
        scenarios.put("static-widened", Statics::widened);
        scenarios.put("static-deleted", Statics::deleted);
        scenarios.put("static-refused", Statics::refused);
        scenarios.put("static-undecided", Statics::undecided);
        scenarios.put("static-orderly", kit -> orderly(kit, 4));
        scenarios.put("static-restarts", Statics::restarts);
        scenarios.put("static-handed-over", Statics::handedOver);
    }

    /** Queues on both brokers; sends, pulls, offsets and progress speak of logical queues. */
    private static void made(Kit kit) throws Exception {
        String topic = create(kit, 4, "broker-a,broker-b");
        var configs = MQAdminUtils.examineTopicConfigAll(topic, kit.admin());
        same(Set.of("broker-a", "broker-b"), configs.keySet(), "brokers");
        for (var config : configs.values()) {
            same(2, config.getMappingDetail().getHostedQueues().size(), "queues of a broker");
        }
        DefaultMQProducer producer = started(kit, topic);
        long before = System.currentTimeMillis();
        fill(producer, topic, 5, 0);
        String group = kit.group("g");
        Inbox inbox = Inbox.open(kit.push(group, topic, "*"));
        inbox.awaitSize(20);
        Set<Long> five = Set.of(0L, 1L, 2L, 3L, 4L);
        same(Map.of(0, five, 1, five, 2, five, 3, five), places(inbox.all()), "offsets");
        for (MessageQueue queue : producer.fetchPublishMessageQueues(topic)) {
            same("__syslo__global__", queue.getBrokerName(), "the broker of a logical queue");
            same(0L, kit.admin().minOffset(queue), "min offset");
            same(5L, kit.admin().maxOffset(queue), "max offset");
            same(0L, kit.admin().searchOffset(queue, before - 60_000), "offset of an early time");
        }
        await("committed offsets", () -> kit.admin().examineConsumeStats(group).getOffsetTable()
                .entrySet().stream().filter(e -> isLogical(e.getKey()))
                .filter(e -> e.getValue().getConsumerOffset() == 5
                        && e.getValue().getBrokerOffset() == 5).count() == 4);
    }

    /** From one broker to the other: what came before is read through the new one. */
    private static void remapped(Kit kit) throws Exception {
        String topic = create(kit, 2, "broker-a");
        DefaultMQProducer producer = started(kit, topic);
        fill(producer, topic, 7, 0);
        long between = System.currentTimeMillis();
        remap(kit, topic, "broker-b", producer);
        fill(producer, topic, 4, BLOCK);
        for (MessageQueue queue : producer.fetchPublishMessageQueues(topic)) {
            same(0L, kit.admin().minOffset(queue), "min offset");
            same(BLOCK + 4L, kit.admin().maxOffset(queue), "max offset");
            same(0L, kit.admin().searchOffset(queue, between - 60_000), "offset of an early time");
        }
        Set<Long> all = new TreeSet<>(Set.of(0L, 1L, 2L, 3L, 4L, 5L, 6L));
        for (long at = BLOCK; at < BLOCK + 4; at++) {
            all.add(at);
        }
        same(Map.of(0, all, 1, all), places(Inbox.drain(kit, topic, 22)), "offsets");
        // Back, and to both.
        remap(kit, topic, "broker-a", producer);
        fill(producer, topic, 3, 2 * BLOCK);
        remap(kit, topic, "broker-a,broker-b", producer);
        for (MessageQueue queue : producer.fetchPublishMessageQueues(topic)) {
            producer.send(new Message(topic, "last".getBytes()), queue);
        }
        Inbox.open(kit.push(kit.group("late"), topic, "*")).awaitSize(30);
    }

    /** A group goes on where it was, wherever that is now. */
    private static void offsets(Kit kit) throws Exception {
        String topic = create(kit, 1, "broker-a");
        String group = kit.group("g");
        DefaultMQProducer producer = started(kit, topic);
        fill(producer, topic, 10, 0);
        MessageQueue queue = producer.fetchPublishMessageQueues(topic).get(0);
        var first = kit.push(group, topic, "*");
        Inbox.open(first).awaitSize(10);
        first.shutdown();
        remap(kit, topic, "broker-b", producer);
        same(10L, committed(producer, group, queue), "the offset on the other broker");
        fill(producer, topic, 2, BLOCK);
        var second = kit.push(group, topic, "*");
        Inbox.open(second).awaitSize(2);
        second.shutdown();
        await("the offset on the new broker", () ->
                committed(producer, group, queue) == BLOCK + 2);
        remap(kit, topic, "broker-a", producer);
        same(BLOCK + 2L, committed(producer, group, queue), "after the way back");
        Inbox nothing = Inbox.open(kit.push(group, topic, "*"));
        Thread.sleep(500);
        same(0, nothing.size(), "messages again");
        fill(producer, topic, 1, 2 * BLOCK);
        nothing.awaitSize(1);
    }

    /** More queues: those that were there stay where they are. */
    private static void widened(Kit kit) throws Exception {
        String topic = create(kit, 2, "broker-a");
        DefaultMQProducer producer = started(kit, topic);
        fill(producer, topic, 3, 0);
        Mqadmin.run(kit, "updateStaticTopic", "-t", topic, "-qn", "5", "-b", "broker-a,broker-b")
                .says("new mapping data is written").lacks("failed");
        awaitQueues(producer, topic, 5);
        Map<Integer, Long> at = new TreeMap<>();
        for (MessageQueue queue : producer.fetchPublishMessageQueues(topic)) {
            SendResult sent = producer.send(new Message(topic, "x".getBytes()), queue);
            at.put(queue.getQueueId(), sent.getQueueOffset());
        }
        same(Map.of(0, 3L, 1, 3L, 2, 0L, 3, 0L, 4, 0L), at, "offsets");
        Inbox.drain(kit, topic, 11);
    }

    /** Deleted, it leaves nothing behind, and can be made anew. */
    private static void deleted(Kit kit) throws Exception {
        String topic = create(kit, 4, "broker-a,broker-b");
        DefaultMQProducer producer = started(kit, topic);
        fill(producer, topic, 2, 0);
        Mqadmin.run(kit, "deleteTopic", "-c", "DefaultCluster", "-t", topic).says("success");
        await("no configuration", () ->
                MQAdminUtils.examineTopicConfigAll(topic, kit.admin()).isEmpty());
        create(kit, 3, "broker-b");
        DefaultMQProducer again = started(kit, topic);
        fill(again, topic, 2, 0);
        Inbox.drain(kit, topic, 6);
    }

    /** What contradicts the known mapping, and who speaks to the wrong broker. */
    private static void refused(Kit kit) throws Exception {
        String topic = create(kit, 1, "broker-a");
        DefaultMQProducer producer = started(kit, topic);
        fill(producer, topic, 1, 0);
        var all = MQAdminUtils.examineTopicConfigAll(topic, kit.admin());
        TopicConfigAndQueueMapping config = all.get("broker-a");
        var detail = config.getMappingDetail();
        long epoch = detail.getEpoch();
        detail.setEpoch(epoch - 1);
        expect(1, () -> tell(kit, config));
        detail.setEpoch(epoch);
        detail.getHostedQueues().remove(0);
        expect(1, () -> tell(kit, config));
        LogicQueueMappingItem strange = new LogicQueueMappingItem();
        strange.setBname("broker-a");
        strange.setQueueId(-1);
        detail.getHostedQueues().put(0, List.of(strange));
        expect(1, () -> tell(kit, config));
        same(1, MQAdminUtils.examineTopicConfigAll(topic, kit.admin()).get("broker-a")
                .getMappingDetail().getHostedQueues().get(0).size(), "stays");
        // A producer that does not know yet that the queue has moved.
        MQClientInstance stale = producer.getDefaultMQProducerImpl().getMqClientFactory();
        Mqadmin.run(kit, "remappingStaticTopic", "-t", topic, "-b", "broker-b");
        MessageQueue queue = new MessageQueue(topic, "__syslo__global__", 0);
        if ("broker-a".equals(stale.getBrokerNameFromMessageQueue(queue))) {
            expect(501, () -> producer.send(new Message(topic, "late".getBytes()), queue));
        }
    }

    /**
     * A move that stops half-way: the new broker takes messages, and those before it can be read;
     * as soon as it is decided where the queue begins there, all come.
     */
    private static void undecided(Kit kit) throws Exception {
        String topic = create(kit, 1, "broker-a");
        DefaultMQProducer producer = started(kit, topic);
        fill(producer, topic, 6, 0);
        var admin = kit.admin();
        var configs = MQAdminUtils.examineTopicConfigAll(topic, admin);
        var plan = org.apache.rocketmq.remoting.protocol.statictopic.TopicQueueMappingUtils
                .remappingStaticTopic(topic, configs, Set.of("broker-b"));
        MQAdminUtils.completeNoTargetBrokers(configs, admin);
        tell(kit, configs.get("broker-b"));
        tell(kit, configs.get("broker-a"));
        awaitLeader(kit, topic, Set.of("broker-b"), producer);
        MessageQueue queue = producer.fetchPublishMessageQueues(topic).get(0);
        SendResult sent = producer.send(new Message(topic, "6".getBytes()), queue);
        same(-1L, sent.getQueueOffset(), "an offset that nobody knows yet");
        Inbox inbox = Inbox.open(kit, topic);
        inbox.awaitSize(6);
        same(6L, admin.maxOffset(queue), "max offset");
        var detail = configs.get("broker-b").getMappingDetail();
        var items = new ArrayList<>(detail.getHostedQueues().get(0));
        items.get(1).setLogicOffset(BLOCK);
        detail.getHostedQueues().put(0, items);
        tell(kit, configs.get("broker-b"));
        inbox.awaitSize(7);
        same(BLOCK + 1L, admin.maxOffset(queue), "max offset");
        same((long) BLOCK, inbox.all().get(6).getQueueOffset(), "the offset of the last");
    }

    /** Order holds in each queue while all of them move from broker to broker. */
    private static void orderly(Kit kit, int moves) throws Exception {
        String topic = create(kit, 4, "broker-a,broker-b");
        Changes.Order order = new Changes.Order(kit, kit.group("g"), topic);
        order.join();
        order.join();
        String[] targets = {"broker-a", "broker-b", "broker-a,broker-b"};
        try (Changes.Sender sender = new Changes.Sender(kit, topic)) {
            sender.awaitMore(40);
            for (int round = 0; round < moves; round++) {
                Mqadmin.run(kit, "remappingStaticTopic", "-t", topic, "-b", targets[round % 3])
                        .says("mapping data is written").lacks("failed");
                if (round % 2 == 1) {
                    var guest = order.join();
                    sender.awaitMore(60);
                    guest.shutdown();
                }
                sender.awaitMore(60);
                order.awaitAll(sender.acknowledged());
            }
        }
        check(order.faults.isEmpty(), "faults: %s", order.faults);
        kit.note(moves + " moves, " + order.taken + " messages, " + order.again + " again, "
                + order.shared + " times two members in a queue");
    }

    /** The mapping outlives a stop of the one broker and a kill of the other. */
    private static void restarts(Kit kit) throws Exception {
        String topic = create(kit, 2, "broker-a");
        DefaultMQProducer producer = started(kit, topic);
        fill(producer, topic, 3, 0);
        remap(kit, topic, "broker-b", producer);
        fill(producer, topic, 3, BLOCK);
        for (String action : new String[] {"stop broker", "kill second"}) {
            kit.actions.ask(action);
            kit.actions.ask("start " + action.split(" ")[1]);
        }
        again(kit, topic);
        Inbox inbox = Inbox.open(kit.push(kit.group("g"), topic, "*"));
        await("14 messages", LONG, () -> inbox.size() >= 14);
    }

    /** Files of one make's broker, read by the other's, and back. */
    private static void handedOver(Kit kit) throws Exception {
        String topic = create(kit, 2, "broker-b");
        DefaultMQProducer producer = started(kit, topic);
        fill(producer, topic, 3, 0);
        remap(kit, topic, "broker-a", producer);
        remap(kit, topic, "broker-b", producer);
        fill(producer, topic, 3, 2 * BLOCK);
        for (int turn = 0; turn < 2; turn++) {
            kit.actions.ask("stop second");
            kit.actions.ask("swap second");
            again(kit, topic);
            int expected = 14 + 2 * turn;
            Inbox inbox = Inbox.open(kit.push(kit.group("g" + turn), topic, "*"));
            await(expected + " messages", LONG, () -> inbox.size() >= expected);
        }
    }

    /** One more message to each queue, as soon as its broker is there again. */
    private static void again(Kit kit, String topic) throws Exception {
        DefaultMQProducer producer = started(kit, topic);
        for (MessageQueue queue : producer.fetchPublishMessageQueues(topic)) {
            await("a send to " + queue, LONG, () ->
                    producer.send(new Message(topic, "again".getBytes()), queue) != null);
        }
    }

    /** The offsets that came, by queue. */
    private static Map<Integer, Set<Long>> places(List<MessageExt> messages) {
        Map<Integer, Set<Long>> places = new TreeMap<>();
        for (MessageExt message : messages) {
            places.computeIfAbsent(message.getQueueId(), q -> new TreeSet<>())
                    .add(message.getQueueOffset());
        }
        return places;
    }

    /** What the broker that leads the queue says of a group. */
    private static long committed(DefaultMQProducer producer, String group, MessageQueue queue)
            throws Exception {
        var client = producer.getDefaultMQProducerImpl().getMqClientFactory();
        String broker = client.getBrokerNameFromMessageQueue(queue);
        var header = new QueryConsumerOffsetRequestHeader();
        header.setConsumerGroup(group);
        header.setTopic(queue.getTopic());
        header.setQueueId(queue.getQueueId());
        return client.getMQClientAPIImpl().queryConsumerOffset(
                client.findBrokerAddressInPublish(broker), header, 5_000);
    }

    private interface Act {
        void run() throws Exception;
    }

    private static void expect(int code, Act act) throws Exception {
        try {
            act.run();
        } catch (MQBrokerException e) {
            same(code, e.getResponseCode(), "response code");
            return;
        }
        throw new AssertionError("it was not refused with " + code);
    }

    private static void tell(Kit kit, TopicConfigAndQueueMapping config) throws Exception {
        var cluster = kit.admin().examineBrokerClusterInfo().getBrokerAddrTable();
        var detail = config.getMappingDetail();
        String address = cluster.get(detail.getBname()).selectBrokerAddr();
        kit.admin().createStaticTopic(address, "TBW102", config, detail, false);
    }

    private static String create(Kit kit, int queues, String brokers) throws Exception {
        String topic = kit.prefix + "-t";
        Mqadmin.run(kit, "updateStaticTopic", "-t", topic, "-qn", Integer.toString(queues),
                "-b", brokers).says("new mapping data is written").lacks("failed");
        return topic;
    }

    private static boolean isLogical(MessageQueue queue) {
        return queue.getBrokerName().startsWith("__syslo__");
    }

    private static DefaultMQProducer started(Kit kit, String topic) throws Exception {
        DefaultMQProducer producer = kit.newProducer(kit.group("p" + System.nanoTime()));
        producer.setPollNameServerInterval(500);
        producer.start();
        awaitQueues(producer, topic, 1);
        return producer;
    }

    private static void awaitQueues(DefaultMQProducer producer, String topic, int count)
            throws Exception {
        await(count + " logical queues", () -> {
            producer.getDefaultMQProducerImpl().getMqClientFactory()
                    .updateTopicRouteInfoFromNameServer(topic);
            var queues = producer.fetchPublishMessageQueues(topic);
            return queues.size() >= count && queues.stream().allMatch(Statics::isLogical);
        });
    }

    /** Sends {@code count} messages to each queue, whose offsets begin with {@code first}. */
    private static void fill(DefaultMQProducer producer, String topic, int count, long first)
            throws Exception {
        for (MessageQueue queue : producer.fetchPublishMessageQueues(topic)) {
            for (int i = 0; i < count; i++) {
                Message message = new Message(topic, Long.toString(first + i).getBytes());
                SendResult sent = producer.send(message, queue);
                same(queue.getQueueId(), sent.getMessageQueue().getQueueId(), "the queue of a send");
                same(first + i, sent.getQueueOffset(), "the offset of a send");
            }
        }
    }

    private static void remap(Kit kit, String topic, String brokers, DefaultMQProducer producer)
            throws Exception {
        Mqadmin.run(kit, "remappingStaticTopic", "-t", topic, "-b", brokers)
                .says("mapping data is written").lacks("failed");
        awaitLeader(kit, topic, Set.of(brokers.split(",")), producer);
    }

    /** Waits until the producer, too, knows the brokers. */
    private static void awaitLeader(
            Kit kit, String topic, Set<String> brokers, DefaultMQProducer producer)
            throws Exception {
        MQClientInstance client = producer.getDefaultMQProducerImpl().getMqClientFactory();
        var admin = kit.admin().getDefaultMQAdminExtImpl().getMqClientInstance();
        for (MQClientInstance one : List.of(client, admin)) {
            await("the new leaders", () -> {
                one.updateTopicRouteInfoFromNameServer(topic);
                Set<String> found = new TreeSet<>();
                for (MessageQueue queue : producer.fetchPublishMessageQueues(topic)) {
                    found.add(one.getBrokerNameFromMessageQueue(queue));
                }
                return found.equals(brokers);
            });
        }
    }
}
