package compat;

import static compat.Kit.await;
import static compat.Kit.check;

import java.util.HashSet;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;

/** A broker whose disk is full, and one whose disk fails. */
final class Faults {
    private static final int SERVICE_NOT_AVAILABLE = 14;
    private static final int BODY = 64 << 10;
    private static final int MOST = 20_000;
    private static final int BEFORE = 200;
    private static final int PAUSE_MS = 10;
    private static final int FAILURES = 3;
    private static final long RESUMED_MS = 10_000;

    private Faults() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("full-disk", kit -> full(kit, "disk of", "commitlog", "% used",
                "limit 90 %", "diskSpaceWarningLevelRatio"));
        // While a file is tried to be made the ratio may be passed for a moment.
        scenarios.put("full-file", kit -> full(kit, "commitlog", " used", "limit ",
                "diskSpaceWarningLevelRatio"));
        scenarios.put("failed-fsync", kit -> failed(kit, "break-sync broker"));
        scenarios.put("failed-write", kit -> failed(kit, "break-write broker"));
    }

    /** Sends until it is refused, reads on, and sends again as soon as there is room. */
    private static void full(Kit kit, String... parts) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = producer(kit);
        Inbox inbox = Inbox.open(kit, topic);
        // The client would compress anything else.
        byte[] body = new byte[BODY];
        new Random(1).nextBytes(body);
        int sent = 0;
        String refusal = null;
        while (refusal == null) {
            check(sent < MOST, "%s sends and the disk is not full", sent);
            refusal = refusal(producer, topic, body);
            sent += refusal == null ? 1 : 0;
            // The broker looks once a second: the ratio must not be passed and the disk filled
            // between two looks.
            Thread.sleep(PAUSE_MS);
        }
        for (String part : parts) {
            check(refusal.contains(part), "%s is missing in: %s", part, refusal);
        }
        inbox.awaitSize(sent);
        Inbox fresh = Inbox.open(kit.push(kit.group("while-full"), topic, "*"));
        fresh.awaitSize(sent);

        kit.actions.ask("free broker");
        long since = System.nanoTime();
        while (refusal(producer, topic, body) != null) {
            Thread.sleep(20);
        }
        long resumed = (System.nanoTime() - since) / 1_000_000;
        check(resumed < RESUMED_MS, "sends resumed after %s ms", resumed);
        inbox.awaitSize(sent + 1);
        kit.note(sent + " sends until full, resumed " + resumed + " ms after there was room");
    }

    private static String refusal(DefaultMQProducer producer, String topic, byte[] body)
            throws Exception {
        try {
            SendStatus status = producer.send(new Message(topic, body)).getSendStatus();
            check(status == SendStatus.SEND_OK, "a send ends with %s", status);
            return null;
        } catch (MQBrokerException | MQClientException e) {
            return refused(e).getErrorMessage();
        }
    }

    /** What the broker said: the client puts its own exception around it. */
    private static MQBrokerException refused(Exception e) {
        Throwable said = e instanceof MQBrokerException ? e : e.getCause();
        check(said instanceof MQBrokerException refusal
                && refusal.getResponseCode() == SERVICE_NOT_AVAILABLE, "refused with %s", e);
        return (MQBrokerException) said;
    }

    /** After the first failure nothing is acknowledged; what was before is there after a restart. */
    private static void failed(Kit kit, String breaks) throws Exception {
        String topic = kit.topic("t", 2);
        DefaultMQProducer producer = producer(kit);
        Inbox inbox = Inbox.open(kit, topic);
        Set<String> acknowledged = new HashSet<>();
        int number = 0;
        for (; number < BEFORE; number++) {
            producer.send(new Message(topic, ("m" + number).getBytes()));
            acknowledged.add("m" + number);
        }
        kit.actions.ask(breaks);
        String first = null;
        for (int failures = 0; failures < FAILURES; number++) {
            check(number < MOST, "%s sends and none failed", number);
            try {
                var result = producer.send(new Message(topic, ("m" + number).getBytes()));
                check(first == null, "%s after %s", result.getSendStatus(), first);
                check(result.getSendStatus() == SendStatus.SEND_OK, "%s", result);
                acknowledged.add("m" + number);
            } catch (Exception e) {
                first = first == null ? refused(e).getErrorMessage() : first;
                failures++;
            }
        }
        check(first.contains("the store failed"), "the first failure: %s", first);
        kit.actions.ask("bury broker");
        kit.actions.ask("start broker");
        Inbox fresh = Inbox.open(kit.push(kit.group("after"), topic, "*"));
        await("everything acknowledged",
                () -> new HashSet<>(fresh.bodies()).containsAll(acknowledged));
        await("everything that was consumed",
                () -> new HashSet<>(fresh.bodies()).containsAll(inbox.bodies()));
        await("a send to the new process", () -> refusal(producer, topic, new byte[1]) == null);
        kit.note(acknowledged.size() + " acknowledged, all there after the restart");
    }

    private static DefaultMQProducer producer(Kit kit) throws Exception {
        DefaultMQProducer producer = kit.newProducer(kit.group("producer"));
        producer.setRetryTimesWhenSendFailed(0);
        producer.setPollNameServerInterval(1_000);
        producer.start();
        return producer;
    }
}
