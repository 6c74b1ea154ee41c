package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.consumer.MessageSelector;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendCallback;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Topics of inner batches (queue.type=BatchCQ): a 5.x client's batch is one record there, which its
 * consumers take apart. A 4.9 client gives its batches no id of their own, and a record for each
 * message is stored.
 */
final class Batches {
    /** What one leg of a hand-over adds: batches of so many, and a single message behind each. */
    private static final int LEFT = 40;
    private static final int SIZE = 7;

    private Batches() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("batch-inner", Batches::push);
        scenarios.put("batch-inner-pull", Batches::pull);
        scenarios.put("batch-inner-tags", Batches::tags);
        scenarios.put("batch-inner-sql", Batches::sql);
        scenarios.put("batch-inner-retry", Batches::retry);
        scenarios.put("batch-inner-auto", Batches::auto);
        scenarios.put("batches-write", Batches::write);
        scenarios.put("batches-read", Batches::read);
    }

    private static String topic(Kit kit, String topic, int queues) throws Exception {
        return kit.topicOfKind(topic, queues, "+queue.type=BatchCQ");
    }

    private static List<Message> batch(String topic, String name, int count) {
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < count; i++) {
            Message message = new Message(topic, "tag", "k" + i, (name + "-" + i).getBytes());
            message.putUserProperty("colour", "blue " + i);
            batch.add(message);
        }
        return batch;
    }

    private static MessageQueue queue(DefaultMQProducer producer, String topic, int id)
            throws Exception {
        var queues = producer.fetchPublishMessageQueues(topic);
        return queues.stream().filter(q -> q.getQueueId() == id).findFirst().get();
    }

    private static void push(Kit kit) throws Exception {
        String topic = topic(kit, kit.group("t"), 2);
        DefaultMQProducer producer = kit.producer();
        MessageQueue first = queue(producer, topic, 0);
        Inbox inbox = Inbox.open(kit, topic);
        SendResult sent = producer.send(batch(topic, "a", 20), first);
        same(SendStatus.SEND_OK, sent.getSendStatus(), "status");
        same(0L, sent.getQueueOffset(), "queue offset of the first batch");
        int ids = Version.INNER_BATCHES ? 1 : 20;
        same(ids, sent.getOffsetMsgId().split(",").length, "offset ids");
        same(ids, sent.getMsgId().split(",").length, "unique ids");
        for (int i = 0; i < 3; i++) {
            sent = producer.send(new Message(topic, ("s" + i).getBytes()), first);
            same(20L + i, sent.getQueueOffset(), "queue offset of a single message");
        }
        same(23L, producer.send(batch(topic, "b", 5), first).getQueueOffset(), "second batch");
        MessageQueue other = queue(producer, topic, 1);
        same(0L, producer.send(batch(topic, "c", 1), other).getQueueOffset(), "other queue");
        inbox.awaitSize(29);
        Map<Long, String> bodies = new HashMap<>();
        for (MessageExt message : inbox.all()) {
            String body = new String(message.getBody());
            if (message.getQueueId() == 0) {
                bodies.put(message.getQueueOffset(), body);
            }
            if (!body.startsWith("s")) {
                same("k" + body.substring(2), message.getKeys(), "keys of " + body);
                same("blue " + body.substring(2), message.getUserProperty("colour"), "property");
            }
        }
        for (int i = 0; i < 28; i++) {
            String wanted = i < 20 ? "a-" + i : i < 23 ? "s" + (i - 20) : "b-" + (i - 23);
            same(wanted, bodies.get((long) i), "body at queue offset " + i);
        }
    }

    private static void pull(Kit kit) throws Exception {
        String topic = topic(kit, kit.group("t"), 1);
        DefaultMQProducer producer = kit.producer();
        MessageQueue queue = queue(producer, topic, 0);
        var consumer = kit.pull(kit.group("g"));
        SendResult last = null;
        for (int i = 0; i < 10; i++) {
            last = producer.send(batch(topic, "b" + i, 10), queue);
            same(10L * i, last.getQueueOffset(), "queue offset");
            Thread.sleep(5);
        }
        await("the end", () -> consumer.maxOffset(queue) == 100);
        same(0L, consumer.minOffset(queue), "first offset");
        // From within a batch: the record comes as a whole, and the 5.x client takes all of it.
        var found = consumer.pull(queue, "*", 37, 32);
        same(PullStatus.FOUND, found.getPullStatus(), "status");
        long begin = Version.INNER_BATCHES ? 30 : 37;
        int count = Version.INNER_BATCHES ? 30 : 32;
        same(begin, found.getMsgFoundList().get(0).getQueueOffset(), "first found");
        same(count, found.getMsgFoundList().size(), "messages");
        same(begin + count, found.getNextBeginOffset(), "next offset");
        same("b3-7", new String(body(found.getMsgFoundList(), 37)), "body at 37");
        // A batch that is larger than what is asked for comes whole.
        found = consumer.pull(queue, "*", 50, 3);
        same(Version.INNER_BATCHES ? 10 : 3, found.getMsgFoundList().size(), "messages for three");
        same(PullStatus.NO_NEW_MSG, consumer.pull(queue, "*", 100, 3).getPullStatus(), "at the end");
        same(PullStatus.OFFSET_ILLEGAL, consumer.pull(queue, "*", 200, 3).getPullStatus(), "beyond");
        // All of it, and each once.
        Set<String> bodies = new TreeSet<>();
        long at = 0;
        while (at < 100) {
            found = consumer.pull(queue, "*", at, 32);
            for (MessageExt message : found.getMsgFoundList()) {
                check(bodies.add(new String(message.getBody())), "%s twice", message);
            }
            at = found.getNextBeginOffset();
        }
        same(100, bodies.size(), "messages");
        // Offsets by time are those of records.
        var of = consumer.pull(queue, "*", 40, 1).getMsgFoundList().get(0);
        same(40L, consumer.searchOffset(queue, of.getStoreTimestamp()), "offset by time");
        same(0L, consumer.searchOffset(queue, 0), "offset by a time before all");
        long newest = consumer.searchOffset(queue, System.currentTimeMillis() + 1_000);
        same(90L, Version.INNER_BATCHES ? newest : newest / 10 * 10, "offset by a time to come");
        if (Version.INNER_BATCHES) {
            String id = last.getMsgId();
            await("the batch by its id", () -> kit.admin().viewMessage(topic, id) != null);
        }
        String offsetId = last.getOffsetMsgId().split(",")[0];
        var stored = kit.admin().viewMessage(topic, offsetId);
        same(90L, stored.getQueueOffset(), "queue offset of the record by its place");
    }

    private static byte[] body(List<MessageExt> all, long offset) {
        return all.stream().filter(m -> m.getQueueOffset() == offset).findFirst().get().getBody();
    }

    /** The broker filters records by the batch's own tag, which has none. */
    private static void tags(Kit kit) throws Exception {
        String topic = topic(kit, kit.group("t"), 1);
        DefaultMQProducer producer = kit.producer();
        producer.send(batch(topic, "a", 4));
        producer.send(new Message(topic, "tag", "single".getBytes()));
        producer.send(new Message(topic, "other", "another".getBytes()));
        Inbox inbox = Inbox.open(kit.push(kit.group("g"), topic, "tag"));
        int count = Version.INNER_BATCHES ? 1 : 5;
        inbox.awaitSize(count);
        check(inbox.bodies().contains("single"), "no single message in %s", inbox.bodies());
        Inbox.drain(kit, topic, 6);
    }

    /** The broker filters records by the batch's own properties, not by those of its messages. */
    private static void sql(Kit kit) throws Exception {
        String topic = topic(kit, kit.group("t"), 1);
        DefaultMQProducer producer = kit.producer();
        producer.send(batch(topic, "a", 4));
        Message single = new Message(topic, "single".getBytes());
        single.putUserProperty("colour", "red");
        producer.send(single);
        MessageQueue queue = queue(producer, topic, 0);
        var consumer = kit.pull(kit.group("g"));
        await("the end", () -> consumer.maxOffset(queue) == 5);
        // The client asks only brokers whose version a heartbeat has told it.
        await("a broker that filters", () ->
            consumer.pull(queue, MessageSelector.bySql("a = 0"), 0, 1).getPullStatus() != null);
        List<String> all = List.of("a-0", "a-1", "a-2", "a-3");
        Map<String, List<String>> wanted = Map.of("colour = 'red'", List.of("single"),
                "colour = 'blue 2'", Version.INNER_BATCHES ? List.of() : List.of("a-2"),
                "colour IS NULL", Version.INNER_BATCHES ? all : List.of());
        for (String sql : wanted.keySet()) {
            var found = consumer.pull(queue, MessageSelector.bySql(sql), 0, 32);
            List<MessageExt> list = found.getMsgFoundList();
            List<String> bodies = list == null ? List.of()
                    : list.stream().map(m -> new String(m.getBody())).toList();
            same(wanted.get(sql), bodies, "found by " + sql);
            same(5L, found.getNextBeginOffset(), "next offset");
        }
    }

    /** One message of a batch fails; it alone comes again. */
    private static void retry(Kit kit) throws Exception {
        String topic = topic(kit, kit.group("t"), 1);
        DefaultMQProducer producer = kit.producer();
        Map<String, Integer> times = new ConcurrentHashMap<>();
        var consumer = kit.push(kit.group("g"), topic, "*");
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, at) -> {
            String body = new String(batch.get(0).getBody());
            int time = times.merge(body, 1, Integer::sum);
            at.setDelayLevelWhenNextConsume(1);
            return body.equals("a-2") && time == 1
                    ? ConsumeConcurrentlyStatus.RECONSUME_LATER
                    : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        producer.send(batch(topic, "a", 4));
        await("the failed one again", java.time.Duration.ofSeconds(40),
                () -> times.getOrDefault("a-2", 0) == 2);
        same(Map.of("a-0", 1, "a-1", 1, "a-2", 2, "a-3", 1), Map.copyOf(times), "times");
    }

    /** The client puts single messages together by itself. */
    private static void auto(Kit kit) throws Exception {
        String topic = topic(kit, kit.group("t"), 1);
        DefaultMQProducer producer = kit.newProducer(kit.group("auto"));
        Version.autoBatch(producer);
        producer.start();
        int count = 300;
        CountDownLatch open = new CountDownLatch(count);
        for (int i = 0; i < count; i++) {
            producer.send(new Message(topic, ("b" + i).getBytes()), new SendCallback() {
                @Override
                public void onSuccess(SendResult result) {
                    open.countDown();
                }

                @Override
                public void onException(Throwable e) {}
            });
        }
        check(open.await(20, TimeUnit.SECONDS), "%d callbacks missing", open.getCount());
        Inbox inbox = Inbox.open(kit, topic);
        inbox.awaitSize(count);
        same(count, new TreeSet<>(inbox.bodies()).size(), "messages");
        MessageQueue queue = queue(producer, topic, 0);
        same((long) count, kit.admin().maxOffset(queue), "queue's end");
    }

    private static String shared(Kit kit) {
        return kit.play() + "-t";
    }

    private static void write(Kit kit) throws Exception {
        int leg = kit.leg();
        String topic = leg == 0 ? topic(kit, shared(kit), 2) : shared(kit);
        DefaultMQProducer producer = kit.producer();
        MessageQueue queue = queue(producer, topic, 1);
        long at = (long) leg * LEFT * (SIZE + 1);
        for (int i = 0; i < LEFT; i++) {
            List<Message> batch = batch(topic, "b" + leg + "-" + i, SIZE);
            same(at, producer.send(batch, queue).getQueueOffset(), "queue offset of batch " + i);
            Message single = new Message(topic, null, "s" + leg + "-" + i, "single".getBytes());
            at += SIZE;
            same(at, producer.send(single, queue).getQueueOffset(), "queue offset of single " + i);
            at += 1;
        }
        long end = at;
        await("the end", () -> kit.admin().maxOffset(queue) == end);
    }

    private static void read(Kit kit) throws Exception {
        String topic = shared(kit);
        DefaultMQProducer producer = kit.producer();
        await("the route", () -> !producer.fetchPublishMessageQueues(topic).isEmpty());
        MessageQueue queue = queue(producer, topic, 1);
        long end = (kit.leg() + 1L) * LEFT * (SIZE + 1);
        await("the end", () -> kit.admin().maxOffset(queue) == end);
        same(0L, kit.admin().minOffset(queue), "first offset");
        var consumer = kit.pull(kit.group("g"));
        Map<Long, String> bodies = new HashMap<>();
        long from = 0;
        while (from < end) {
            var found = consumer.pull(queue, "*", from, 32);
            same(PullStatus.FOUND, found.getPullStatus(), "status at " + from);
            for (MessageExt message : found.getMsgFoundList()) {
                String body = new String(message.getBody());
                check(bodies.put(message.getQueueOffset(), body) == null, "%s twice", message);
            }
            from = found.getNextBeginOffset();
        }
        for (long at = 0; at < end; at++) {
            long group = at / (SIZE + 1);
            long within = at % (SIZE + 1);
            String name = "b" + group / LEFT + "-" + group % LEFT + "-" + within;
            same(within < SIZE ? name : "single", bodies.get(at), "body at " + at);
        }
        for (int leg = 0; leg <= kit.leg(); leg++) {
            String key = "s" + leg + "-" + (LEFT - 1);
            var found = kit.admin().queryMessage(topic, key, 10, 0, System.currentTimeMillis());
            same(1, found.getMessageList().size(), "messages under " + key);
        }
    }
}
