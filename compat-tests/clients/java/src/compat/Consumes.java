package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageQueue;

/** What happens to a message between the send and the listener: filters, delays, retries. */
final class Consumes {
    private Consumes() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("tags", Consumes::tags);
        scenarios.put("offset-past-unwanted", Consumes::progress);
        scenarios.put("delay-level-1", kit -> delayed(kit, 1, 1_000));
        scenarios.put("delay-level-3", kit -> delayed(kit, 3, 10_000));
        scenarios.put("retry-then-dlq", Consumes::retry);
        scenarios.put("push-wakes-at-once", Consumes::wake);
    }

    /** "Aa" and "BB" have one Java hash, which is all that the broker looks at. */
    private static void tags(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        DefaultMQProducer producer = kit.producer();
        for (String tag : new String[] {"A", "B", "C", "Aa", "BB", null}) {
            for (int i = 0; i < 5; i++) {
                producer.send(new Message(topic, tag, (tag + i).getBytes()));
            }
        }
        tagged(kit, topic, "A", 5);
        tagged(kit, topic, "A || C", 10);
        tagged(kit, topic, "BB", 5);
        tagged(kit, topic, "*", 30);
        tagged(kit, topic, "none", 0);
    }

    private static void tagged(Kit kit, String topic, String tags, int count) throws Exception {
        String group = kit.group("g" + tags.replaceAll("[^A-Za-z]", ""));
        Inbox inbox = Inbox.open(kit.push(group, topic, tags));
        inbox.awaitSize(count);
        for (MessageExt message : inbox.all()) {
            check(tags.equals("*") || tags.contains(message.getTags()), "got %s", message.getTags());
        }
    }

    /** What a group does not want moves it on while its pull is held, not only when that ends. */
    private static void progress(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.producer();
        DefaultMQPushConsumer consumer = kit.push(kit.group("g"), topic, "A");
        Inbox inbox = Inbox.open(consumer);
        producer.send(new Message(topic, "A", "wanted".getBytes()));
        inbox.awaitSize(1);
        MessageQueue queue = null;
        for (int i = 0; i < 5; i++) {
            queue = producer.send(new Message(topic, "B", "unwanted".getBytes())).getMessageQueue();
        }
        MessageQueue last = queue;
        // The hold is looked at every 5 s, and offsets are told every 5 s.
        await("the offset behind what is unwanted", Duration.ofSeconds(13),
                () -> Kit.committed(consumer, last) == 6);
        inbox.awaitSize(1);
    }

    private static void delayed(Kit kit, int level, long delay) throws Exception {
        String topic = kit.topic("t", 1);
        Inbox inbox = Inbox.open(kit, topic);
        Message message = new Message(topic, "tag", "key", "late".getBytes());
        message.setDelayTimeLevel(level);
        long sent = System.currentTimeMillis();
        kit.producer().send(message);
        inbox.awaitSize(1);
        MessageExt got = inbox.all().get(0);
        long took = got.getStoreTimestamp() - sent;
        check(took >= delay - 50 && took < delay + 3_000, "delivered after %d ms", took);
        same(topic, got.getTopic(), "topic");
        same("tag", got.getTags(), "tags");
        kit.note("after " + took + " ms");
    }

    /**
     * Fails each try, so: first delivery, two retries, then the dead-letter topic.
     *
     * <p>A member that comes and goes first lets the broker create the group's retry topic; a
     * stock consumer that starts before it exists would look for it again only after 30 s.
     */
    private static void retry(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        String group = kit.group("g");
        DefaultMQPushConsumer early = kit.push(group, topic, "*");
        Inbox.open(early);
        awaitRoute(kit, "%RETRY%" + group);
        early.shutdown();

        List<MessageExt> tries = Collections.synchronizedList(new ArrayList<>());
        DefaultMQPushConsumer consumer = kit.push(group, topic, "*");
        consumer.setMaxReconsumeTimes(2);
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, at) -> {
            tries.addAll(batch);
            at.setDelayLevelWhenNextConsume(1);
            return ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        Message message = new Message(topic, "tag", "key", "poison".getBytes());
        message.putUserProperty("colour", "blue");
        String id = kit.producer().send(message).getMsgId();
        awaitRoute(kit, "%DLQ%" + group);
        Inbox dead = Inbox.open(kit.push(kit.group("dlq"), "%DLQ%" + group, "*"));
        dead.awaitSize(1);

        same(3, tries.size(), "tries");
        for (int i = 0; i < 3; i++) {
            MessageExt got = tries.get(i);
            same(i, got.getReconsumeTimes(), "reconsume times");
            same(topic, got.getTopic(), "topic as the listener sees it");
            same(id, got.getMsgId(), "unique id of try " + i);
        }
        MessageExt last = dead.all().get(0);
        same("poison", new String(last.getBody()), "dead letter's body");
        same("blue", last.getUserProperty("colour"), "dead letter's user property");
        same("key", last.getKeys(), "dead letter's keys");
        same(topic, last.getProperty("RETRY_TOPIC"), "dead letter's RETRY_TOPIC");
        check(last.getProperty("ORIGIN_MESSAGE_ID") != null, "no ORIGIN_MESSAGE_ID");
        kit.note("properties of the dead letter: "
                + String.join(",", new TreeSet<>(last.getProperties().keySet())));
    }

    static void awaitRoute(Kit kit, String topic) throws Exception {
        await("route of " + topic, () -> kit.admin().examineTopicRouteInfo(topic) != null);
    }

    /** A held pull is woken by the append, not by a timer. */
    private static void wake(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Inbox inbox = Inbox.open(kit, topic);
        DefaultMQProducer producer = kit.producer();
        producer.send(new Message(topic, "first".getBytes()));
        inbox.awaitSize(1);
        Thread.sleep(1_500);
        long worst = 0;
        for (int i = 0; i < 10; i++) {
            int before = inbox.size();
            long start = System.nanoTime();
            producer.send(new Message(topic, "next".getBytes()));
            while (inbox.size() == before && System.nanoTime() - start < 5_000_000_000L) {
                Thread.sleep(1);
            }
            worst = Math.max(worst, (System.nanoTime() - start) / 1_000_000);
            Thread.sleep(150);
        }
        check(worst < 1_000, "a message took %d ms from send to listener", worst);
        kit.note("slowest of 10: " + worst + " ms");
    }
}
