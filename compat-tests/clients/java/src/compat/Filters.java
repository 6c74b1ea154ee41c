package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Consumers that say in SQL92 what they want. */
final class Filters {
    private Filters() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("sql-push", Filters::push);
        scenarios.put("sql-pull", Filters::pull);
        scenarios.put("sql-pull-held", Filters::held);
        scenarios.put("sql-lite-pull", Filters::litePull);
        scenarios.put("sql-retry", Filters::retry);
        scenarios.put("sql-refused", Filters::refused);
        scenarios.put("filters-write", Filters::write);
        scenarios.put("filters-read", Filters::read);
    }

    /** What one leg of a hand-over adds: so many messages, every tenth of which is wanted. */
    private static final int LEFT = 300;

    private static int leg(Kit kit) {
        return Integer.parseInt(kit.prefix.substring(kit.prefix.lastIndexOf('-') + 1));
    }

    private static String shared(Kit kit, String suffix) {
        return kit.prefix.substring(0, kit.prefix.lastIndexOf('-')) + suffix;
    }

    private static void write(Kit kit) throws Exception {
        int leg = leg(kit);
        String topic = shared(kit, "-t");
        if (leg == 0) {
            kit.topicOfKind(topic, 1, "");
        }
        // Its filter is there before the messages, which have its bits.
        List<Inbox> inboxes = readers(kit, "write");
        DefaultMQProducer producer = kit.producer();
        await("the route", () -> !producer.fetchPublishMessageQueues(topic).isEmpty());
        MessageQueue queue = producer.fetchPublishMessageQueues(topic).get(0);
        for (int i = 0; i < LEFT; i++) {
            Message message = new Message(topic, "T" + i % 10, (leg + "-" + i).getBytes());
            message.putUserProperty("a", Integer.toString(i % 10));
            same((long) leg * LEFT + i, producer.send(message, queue).getQueueOffset(), "offset");
        }
        expect(inboxes, leg);
    }

    private static void read(Kit kit) throws Exception {
        expect(readers(kit, "read"), leg(kit));
    }

    /**
     * Two groups that filter and one that goes by tags, each from the first message on: a client
     * that broadcasts keeps its offsets under its name.
     */
    private static List<Inbox> readers(Kit kit, String name) throws Exception {
        String topic = shared(kit, "-t");
        List<Inbox> inboxes = new ArrayList<>();
        for (MessageSelector wanted : List.of(
                MessageSelector.bySql("a = 3"),
                MessageSelector.bySql("a BETWEEN 6.5 AND 7 AND TAGS <> 'T6'"),
                MessageSelector.byTag("T9"))) {
            String group = shared(kit, "-g" + inboxes.size());
            DefaultMQPushConsumer consumer = kit.push(group, topic, "*");
            Version.broadcasting(consumer);
            consumer.setInstanceName(consumer.getInstanceName() + "-" + name);
            consumer.subscribe(topic, wanted);
            inboxes.add(Inbox.open(consumer));
        }
        return inboxes;
    }

    private static void expect(List<Inbox> inboxes, int leg) throws Exception {
        int[] digits = {3, 7, 9};
        for (int reader = 0; reader < digits.length; reader++) {
            var expected = new TreeSet<String>();
            for (int i = 0; i < (leg + 1) * LEFT; i++) {
                if (i % 10 == digits[reader]) {
                    expected.add(i / LEFT + "-" + i % LEFT);
                }
            }
            inboxes.get(reader).awaitSize(expected.size());
            same(expected, new TreeSet<>(inboxes.get(reader).bodies()), "reader " + reader);
        }
    }

    /** Sends "0" to "19" with the number as property a, and a colour with the even ones. */
    private static MessageQueue fill(Kit kit, String topic) throws Exception {
        DefaultMQProducer producer = kit.producer();
        MessageQueue queue = producer.fetchPublishMessageQueues(topic).get(0);
        for (int i = 0; i < 20; i++) {
            producer.send(numbered(topic, i), queue);
        }
        return queue;
    }

    private static Message numbered(String topic, int number) {
        Message message = new Message(topic, Integer.toString(number).getBytes());
        message.putUserProperty("a", Integer.toString(number));
        if (number % 2 == 0) {
            message.putUserProperty("colour", number % 4 == 0 ? "blue" : "dark blue");
        }
        return message;
    }

    private static void push(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        fill(kit, topic);
        wanted(kit, topic, "a BETWEEN 3 AND 8", 3, 4, 5, 6, 7, 8);
        wanted(kit, topic, "a > 10 AND colour = 'blue'", 12, 16);
        wanted(kit, topic, "colour ENDSWITH 'blue' AND colour NOT CONTAINS 'dark' AND a < 9", 0, 4, 8);
        wanted(kit, topic, "colour IS NULL AND a NOT IN ('1', '3', '5') AND a < 12", 7, 9, 11);
        wanted(kit, topic, "NOT (colour = 'blue') AND a <= 6.5", 2, 6);
        wanted(kit, topic, "colour > a OR a = 3", 3);
        wanted(kit, topic, "missing = 1");
    }

    private static void wanted(Kit kit, String topic, String sql, int... numbers) throws Exception {
        String group = kit.group("g" + Integer.toHexString(sql.hashCode()));
        DefaultMQPushConsumer consumer = kit.push(group, topic, "*");
        consumer.subscribe(topic, MessageSelector.bySql(sql));
        Inbox inbox = Inbox.open(consumer);
        inbox.awaitSize(numbers.length);
        var expected = new TreeSet<Integer>();
        for (int number : numbers) {
            expected.add(number);
        }
        var got = new TreeSet<Integer>();
        inbox.bodies().forEach(body -> got.add(Integer.valueOf(body)));
        same(expected, got, sql);
    }

    @SuppressWarnings("deprecation")
    private static void pull(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        MessageQueue queue = fill(kit, topic);
        DefaultMQPullConsumer consumer = kit.pull(kit.group("g"));
        await("all of the consume queue", () -> consumer.maxOffset(queue) == 20);
        // The client asks only brokers whose version a heartbeat has told it.
        await("a broker that filters", () ->
            consumer.pull(queue, MessageSelector.bySql("a = 0"), 0, 1).getPullStatus() != null);
        PullResult some = consumer.pull(queue, MessageSelector.bySql("a >= 15"), 0, 32);
        same(PullStatus.FOUND, some.getPullStatus(), "status");
        same(List.of(15L, 16L, 17L, 18L, 19L), offsets(some.getMsgFoundList()), "found");
        same(20L, some.getNextBeginOffset(), "next begin offset");
        PullResult first = consumer.pull(queue, MessageSelector.bySql("a >= 15"), 0, 2);
        same(List.of(15L, 16L), offsets(first.getMsgFoundList()), "the first two");
        same(17L, first.getNextBeginOffset(), "next begin offset behind the first two");
        PullResult none = consumer.pull(queue, MessageSelector.bySql("a > 100"), 0, 32);
        same(PullStatus.NO_MATCHED_MSG, none.getPullStatus(), "status without a match");
        same(20L, none.getNextBeginOffset(), "next begin offset without a match");
        // An exception of the evaluation, and neither true nor false: not wanted.
        for (String sql : new String[] {"colour > 5", "colour = TRUE", "a = 'x' AND missing > 1"}) {
            PullResult result = consumer.pull(queue, MessageSelector.bySql(sql), 0, 32);
            same(PullStatus.NO_MATCHED_MSG, result.getPullStatus(), "status of " + sql);
        }
    }

    private static List<Long> offsets(List<MessageExt> messages) {
        return messages.stream().map(MessageExt::getQueueOffset).toList();
    }

    /** What is not wanted leaves a held pull alone, what is wanted ends it at once. */
    private static void held(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.producer();
        MessageQueue queue = fill(kit, topic);
        List<Long> arrived = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = kit.push(kit.group("g"), topic, "*");
        consumer.subscribe(topic, MessageSelector.bySql("a = 77"));
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, at) -> {
            batch.forEach(message -> arrived.add(message.getQueueOffset()));
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        producer.send(numbered(topic, 77), queue);
        await("the first", () -> arrived.size() == 1);
        Thread.sleep(1_000);
        long worst = 0;
        for (int i = 0; i < 5; i++) {
            int before = arrived.size();
            producer.send(numbered(topic, i), queue);
            Thread.sleep(100);
            long start = System.nanoTime();
            producer.send(numbered(topic, 77), queue);
            while (arrived.size() == before && System.nanoTime() - start < 8_000_000_000L) {
                Thread.sleep(1);
            }
            worst = Math.max(worst, (System.nanoTime() - start) / 1_000_000);
            Thread.sleep(150);
        }
        same(List.of(20L, 22L, 24L, 26L, 28L, 30L), new ArrayList<>(arrived), "arrived");
        check(worst < 1_000, "a message took %d ms from send to listener", worst);
        kit.note("slowest of 5: " + worst + " ms");
    }

    private static void litePull(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        fill(kit, topic);
        DefaultLitePullConsumer consumer = kit.litePull(kit.group("g"));
        consumer.subscribe(topic, MessageSelector.bySql("colour = 'blue'"));
        consumer.start();
        List<MessageExt> got = Inbox.poll(consumer, 5);
        same(List.of(0L, 4L, 8L, 12L, 16L), offsets(got), "found");
    }

    /** A message that failed comes back through the retry topic, which is not filtered. */
    private static void retry(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        String group = kit.group("g");
        DefaultMQPushConsumer early = kit.push(group, topic, "*");
        early.subscribe(topic, MessageSelector.bySql("a = 5"));
        Inbox.open(early);
        await("the retry topic", () -> kit.admin().examineTopicRouteInfo("%RETRY%" + group) != null);
        early.shutdown();
        List<Integer> tries = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = kit.push(group, topic, "*");
        consumer.subscribe(topic, MessageSelector.bySql("a = 5"));
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, at) -> {
            batch.forEach(message -> tries.add(message.getReconsumeTimes()));
            at.setDelayLevelWhenNextConsume(1);
            return tries.size() < 3
                ? ConsumeConcurrentlyStatus.RECONSUME_LATER
                : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        fill(kit, topic);
        await("three tries", () -> tries.size() == 3);
        same(List.of(0, 1, 2), new ArrayList<>(tries), "tries");
    }

    /** What is no expression is told at the start, by code 46. */
    private static void refused(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        for (String sql : new String[] {"a >", "a = NULL", "a BETWEEN 5 AND 3", "a > 'x'"}) {
            DefaultMQPushConsumer consumer = kit.push(kit.group("g"), topic, "*");
            consumer.subscribe(topic, MessageSelector.bySql(sql));
            try {
                Inbox.open(consumer);
            } catch (MQClientException e) {
                same(23, e.getResponseCode(), "code of " + sql);
                continue;
            }
            throw new AssertionError(sql + " was taken");
        }
    }
}
