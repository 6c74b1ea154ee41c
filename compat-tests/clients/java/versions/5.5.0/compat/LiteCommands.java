package compat;

import static compat.Kit.check;
import static compat.Kit.same;

import java.util.Map;
import org.apache.rocketmq.common.lite.LiteSubscriptionAction;

/** What operators ask about lite topics. */
final class LiteCommands {
    private static final String BROKER = "broker-a";

    private LiteCommands() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("getBrokerLiteInfo", LiteCommands::ofBroker);
        scenarios.put("getParentTopicInfo", LiteCommands::ofParent);
        scenarios.put("getLiteTopicInfo", LiteCommands::ofTopic);
        scenarios.put("getLiteClientInfo", LiteCommands::ofClient);
        scenarios.put("getLiteGroupInfo", LiteCommands::ofGroup);
        scenarios.put("triggerLiteDispatch", LiteCommands::trigger);
        scenarios.put("deleteTopicOfLites", LiteCommands::deleted);
    }

    private static void ofBroker(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of());
        lite.send("a", "0");
        lite.stored("a", 1);
        Mqadmin all = Mqadmin.run(kit, "getBrokerLiteInfo", "-b", kit.broker(), "-d")
                .says("#SubscriptionCount", "\"" + lite.topic + "\":-1",
                        "\"" + lite.topic + "\":[\"" + lite.group + "\"]");
        String[] row = all.row(kit.broker());
        same("default", row[1], "store");
        int before = Integer.parseInt(row[4]);
        check(Integer.parseInt(row[3]) > 0, "no light queue: %s", row[3]);
        lite.subscribe("one", "a", "b");
        row = Mqadmin.run(kit, "getBrokerLiteInfo", "-c", "DefaultCluster").lacks(lite.topic)
                .row(kit.broker());
        same(before + 2, Integer.parseInt(row[4]), "subscriptions");
    }

    private static void ofParent(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of());
        for (String name : new String[] {"a", "b", "a"}) {
            lite.send(name, name);
        }
        lite.stored("a", 2);
        Mqadmin.run(kit, "getParentTopicInfo", "-p", lite.topic)
                .says("Parent Topic Info: [" + lite.topic + "]", "[" + lite.group + "]")
                .row(BROKER, "-1", "2");
        Mqadmin.run(kit, "updateTopic", "-b", kit.broker(), "-t", lite.topic, "-r", "1", "-w", "1",
                "-a", "+lite.topic.expiration=30").says("success");
        Mqadmin.run(kit, "getParentTopicInfo", "-p", lite.topic).row(BROKER, "30", "2");
        String plain = kit.topic("plain", 1);
        Mqadmin.run(kit, "getParentTopicInfo", "-p", plain).says("[" + BROKER + "] error.");
    }

    private static void ofTopic(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of());
        lite.send("a", "0");
        lite.send("a", "1");
        lite.subscribe("one", "a");
        lite.stored("a", 2);
        Mqadmin found = Mqadmin.run(kit, "getLiteTopicInfo", "-p", lite.topic, "-l", "a", "-s")
                .says("[%LMQ%$" + lite.topic + "$a]", kit.group("one") + "@" + lite.group);
        String[] row = found.row(BROKER, "0", "2");
        same("true 1", row[row.length - 2] + " " + row[row.length - 1], "sharding and clients");
        check(row[3].matches("\\d{4}-\\d\\d-\\d\\d"), "last updated %s", row[3]);
        row = Mqadmin.run(kit, "getLiteTopicInfo", "-p", lite.topic, "-l", "none").row(BROKER);
        same("0 0 - true 0", String.join(" ", row).substring(BROKER.length() + 1), "of no message");
    }

    private static void ofClient(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of());
        lite.subscribe("one", "a", "b");
        String[] one = {"getLiteClientInfo", "-p", lite.topic, "-g", lite.group, "-c",
                kit.group("one"), "-s"};
        Mqadmin.run(kit, one).says("%LMQ%$" + lite.topic + "$a", "%LMQ%$" + lite.topic + "$b")
                .row(BROKER, "2", "N/A");
        lite.send("a", "0");
        lite.consumedSoon("one", 1);
        check(Mqadmin.run(kit, one).row(BROKER, "2")[2].matches("\\d{4}-\\d\\d-\\d\\d"), "no time");
        Mqadmin.run(kit, "getLiteClientInfo", "-p", lite.topic, "-g", lite.group, "-c", "nobody")
                .row(BROKER, "N/A", "N/A");
        Mqadmin.run(kit, "getLiteClientInfo", "-p", lite.topic, "-g", kit.group("none"), "-c",
                "nobody").says("[" + BROKER + "] error.");
    }

    private static void ofGroup(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of());
        lite.subscribe("one", "a", "b");
        lite.send("a", "0");
        same("0", lite.consumedSoon("one", 1).get(0), "first");
        lite.send("a", "1");
        lite.send("a", "2");
        String[] words = {"getLiteGroupInfo", "-p", lite.topic, "-g", lite.group};
        String[] of = {words[0], words[1], words[2], words[3], words[4], "-l", "a"};
        lite.stored("a", 3);
        same("3 1 2", String.join(" ", java.util.Arrays.copyOfRange(
                Mqadmin.run(kit, of).says("Total Lag Count: 2").row(BROKER), 1, 4)), "offsets");
        Mqadmin all = Mqadmin.run(kit, words).says("TopK by lag count", "TopK by lag time");
        kit.note(all.value("Total Lag Count") + " left in all");
        Mqadmin.run(kit, "getLiteGroupInfo", "-p", lite.topic, "-g", kit.group("none"))
                .says("[" + BROKER + "] error.");
    }

    /** A client is offered anew what it has not consumed. */
    private static void trigger(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of());
        lite.subscribe("one", "a");
        lite.send("a", "0");
        Mqadmin.run(kit, "triggerLiteDispatch", "-p", lite.topic, "-g", lite.group, "-c",
                kit.group("one")).row(BROKER, "dispatched");
        Mqadmin.run(kit, "triggerLiteDispatch", "-p", lite.topic, "-g", lite.group)
                .row(BROKER, "dispatched");
        same("0", lite.consumedSoon("one", 1).get(0), "message");
        Mqadmin.run(kit, "triggerLiteDispatch", "-p", lite.topic, "-g", kit.group("none"))
                .row(BROKER, "error");
    }

    /** Lite topics go with their parent, and begin anew with it. */
    private static void deleted(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of());
        lite.control(lite.group, "one", LiteSubscriptionAction.COMPLETE_ADD, null, "a");
        lite.send("a", "0");
        lite.send("a", "1");
        lite.consumedSoon("one", 2);
        Mqadmin.run(kit, "deleteTopic", "-c", "DefaultCluster", "-t", lite.topic).says("success");
        Mqadmin.run(kit, "getLiteTopicInfo", "-p", lite.topic, "-l", "a").says("CODE: 17");
        LiteTopics.parent(kit);
        lite.stored("a", 0);
        lite.control(lite.group, "one", LiteSubscriptionAction.COMPLETE_ADD, null, "a");
        lite.send("a", "2");
        same("2", lite.consumedSoon("one", 1).get(0), "message");
        Mqadmin.run(kit, "getLiteTopicInfo", "-p", lite.topic, "-l", "a").row(BROKER, "0", "1");
    }
}
