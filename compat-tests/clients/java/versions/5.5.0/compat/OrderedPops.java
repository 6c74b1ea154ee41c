package compat;

import static compat.Kit.await;
import static compat.Kit.check;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.AckStatus;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.consumer.PopStatus;
import org.apache.rocketmq.client.impl.mqclient.MQClientAPIExt;
import org.apache.rocketmq.common.constant.ConsumeInitMode;
import org.apache.rocketmq.common.filter.ExpressionType;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.protocol.header.AckMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ExtraInfoUtil;
import org.apache.rocketmq.remoting.protocol.header.PopMessageRequestHeader;

/** Queues that are popped in order while the broker is killed, as a proxy pops them. */
final class OrderedPops implements AutoCloseable {
    private static final Duration LONG = Duration.ofSeconds(60);
    private static final long INVISIBLE_MS = 5_000;

    private final MQClientAPIExt api;
    private final String broker;
    private final String topic;
    private final String group;
    private final AtomicBoolean enough = new AtomicBoolean();
    private final List<Thread> members = new ArrayList<>();
    private final Map<Integer, Seen> queues = new ConcurrentHashMap<>();
    private final List<String> faults = new CopyOnWriteArrayList<>();
    private final AtomicInteger again = new AtomicInteger();
    private final AtomicInteger shared = new AtomicInteger();

    /** A message that was popped: by which try, and until when nobody else gets it. */
    private record Out(String attempt, long until) {}

    /** What came of a queue. */
    private static final class Seen {
        int number = -1;
        final List<Out> out = new ArrayList<>();
        /** So many of the first messages were acknowledged. */
        int acknowledged;
    }

    private OrderedPops(Kit kit, int queues) throws Exception {
        api = new MQClientAPIExt(new ClientConfig(), new NettyClientConfig(), null, null);
        api.start();
        kit.closing(() -> new Thread(api::shutdown, "shutdown").start());
        broker = kit.broker();
        topic = kit.topic("t", queues);
        group = Pops.popping(kit, topic);
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("pop-fifo-killed", kit -> killed(kit, 2));
        scenarios.put("pop-fifo-killed-100", kit -> killed(kit, 100));
    }

    /**
     * In each queue a message follows on the one before, or was there already. What came again
     * after its acknowledgement, or came to another one, is counted, and no fault of a stock broker
     * (which has no row "readiness"): it forgets what its files do not have yet.
     */
    private static void killed(Kit kit, int kills) throws Exception {
        try (OrderedPops pops = new OrderedPops(kit, 4);
                Changes.Sender sender = new Changes.Sender(kit, pops.topic)) {
            for (int i = 0; i < 3; i++) {
                pops.join();
            }
            for (int round = 0; round < kills; round++) {
                sender.awaitMore(60);
                kit.actions.ask("kill broker");
                kit.actions.ask("start broker");
                sender.awaitMore(60);
                pops.awaitAll(sender.acknowledged());
                check(pops.faults.isEmpty(), "faults: %s", pops.faults);
            }
            boolean forgets = !kit.admin().fetchBrokerRuntimeStats(kit.broker()).getTable()
                    .containsKey("readiness");
            check(forgets || pops.again.get() + pops.shared.get() == 0,
                    "%s again after their acknowledgement, %s while another had them",
                    pops.again, pops.shared);
            kit.note(kills + " kills, " + pops.came() + " messages, " + pops.again
                    + " again after their acknowledgement, " + pops.shared
                    + " times while another had them");
        }
    }

    private void join() {
        Thread member = new Thread(() -> {
            String attempt = UUID.randomUUID().toString();
            while (!enough.get()) {
                try {
                    // A pop without an answer is tried again as the same, so that it blocks nobody.
                    turn(attempt);
                    attempt = UUID.randomUUID().toString();
                } catch (Exception e) {
                    LockSupport.parkNanos(50_000_000);
                }
            }
        });
        members.add(member);
        member.start();
    }

    private void turn(String attempt) throws Exception {
        PopMessageRequestHeader header = new PopMessageRequestHeader();
        header.setTopic(topic);
        header.setConsumerGroup(group);
        header.setQueueId(-1);
        header.setMaxMsgNums(8);
        header.setInvisibleTime(INVISIBLE_MS);
        header.setPollTime(1_000);
        header.setInitMode(ConsumeInitMode.MIN);
        header.setExpType(ExpressionType.TAG);
        header.setExp("*");
        header.setOrder(true);
        header.setAttemptId(attempt);
        header.setBornTime(System.currentTimeMillis());
        PopResult popped = api.popMessageAsync(broker, "broker-a", header, 3_000)
                .get(4, TimeUnit.SECONDS);
        if (popped.getPopStatus() != PopStatus.FOUND) {
            return;
        }
        List<MessageExt> all = popped.getMsgFoundList();
        Out out = new Out(attempt, popped.getPopTime() + INVISIBLE_MS);
        all.forEach(message -> take(message, out));
        for (MessageExt message : all) {
            acknowledge(message);
        }
    }

    private void take(MessageExt message, Out out) {
        int number = Integer.parseInt(new String(message.getBody()));
        int queue = message.getQueueId();
        int offset = (int) message.getQueueOffset();
        Seen seen = queues.computeIfAbsent(queue, q -> new Seen());
        synchronized (seen) {
            if (offset > seen.out.size() || number > seen.number + 1) {
                faults.add("queue " + queue + ": " + offset + " (" + number + ") after "
                        + seen.out.size() + " (" + seen.number + ")");
                return;
            }
            seen.number = Math.max(seen.number, number);
            if (offset == seen.out.size()) {
                seen.out.add(out);
                return;
            }
            Out before = seen.out.set(offset, out);
            if (offset < seen.acknowledged) {
                again.incrementAndGet();
            } else if (!before.attempt.equals(out.attempt)
                    && System.currentTimeMillis() < before.until - 100) {
                shared.incrementAndGet();
            }
        }
    }

    private void acknowledge(MessageExt message) throws Exception {
        String handle = message.getProperty(MessageConst.PROPERTY_POP_CK);
        String[] parts = ExtraInfoUtil.split(handle);
        AckMessageRequestHeader header = new AckMessageRequestHeader();
        header.setTopic(topic);
        header.setConsumerGroup(group);
        header.setQueueId(message.getQueueId());
        header.setOffset(ExtraInfoUtil.getQueueOffset(parts));
        header.setExtraInfo(handle);
        var done = api.ackMessageAsync(broker, header, 3_000).get(4, TimeUnit.SECONDS);
        if (done.getStatus() != AckStatus.OK) {
            throw new IllegalStateException("not acknowledged: " + done.getStatus());
        }
        Seen seen = queues.get(message.getQueueId());
        synchronized (seen) {
            if (message.getQueueOffset() == seen.acknowledged) {
                seen.acknowledged++;
            }
        }
    }

    private int came() {
        return queues.values().stream().mapToInt(seen -> seen.out.size()).sum();
    }

    /** No queue is stuck. */
    private void awaitAll(Map<Integer, Integer> sent) throws Exception {
        await("everything acknowledged", LONG, () -> sent.entrySet().stream().allMatch(one -> {
            Seen seen = queues.get(one.getKey());
            return seen != null && seen.number >= one.getValue();
        }));
    }

    @Override
    public void close() throws Exception {
        enough.set(true);
        for (Thread member : members) {
            member.join();
        }
    }
}
