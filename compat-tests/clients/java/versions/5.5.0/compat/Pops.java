package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.CountDownLatch;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.message.MessageRequestMode;
import org.apache.rocketmq.remoting.protocol.header.ExtraInfoUtil;

/** Push consumers that the broker tells to pop: it shares the queues out, nobody owns one. */
final class Pops {
    private Pops() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("pop-push", Pops::push);
        scenarios.put("pop-push-tags", Pops::tags);
        scenarios.put("pop-push-retry", Pops::retry);
        scenarios.put("pop-push-left", Pops::left);
        RawPops.register(scenarios);
        OrderedPops.register(scenarios);
        LeftPops.register(scenarios);
        Flights.register(scenarios);
        LiteTopics.register(scenarios);
        LiteCommands.register(scenarios);
        PopCommands.register(scenarios);
        Traces.register(scenarios);
    }

    /** Two members get everything once; what comes while they wait wakes one of them. */
    private static void push(Kit kit) throws Exception {
        String topic = kit.topic("t", 4);
        String group = popping(kit, topic);
        DefaultMQProducer producer = kit.producer();
        for (int i = 0; i < 40; i++) {
            producer.send(new Message(topic, Integer.toString(i).getBytes()));
        }
        List<MessageExt> all = new CopyOnWriteArrayList<>();
        Set<String> members = ConcurrentHashMap.newKeySet();
        for (String member : List.of("a", "b")) {
            started(kit, group, topic, "*", (batch, at) -> {
                members.add(member);
                all.addAll(batch);
                return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
            });
        }
        awaitBodies(all, 40);
        int at = 40;
        // An idle moment, so that both wait.
        Thread.sleep(300);
        while (at < 60 || members.size() < 2 && at < 400) {
            producer.send(new Message(topic, Integer.toString(at++).getBytes()));
        }
        awaitBodies(all, at);
        same(Set.of("a", "b"), members, "members that got something");
        for (MessageExt message : all) {
            check(message.getProperty(MessageConst.PROPERTY_POP_CK) != null, "pulled: %s", message);
            same(0, message.getReconsumeTimes(), "times it came again");
        }
        await("nothing behind", () -> kit.admin().examineConsumeStats(group, topic)
                .computeTotalDiff() == 0);
    }

    private static void tags(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        String group = popping(kit, topic);
        List<MessageExt> all = new CopyOnWriteArrayList<>();
        started(kit, group, topic, "red || blue", (batch, at) -> {
            all.addAll(batch);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        DefaultMQProducer producer = kit.producer();
        String[] colours = {"red", "green", "blue", null};
        for (int i = 0; i < 20; i++) {
            producer.send(new Message(topic, colours[i % 4], Integer.toString(i / 2).getBytes()));
        }
        await("those of two colours", () -> all.size() >= 10);
        Thread.sleep(100);
        same(10, all.size(), "messages");
        check(all.stream().allMatch(m -> m.getTags().matches("red|blue")), "%s", all);
    }

    /** What fails comes again when the client said, with its count, and then no more. */
    private static void retry(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        String group = popping(kit, topic);
        kit.producer().send(new Message(topic, "TagA", "key", "again".getBytes()));
        List<MessageExt> all = new CopyOnWriteArrayList<>();
        List<Long> times = new CopyOnWriteArrayList<>();
        DefaultMQPushConsumer consumer = started(kit, group, topic, "*", (batch, at) -> {
            times.add(System.currentTimeMillis());
            all.addAll(batch);
            return all.size() < 3 ? ConsumeConcurrentlyStatus.RECONSUME_LATER
                    : ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        soon(consumer);
        await("three times", () -> all.size() >= 3);
        for (int i = 0; i < 3; i++) {
            MessageExt message = all.get(i);
            same(i, message.getReconsumeTimes(), "times it came again");
            same(topic, message.getTopic(), "topic");
            same("TagA key again", message.getTags() + " " + message.getKeys() + " "
                    + new String(message.getBody()), "message");
            same(all.get(0).getMsgId(), message.getMsgId(), "id");
        }
        check(times.get(1) - times.get(0) >= 900, "%s: earlier than a second", times);
        kit.note("came again after " + (times.get(1) - times.get(0)) + " ms of 1000");
        Thread.sleep(1_500);
        same(3, all.size(), "deliveries");
    }

    /** What a member that leaves has not done comes to another one when its time is over. */
    private static void left(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        String group = popping(kit, topic);
        CountDownLatch taken = new CountDownLatch(1);
        DefaultMQPushConsumer leaving = started(kit, group, topic, "*", (batch, at) -> {
            taken.countDown();
            sleep(60_000);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        kit.producer().send(new Message(topic, "left".getBytes()));
        check(taken.await(10, java.util.concurrent.TimeUnit.SECONDS), "nothing came");
        leaving.shutdown();
        List<MessageExt> all = new CopyOnWriteArrayList<>();
        started(kit, group, topic, "*", (batch, at) -> {
            all.addAll(batch);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        await("the message", () -> !all.isEmpty());
        MessageExt again = all.get(0);
        long first = Long.parseLong(again.getProperty(MessageConst.PROPERTY_FIRST_POP_TIME));
        String[] handle = ExtraInfoUtil.split(again.getProperty(MessageConst.PROPERTY_POP_CK));
        long late = ExtraInfoUtil.getPopTime(handle) - first - 5_000;
        check(late >= 0, "%d ms too early", -late);
        kit.note("late by " + late + " ms");
        same("left", new String(again.getBody()), "body");
        same(1, again.getReconsumeTimes(), "times it came again");
    }

    /** A group that pops the topic. */
    static String popping(Kit kit, String topic) throws Exception {
        String group = kit.group("g");
        Version.group(kit.admin(), kit.broker(), group, true);
        kit.admin().setMessageRequestMode(kit.broker(), topic, group, MessageRequestMode.POP, 0,
                10_000);
        return group;
    }

    private static DefaultMQPushConsumer started(Kit kit, String group, String topic, String tags,
            MessageListenerConcurrently listener) throws Exception {
        DefaultMQPushConsumer consumer = kit.push(group, topic, tags);
        consumer.setClientRebalance(false);
        consumer.setPopInvisibleTime(5_000);
        consumer.registerMessageListener(listener);
        consumer.start();
        return consumer;
    }

    /** Lets the first two tries again take a second each. */
    private static void soon(DefaultMQPushConsumer consumer) throws Exception {
        Object inner = consumer.getDefaultMQPushConsumerImpl();
        var levels = inner.getClass().getDeclaredField("popDelayLevel");
        levels.setAccessible(true);
        int[] seconds = (int[]) levels.get(inner);
        seconds[0] = 1;
        seconds[1] = 1;
    }

    private static void awaitBodies(List<MessageExt> all, int count) throws Exception {
        await(count + " messages", () -> all.size() >= count);
        Thread.sleep(100);
        same(count, all.size(), "messages");
        long bodies = all.stream().map(m -> new String(m.getBody())).distinct().count();
        same((long) count, bodies, "different ones");
    }

    private static void sleep(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
