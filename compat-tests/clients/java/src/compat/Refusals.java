package compat;

import static compat.Kit.check;
import static compat.Kit.same;

import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.exception.MQClientException;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/** Requests that must fail, with the code that clients act on. */
final class Refusals {
    private static final int NO_PERMISSION = 16;
    private static final int TOPIC_NOT_EXIST = 17;

    private Refusals() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("wrong-topic", Refusals::topic);
        scenarios.put("wrong-group", Refusals::group);
        scenarios.put("no-permission", Refusals::permission);
    }

    private interface Call {
        void run() throws Exception;
    }

    private static void refused(int code, String what, Call call) throws Exception {
        try {
            call.run();
        } catch (MQBrokerException e) {
            same(code, e.getResponseCode(), what);
            return;
        }
        throw new AssertionError(what + ": not refused");
    }

    private static void unroutable(String what, Call call) throws Exception {
        try {
            call.run();
        } catch (MQClientException e) {
            return;
        }
        throw new AssertionError(what + ": not refused");
    }

    @SuppressWarnings("deprecation")
    private static void topic(Kit kit) throws Exception {
        String known = kit.topic("t", 1);
        MessageQueue queue = Kit.fill(kit.producer(), known, 0, 1);
        DefaultMQPullConsumer consumer = kit.pull(kit.group("g"));
        same(1, consumer.pull(queue, "*", 0, 32).getMsgFoundList().size(), "messages");
        String unknown = kit.prefix + "-unknown";
        MessageQueue wrong = new MessageQueue(unknown, queue.getBrokerName(), 0);
        refused(TOPIC_NOT_EXIST, "pull of an unknown topic",
                () -> consumer.pull(wrong, "*", 0, 32));
        MessageQueue none = new MessageQueue(known, queue.getBrokerName(), 99);
        try {
            var result = consumer.pull(none, "*", 0, 32);
            throw new AssertionError("queue 99 of 1: " + result);
        } catch (MQBrokerException e) {
            kit.note("pull of a wrong queue: code " + e.getResponseCode());
        }
        unroutable("queues of an unknown topic",
                () -> consumer.fetchSubscribeMessageQueues(unknown));
        unroutable("send to a bad name",
                () -> kit.producer().send(new Message("no good!", new byte[1])));
        unroutable("offset of an unknown topic", () -> kit.admin().examineTopicStats(unknown));
    }

    @SuppressWarnings("deprecation")
    private static void group(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        MessageQueue queue = Kit.fill(kit.producer(), topic, 0, 1);
        String group = kit.group("closed");
        Version.group(kit.admin(), kit.broker(), group, false);
        DefaultMQPullConsumer consumer = kit.pull(group);
        consumer.fetchSubscribeMessageQueues(topic);
        refused(NO_PERMISSION, "pull for a group that may not consume",
                () -> consumer.pull(queue, "*", 0, 32));
        unroutable("progress of an unknown group",
                () -> kit.admin().examineConsumeStats(kit.group("unknown")));
        try {
            var connection = kit.admin().examineConsumerConnectionInfo(kit.group("unknown"));
            check(connection.getConnectionSet().isEmpty(), "unknown group has %s", connection);
        } catch (MQClientException | MQBrokerException e) {
            kit.note("connections of an unknown group: " + e.getClass().getSimpleName());
        }
        try {
            kit.newProducer("no good!").start();
            throw new AssertionError("a bad group name was taken");
        } catch (MQClientException e) {
            check(e.getMessage().contains("no good!"), "message: %s", e.getMessage());
        }
    }

    /** The stock broker leaves a topic's write permission to the route and checks the read one. */
    @SuppressWarnings("deprecation")
    private static void permission(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.producer();
        MessageQueue queue = Kit.fill(producer, topic, 0, 1);
        kit.topic("t", 1, 4);
        DefaultMQProducer late = kit.producer();
        unroutable("send to a read-only topic", () -> late.send(new Message(topic, new byte[1])));
        producer.send(new Message(topic, new byte[1]), queue);
        DefaultMQPullConsumer consumer = kit.pull(kit.group("g"));
        same(1, consumer.fetchSubscribeMessageQueues(topic).size(), "queues to read");
        same(2, consumer.pull(queue, "*", 0, 32).getMsgFoundList().size(), "messages read");
        kit.topic("t", 1, 2);
        refused(NO_PERMISSION, "pull of a write-only topic",
                () -> consumer.pull(queue, "*", 0, 32));
        producer.send(new Message(topic, new byte[1]), queue);
        kit.topic("t", 1, 6);
        same(3, consumer.pull(queue, "*", 0, 32).getMsgFoundList().size(), "messages at last");
    }
}
