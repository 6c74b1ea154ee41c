package compat;

import static compat.Kit.await;
import static compat.Kit.check;

import java.time.Duration;
import java.util.HashSet;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.locks.LockSupport;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.common.message.Message;

/** Servers that go and come back in the middle of sending and consuming. */
final class Restarts {
    private static final Duration LONG = Duration.ofSeconds(60);

    private Restarts() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("restart-broker", kit -> interrupted(kit, "stop broker", "start broker"));
        scenarios.put("kill-broker", kit -> interrupted(kit, "kill broker", "start broker"));
        scenarios.put("restart-namesrv", kit -> interrupted(kit, "stop namesrv", "start namesrv"));
    }

    /**
     * Sends and consumes without a pause while a server goes and comes back.
     *
     * <p>Whatever was acknowledged must arrive; a send that failed may or may not.
     */
    private static void interrupted(Kit kit, String down, String up) throws Exception {
        String topic = kit.topic("t", 4);
        DefaultMQProducer producer = kit.newProducer(kit.group("producer"));
        producer.setSendMsgTimeout(2_000);
        producer.setPollNameServerInterval(1_000);
        producer.start();
        var consumer = kit.push(kit.group("g"), topic, "*");
        consumer.setPollNameServerInterval(1_000);
        Inbox inbox = Inbox.open(consumer);

        Set<String> acknowledged = new HashSet<>();
        AtomicBoolean enough = new AtomicBoolean();
        int[] failed = {0};
        Thread sender = new Thread(() -> {
            for (int i = 0; !enough.get(); i++) {
                String body = "m" + i;
                try {
                    var result = producer.send(new Message(topic, body.getBytes()));
                    if (result.getSendStatus() == SendStatus.SEND_OK) {
                        synchronized (acknowledged) {
                            acknowledged.add(body);
                        }
                    }
                } catch (Exception e) {
                    failed[0]++;
                }
                LockSupport.parkNanos(1_000_000);
            }
        });
        sender.start();
        try {
            awaitMore(acknowledged, 300);
            kit.actions.ask(down);
            Thread.sleep(500);
            kit.actions.ask(up);
            awaitMore(acknowledged, 300);
        } finally {
            enough.set(true);
            sender.join();
        }
        await("everything acknowledged", LONG,
                () -> new HashSet<>(inbox.bodies()).containsAll(acknowledged));
        int distinct = new HashSet<>(inbox.bodies()).size();
        check(distinct >= acknowledged.size(), "messages are missing");
        kit.note(acknowledged.size() + " acknowledged, " + failed[0] + " sends failed, "
                + (inbox.size() - distinct) + " came twice");
    }

    private static void awaitMore(Set<String> acknowledged, int more) throws Exception {
        int before;
        synchronized (acknowledged) {
            before = acknowledged.size();
        }
        await(more + " more acknowledged sends", LONG, () -> {
            synchronized (acknowledged) {
                return acknowledged.size() >= before + more;
            }
        });
    }
}
