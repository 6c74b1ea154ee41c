package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** What became of a message in each group, as the stock tool computes it of the broker's answers. */
final class Tracks {
    private Tracks() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("track-members", Tracks::members);
        scenarios.put("track-others", Tracks::others);
    }

    /** Groups with members: one has it, one wants another tag, one is stuck before it, one pulls. */
    private static void members(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        started(kit.push(kit.group("all"), topic, "*"));
        started(kit.push(kit.group("wanting"), topic, "A || C"));
        started(kit.push(kit.group("filtering"), topic, "B"));
        DefaultMQPushConsumer stuck = kit.push(kit.group("stuck"), topic, "*");
        CountDownLatch end = new CountDownLatch(1);
        kit.closing(end::countDown);
        stuck.registerMessageListener((MessageListenerConcurrently) (batch, at) -> {
            wait(end);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        stuck.start();
        DefaultLitePullConsumer puller = kit.litePull(kit.group("pulling"));
        puller.subscribe(topic, "*");
        puller.start();
        MessageExt sent = one(kit, topic);
        Map<String, String> expected = new TreeMap<>();
        expected.put(kit.group("all"), "CONSUMED");
        expected.put(kit.group("wanting"), "CONSUMED");
        expected.put(kit.group("filtering"), "CONSUMED_BUT_FILTERED");
        expected.put(kit.group("stuck"), "NOT_CONSUME_YET");
        expected.put(kit.group("pulling"), "PULL");
        awaitTracks(kit, sent, expected);
    }

    /** Groups that nobody can be asked about: gone, broadcasting, and one of offsets alone. */
    private static void others(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQPushConsumer gone = kit.push(kit.group("gone"), topic, "*");
        Inbox last = started(gone);
        DefaultMQPushConsumer broadcasting = kit.push(kit.group("broadcasting"), topic, "*");
        Version.broadcasting(broadcasting);
        Inbox heard = started(broadcasting);
        MessageExt sent = one(kit, topic);
        last.awaitSize(2);
        heard.awaitSize(2);
        gone.shutdown();
        Version.group(kit.admin(), kit.broker(), kit.group("offset"), true);
        MessageQueue queue = new MessageQueue(topic, Rewinds.BROKER, 0);
        kit.admin().updateConsumeOffset(kit.broker(), kit.group("offset"), queue, 2);
        Map<String, String> expected = new TreeMap<>();
        expected.put(kit.group("gone"), "NOT_ONLINE");
        expected.put(kit.group("broadcasting"), Version.TRACK_OF_BROADCASTING);
        expected.put(kit.group("offset"), "UNKNOWN");
        awaitTracks(kit, sent, expected);
    }

    private static Inbox started(DefaultMQPushConsumer consumer) throws Exception {
        consumer.setPersistConsumerOffsetInterval(500);
        return Inbox.open(consumer);
    }

    /** The first of two messages, with tag A; the other has B, so that both move an offset. */
    private static MessageExt one(Kit kit, String topic) throws Exception {
        DefaultMQProducer producer = kit.producer();
        String id = producer.send(new Message(topic, "A", "one".getBytes())).getOffsetMsgId();
        producer.send(new Message(topic, "B", "other".getBytes()));
        MessageExt sent = kit.admin().viewMessage(topic, id);
        same(0L, sent.getQueueOffset(), "queue offset of the message");
        return sent;
    }

    private static void awaitTracks(Kit kit, MessageExt message, Map<String, String> expected)
            throws Exception {
        Map<String, String> found = new TreeMap<>();
        await("tracks " + expected, () -> {
            found.clear();
            for (var track : kit.admin().messageTrackDetail(message)) {
                found.put(track.getConsumerGroup(), track.getTrackType().toString());
            }
            check(expected.equals(found), "found %s", found);
            return true;
        });
    }

    private static void wait(CountDownLatch end) {
        try {
            end.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
