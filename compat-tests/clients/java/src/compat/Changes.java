package compat;

import static compat.Kit.await;
import static compat.Kit.check;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentMap;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeOrderlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerOrderly;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Ordered consumption while the broker restarts, members come and go, and queues are added. */
final class Changes {
    private static final Duration LONG = Duration.ofSeconds(60);

    private Changes() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("orderly-changes", kit -> changing(kit, 2));
        scenarios.put("orderly-changes-200", kit -> changing(kit, 200));
    }

    /**
     * In each queue a number follows on the one before or was there already: what is sent again
     * after a failure may stand there twice, and what was not committed comes again. After each
     * restart everything that was acknowledged before it arrives: no queue is stuck.
     */
    private static void changing(Kit kit, int restarts) throws Exception {
        String topic = kit.topic("t", 4);
        Order order = new Order(kit, kit.group("g"), topic);
        order.join();
        order.join();
        try (Sender sender = new Sender(kit, topic)) {
            for (int round = 1; round <= restarts; round++) {
                DefaultMQPushConsumer guest = round % 3 == 1 ? order.join() : null;
                sender.awaitMore(40);
                kit.actions.ask(round % 2 == 0 ? "kill broker" : "stop broker");
                kit.actions.ask("start broker");
                if (round % 100 == 1) {
                    widen(kit, topic, 5 + round / 100);
                }
                if (guest != null) {
                    guest.shutdown();
                }
                sender.awaitMore(40);
                order.awaitAll(sender.acknowledged());
            }
            check(sender.acknowledged().size() >= 5, "no message went to a queue that was added");
        }
        check(order.faults.isEmpty(), "faults: %s", order.faults);
        kit.note(restarts + " restarts, " + order.taken + " messages, " + order.again + " again, "
                + order.shared + " times two members in a queue");
    }

    private static void widen(Kit kit, String topic, int queues) throws Exception {
        await("the topic with " + queues + " queues", LONG, () -> {
            TopicConfig config = new TopicConfig(topic, queues, queues, 6);
            kit.admin().createAndUpdateTopicConfig(kit.broker(), config);
            return true;
        });
    }

    /** Sends 0, 1, 2, ... to each queue of the topic, one after the other, until each is taken. */
    static final class Sender implements AutoCloseable {
        private final DefaultMQProducer producer;
        private final String topic;
        private final AtomicBoolean enough = new AtomicBoolean();
        private final ConcurrentMap<Integer, Integer> last = new ConcurrentHashMap<>();
        private final AtomicInteger taken = new AtomicInteger();
        private final Thread thread = new Thread(this::run);

        Sender(Kit kit, String topic) throws Exception {
            this.topic = topic;
            producer = kit.newProducer(kit.group("producer"));
            producer.setSendMsgTimeout(2_000);
            producer.setRetryTimesWhenSendFailed(0);
            producer.setPollNameServerInterval(500);
            producer.start();
            thread.start();
        }

        private void run() {
            while (!enough.get()) {
                try {
                    for (var queue : producer.fetchPublishMessageQueues(topic)) {
                        int id = queue.getQueueId();
                        String next = Integer.toString(last.getOrDefault(id, -1) + 1);
                        var result = producer.send(new Message(topic, next.getBytes()), queue);
                        if (result.getSendStatus() == SendStatus.SEND_OK) {
                            last.merge(id, 0, (old, none) -> old + 1);
                            taken.incrementAndGet();
                        }
                    }
                } catch (Exception e) {
                    LockSupport.parkNanos(20_000_000);
                }
                LockSupport.parkNanos(2_000_000);
            }
        }

        Map<Integer, Integer> acknowledged() {
            return new TreeMap<>(last);
        }

        void awaitMore(int more) throws Exception {
            int before = taken.get();
            await(more + " more acknowledged sends", LONG, () -> taken.get() >= before + more);
        }

        @Override
        public void close() throws Exception {
            enough.set(true);
            thread.join();
        }
    }

    /** What the members of a group see, queue by queue. */
    static final class Order {
        final Set<String> faults = ConcurrentHashMap.newKeySet();
        final AtomicInteger taken = new AtomicInteger();
        final AtomicInteger again = new AtomicInteger();
        final AtomicInteger shared = new AtomicInteger();
        private final Map<Integer, AtomicInteger> inside = new ConcurrentHashMap<>();
        private final Map<Integer, Integer> last = new ConcurrentHashMap<>();
        private final Kit kit;
        private final String group;
        private final String topic;

        Order(Kit kit, String group, String topic) {
            this.kit = kit;
            this.group = group;
            this.topic = topic;
        }

        DefaultMQPushConsumer join() throws Exception {
            DefaultMQPushConsumer consumer = kit.push(group, topic, "*");
            consumer.setPollNameServerInterval(1_000);
            consumer.registerMessageListener((MessageListenerOrderly) (batch, at) -> {
                batch.forEach(this::take);
                return ConsumeOrderlyStatus.SUCCESS;
            });
            consumer.start();
            return consumer;
        }

        private void take(MessageExt message) {
            int queue = message.getQueueId();
            int number = Integer.parseInt(new String(message.getBody()));
            AtomicInteger users = inside.computeIfAbsent(queue, q -> new AtomicInteger());
            if (users.incrementAndGet() > 1) {
                shared.incrementAndGet();
            }
            LockSupport.parkNanos(200_000);
            last.compute(queue, (q, known) -> {
                int seen = known == null ? -1 : known;
                if (number > seen + 1) {
                    faults.add("queue " + queue + ": " + number + " after " + seen);
                }
                (number > seen ? taken : again).incrementAndGet();
                return Math.max(seen, number);
            });
            users.decrementAndGet();
        }

        void awaitAll(Map<Integer, Integer> sent) throws Exception {
            List<String> stuck = new ArrayList<>();
            try {
                await("everything acknowledged", LONG, () -> {
                    stuck.clear();
                    sent.forEach((queue, number) -> {
                        int seen = last.getOrDefault(queue, -1);
                        if (seen < number) {
                            stuck.add("queue " + queue + " at " + seen + " of " + number);
                        }
                    });
                    return stuck.isEmpty();
                });
            } catch (AssertionError e) {
                throw new AssertionError(e.getMessage() + ": " + stuck);
            }
        }
    }
}
