package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.List;
import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.message.Message;

/** Members of one group that want different messages: what operators see, and what gets lost. */
final class Contradictions {
    private static final int GET_BROKER_RUNTIME_INFO = 28;
    private static final int GET_CONSUMER_CONNECTION_LIST = 203;

    private Contradictions() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("contradiction", Contradictions::library);
        scenarios.put("consumerConnectionOfContradiction", Contradictions::tool);
    }

    /**
     * The wish of the last who came counts for the whole group. The member that holds the one queue
     * drops what the broker lets pass, and the broker what the member wants: both messages are lost
     * to the group, whose offset goes on. A stock broker says nothing; ours names the two members in
     * 203 and the group in 28, until they agree.
     */
    private static void library(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Inbox[] inboxes = new Inbox[2];
        DefaultMQPushConsumer second = pair(kit, topic, inboxes);
        check(told(kit).isEmpty() == Kit.onStock(), "the remark of 203 is \"%s\"", told(kit));
        same(!Kit.onStock(), named(kit), "whether 28 names the group");
        DefaultMQProducer producer = kit.producer();
        producer.send(new Message(topic, "A", "a".getBytes()));
        producer.send(new Message(topic, "B", "b".getBytes()));
        await("the offset behind both", () -> {
            var table = kit.admin().examineConsumeStats(kit.group("g")).getOffsetTable();
            return table.entrySet().stream().anyMatch(e -> e.getKey().getTopic().equals(topic)
                && e.getValue().getConsumerOffset() == 2);
        });
        same(List.of(), inboxes[0].bodies(), "messages of the first");
        same(List.of(), inboxes[1].bodies(), "messages of the second");
        second.shutdown();
        await("one member", () -> members(kit) == 1);
        same("", told(kit), "the remark of 203 when one is left");
        check(!named(kit), "28 still names the group");
    }

    /** The tool shows one wish for the group, and each member's own when it asks that one. */
    private static void tool(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQPushConsumer second = pair(kit, topic, new Inbox[2]);
        String group = kit.group("g");
        same("B", Mqadmin.run(kit, "consumerConnection", "-g", group).row(topic)[1],
            "the subscription of the last who came");
        for (var member : kit.admin().examineConsumerConnectionInfo(group).getConnectionSet()) {
            String id = member.getClientId();
            String wish = id.equals(second.buildMQClientId()) ? "B" : "A";
            Mqadmin.run(kit, "consumerStatus", "-g", group, "-i", id).says("#Consumer Subscription#",
                String.format("Topic: %-40s ClassFilter: %-8s SubExpression: %s", topic, "false", wish));
        }
        boolean named = Mqadmin.run(kit, "brokerStatus", "-b", kit.broker()).text
            .lines().anyMatch(line -> line.startsWith("contradictingGroups") && line.contains(group));
        same(!Kit.onStock(), named, "whether the broker names the group");
    }

    /** Two members: the first, which gets the one queue, wants A, the second B. Gives the second. */
    private static DefaultMQPushConsumer pair(Kit kit, String topic, Inbox[] inboxes)
            throws Exception {
        DefaultMQPushConsumer first = kit.push(kit.group("g"), topic, "A");
        first.setPersistConsumerOffsetInterval(500);
        inboxes[0] = Inbox.open(first);
        // Until a member has its queues, its wish grows younger with each change of them.
        await("the first member's queue", () -> Groups.held(first, topic) == 1);
        same("A", wish(kit, topic), "the group's wish while there is one member");
        check(told(kit).isEmpty() && !named(kit), "a contradiction of one member");
        // What a member wants is as young as its subscription, in milliseconds.
        Thread.sleep(10);
        DefaultMQPushConsumer second = kit.push(kit.group("g"), topic, "B");
        inboxes[1] = Inbox.open(second);
        await("both members", () -> members(kit) == 2 && wish(kit, topic).equals("B"));
        check(first.buildMQClientId().compareTo(second.buildMQClientId()) < 0, "order of members");
        return second;
    }

    private static int members(Kit kit) throws Exception {
        var found = kit.admin().examineConsumerConnectionInfo(kit.group("g"), kit.broker());
        return found.getConnectionSet().size();
    }

    private static String wish(Kit kit, String topic) throws Exception {
        var found = kit.admin().examineConsumerConnectionInfo(kit.group("g"), kit.broker());
        return found.getSubscriptionTable().get(topic).getSubString();
    }

    /** The remark of 203. */
    private static String told(Kit kit) throws Exception {
        var answer = kit.ask(GET_CONSUMER_CONNECTION_LIST,
            Map.of("consumerGroup", kit.group("g")), "");
        same(0, answer.getCode(), "code of 203");
        return answer.getRemark() == null ? "" : answer.getRemark();
    }

    private static boolean named(Kit kit) throws Exception {
        String all = Kit.text(kit.ask(GET_BROKER_RUNTIME_INFO, Map.of(), ""));
        return all.matches("(?s).*\"contradictingGroups\":\"[^\"]*\\b" + kit.group("g") + "\\b.*");
    }
}
