package compat;

import static compat.Kit.check;

import java.util.ArrayList;
import java.util.List;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.MessageExt;

/** Collects what a push consumer gets, in the order it gets it. */
final class Inbox {
    private final List<MessageExt> messages = new ArrayList<>();

    /** A started consumer of everything in a topic, in a group of its own. */
    static Inbox open(Kit kit, String topic) throws Exception {
        return open(kit.push(kit.group("inbox-" + Math.abs(topic.hashCode())), topic, "*"));
    }

    /** Starts the consumer; every message succeeds. */
    static Inbox open(DefaultMQPushConsumer consumer) throws Exception {
        Inbox inbox = new Inbox();
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, at) -> {
            inbox.add(batch);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return inbox;
    }

    /** Reads a topic from its start until {@code count} messages came; more is an error. */
    static List<MessageExt> drain(Kit kit, String topic, int count) throws Exception {
        Inbox inbox = open(kit, topic);
        inbox.awaitSize(count);
        return inbox.all();
    }

    synchronized void add(List<MessageExt> batch) {
        messages.addAll(batch);
    }

    synchronized List<MessageExt> all() {
        return new ArrayList<>(messages);
    }

    synchronized int size() {
        return messages.size();
    }

    List<String> bodies() {
        return all().stream().map(m -> new String(m.getBody())).toList();
    }

    /** Waits for the count, then a moment longer to see that no more come. */
    void awaitSize(int count) throws Exception {
        try {
            Kit.await(count + " messages", () -> size() >= count);
        } catch (AssertionError e) {
            throw new AssertionError(e.getMessage() + ", only " + size());
        }
        Thread.sleep(100);
        check(size() == count, "expected %d messages, found %d", count, size());
    }

    /** Polls a lite-pull consumer until {@code count} messages came. */
    static List<MessageExt> poll(DefaultLitePullConsumer consumer, int count) throws Exception {
        List<MessageExt> got = new ArrayList<>();
        Kit.await(count + " polled messages", () -> {
            got.addAll(consumer.poll(200));
            return got.size() >= count;
        });
        return got;
    }
}
