package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.List;
import java.util.Map;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;

/** What operators do with groups that pop. */
final class PopCommands {
    private static final String BROKER = "broker-a";

    private PopCommands() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("setConsumeMode", PopCommands::mode);
        scenarios.put("consumerProgressOfPops", PopCommands::progress);
        scenarios.put("resetOffsetOfPops", PopCommands::reset);
    }

    /** A group pulls, pops and pulls again, as it is told. */
    private static void mode(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        String group = kit.group("g");
        Version.group(kit.admin(), kit.broker(), group, true);
        int sent = 0;
        for (String mode : List.of("POP", "PULL")) {
            Mqadmin.run(kit, "setConsumeMode", "-b", kit.broker(), "-t", topic, "-g", group,
                    "-m", mode, "-q", "0").says("set consume mode to " + kit.broker() + " success.",
                    "topic[" + topic + "] group[" + group + "] consume mode[" + mode + "]");
            List<MessageExt> all = new CopyOnWriteArrayList<>();
            DefaultMQPushConsumer member = member(kit, group, topic, all);
            Kit.fill(kit.producer(), topic, 0, 3);
            await("three messages by " + mode, () -> all.size() >= 3);
            for (MessageExt message : all) {
                same(mode.equals("POP"),
                        message.getProperty(MessageConst.PROPERTY_POP_CK) != null, "popped");
            }
            sent += 3;
            int offset = sent;
            await("offset " + offset, () -> kit.admin().examineConsumeStats(group, topic)
                    .getOffsetTable().values().stream()
                    .anyMatch(wrapper -> wrapper.getConsumerOffset() == offset));
            member.shutdown();
        }
        Mqadmin.run(kit, "setConsumeMode", "-b", kit.broker(), "-t", kit.prefix + "-none",
                "-g", group, "-m", "POP").says("CODE: 17 ");
    }

    private static void progress(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        String group = Pops.popping(kit, topic);
        Kit.fill(kit.producer(), topic, 0, 10);
        List<MessageExt> all = new CopyOnWriteArrayList<>();
        member(kit, group, topic, all);
        await("all messages", () -> all.size() == 10);
        await("progress", () -> Mqadmin.run(kit, "consumerProgress", "-g", group)
                .row(topic, BROKER, "0")[4].equals("10"));
        Mqadmin progress = Mqadmin.run(kit, "consumerProgress", "-g", group)
                .says("#Topic", "Consume Diff Total: 0");
        same("10 10 0", String.join(" ", java.util.Arrays.copyOfRange(
                progress.row(topic, BROKER, "0"), 3, 6)), "offsets and difference");
        String[] row = Mqadmin.run(kit, "consumerProgress").row(group);
        same("1", row[1], "members");
        kit.note(row[3] + " " + row[4]);
    }

    /** A reset reaches a group that pops, and what was taken of its queue is forgotten. */
    private static void reset(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        String group = Pops.popping(kit, topic);
        Kit.fill(kit.producer(), topic, 0, 5);
        List<MessageExt> all = new CopyOnWriteArrayList<>();
        member(kit, group, topic, all);
        await("all messages", () -> all.size() == 5);
        await("their offset", () -> Mqadmin.run(kit, "consumerProgress", "-g", group)
                .row(topic, BROKER, "0")[4].equals("5"));
        Mqadmin.run(kit, "resetOffsetByTime", "-t", topic, "-g", group, "-s", "0")
                .row(BROKER, "0", "0");
        // A stock broker looks at the reset when the next message comes.
        Kit.fill(kit.producer(), topic, 0, 1);
        await("all once more", () -> all.size() >= 11);
        Thread.sleep(200);
        same(11, all.size(), "messages");
        check(all.stream().filter(m -> m.getQueueOffset() == 0).count() == 2, "%s", all);
    }

    static DefaultMQPushConsumer member(Kit kit, String group, String topic,
            List<MessageExt> all) throws Exception {
        DefaultMQPushConsumer consumer = kit.push(group, topic, "*");
        consumer.setClientRebalance(false);
        consumer.setPersistConsumerOffsetInterval(500);
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, at) -> {
            all.addAll(batch);
            return ConsumeConcurrentlyStatus.CONSUME_SUCCESS;
        });
        consumer.start();
        return consumer;
    }
}
