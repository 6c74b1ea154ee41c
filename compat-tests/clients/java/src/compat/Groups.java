package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.MessageExt;

/** Several members of one group: sharing, handing over, locking, broadcasting. */
final class Groups {
    private static final int QUEUES = 8;

    private Groups() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("group-of-three", Groups::three);
        scenarios.put("orderly", Groups::orderly);
        scenarios.put("broadcast", Groups::broadcast);
    }

    /** What all members of a group saw, queue by queue. */
    private static final class Ledger {
        final Map<String, Integer> deliveries = new HashMap<>();
        final Map<Integer, String> holder = new HashMap<>();
        final Map<Integer, Long> lastOffset = new HashMap<>();
        final Set<String> members = new HashSet<>();
        final List<String> disorder = new ArrayList<>();
        int total;

        synchronized void add(String member, MessageExt message) {
            total++;
            int queue = message.getQueueId();
            members.add(member);
            deliveries.merge(queue + "@" + message.getQueueOffset(), 1, Integer::sum);
            boolean sameHolder = member.equals(holder.put(queue, member));
            Long last = lastOffset.put(queue, message.getQueueOffset());
            if (sameHolder && message.getQueueOffset() != last + 1) {
                disorder.add(member + ": " + message.getQueueOffset() + " after " + last);
            }
        }

        synchronized int distinct() {
            return deliveries.size();
        }

        synchronized int total() {
            return total;
        }

        synchronized boolean works(String member) {
            return members.contains(member);
        }
    }

    /**
     * Two members take 1,000 messages of 8 queues; a third joins in the middle and leaves.
     *
     * <p>Exactly once while nobody comes or goes. While a queue changes hands, both members may
     * have it for a moment: the client commits every five seconds and the new member starts at
     * what is committed, so then repetitions are the client's own and only counted.
     */
    private static void three(Kit kit) throws Exception {
        String topic = kit.topic("t", QUEUES);
        String group = kit.group("g");
        Ledger ledger = new Ledger();
        DefaultMQPushConsumer first = member(kit, group, topic, "first", ledger);
        DefaultMQPushConsumer second = member(kit, group, topic, "second", ledger);
        first.start();
        second.start();
        await("fair shares of two", () -> held(first, topic) == 4 && held(second, topic) == 4);
        DefaultMQProducer producer = kit.producer();
        for (int queue = 0; queue < QUEUES; queue++) {
            Kit.fill(producer, topic, queue, 75);
        }
        await("600 messages", () -> ledger.distinct() == 600);
        same(600, ledger.total(), "deliveries of 600 messages to two members");
        DefaultMQPushConsumer third = member(kit, group, topic, "third", ledger);
        third.start();
        await("fair shares of three", () -> held(third, topic) >= 2
                && held(first, topic) + held(second, topic) + held(third, topic) == QUEUES);
        for (int queue = 0; queue < QUEUES; queue++) {
            Kit.fill(producer, topic, queue, 50);
        }
        await("the third member's work", () -> ledger.works("third"));
        third.shutdown();
        await("1000 messages", () -> ledger.distinct() == 1000);
        synchronized (ledger) {
            check(ledger.disorder.isEmpty(), "out of order: %s", ledger.disorder);
            int repeated = ledger.total - 1000;
            kit.note(repeated + " repeated while queues changed hands");
        }
    }

    static long held(DefaultMQPushConsumer consumer, String topic) {
        var queues = consumer.getDefaultMQPushConsumerImpl().getRebalanceImpl()
                .getProcessQueueTable().keySet();
        return queues.stream().filter(queue -> queue.getTopic().equals(topic)).count();
    }

    private static DefaultMQPushConsumer member(
            Kit kit, String group, String topic, String name, Ledger ledger) throws Exception {
        DefaultMQPushConsumer consumer = kit.push(group, topic, "*");
        consumer.setConsumeThreadMin(1);
        consumer.setConsumeThreadMax(1);
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, at) -> {
            batch.forEach(message -> ledger.add(name, message));
            pause(5);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        return consumer;
    }

    /** Two orderly members: one at a time in a queue, in order, also over a retry and a leave. */
    private static void orderly(Kit kit) throws Exception {
        String topic = kit.topic("t", 4);
        String group = kit.group("g");
        Orderly orderly = new Orderly();
        DefaultMQPushConsumer first = orderly.member(kit, group, topic);
        first.start();
        orderly.member(kit, group, topic).start();
        DefaultMQProducer producer = kit.producer();
        for (int queue = 0; queue < 4; queue++) {
            Kit.fill(producer, topic, queue, 50);
        }
        await("100 messages", () -> orderly.done.get() >= 100);
        first.shutdown();
        await("200 messages", () -> orderly.done.get() >= 200);
        Thread.sleep(200);
        same(200, orderly.done.get(), "messages done");
        check(orderly.faults.isEmpty(), "faults: %s", orderly.faults);
        check(orderly.suspended.get(), "no message was retried");
        kit.note(orderly.again + " once more");
    }

    private static final class Orderly {
        final AtomicInteger done = new AtomicInteger();
        final AtomicInteger again = new AtomicInteger();
        final AtomicBoolean suspended = new AtomicBoolean();
        final Map<Integer, AtomicInteger> inside = new ConcurrentHashMap<>();
        final Map<Integer, AtomicInteger> next = new ConcurrentHashMap<>();
        final Set<String> faults = ConcurrentHashMap.newKeySet();

        DefaultMQPushConsumer member(Kit kit, String group, String topic) throws Exception {
            DefaultMQPushConsumer consumer = kit.push(group, topic, "*");
            consumer.registerMessageListener((MessageListenerOrderly) (batch, at) -> {
                at.setSuspendCurrentQueueTimeMillis(20);
                return take(batch.get(0));
            });
            return consumer;
        }

        ConsumeOrderlyStatus take(MessageExt message) {
            int queue = message.getQueueId();
            AtomicInteger users = inside.computeIfAbsent(queue, q -> new AtomicInteger());
            if (users.incrementAndGet() > 1) {
                faults.add("two members in queue " + queue);
            }
            try {
                pause(3);
                if (message.getQueueOffset() == 7 && suspended.compareAndSet(false, true)) {
                    return ConsumeOrderlyStatus.SUSPEND_CURRENT_QUEUE_A_MOMENT;
                }
                AtomicInteger expected = next.computeIfAbsent(queue, q -> new AtomicInteger());
                if (message.getQueueOffset() == expected.get()) {
                    expected.incrementAndGet();
                    done.incrementAndGet();
                } else if (redone(message, expected.get())) {
                    again.incrementAndGet();
                } else {
                    faults.add(message.getQueueOffset() + " instead of " + expected);
                }
                return ConsumeOrderlyStatus.SUCCESS;
            } finally {
                users.decrementAndGet();
            }
        }
    }

    /**
     * A member that leaves commits first and stops consuming a moment later: what it consumed in
     * between comes once more, in order. In 24 runs against the stock broker 2 to 4 messages of
     * the four queues together did so in 14, in 24 against ours in 16.
     */
    private static boolean redone(MessageExt message, int expected) {
        return message.getQueueOffset() < expected && message.getQueueOffset() >= expected - 4;
    }

    private static void broadcast(Kit kit) throws Exception {
        String topic = kit.topic("t", 4);
        List<Inbox> inboxes = new ArrayList<>();
        for (int i = 0; i < 2; i++) {
            DefaultMQPushConsumer consumer = kit.push(kit.group("g"), topic, "*");
            Version.broadcasting(consumer);
            inboxes.add(Inbox.open(consumer));
        }
        DefaultMQProducer producer = kit.producer();
        for (int queue = 0; queue < 4; queue++) {
            Kit.fill(producer, topic, queue, 10);
        }
        for (Inbox inbox : inboxes) {
            inbox.awaitSize(40);
        }
    }

    private static void pause(long ms) {
        try {
            Thread.sleep(ms);
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }
}
