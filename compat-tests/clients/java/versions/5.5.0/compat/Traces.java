package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageExt;

/** What the broker itself writes about messages of clients that write nothing. */
final class Traces {
    private static final String KEY = "brokerTraceEnable";
    private static final String TOPIC = "RMQ_SYS_TRACE_TOPIC";

    private Traces() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("brokerTrace", Traces::ofBroker);
    }

    /** A message that one group pulls and one pops, found by its id and by its key. */
    private static void ofBroker(Kit kit) throws Exception {
        if (!Mqadmin.run(kit, "getBrokerConfig", "-b", kit.broker()).text.contains(KEY)) {
            throw new Scenario.NotApplicable("a stock broker has no trace of its own");
        }
        String topic = kit.topic("t", 1);
        String pulls = kit.group("pulls");
        String pops = Pops.popping(kit, topic);
        String key = kit.group("key");
        same(0, traces(kit, key), "traces before the message");
        switched(kit, "true");
        String id;
        try {
            List<MessageExt> all = new CopyOnWriteArrayList<>();
            PopCommands.member(kit, pops, topic, all);
            Inbox inbox = Inbox.open(kit.push(pulls, topic, "*"));
            id = kit.producer().send(new Message(topic, "tag", key, "hello".getBytes())).getMsgId();
            inbox.awaitSize(1);
            await("the pop", () -> all.size() == 1);
            await("the trace", () -> {
                String text = Mqadmin.run(kit, "queryMsgTraceById", "-i", id).text;
                return text.contains(pulls) && text.contains(pops);
            });
        } finally {
            switched(kit, "false");
        }
        Mqadmin found = Mqadmin.run(kit, "queryMsgTraceById", "-i", id);
        String host = found.row("Pub", kit.group("producer"))[2];
        for (String group : List.of(pulls, pops)) {
            String[] row = found.row("Sub", group);
            same(host, row[2], "the host of a member of " + group);
            same("success", row[row.length - 1], "what became of it");
        }
        long rows = found.text.lines().filter(line -> line.matches("(Pub|Sub) .*")).count();
        same(3L, rows, "rows");
        check(traces(kit, key) > 0, "no trace by key");
        // The tool prints records of the id alone: from a key one comes to the id.
        Mqadmin.run(kit, "queryMsgTraceById", "-i", key).lacks("Pub");
        Mqadmin.run(kit, "queryMsgByKey", "-t", topic, "-k", key).says(id);
    }

    private static void switched(Kit kit, String to) throws Exception {
        Mqadmin.run(kit, "updateBrokerConfig", "-b", kit.broker(), "-k", KEY, "-v", to)
                .says("update broker config success, " + kit.broker());
    }

    /** How many messages of traces are found by a key. */
    private static int traces(Kit kit, String key) {
        String text = Mqadmin.run(kit, "queryMsgByKey", "-t", TOPIC, "-k", key).text;
        return (int) text.lines().filter(line -> line.matches("[0-9A-F]{16,}\\s.*")).count();
    }
}
