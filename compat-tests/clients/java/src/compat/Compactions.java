package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/**
 * Compacted topics (cleanup.policy=COMPACTION): of the messages with one key the newest stays, but
 * for the file that is written last, of which all stay. Brokers are started with files of so many
 * messages that a few hundred are enough.
 */
@SuppressWarnings("deprecation")
final class Compactions {
    private static final int SEND_BATCH_MESSAGE = 320;
    private static final int MESSAGE_ILLEGAL = 13;
    /** compactionCqMappedFileSize / 46, less the one that ends a file. */
    private static final int FILE = 49;
    private static final int KEYS = 10;
    /** What one leg of a hand-over adds. */
    private static final int LEG = 120;
    private static final Duration LONG = Duration.ofSeconds(40);

    private Compactions() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("compaction-pull", Compactions::pull);
        scenarios.put("compaction-push", Compactions::push);
        scenarios.put("compaction-batches", Compactions::batches);
        scenarios.put("compactions-write", Compactions::write);
        scenarios.put("compactions-read", Compactions::read);
    }

    private static String topic(Kit kit, String topic) throws Exception {
        return kit.topicOfKind(topic, 1, "+cleanup.policy=COMPACTION");
    }

    private static MessageQueue queue(DefaultMQProducer producer, String topic) throws Exception {
        return producer.fetchPublishMessageQueues(topic).get(0);
    }

    private static void send(DefaultMQProducer producer, String topic, int from, int to)
            throws Exception {
        for (int i = from; i < to; i++) {
            Message message = new Message(topic, "tag", "k" + i % KEYS, ("body " + i).getBytes());
            same((long) i, producer.send(message).getQueueOffset(), "queue offset");
        }
    }

    /** Messages without a body, which a client gives to nobody but in a batch of its own making. */
    private static void sendEmpty(DefaultMQProducer producer, Kit kit, String topic, String... keys)
            throws Exception {
        List<Message> batch = new ArrayList<>();
        for (String key : keys) {
            batch.add(new Message(topic, "tag", key, new byte[0]));
        }
        Map<String, String> fields = new HashMap<>();
        fields.put("a", kit.group("producer"));
        fields.put("b", topic);
        fields.put("c", "TBW102");
        fields.put("d", "4");
        fields.put("e", "0");
        fields.put("f", "0");
        fields.put("g", Long.toString(System.currentTimeMillis()));
        fields.put("h", "0");
        fields.put("i", "");
        fields.put("j", "0");
        fields.put("m", "true");
        RemotingCommand send = RemotingCommand.createRequestCommand(SEND_BATCH_MESSAGE, null);
        send.setExtFields(new HashMap<>(fields));
        send.setBody(MessageDecoder.encodeMessages(batch));
        var client = producer.getDefaultMQProducerImpl().getMqClientFactory();
        var remoting = client.getMQClientAPIImpl().getRemotingClient();
        RemotingCommand sent = remoting.invokeSync(kit.broker(), send, 10_000);
        same(0, sent.getCode(), "answer to the batch, " + sent.getRemark());
    }

    /** What is left of {@code count} messages, the newest of each key before {@code complete}. */
    private static Map<Long, String> left(int count, int complete) {
        Map<Long, String> left = new TreeMap<>();
        for (int i = Math.max(0, complete - KEYS); i < count; i++) {
            left.put((long) i, "body " + i);
        }
        return left;
    }

    /** The first message of the last file. */
    private static int complete(int count) {
        return (count - 1) / FILE * FILE;
    }

    private static Map<Long, String> all(DefaultMQPullConsumer consumer, MessageQueue queue, long end)
            throws Exception {
        Map<Long, String> found = new TreeMap<>();
        for (long at = 0; at < end; ) {
            PullResult result = consumer.pull(queue, "*", at, 32);
            check(result.getNextBeginOffset() > at, "%s at %d", result, at);
            boolean isFound = result.getPullStatus() == PullStatus.FOUND;
            for (MessageExt message : isFound ? result.getMsgFoundList() : List.<MessageExt>of()) {
                long offset = message.getQueueOffset();
                check(offset >= at && offset < result.getNextBeginOffset(), "%s at %d", message, at);
                String body = new String(message.getBody());
                check(found.put(offset, body) == null, "%s twice", message);
                String key = "k" + body.substring(body.indexOf(' ') + 1);
                same(key.charAt(key.length() - 1), message.getKeys().charAt(1), "key of " + body);
            }
            at = result.getNextBeginOffset();
        }
        return found;
    }

    private static void awaitLeft(
            DefaultMQPullConsumer consumer, MessageQueue queue, long end, Map<Long, String> left)
            throws Exception {
        await("state of " + queue, LONG, () -> {
            same(left, all(consumer, queue, end), "what is left");
            return true;
        });
    }

    private static void pull(Kit kit) throws Exception {
        String topic = topic(kit, kit.group("t"));
        DefaultMQProducer producer = kit.producer();
        int code = 0;
        try {
            producer.send(new Message(topic, "without a key".getBytes()));
        } catch (MQBrokerException e) {
            code = e.getResponseCode();
            check(e.getErrorMessage().contains("key is missing"), "remark %s", e.getErrorMessage());
        }
        same(MESSAGE_ILLEGAL, code, "code of a send without a key");
        DefaultMQPullConsumer consumer = kit.pull(kit.group("g"));
        MessageQueue queue = queue(producer, topic);
        same(0L, consumer.maxOffset(queue), "end of the empty queue");
        same(PullStatus.NO_NEW_MSG, consumer.pull(queue, "*", 0, 8).getPullStatus(), "nothing yet");
        send(producer, topic, 0, 186);
        sendEmpty(producer, kit, topic, "k6", "k7");
        send(producer, topic, 188, 200);
        Map<Long, String> left = left(200, 196);
        left.keySet().removeAll(List.of(186L, 187L));
        awaitLeft(consumer, queue, 200, left);
        PullResult first = consumer.pull(queue, "*", 0, 3);
        same(PullStatus.FOUND, first.getPullStatus(), "status at 0");
        same(188L, first.getMsgFoundList().get(0).getQueueOffset(), "first message");
        same(3, first.getMsgFoundList().size(), "messages");
        same(191L, first.getNextBeginOffset(), "next offset");
        same(188L, first.getMinOffset(), "first offset of the answer");
        same(200L, first.getMaxOffset(), "last offset of the answer");
        same(0L, consumer.minOffset(queue), "first offset of the queue");
        same(200L, consumer.maxOffset(queue), "last offset of the queue");
        PullResult within = consumer.pull(queue, "*", 192, 1);
        same(192L, within.getMsgFoundList().get(0).getQueueOffset(), "message at 192");
        same(PullStatus.NO_NEW_MSG, consumer.pull(queue, "*", 200, 3).getPullStatus(), "at the end");
        PullResult beyond = consumer.pull(queue, "*", 300, 3);
        same(PullStatus.OFFSET_ILLEGAL, beyond.getPullStatus(), "beyond the end");
        same(200L, beyond.getNextBeginOffset(), "next offset beyond the end");
        // Found by its key, though its queue has it no more.
        var found = kit.admin().queryMessage(topic, "k3", 64, 0, System.currentTimeMillis());
        same(20, found.getMessageList().size(), "messages under k3");
    }

    private static void push(Kit kit) throws Exception {
        String topic = topic(kit, kit.group("t"));
        DefaultMQProducer producer = kit.producer();
        send(producer, topic, 0, 130);
        DefaultMQPullConsumer consumer = kit.pull(kit.group("g"));
        MessageQueue queue = queue(producer, topic);
        awaitLeft(consumer, queue, 130, left(130, complete(130)));
        Inbox inbox = Inbox.open(kit.push(kit.group("p"), topic, "tag"));
        int before = 130 - complete(130) + KEYS;
        inbox.awaitSize(before);
        send(producer, topic, 130, 140);
        inbox.awaitSize(before + 10);
        same(140, Integer.parseInt(inbox.bodies().stream().map(b -> b.substring(5))
                .max((a, b) -> Integer.parseInt(a) - Integer.parseInt(b)).get()) + 1, "newest");
    }

    /**
     * Of a topic of inner batches too. A 5.x client's batch has no key of its own: Java takes it
     * and gives it to nobody, we refuse it.
     */
    private static void batches(Kit kit) throws Exception {
        String both = "+cleanup.policy=COMPACTION,+queue.type=BatchCQ";
        String topic = kit.topicOfKind(kit.group("t"), 1, both);
        DefaultMQProducer producer = kit.producer();
        MessageQueue queue = queue(producer, topic);
        DefaultMQPullConsumer consumer = kit.pull(kit.group("g"));
        send(producer, topic, 0, 3);
        List<Message> batch = new ArrayList<>();
        for (int i = 3; i < 7; i++) {
            batch.add(new Message(topic, "tag", "k" + i % KEYS, ("body " + i).getBytes()));
        }
        int next = 7;
        try {
            same(3L, producer.send(batch).getQueueOffset(), "queue offset of the batch");
        } catch (MQBrokerException e) {
            same(MESSAGE_ILLEGAL, e.getResponseCode(), "code of a batch without a key");
            check(e.getErrorMessage().contains("key is missing"), "remark %s", e.getErrorMessage());
            next = 3;
        }
        int count = next + 2;
        send(producer, topic, next, count);
        Map<Long, String> all = left(count, 0);
        if (Version.INNER_BATCHES && next == 7) {
            all.keySet().removeAll(List.of(3L, 4L, 5L, 6L));
        }
        awaitLeft(consumer, queue, count, all);
        send(producer, topic, count, 210);
        // Readers see the last ones when they were taken over, a moment after their answers.
        Map<Long, String> newest = new TreeMap<>();
        await("a compaction", LONG, () -> {
            newest.clear();
            newest.putAll(all(consumer, queue, 210));
            return newest.size() < 40;
        });
        for (long i = 200; i < 210; i++) {
            same("body " + i, newest.get(i), "message at " + i);
        }
        same(210L, consumer.maxOffset(queue), "last offset of the queue");
        same(PullStatus.NO_NEW_MSG, consumer.pull(queue, "*", 210, 3).getPullStatus(), "the end");
    }

    private static String shared(Kit kit) {
        return kit.play() + "-t";
    }

    private static void write(Kit kit) throws Exception {
        int leg = kit.leg();
        String topic = leg == 0 ? topic(kit, shared(kit)) : shared(kit);
        DefaultMQProducer producer = kit.producer();
        await("the route", () -> !producer.fetchPublishMessageQueues(topic).isEmpty());
        int end = (leg + 1) * LEG;
        send(producer, topic, leg * LEG, end);
        MessageQueue queue = queue(producer, topic);
        awaitLeft(kit.pull(kit.group("g")), queue, end, left(end, complete(end)));
    }

    private static void read(Kit kit) throws Exception {
        String topic = shared(kit);
        DefaultMQProducer producer = kit.producer();
        await("the route", () -> !producer.fetchPublishMessageQueues(topic).isEmpty());
        MessageQueue queue = queue(producer, topic);
        int end = (kit.leg() + 1) * LEG;
        var consumer = kit.pull(kit.group("g"));
        await("the end", () -> kit.admin().maxOffset(queue) == end);
        await("the queue", () -> consumer.pull(queue, "*", 0, 1).getPullStatus() == PullStatus.FOUND);
        same(left(end, complete(end)), all(consumer, queue, end), "what is left");
    }
}
