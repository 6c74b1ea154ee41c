package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.store.RemoteBrokerOffsetStore;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Light queues: a message names those that it goes to beside the queue of its topic. */
@SuppressWarnings("deprecation")
final class Light {
    private static final String QUEUES = "INNER_MULTI_DISPATCH";
    private static final String OFFSETS = "INNER_MULTI_QUEUE_OFFSET";
    private static final String PREFIX = "%LMQ%";
    private static final int EACH = 10;

    private Light() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("light-pull", Light::pull);
        scenarios.put("light-held", Light::held);
        scenarios.put("light-lite-pull", Light::litePull);
        scenarios.put("light-write", Light::write);
        scenarios.put("light-read", Light::read);
    }

    private static void send(DefaultMQProducer producer, String topic, String queues, int number)
            throws Exception {
        String tag = number % 2 == 0 ? "even" : "odd";
        Message message = new Message(topic, tag, "k" + number, Integer.toString(number).getBytes());
        MessageAccessor.putProperty(message, QUEUES, queues);
        producer.send(message);
    }

    private static MessageQueue queue(DefaultMQPullConsumer consumer, String topic, String name)
            throws Exception {
        var known = consumer.fetchSubscribeMessageQueues(topic).iterator().next();
        // No name server knows the light queue; by this the client learns where the broker is.
        consumer.maxOffset(known);
        return new MessageQueue(name, known.getBrokerName(), 0);
    }

    /** The messages of a queue from an offset on, each with the place that it says it has there. */
    private static void all(DefaultMQPullConsumer consumer, MessageQueue queue, long from, long to)
            throws Exception {
        for (long next = from; next < to; ) {
            PullResult result = consumer.pull(queue, "*", next, 32);
            same(PullStatus.FOUND, result.getPullStatus(), "status at " + next);
            for (MessageExt message : result.getMsgFoundList()) {
                String[] queues = message.getProperty(QUEUES).split(",");
                int at = List.of(queues).indexOf(queue.getTopic());
                String place = message.getProperty(OFFSETS).split(",")[at];
                same(Long.toString(next), place, "place in " + queue.getTopic());
                next++;
            }
            same(next, result.getNextBeginOffset(), "next begin offset");
        }
    }

    private static void commit(DefaultMQPullConsumer consumer, MessageQueue queue, long offset)
            throws Exception {
        var offsets = (RemoteBrokerOffsetStore) consumer.getOffsetStore();
        offsets.updateConsumeOffsetToBroker(queue, offset, false);
        same(offset, consumer.fetchConsumeOffset(queue, true), "committed offset");
    }

    private static void pull(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        DefaultMQProducer producer = kit.producer();
        String one = PREFIX + kit.group("one");
        String two = PREFIX + kit.group("two");
        for (int number = 0; number < 40; number++) {
            send(producer, topic, number % 2 == 0 ? one + "," + two : one, number);
        }
        producer.send(new Message(topic, "in no light queue".getBytes()));
        DefaultMQPullConsumer consumer = kit.pull(kit.group("g"));
        MessageQueue first = queue(consumer, topic, one);
        MessageQueue second = queue(consumer, topic, two);
        await("all of the first", () -> consumer.maxOffset(first) == 40);
        await("all of the second", () -> consumer.maxOffset(second) == 20);
        same(0L, consumer.minOffset(first), "min offset");
        all(consumer, first, 0, 40);
        all(consumer, second, 0, 20);
        PullResult end = consumer.pull(first, "*", 40, 32);
        same(PullStatus.NO_NEW_MSG, end.getPullStatus(), "status at the end");
        same(40L, end.getMaxOffset(), "max offset");
        PullResult odd = consumer.pull(first, "odd", 0, 32);
        for (MessageExt message : odd.getMsgFoundList()) {
            same("odd", message.getTags(), "tag");
            same(topic, message.getTopic(), "topic");
        }
        check(consumer.searchOffset(first, System.currentTimeMillis() - 60_000) == 0, "by time");
        PullResult none = consumer.pull(queue(consumer, topic, one + "-none"), "*", 0, 32);
        same(PullStatus.NO_NEW_MSG, none.getPullStatus(), "status of a queue that is not there");

        commit(consumer, first, 7);
        DefaultMQPullConsumer light = kit.pull(PREFIX + kit.group("light"));
        queue(light, topic, one);
        commit(light, first, 11);
        commit(light, second, 5);
        same(11L, light.fetchConsumeOffset(first, true), "offset of the light group");
        same(7L, consumer.fetchConsumeOffset(first, true), "offset of the other");
    }

    private static void held(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.producer();
        String name = PREFIX + kit.group("held");
        send(producer, topic, name, 0);
        DefaultMQPullConsumer consumer = kit.pull(kit.group("g"));
        MessageQueue queue = queue(consumer, topic, name);
        long ms = Pulls.wokenMs(consumer, queue, () -> {
            send(producer, topic, name, 1);
            return null;
        });
        kit.note("woken in " + ms + " ms");
    }

    private static void litePull(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.producer();
        String name = PREFIX + kit.group("q");
        for (int number = 0; number < 30; number++) {
            send(producer, topic, name, number);
        }
        DefaultLitePullConsumer consumer = kit.litePull(PREFIX + kit.group("g"));
        consumer.setAutoCommit(false);
        consumer.start();
        var known = consumer.fetchMessageQueues(topic).iterator().next();
        consumer.offsetForTimestamp(known, 0L);
        MessageQueue queue = new MessageQueue(name, known.getBrokerName(), 0);
        consumer.assign(List.of(queue));
        consumer.seek(queue, 10);
        // A pull that was under way during the seek may bring what is before.
        List<String> got = new ArrayList<>();
        await("the last message", () -> {
            consumer.poll(300).forEach(message -> got.add(new String(message.getBody())));
            return got.contains("29");
        });
        check(got.contains("10"), "not from the seek on: %s", got);
        consumer.commitSync();
        await("the commit", () -> consumer.committed(queue) == 30);
    }

    /** A queue that each broker goes on with; its name is that of the play without the leg. */
    private static String shared(Kit kit) {
        return PREFIX + kit.play();
    }

    private static void write(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.producer();
        String own = PREFIX + kit.group("own");
        for (int number = 0; number < EACH; number++) {
            send(producer, topic, shared(kit) + "," + own, number);
        }
        DefaultMQPullConsumer consumer = kit.pull(kit.group("g"));
        DefaultMQPullConsumer light = kit.pull(PREFIX + kit.group("g"));
        queue(light, topic, own);
        long end = (long) EACH * (kit.leg() + 1);
        MessageQueue all = queue(consumer, topic, shared(kit));
        await("all of the queue", () -> consumer.maxOffset(all) == end);
        commit(consumer, queue(consumer, topic, own), 3);
        commit(light, queue(consumer, topic, own), 4);
        commit(light, all, end - 1);
        // A stock broker saves offsets for the first time ten seconds after its start.
        Thread.sleep(12_000);
    }

    private static void read(Kit kit) throws Exception {
        String topic = kit.prefix + "-t";
        DefaultMQPullConsumer consumer = kit.pull(kit.group("g"));
        DefaultMQPullConsumer light = kit.pull(PREFIX + kit.group("g"));
        await("the route", () -> queue(light, topic, shared(kit)) != null);
        MessageQueue own = queue(consumer, topic, PREFIX + kit.group("own"));
        MessageQueue all = queue(consumer, topic, shared(kit));
        long end = (long) EACH * (kit.leg() + 1);
        await("all of the queue", () -> consumer.maxOffset(all) == end);
        same((long) EACH, consumer.maxOffset(own), "max offset");
        all(consumer, all, 0, end);
        all(consumer, own, 0, EACH);
        same(3L, consumer.fetchConsumeOffset(own, true), "offset of the group");
        same(4L, light.fetchConsumeOffset(own, true), "offset of the light group");
        same(end - 1, light.fetchConsumeOffset(all, true), "offset in the shared queue");
    }
}
