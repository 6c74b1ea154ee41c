package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/** The stock mqadmin's commands, each checked by the columns and values it prints. */
final class Commands {
    private static final String CLUSTER = "DefaultCluster";
    private static final String BROKER = "broker-a";

    private Commands() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("clusterList", Commands::clusterList);
        scenarios.put("brokerStatus", Commands::brokerStatus);
        scenarios.put("getBrokerConfig", Commands::brokerConfig);
        scenarios.put("updateBrokerConfig", Commands::updateBrokerConfig);
        scenarios.put("getNamesrvConfig", Commands::namesrvConfig);
        scenarios.put("updateKvConfig", Commands::kvConfig);
        scenarios.put("wipeWritePerm", Commands::writePerm);
        scenarios.put("topicList", Commands::topicList);
        scenarios.put("topicClusterList", Commands::topicClusterList);
        scenarios.put("topicRoute", Commands::topicRoute);
        scenarios.put("topicStatus", Commands::topicStatus);
        scenarios.put("updateTopic", Commands::updateTopic);
        scenarios.put("updateTopicPerm", Commands::updateTopicPerm);
        scenarios.put("deleteTopic", Commands::deleteTopic);
        scenarios.put("updateSubGroup", Commands::updateSubGroup);
        scenarios.put("deleteSubGroup", Commands::deleteSubGroup);
        scenarios.put("consumerProgress", Commands::consumerProgress);
        scenarios.put("consumerStatus", Commands::consumerStatus);
        scenarios.put("consumerConnection", Commands::consumerConnection);
        scenarios.put("producerConnection", Commands::producerConnection);
        scenarios.put("resetOffsetByTime", Commands::resetOffset);
        scenarios.put("skipAccumulatedMessage", Commands::skip);
    }

    private static void clusterList(Kit kit) throws Exception {
        String[] row = Mqadmin.run(kit, "clusterList").says("#Cluster Name", "#ACTIVATED")
                .row(CLUSTER, BROKER, "0", kit.broker());
        check(row[4].startsWith("V"), "version %s", row[4]);
        check(row[5].matches("\\d+\\.\\d\\d\\(\\d+,\\d+ms\\)"), "InTPS %s", row[5]);
        same("true", row[row.length - 1], "activated");
        Mqadmin.run(kit, "clusterList", "-m").row(CLUSTER, BROKER);
    }

    private static void brokerStatus(Kit kit) throws Exception {
        Kit.fill(kit.producer(), kit.topic("t", 1), 0, 1);
        Mqadmin status = Mqadmin.run(kit, "brokerStatus", "-b", kit.broker());
        same("true", status.value("brokerActive"), "brokerActive");
        for (String tps : new String[] {"putTps", "getTotalTps", "getFoundTps"}) {
            // Blank while no span of it has passed.
            for (String number : status.value(tps).trim().split(" +")) {
                check(number.isEmpty() || number.matches("\\d+\\.\\d+"), "%s: %s", tps, number);
            }
        }
        check(Long.parseLong(status.value("bootTimestamp")) > 0, "bootTimestamp");
        check(Long.parseLong(status.value("msgPutTotalTodayNow")) > 0, "messages today");
        check(Long.parseLong(status.value("commitLogMaxOffset")) > 0, "commitLogMaxOffset");
        check(status.value("brokerVersionDesc").startsWith("V"), "brokerVersionDesc");
        for (String key : new String[] {"runtime", "sendThreadPoolQueueSize", "earliestMessageTimeStamp",
            "pullThreadPoolQueueCapacity", "putMessageAverageSize", "dispatchBehindBytes",
            "commitLogDirCapacity", "remainHowManyDataToFlush", "putMessageDistributeTime"}) {
            check(!status.value(key).isEmpty(), "%s is empty", key);
        }
    }

    private static void brokerConfig(Kit kit) throws Exception {
        Mqadmin config = Mqadmin.run(kit, "getBrokerConfig", "-b", kit.broker());
        same(BROKER, config.value("brokerName"), "brokerName");
        same(CLUSTER, config.value("brokerClusterName"), "brokerClusterName");
        same(kit.names, config.value("namesrvAddr"), "namesrvAddr");
        same("ASYNC_FLUSH", config.value("flushDiskType"), "flushDiskType");
        same("true", config.value("autoCreateTopicEnable"), "autoCreateTopicEnable");
        same("4194304", config.value("maxMessageSize"), "maxMessageSize");
        int port = Integer.parseInt(kit.broker().split(":")[1]);
        same(Integer.toString(port), config.value("listenPort"), "listenPort");
        int keys = config.text.split("\n").length;
        check(keys > 300, "only %d keys", keys);
        kit.note(keys + " lines");
    }

    private static void updateBrokerConfig(Kit kit) throws Exception {
        String key = "shortPollingTimeMills";
        for (String value : new String[] {"900", "1000"}) {
            Mqadmin.run(kit, "updateBrokerConfig", "-b", kit.broker(), "-k", key, "-v", value)
                    .says("update broker config success, " + kit.broker());
            same(value, Mqadmin.run(kit, "getBrokerConfig", "-b", kit.broker()).value(key), key);
        }
    }

    private static void namesrvConfig(Kit kit) throws Exception {
        Mqadmin config = Mqadmin.run(kit, "getNamesrvConfig");
        same(kit.names.split(":")[1], config.value("listenPort"), "listenPort");
        check(config.value("kvConfigPath").endsWith("kvConfig.json"), "kvConfigPath");
        same("5000", config.value("scanNotActiveBrokerInterval"), "scanNotActiveBrokerInterval");
    }

    private static void kvConfig(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Mqadmin.run(kit, "updateKvConfig", "-s", "ORDER_TOPIC_CONFIG", "-k", topic, "-v",
                BROKER + ":1").says("create or update kv config to namespace success.");
        same(BROKER + ":1", kit.admin().getKVConfig("ORDER_TOPIC_CONFIG", topic), "value");
        Mqadmin.run(kit, "deleteKvConfig", "-s", "ORDER_TOPIC_CONFIG", "-k", topic)
                .says("delete kv config from namespace success.");
        var left = kit.admin().getKVListByNamespace("ORDER_TOPIC_CONFIG").getTable();
        check(!left.containsKey(topic), "the key is still there");
    }

    private static void writePerm(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Mqadmin.run(kit, "wipeWritePerm", "-b", BROKER)
                .says("wipe write perm of broker[" + BROKER + "] in name server[" + kit.names
                        + "] OK, ");
        Mqadmin.run(kit, "topicRoute", "-t", topic).says("\"perm\":4");
        Mqadmin.run(kit, "addWritePerm", "-b", BROKER)
                .says("add write perm of broker[" + BROKER + "] in name server[" + kit.names
                        + "] OK, ");
        Mqadmin.run(kit, "topicRoute", "-t", topic).says("\"perm\":6");
    }

    private static void topicList(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Mqadmin.run(kit, "topicList").says(topic, "TBW102", "SCHEDULE_TOPIC_XXXX",
                "RMQ_SYS_TRANS_HALF_TOPIC", BROKER, CLUSTER, "OFFSET_MOVED_EVENT");
        Mqadmin.run(kit, "topicList", "-c").row(CLUSTER, topic);
    }

    private static void topicClusterList(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Mqadmin.run(kit, "topicClusterList", "-t", topic).row(CLUSTER);
    }

    private static void topicRoute(Kit kit) throws Exception {
        String topic = kit.topic("t", 3);
        Mqadmin.run(kit, "topicRoute", "-t", topic).says("0:\"" + kit.broker() + "\"",
                "\"cluster\":\"" + CLUSTER + "\"", "\"readQueueNums\":3", "\"perm\":6",
                "\"enableActingMaster\":false", "\"filterServerTable\":{}", "\"topicSysFlag\":0");
        String[] row = Mqadmin.run(kit, "topicRoute", "-t", topic, "-l").row(CLUSTER, BROKER);
        same("{0=" + kit.broker() + "}", row[2], "addresses");
        same("3 3 6", row[3] + " " + row[4] + " " + row[5], "queues and perm");
        Mqadmin.run(kit, "topicRoute", "-t", kit.prefix + "-none").says("CODE: 17");
    }

    private static void topicStatus(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        Kit.fill(kit.producer(), topic, 1, 7);
        await("seven in queue 1", () -> Mqadmin.run(kit, "topicStatus", "-t", topic)
                .row(BROKER, "1")[3].equals("7"));
        Mqadmin status = Mqadmin.run(kit, "topicStatus", "-t", topic);
        String[] full = status.row(BROKER, "1", "0", "7");
        check(full[4].matches("\\d{4}-\\d\\d-\\d\\d"), "last updated %s", full[4]);
        same(4, status.row(BROKER, "0", "0", "0").length, "cells of an empty queue");
    }

    private static void updateTopic(Kit kit) throws Exception {
        String topic = kit.prefix + "-t";
        String made = "TopicConfig [topicName=" + topic + ", readQueueNums=5, writeQueueNums=6, "
                + "perm=RW-, topicFilterType=SINGLE_TAG, topicSysFlag=0, order=false";
        Mqadmin.run(kit, "updateTopic", "-b", kit.broker(), "-t", topic, "-r", "5", "-w", "6")
                .says("create topic to " + kit.broker() + " success.", made);
        await("the route", () -> Mqadmin.run(kit, "topicRoute", "-t", topic, "-l")
                .row(CLUSTER, BROKER, "{0=" + kit.broker() + "}", "5", "6", "6") != null);
        Mqadmin.run(kit, "updateTopic", "-c", CLUSTER, "-t", topic, "-r", "2", "-w", "2")
                .says("create topic to " + kit.broker() + " success.");
        await("the changed route", () -> Mqadmin.run(kit, "topicRoute", "-t", topic)
                .text.contains("\"writeQueueNums\":2"));
        Mqadmin.run(kit, "updateTopic", "-b", kit.broker(), "-t", "TBW102", "-r", "1", "-w", "1")
                .lacks("success");
    }

    private static void updateTopicPerm(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Mqadmin.run(kit, "updateTopicPerm", "-b", kit.broker(), "-t", topic, "-p", "4")
                .says("update topic perm from 6 to 4 in " + kit.broker() + " success.", "perm=R--");
        await("the route", () -> Mqadmin.run(kit, "topicRoute", "-t", topic)
                .text.contains("\"perm\":4"));
    }

    private static void deleteTopic(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Kit.fill(kit.producer(), topic, 0, 3);
        Mqadmin.run(kit, "deleteTopic", "-c", CLUSTER, "-t", topic)
                .says("delete topic [" + topic + "] from cluster [" + CLUSTER + "] success.",
                        "delete topic [" + topic + "] from NameServer success.");
        Mqadmin.run(kit, "topicList").lacks(topic);
        Mqadmin.run(kit, "topicStatus", "-t", topic).says("CODE: 17");
    }

    private static void updateSubGroup(Kit kit) throws Exception {
        String group = kit.group("g");
        Mqadmin.run(kit, "updateSubGroup", "-b", kit.broker(), "-g", group, "-r", "3", "-q", "2")
                .says("create subscription group to " + kit.broker() + " success.",
                        "groupName=" + group, "retryMaxTimes=3", "retryQueueNums=2");
        var config = kit.admin().examineSubscriptionGroupConfig(kit.broker(), group);
        same(3, config.getRetryMaxTimes(), "retryMaxTimes as the broker tells it");
        same(2, config.getRetryQueueNums(), "retryQueueNums as the broker tells it");
    }

    private static void deleteSubGroup(Kit kit) throws Exception {
        String group = kit.group("g");
        Mqadmin.run(kit, "updateSubGroup", "-b", kit.broker(), "-g", group, "-r", "3");
        Mqadmin.run(kit, "deleteSubGroup", "-b", kit.broker(), "-g", group)
                .says("delete subscription group [" + group + "] from broker [" + kit.broker()
                        + "] success.");
        var all = kit.admin().getAllSubscriptionGroup(kit.broker(), 10_000);
        var left = all.getSubscriptionGroupTable().get(group);
        // The stock broker makes the group afresh while it deletes it.
        check(left == null || left.getRetryMaxTimes() == 16, "the group's settings are still there");
    }

    /** A member of the group that has consumed ten messages of one queue; returns the topic. */
    private static DefaultMQPushConsumer member(Kit kit, String topic) throws Exception {
        Kit.fill(kit.producer(), topic, 0, 10);
        DefaultMQPushConsumer consumer = kit.push(kit.group("g"), topic, "*");
        consumer.setPersistConsumerOffsetInterval(500);
        Inbox.open(consumer).awaitSize(10);
        return consumer;
    }

    private static void consumerProgress(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        member(kit, topic);
        String group = kit.group("g");
        await("progress", () -> Mqadmin.run(kit, "consumerProgress", "-g", group)
                .row(topic, BROKER, "0")[4].equals("10"));
        Mqadmin progress = Mqadmin.run(kit, "consumerProgress", "-g", group)
                .says("#Topic", "#Consumer Offset", "Consume TPS: ", "Consume Diff Total: 0");
        same("10 10 0", String.join(" ", java.util.Arrays.copyOfRange(
                progress.row(topic, BROKER, "0"), 3, 6)), "offsets and difference");
        String[] all = Mqadmin.run(kit, "consumerProgress").row(group);
        same("1", all[1], "members");
        same("PUSH CLUSTERING", all[3] + " " + all[4], "type and model");
    }

    private static void consumerStatus(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQPushConsumer consumer = member(kit, topic);
        String group = kit.group("g");
        Mqadmin.run(kit, "consumerStatus", "-g", group)
                .says(consumer.buildMQClientId(), "#ClientId",
                        "Same subscription in the same group of consumer", "Rebalance OK");
        Mqadmin.run(kit, "consumerStatus", "-g", group, "-i", consumer.buildMQClientId())
                .says("#Consumer Properties#", topic, "#Consumer Subscription#",
                        "#Consumer Offset#");
        Mqadmin.run(kit, "consumerStatus", "-g", kit.group("none")).says("CODE: 17 ");
    }

    private static void consumerConnection(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQPushConsumer consumer = member(kit, topic);
        Mqadmin connection = Mqadmin.run(kit, "consumerConnection", "-g", kit.group("g"))
                .says("ConsumeType: CONSUME_PASSIVELY", "MessageModel: CLUSTERING",
                        "ConsumeFromWhere: CONSUME_FROM_FIRST_OFFSET");
        same("*", connection.row(topic)[1], "subscription");
        connection.says(consumer.buildMQClientId() + " ", "JAVA", "V5_5_0");
        Mqadmin.run(kit, "consumerConnection", "-g", kit.group("none")).says("CODE: 17 ");
    }

    private static void producerConnection(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.producer();
        Kit.fill(producer, topic, 0, 1);
        String group = producer.getProducerGroup();
        await("the producer", () -> Mqadmin.run(kit, "producerConnection", "-g", group, "-t", topic)
                .text.contains(producer.buildMQClientId()));
        Mqadmin.run(kit, "producerConnection", "-g", group, "-t", topic)
                .says("JAVA", "V5_5_0", "127.0.0.1:");
        Mqadmin.run(kit, "producerConnection", "-g", kit.group("none"), "-t", topic)
                .says("CODE: 1 ");
    }

    private static void resetOffset(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQPushConsumer consumer = member(kit, topic);
        consumer.shutdown();
        String group = kit.group("g");
        Mqadmin.run(kit, "resetOffsetByTime", "-t", topic, "-g", group, "-s", "0")
                .says("start reset consumer offset by specified")
                .row(BROKER, "0", "0");
        Inbox again = Inbox.open(kit.push(group, topic, "*"));
        again.awaitSize(10);
        Mqadmin.run(kit, "resetOffsetByTime", "-t", topic, "-g", group, "-s", "-1")
                .row(BROKER, "0", "10");
    }

    private static void skip(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        String group = kit.group("g");
        member(kit, topic).shutdown();
        Kit.fill(kit.producer(), topic, 0, 30);
        Mqadmin.run(kit, "skipAccumulatedMessage", "-t", topic, "-g", group)
                .row(BROKER, "0", "40");
        Inbox rest = Inbox.open(kit.push(group, topic, "*"));
        Thread.sleep(1_000);
        SendResult last = kit.producer().send(new Message(topic, "last".getBytes()));
        same(40L, last.getQueueOffset(), "queue offset of the last");
        await("the last message", () -> rest.bodies().contains("last"));
        same(1, rest.size(), "messages after the skip");
    }
}
