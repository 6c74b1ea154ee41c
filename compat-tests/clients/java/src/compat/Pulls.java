package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** Consumers that ask by themselves, and positions in a queue. */
final class Pulls {
    private Pulls() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("pull", Pulls::pull);
        scenarios.put("pull-held", Pulls::held);
        scenarios.put("lite-pull-subscribe", Pulls::subscribe);
        scenarios.put("lite-pull-seek", Pulls::seek);
        scenarios.put("offset-by-time", Pulls::byTime);
        scenarios.put("offset-kept", Pulls::kept);
    }

    @SuppressWarnings("deprecation")
    private static void pull(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        MessageQueue queue = Kit.fill(kit.producer(), topic, 1, 100);
        DefaultMQPullConsumer consumer = kit.pull(kit.group("g"));
        same(2, consumer.fetchSubscribeMessageQueues(topic).size(), "queues");
        await("all of the consume queue", () -> consumer.maxOffset(queue) == 100);
        same(0L, consumer.minOffset(queue), "min offset");

        long next = 0;
        while (next < 100) {
            PullResult result = consumer.pull(queue, "*", next, 32);
            same(PullStatus.FOUND, result.getPullStatus(), "status at " + next);
            for (MessageExt message : result.getMsgFoundList()) {
                same(next, message.getQueueOffset(), "queue offset");
                same(Long.toString(next), new String(message.getBody()), "body");
                next++;
            }
            same(next, result.getNextBeginOffset(), "next begin offset");
            same(0L, result.getMinOffset(), "answer's min offset");
            same(100L, result.getMaxOffset(), "answer's max offset");
        }
        PullResult end = consumer.pull(queue, "*", 100, 32);
        same(PullStatus.NO_NEW_MSG, end.getPullStatus(), "status at the end");
        PullResult beyond = consumer.pull(queue, "*", 5000, 32);
        same(PullStatus.OFFSET_ILLEGAL, beyond.getPullStatus(), "status beyond the end");
        same(100L, beyond.getNextBeginOffset(), "offset told beyond the end");
        PullResult other = consumer.pull(queue, "nosuchtag", 0, 32);
        same(PullStatus.NO_MATCHED_MSG, other.getPullStatus(), "status without a match");
        check(other.getNextBeginOffset() > 0, "the filter does not move on");
        consumer.updateConsumeOffset(queue, 42);
        same(42L, consumer.fetchConsumeOffset(queue, false), "offset in the client");
    }

    /** How soon the second message of a queue, once it is sent, ends a pull that waits for it. */
    @SuppressWarnings("deprecation")
    static long wokenMs(DefaultMQPullConsumer consumer, MessageQueue queue, Callable<?> send)
            throws Exception {
        consumer.setBrokerSuspendMaxTimeMillis(15_000);
        await("the first message", () -> consumer.maxOffset(queue) == 1);
        var answer = CompletableFuture.supplyAsync(() -> {
            try {
                return consumer.pullBlockIfNotFound(queue, "*", 1, 32);
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
        Thread.sleep(700);
        check(!answer.isDone(), "the pull was not held: %s", answer);
        long sent = System.nanoTime();
        send.call();
        PullResult result = answer.get(10, TimeUnit.SECONDS);
        long ms = (System.nanoTime() - sent) / 1_000_000;
        same(PullStatus.FOUND, result.getPullStatus(), "status of the held pull");
        check(ms < 1_000, "the held pull was answered %d ms after the send", ms);
        return ms;
    }

    /** A pull at the end is held; a message ends the wait, and so does the time given. */
    @SuppressWarnings("deprecation")
    private static void held(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.producer();
        MessageQueue queue = Kit.fill(producer, topic, 0, 1);
        DefaultMQPullConsumer consumer = kit.pull(kit.group("g"));
        Message news = new Message(topic, "news".getBytes());
        long ms = wokenMs(consumer, queue, () -> producer.send(news, queue));

        consumer.setBrokerSuspendMaxTimeMillis(1_000);
        long start = System.nanoTime();
        PullResult none = consumer.pullBlockIfNotFound(queue, "*", 2, 32);
        long waited = (System.nanoTime() - start) / 1_000_000;
        same(PullStatus.NO_NEW_MSG, none.getPullStatus(), "status after the hold");
        check(waited >= 900 && waited < 12_000, "held %d ms for a suspend time of 1000", waited);
        kit.note("woken in " + ms + " ms; hold of 1 s took " + waited + " ms");
    }

    private static void subscribe(Kit kit) throws Exception {
        String topic = kit.topic("t", 4);
        DefaultMQProducer producer = kit.producer();
        for (int queue = 0; queue < 4; queue++) {
            Kit.fill(producer, topic, queue, 25);
        }
        DefaultLitePullConsumer consumer = kit.litePull(kit.group("g"));
        consumer.setAutoCommit(false);
        consumer.subscribe(topic, "*");
        consumer.start();
        List<MessageExt> got = Inbox.poll(consumer, 100);
        same(100, got.size(), "messages");
        same(4, consumer.assignment().size(), "assigned queues");
        consumer.commitSync();
        for (MessageQueue queue : consumer.assignment()) {
            await("commit of " + queue, () -> consumer.committed(queue) == 25);
        }
    }

    private static void seek(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        MessageQueue queue = Kit.fill(kit.producer(), topic, 0, 50);
        DefaultLitePullConsumer consumer = kit.litePull(kit.group("g"));
        consumer.start();
        var queues = consumer.fetchMessageQueues(topic);
        same(1, queues.size(), "queues");
        consumer.assign(queues);
        consumer.seek(queue, 40);
        upTo(consumer, 49, 10);
        consumer.seekToBegin(queue);
        upTo(consumer, 49, 50);
        consumer.seekToEnd(queue);
        same(0, consumer.poll(500).size(), "messages after seekToEnd");
        kit.producer().send(new Message(topic, "news".getBytes()), queue);
        same(50L, Inbox.poll(consumer, 1).get(0).getQueueOffset(), "news after seekToEnd");
    }

    /**
     * Polls up to an offset; the last {@code count} follow each other, whatever a pull that was
     * under way during the seek brings before them.
     */
    private static void upTo(DefaultLitePullConsumer consumer, long last, int count)
            throws Exception {
        List<Long> offsets = new ArrayList<>();
        await("offset " + last, () -> {
            consumer.poll(200).forEach(m -> offsets.add(m.getQueueOffset()));
            return offsets.size() >= count && offsets.get(offsets.size() - 1) == last;
        });
        for (int i = 0; i < count; i++) {
            same(last - i, offsets.get(offsets.size() - 1 - i), "queue offset from the end " + i);
        }
    }

    private static void byTime(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.producer();
        long before = System.currentTimeMillis() - 1;
        MessageQueue queue = Kit.fill(producer, topic, 0, 20);
        Thread.sleep(300);
        long between = System.currentTimeMillis();
        Thread.sleep(300);
        Kit.fill(producer, topic, 0, 20);
        long after = System.currentTimeMillis() + 60_000;
        DefaultLitePullConsumer consumer = kit.litePull(kit.group("g"));
        consumer.start();
        await("all", () -> kit.admin().maxOffset(queue) == 40);
        same(0L, consumer.offsetForTimestamp(queue, before), "offset before the first");
        same(20L, consumer.offsetForTimestamp(queue, between), "offset in the gap");
        same(40L, consumer.offsetForTimestamp(queue, after), "offset after the last");
        long earliest = kit.admin().earliestMsgStoreTime(queue);
        check(earliest >= before && earliest <= between, "earliest time %d", earliest);
        consumer.assign(List.of(queue));
        consumer.seek(queue, consumer.offsetForTimestamp(queue, between));
        upTo(consumer, 39, 20);
    }

    /** A member that comes back goes on where its group stopped. */
    private static void kept(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        String group = kit.group("g");
        DefaultMQProducer producer = kit.producer();
        Kit.fill(producer, topic, 0, 10);
        Kit.fill(producer, topic, 1, 10);
        var first = kit.push(group, topic, "*");
        Inbox.open(first).awaitSize(20);
        first.shutdown();
        Kit.fill(producer, topic, 0, 5);
        Inbox second = Inbox.open(kit.push(group, topic, "*"));
        second.awaitSize(5);
        second.all().forEach(m -> check(m.getQueueOffset() >= 10, "%s again", m));
    }
}
