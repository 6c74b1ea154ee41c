package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.ArrayList;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages with a time of delivery of their own, and taking them back. */
final class Timers {
    private static final String DELAY_SEC = "TIMER_DELAY_SEC";
    private static final String DELAY_MS = "TIMER_DELAY_MS";
    private static final String DELIVER_MS = "TIMER_DELIVER_MS";
    private static final String OUT_MS = "TIMER_OUT_MS";
    /** A slot, what the stock broker takes to look, and a busy machine. */
    private static final long LATE_MS = 4_000;
    private static final int MESSAGE_ILLEGAL = 13;
    private static final int ILLEGAL_OPERATION = 604;
    /** What one leg of a hand-over leaves to the next. */
    private static final int LEFT = 120;

    private Timers() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("timer-delay", Timers::delay);
        scenarios.put("timer-illegal", Timers::illegal);
        scenarios.put("timer-recall", Timers::recall);
        scenarios.put("timers-write", Timers::write);
        scenarios.put("timers-read", Timers::read);
    }

    /** Sends a message that asks for something; its body is when it is due. */
    private static SendResult send(
            DefaultMQProducer producer, String topic, String key, long value, long due)
            throws Exception {
        Message message = new Message(topic, Long.toString(due).getBytes());
        MessageAccessor.putProperty(message, key, Long.toString(value));
        return producer.send(message);
    }

    private static void delay(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.producer();
        Inbox inbox = Inbox.open(kit, topic);
        long now = System.currentTimeMillis();
        send(producer, topic, DELIVER_MS, now + 5_500, now + 5_500);
        send(producer, topic, DELAY_SEC, 4, now + 4_000);
        send(producer, topic, DELAY_MS, 2_500, now + 2_500);
        send(producer, topic, DELIVER_MS, (now / 1_000 + 2) * 1_000, (now / 1_000 + 2) * 1_000);
        send(producer, topic, DELIVER_MS, now - 1_000, 0);
        for (long delay : new long[] {50, 300, 999, 1_000, 1_001}) {
            send(producer, topic, DELAY_MS, delay, System.currentTimeMillis());
        }
        int count = 10;
        long latest = 0;
        for (int seen = 0; seen < count; seen++) {
            int wanted = seen + 1;
            await("message " + wanted, () -> inbox.size() >= wanted);
        }
        inbox.awaitSize(count);
        List<MessageExt> all = inbox.all();
        for (MessageExt message : all) {
            long due = Long.parseLong(new String(message.getBody()));
            if (due == 0) {
                check(message.getProperty(OUT_MS) == null, "one that is past was parked");
                continue;
            }
            check(message.getProperty(OUT_MS) != null, "no %s on %s", OUT_MS, message);
            check(message.getStoreTimestamp() >= due, "%d ms early",
                    due - message.getStoreTimestamp());
            long late = message.getStoreTimestamp() - due;
            latest = Math.max(latest, late);
            check(late < LATE_MS, "%d ms late", late);
        }
        same(topic, all.get(0).getTopic(), "topic");
        kit.note("latest " + latest + " ms");
    }

    private static void illegal(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.producer();
        long days = 3 * 86_400;
        refused(() -> send(producer, topic, DELAY_SEC, days + 1, 0));
        refused(() -> send(producer, topic, DELAY_MS, (days + 1) * 1_000, 0));
        refused(() -> send(producer, topic, DELIVER_MS,
                System.currentTimeMillis() + (days + 60) * 1_000, 0));
        Message word = new Message(topic, "x".getBytes());
        MessageAccessor.putProperty(word, DELAY_SEC, "soon");
        refused(() -> producer.send(word));
        send(producer, topic, DELAY_SEC, days - 60, 0);
        // A level goes before a time.
        Message both = new Message(topic, "both".getBytes());
        both.setDelayTimeLevel(1);
        MessageAccessor.putProperty(both, DELAY_SEC, "soon");
        producer.send(both);
        Inbox inbox = Inbox.open(kit, topic);
        inbox.awaitSize(1);
        same("both", new String(inbox.all().get(0).getBody()), "body");
    }

    private interface Sending {
        Object send() throws Exception;
    }

    private static void refused(Sending sending) throws Exception {
        try {
            sending.send();
        } catch (MQBrokerException e) {
            same(MESSAGE_ILLEGAL, e.getResponseCode(), "code");
            return;
        }
        throw new AssertionError("was taken");
    }

    private static void recall(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.producer();
        long due = System.currentTimeMillis() + 4_000;
        SendResult taken = send(producer, topic, DELIVER_MS, due, due);
        SendResult kept = send(producer, topic, DELIVER_MS, due, due + 1);
        String handle = Version.recallHandle(taken);
        check(handle != null && !handle.isEmpty(), "no recall handle");
        check(!handle.equals(Version.recallHandle(kept)), "two messages, one handle");
        same(taken.getMsgId(), Version.recall(producer, topic, handle), "id of the recalled one");
        SendResult plain = producer.send(new Message(topic, "1".getBytes()));
        check(Version.recallHandle(plain) == null, "a handle of a message that does not wait");
        String other = kit.topic("other", 1);
        unrecalled(ILLEGAL_OPERATION, () -> Version.recall(producer, other, handle));
        Inbox inbox = Inbox.open(kit, topic);
        inbox.awaitSize(2);
        Thread.sleep(1_500);
        inbox.awaitSize(2);
        same(List.of("1", Long.toString(due + 1)), inbox.bodies(), "what came");
        unrecalled(ILLEGAL_OPERATION, () -> Version.recall(producer, topic, handle));
    }

    private static void unrecalled(int code, Sending recall) throws Exception {
        try {
            recall.send();
        } catch (MQBrokerException e) {
            same(code, e.getResponseCode(), "code of a recall");
            return;
        }
        throw new AssertionError("a recall was taken");
    }

    /** Leaves messages that become due now, while no broker runs, and later; takes some back. */
    private static void write(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.producer();
        List<String> handles = new ArrayList<>();
        for (int i = 0; i < LEFT; i++) {
            send(producer, topic, DELAY_MS, 1_000 + i * 100, i);
            if (i % 10 == 9) {
                SendResult taken = send(producer, topic, DELAY_MS, 5_000 + i * 50, -1);
                handles.add(Version.recallHandle(taken));
            }
        }
        for (String handle : handles) {
            Version.recall(producer, topic, handle);
        }
        Thread.sleep(2_500);
    }

    /** All of it comes, once, and nothing that was taken back. */
    private static void read(Kit kit) throws Exception {
        String topic = kit.group("t");
        await("the route", () ->
                kit.admin().examineTopicRouteInfo(topic).getQueueDatas().size() == 1);
        Inbox inbox = Inbox.open(kit, topic);
        await("all messages", () -> new HashSet<>(inbox.bodies()).size() >= LEFT);
        Thread.sleep(500);
        check(!inbox.bodies().contains("-1"), "one that was taken back came");
        kit.note(inbox.size() - LEFT + " twice");
    }
}
