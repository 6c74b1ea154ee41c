package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.Map;
import java.util.stream.Collectors;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** Messages found again by what they carry. */
final class Queries {
    private Queries() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("query-by-key", Queries::byKey);
        scenarios.put("query-by-unique-id", Queries::byUniqueId);
        scenarios.put("query-by-offset-id", Queries::byOffsetId);
    }

    private static void byKey(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        DefaultMQProducer producer = kit.producer();
        long begin = System.currentTimeMillis() - 60_000;
        for (int i = 0; i < 5; i++) {
            producer.send(new Message(topic, "tag", "order-7 other" + i, ("b" + i).getBytes()));
        }
        long end = System.currentTimeMillis() + 60_000;
        await("five by key", () -> found(producer, topic, "order-7", begin, end) == 5);
        same(1, found(producer, topic, "other3", begin, end), "by the second key");
        var bodies = producer.queryMessage(topic, "other3", 32, begin, end).getMessageList();
        same("b3", new String(bodies.get(0).getBody()), "body");
        same(0, found(producer, topic, "nosuchkey", begin, end), "by an unknown key");
        same(0, found(producer, topic, "order-7", begin - 7_200_000, begin - 3_600_000),
                "by key, an hour before");
    }

    private static int found(DefaultMQProducer producer, String topic, String key, long begin,
            long end) throws Exception {
        try {
            var list = producer.queryMessage(topic, key, 32, begin, end).getMessageList();
            return list.stream().map(MessageExt::getMsgId).collect(Collectors.toSet()).size();
        } catch (MQClientException e) {
            return 0;
        }
    }

    private static void byUniqueId(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        DefaultMQProducer producer = kit.producer();
        SendResult sent = producer.send(new Message(topic, "tag", "key", "here".getBytes()));
        await("the message by unique id", () -> {
            MessageExt got = producer.viewMessage(topic, sent.getMsgId());
            same("here", new String(got.getBody()), "body");
            same(sent.getMsgId(), got.getMsgId(), "unique id");
            same(sent.getQueueOffset(), got.getQueueOffset(), "queue offset");
            return true;
        });
    }

    private static void byOffsetId(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        DefaultMQProducer producer = kit.producer();
        SendResult sent = producer.send(new Message(topic, "tag", "key", "here".getBytes()));
        MessageExt got = producer.viewMessage(topic, sent.getOffsetMsgId());
        same("here", new String(got.getBody()), "body");
        same(topic, got.getTopic(), "topic");
        same("tag", got.getTags(), "tags");
        String id = sent.getOffsetMsgId();
        String wrong = id.substring(0, 16) + "00000FFFFFFFFF00";
        try {
            MessageExt none = producer.viewMessage(topic, wrong);
            check(none == null, "found %s at a wrong offset", none);
        } catch (MQBrokerException | MQClientException e) {
            kit.note("wrong offset: " + e.getClass().getSimpleName());
        }
    }
}
