package compat;

import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.compression.CompressionType;
import org.apache.rocketmq.remoting.protocol.heartbeat.MessageModel;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/** What the 5.5.0 client spells differently from 4.9.8. */
final class Version {
    /** Whether a batch has an id of its own, and consumers take inner batches apart. */
    static final boolean INNER_BATCHES = true;

    /** What the tool says of a message in a group that broadcasts. */
    static final String TRACK_OF_BROADCASTING = "CONSUME_BROADCASTING";

    private Version() {}

    static void autoBatch(DefaultMQProducer producer) {
        producer.setAutoBatch(true);
    }

    static void broadcasting(DefaultMQPushConsumer consumer) {
        consumer.setMessageModel(MessageModel.BROADCASTING);
    }

    /** Picks the compression; false: this client has no such choice. */
    static boolean compression(DefaultMQProducer producer, String kind) {
        producer.setCompressType(CompressionType.of(kind));
        return true;
    }

    static void group(DefaultMQAdminExt admin, String broker, String group, boolean consumeEnable)
            throws Exception {
        var config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        config.setConsumeEnable(consumeEnable);
        admin.createAndUpdateSubscriptionGroupConfig(broker, config);
    }

    /** What takes a message back that waits for its time; null for any other. */
    static String recallHandle(SendResult sent) {
        return sent.getRecallHandle();
    }

    static String recall(DefaultMQProducer producer, String topic, String handle)
            throws Exception {
        return producer.recallMessage(topic, handle);
    }

    /** The commands keep state between two calls; an emptied list makes them afresh. */
    static void mqadmin(String[] words) {
        Fresh.run(words);
    }

    private static final class Fresh extends MQAdminStartup {
        static void run(String[] words) {
            SUB_COMMANDS.clear();
            main0(words, null);
        }
    }
}
