package compat;

import static compat.Kit.check;
import static compat.Kit.same;

import java.util.Arrays;
import java.util.Map;
import java.util.Random;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/** Bodies from one byte to one too many, and compressed ones. */
final class Bodies {
    private static final int MOST = 4 * 1024 * 1024;
    private static final int MESSAGE_ILLEGAL = 13;

    private Bodies() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("body-1-byte", kit -> roundTrip(kit, 1));
        scenarios.put("body-4-mib", kit -> roundTrip(kit, MOST));
        scenarios.put("body-over-4-mib", Bodies::tooLong);
        for (String kind : new String[] {"zlib", "lz4", "zstd"}) {
            scenarios.put("compressed-" + kind, kit -> compressed(kit, kind));
        }
    }

    private static byte[] noise(int length) {
        byte[] body = new byte[length];
        new Random(length).nextBytes(body);
        return body;
    }

    private static DefaultMQProducer uncompressed(Kit kit) throws Exception {
        DefaultMQProducer producer = kit.newProducer(kit.group("producer"));
        producer.setCompressMsgBodyOverHowmuch(Integer.MAX_VALUE);
        producer.setMaxMessageSize(2 * MOST);
        producer.start();
        return producer;
    }

    private static void roundTrip(Kit kit, int length) throws Exception {
        String topic = kit.topic("t", 1);
        uncompressed(kit).send(new Message(topic, noise(length)));
        byte[] body = Inbox.drain(kit, topic, 1).get(0).getBody();
        check(Arrays.equals(noise(length), body), "body of %d bytes differs", body.length);
    }

    /** The stock producer refuses by itself; one told of a larger limit is refused by the broker. */
    private static void tooLong(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        try {
            kit.producer().send(new Message(topic, noise(MOST + 1)));
            throw new AssertionError("the client let 4 MiB + 1 pass");
        } catch (MQClientException e) {
            same(MESSAGE_ILLEGAL, e.getResponseCode(), "client's code");
        }
        DefaultMQProducer producer = uncompressed(kit);
        try {
            producer.send(new Message(topic, noise(MOST + 1)));
            throw new AssertionError("the broker took 4 MiB + 1");
        } catch (MQBrokerException e) {
            same(MESSAGE_ILLEGAL, e.getResponseCode(), "broker's code");
        }
        producer.send(new Message(topic, "after".getBytes()));
        Inbox.drain(kit, topic, 1);
    }

    private static void compressed(Kit kit, String kind) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.newProducer(kit.group("producer"));
        if (!Version.compression(producer, kind) && !kind.equals("zlib")) {
            throw new Scenario.NotApplicable("zlib only");
        }
        producer.start();
        byte[] body = "to be or not to be ".repeat(1000).getBytes();
        producer.send(new Message(topic, body));
        var got = Inbox.drain(kit, topic, 1).get(0);
        check(Arrays.equals(body, got.getBody()), "body differs");
        check(got.getStoreSize() < body.length / 4, "stored in %d bytes", got.getStoreSize());
    }
}
