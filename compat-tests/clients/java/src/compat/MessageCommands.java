package compat;

import static compat.Kit.await;
import static compat.Kit.same;

import java.util.Map;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;

/** The stock mqadmin's commands that send, print and find messages. */
final class MessageCommands {
    private static final String BROKER = "broker-a";

    private MessageCommands() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("sendMessage", MessageCommands::send);
        scenarios.put("consumeMessage", MessageCommands::consume);
        scenarios.put("printMsg", MessageCommands::print);
        scenarios.put("queryMsgById", MessageCommands::byId);
        scenarios.put("queryMsgByUniqueKey", MessageCommands::byUniqueKey);
        scenarios.put("queryMsgByKey", MessageCommands::byKey);
        scenarios.put("queryMsgByOffset", MessageCommands::byOffset);
    }

    private static SendResult one(Kit kit, String topic) throws Exception {
        return kit.producer().send(new Message(topic, "tagA", "key1", "hello".getBytes()));
    }

    private static void send(Kit kit) throws Exception {
        String topic = kit.topic("t", 3);
        String[] row = Mqadmin.run(kit, "sendMessage", "-t", topic, "-p", "hello", "-k", "key1",
                "-c", "tagA", "-b", BROKER, "-i", "2").row(BROKER, "2", "SEND_OK");
        var got = Inbox.drain(kit, topic, 1).get(0);
        same(row[3], got.getMsgId(), "unique id");
        same("hello", new String(got.getBody()), "body");
        same("tagA key1", got.getTags() + " " + got.getKeys(), "tags and keys");
        Mqadmin.run(kit, "sendMessage", "-t", topic, "-p", "more").row(BROKER);
    }

    private static void consume(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        Kit.fill(kit.producer(), topic, 1, 3);
        await("three messages", () -> Mqadmin.run(kit, "consumeMessage", "-t", topic, "-b", BROKER,
                "-i", "1", "-o", "0", "-c", "3").text.split("MSGID").length == 4);
        Mqadmin.run(kit, "consumeMessage", "-t", topic, "-b", BROKER, "-i", "1", "-o", "0", "-c",
                "3").says("Consume ok", "BODY: 0", "BODY: 2");
        Mqadmin.run(kit, "consumeMessage", "-t", topic, "-g", kit.group("g"), "-c", "3")
                .says("BODY: 1", topic);
    }

    private static void print(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        String id = one(kit, topic).getMsgId();
        await("the message", () -> Mqadmin.run(kit, "printMsg", "-t", topic).text.contains(id));
        Mqadmin.run(kit, "printMsg", "-t", topic)
                .says("minOffset=0, maxOffset=1", "BODY: hello");
        Mqadmin.run(kit, "printMsg", "-t", topic, "-s", "tagB").lacks(id);
    }

    private static void details(Mqadmin found, Kit kit, String topic, SendResult sent)
            throws Exception {
        same(topic, found.value("Topic"), "topic");
        same("[tagA]", found.value("Tags"), "tags");
        same("[key1]", found.value("Keys"), "keys");
        same(Integer.toString(sent.getMessageQueue().getQueueId()), found.value("Queue ID"),
                "queue id");
        same(Long.toString(sent.getQueueOffset()), found.value("Queue Offset"), "queue offset");
        same(kit.broker(), found.value("Store Host"), "store host");
        same("0", found.value("Reconsume Times"), "reconsume times");
    }

    private static void byId(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        SendResult sent = one(kit, topic);
        Mqadmin found = Mqadmin.run(kit, "queryMsgById", "-t", topic, "-i", sent.getOffsetMsgId());
        details(found, kit, topic, sent);
    }

    private static void byUniqueKey(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        SendResult sent = one(kit, topic);
        String id = sent.getMsgId();
        await("the message", () -> Mqadmin.run(kit, "queryMsgByUniqueKey", "-t", topic, "-i", id)
                .text.contains("Topic:"));
        details(Mqadmin.run(kit, "queryMsgByUniqueKey", "-t", topic, "-i", id), kit, topic, sent);
    }

    private static void byKey(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        SendResult sent = one(kit, topic);
        await("the message", () -> Mqadmin.run(kit, "queryMsgByKey", "-t", topic, "-k", "key1")
                .text.contains(sent.getMsgId()));
        String[] row = Mqadmin.run(kit, "queryMsgByKey", "-t", topic, "-k", "key1")
                .row(sent.getMsgId());
        same(Integer.toString(sent.getMessageQueue().getQueueId()), row[1], "queue id");
        same(Long.toString(sent.getQueueOffset()), row[2], "queue offset");
        Mqadmin.run(kit, "queryMsgByKey", "-t", topic, "-k", "nosuchkey").lacks(sent.getMsgId());
    }

    private static void byOffset(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        SendResult sent = one(kit, topic);
        String queue = Integer.toString(sent.getMessageQueue().getQueueId());
        await("the message", () -> Mqadmin.run(kit, "queryMsgByOffset", "-t", topic, "-b", BROKER,
                "-i", queue, "-o", "0").text.contains("OffsetID"));
        Mqadmin found = Mqadmin.run(kit, "queryMsgByOffset", "-t", topic, "-b", BROKER, "-i",
                queue, "-o", "0");
        details(found, kit, topic, sent);
    }
}
