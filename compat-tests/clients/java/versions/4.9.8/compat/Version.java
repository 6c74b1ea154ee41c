package compat;

import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.protocol.heartbeat.MessageModel;
import org.apache.rocketmq.common.subscription.SubscriptionGroupConfig;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;
import org.apache.rocketmq.tools.command.MQAdminStartup;

/** What the 4.9.8 client spells differently from 5.5.0. */
final class Version {
    /** Whether a batch has an id of its own, and consumers take inner batches apart. */
    static final boolean INNER_BATCHES = false;

    /** What the tool says of a message in a group that broadcasts: it knows no better. */
    static final String TRACK_OF_BROADCASTING = "NOT_ONLINE";

    private Version() {}

    static void autoBatch(DefaultMQProducer producer) {
        throw new Scenario.NotApplicable("this client puts nothing together");
    }

    static void broadcasting(DefaultMQPushConsumer consumer) {
        consumer.setMessageModel(MessageModel.BROADCASTING);
    }

    /** Picks the compression; false: this client has no such choice. */
    static boolean compression(DefaultMQProducer producer, String kind) {
        return false;
    }

    static void group(DefaultMQAdminExt admin, String broker, String group, boolean consumeEnable)
            throws Exception {
        var config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        config.setConsumeEnable(consumeEnable);
        admin.createAndUpdateSubscriptionGroupConfig(broker, config);
    }

    static String recallHandle(SendResult sent) {
        throw new Scenario.NotApplicable("this client takes nothing back");
    }

    static String recall(DefaultMQProducer producer, String topic, String handle) {
        throw new Scenario.NotApplicable("this client takes nothing back");
    }

    /** The commands keep state between two calls; an emptied list makes them afresh. */
    static void mqadmin(String[] words) {
        Fresh.run(words);
    }

    private static final class Fresh extends MQAdminStartup {
        static void run(String[] words) {
            subCommandList.clear();
            main0(words, null);
        }
    }
}
