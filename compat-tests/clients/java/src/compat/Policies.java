package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;

/**
 * What a group or a topic is given and the broker keeps and shows, but leaves to the proxy to mind:
 * how long a group waits between tries, and which type of message a topic is for.
 */
final class Policies {
    private static final int UPDATE_AND_CREATE_SUBSCRIPTIONGROUP = 200;
    private static final int GET_TOPIC_CONFIG = 351;
    private static final int GET_SUBSCRIPTIONGROUP_CONFIG = 352;
    private static final String CUSTOMIZED =
        "{\"customizedRetryPolicy\":{\"next\":[1000,2000]},\"type\":\"CUSTOMIZED\"}";
    private static final String EXPONENTIAL = "{\"exponentialRetryPolicy\":"
        + "{\"initial\":1500,\"max\":9000,\"multiplier\":3},\"type\":\"EXPONENTIAL\"}";
    private static final String[] TYPES = {"NORMAL", "FIFO", "DELAY", "TRANSACTION"};

    private Policies() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("retry-policy-gaps", Policies::gaps);
        scenarios.put("retry-policy-kept", Policies::kept);
        scenarios.put("updateSubGroupRetryPolicy", Policies::ofTool);
        scenarios.put("message-type-kept", Policies::types);
        scenarios.put("message-type-sent", Policies::sent);
        scenarios.put("updateTopicMessageType", Policies::typeOfTool);
    }

    private static void make(Kit kit, String group, String policy) throws Exception {
        String body = "{\"groupName\":\"" + group + "\",\"groupRetryPolicy\":" + policy + "}";
        RemotingCommand made = kit.ask(UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, Map.of(), body);
        same(0, made.getCode(), "answer to the group's making, " + made.getRemark());
    }

    private static void shows(Kit kit, String group, String what) throws Exception {
        String text = Kit.text(kit.ask(GET_SUBSCRIPTIONGROUP_CONFIG, Map.of("group", group), ""));
        check(text.contains(what), "no %s in %s", what, text);
    }

    /** A group keeps its policy, until it gets another. */
    private static void kept(Kit kit) throws Exception {
        String group = kit.group("g");
        make(kit, group, CUSTOMIZED);
        shows(kit, group, "\"groupRetryPolicy\":" + CUSTOMIZED);
        make(kit, group, EXPONENTIAL);
        shows(kit, group, "\"groupRetryPolicy\":" + EXPONENTIAL);
        make(kit, group, "{\"type\":\"CUSTOMIZED\"}");
        shows(kit, group, "\"groupRetryPolicy\":{\"type\":\"CUSTOMIZED\"}");
    }

    private static void ofTool(Kit kit) throws Exception {
        for (String policy : new String[] {CUSTOMIZED, EXPONENTIAL}) {
            Mqadmin.run(kit, "updateSubGroup", "-b", kit.broker(), "-g", kit.group("g"), "-p",
                policy).says("create subscription group to " + kit.broker() + " success.");
            shows(kit, kit.group("g"), "\"groupRetryPolicy\":" + policy);
        }
        var config = kit.admin().examineSubscriptionGroupConfig(kit.broker(), kit.group("g"));
        String all = config.toString();
        check(all.contains("initial=1500") && all.contains("max=9000"), "the tool reads %s", all);
    }

    /**
     * A message that failed comes again after ten seconds in every group, whatever its policy says,
     * and after one second when its listener says so.
     */
    private static void gaps(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        make(kit, kit.group("customized"), CUSTOMIZED);
        make(kit, kit.group("exponential"), EXPONENTIAL);
        List<Tries> all = new ArrayList<>();
        for (String group : new String[] {"plain", "customized", "exponential"}) {
            all.add(new Tries(kit, kit.group(group), topic));
        }
        kit.producer().send(new Message(topic, "poison".getBytes()));
        for (Tries tries : all) {
            await("three tries", () -> tries.times.size() == 3);
            long first = tries.times.get(1) - tries.times.get(0);
            long second = tries.times.get(2) - tries.times.get(1);
            check(first >= 9_950 && first < 13_000, "%s: first gap %d", tries.group, first);
            check(second >= 950 && second < 4_000, "%s: second gap %d", tries.group, second);
            kit.note(first + " and " + second + " ms");
        }
        shows(kit, kit.group("customized"), CUSTOMIZED);
    }

    /** A group that fails twice: at first it leaves the time to the broker, then asks for a second. */
    private static final class Tries {
        final List<Long> times = Collections.synchronizedList(new ArrayList<>());
        final String group;

        Tries(Kit kit, String group, String topic) throws Exception {
            this.group = group;
            // As in Consumes: the retry topic has to be there before the consumer starts.
            DefaultMQPushConsumer early = kit.push(group, topic, "*");
            Inbox.open(early);
            Consumes.awaitRoute(kit, "%RETRY%" + group);
            early.shutdown();
            DefaultMQPushConsumer consumer = kit.push(group, topic, "*");
            consumer.registerMessageListener((MessageListenerConcurrently) (batch, at) -> {
                times.add(System.currentTimeMillis());
                int done = batch.get(0).getReconsumeTimes();
                at.setDelayLevelWhenNextConsume(done);
                return done == 2 ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS
                    : ConsumeConcurrentlyStatus.RECONSUME_LATER;
            });
            consumer.start();
        }
    }

    /** A topic keeps its type, gets another, loses it; some types are refused. */
    private static void types(Kit kit) throws Exception {
        String topic = kit.group("t");
        kit.topicOfKind(topic, 1, "+message.type=FIFO");
        same("{\"message.type\":\"FIFO\"}", attributes(kit, topic), "attributes of a new topic");
        for (String type : TYPES) {
            kit.topicOfKind(topic, 1, "+message.type=" + type);
            same("{\"message.type\":\"" + type + "\"}", attributes(kit, topic), "attributes");
        }
        refused(kit.makeTopic(topic, 1, "+message.type=BLUE"), 1, "value is not in set: [");
        refused(kit.makeTopic(topic, 1, "+message.type=MIXED"), 29,
            "MIXED message type is not supported.");
        same("{\"message.type\":\"TRANSACTION\"}", attributes(kit, topic), "what is left");
        kit.topicOfKind(topic, 1, "-message.type");
        same("{}", attributes(kit, topic), "attributes without a type");
        refused(kit.makeTopic(topic, 1, "-message.type"), 1,
            "attempt to delete a nonexistent key: message.type");
    }

    private static void refused(RemotingCommand answer, int code, String why) {
        same(code, answer.getCode(), "code, with remark " + answer.getRemark());
        check(answer.getRemark().startsWith(why), "remark %s", answer.getRemark());
    }

    private static String attributes(Kit kit, String topic) throws Exception {
        String text = Kit.text(kit.ask(GET_TOPIC_CONFIG, Map.of("topic", topic), ""));
        return text.replaceAll("(?s).*\"attributes\":(\\{[^}]*\\}).*", "$1");
    }

    /** Messages of each type are taken by topics of each type: the broker does not look. */
    private static void sent(Kit kit) throws Exception {
        Transactions.Decisions decisions = new Transactions.Decisions();
        decisions.atOnce.put("half", LocalTransactionState.COMMIT_MESSAGE);
        TransactionMQProducer halves =
            Transactions.producer(kit, kit.group("halves"), decisions);
        DefaultMQProducer producer = kit.producer();
        List<Inbox> inboxes = new ArrayList<>();
        for (String type : TYPES) {
            String topic = kit.group(type);
            kit.topicOfKind(topic, 1, "+message.type=" + type);
            inboxes.add(Inbox.open(kit, topic));
            Message inOrder = new Message(topic, "in order".getBytes());
            inOrder.putUserProperty("__SHARDINGKEY", "key");
            Message late = new Message(topic, "late".getBytes());
            late.setDelayTimeLevel(1);
            for (Message message : List.of(new Message(topic, "normal".getBytes()), inOrder, late)) {
                same(SendStatus.SEND_OK, producer.send(message).getSendStatus(), type);
            }
            Message half = new Message(topic, "half".getBytes());
            var ended = halves.sendMessageInTransaction(half, null);
            same(SendStatus.SEND_OK, ended.getSendStatus(), "a half message to " + type);
        }
        for (Inbox inbox : inboxes) {
            inbox.awaitSize(4);
            List<String> bodies = new ArrayList<>(inbox.bodies());
            Collections.sort(bodies);
            same(List.of("half", "in order", "late", "normal"), bodies, "messages");
        }
    }

    private static void typeOfTool(Kit kit) throws Exception {
        String topic = kit.group("t");
        for (String type : TYPES) {
            Mqadmin.run(kit, "updateTopic", "-b", kit.broker(), "-t", topic, "-r", "1", "-w", "1",
                "-a", "+message.type=" + type).says("success.", "attributes={+message.type=" + type);
            same("{\"message.type\":\"" + type + "\"}", attributes(kit, topic), "attributes");
        }
        Mqadmin.run(kit, "updateTopic", "-b", kit.broker(), "-t", topic, "-r", "1", "-w", "1",
            "-a", "+message.type=BLUE").says("value is not in set").lacks("success.");
    }
}
