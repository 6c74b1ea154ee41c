package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.Map;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.listener.ConsumeConcurrentlyStatus;
import org.apache.rocketmq.client.consumer.listener.MessageListenerConcurrently;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;

/**
 * Groups that are sent back, and members that are asked by operators, over the library's own admin
 * client. The broker of these scenarios lets the members go back themselves, as all of 4.x do
 * (useServerSideResetOffset=false); mqadmin's scenarios in {@link Rewinds} run against one that
 * resets by itself.
 */
final class Repairs {
    private Repairs() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("rewind-online", Repairs::online);
        scenarios.put("rewind-offline", Rewinds::byTimeOld);
        scenarios.put("rewind-by-offset", Repairs::byOffset);
        scenarios.put("rewind-cloned", Repairs::cloned);
        scenarios.put("rewind-status", Rewinds::status);
        scenarios.put("consume-directly", Repairs::directly);
        scenarios.put("running-info", Repairs::info);
    }

    /** The broker calls the members back: they stop, go to where they are told, and go on. */
    private static void online(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.producer();
        Kit.fill(producer, topic, 0, 10);
        Thread.sleep(100);
        long between = System.currentTimeMillis();
        Thread.sleep(100);
        MessageQueue queue = Kit.fill(producer, topic, 0, 10);
        DefaultMQPushConsumer member = kit.push(kit.group("g"), topic, "*");
        Inbox inbox = Inbox.open(member);
        inbox.awaitSize(20);
        await("offset 20 at the broker", () -> {
            member.getDefaultMQPushConsumerImpl().persistConsumerOffset();
            return Kit.committed(member, queue) == 20;
        });
        var told = kit.admin().resetOffsetByTimestamp(topic, kit.group("g"), between, true);
        same(Map.of(queue, 10L), told, "what the members are told");
        inbox.awaitSize(30);
        var again = inbox.all().subList(20, 30);
        again.forEach(message -> check(message.getQueueOffset() >= 10, "got %s", message));
    }

    private static void byOffset(Kit kit) throws Exception {
        String topic = Rewinds.consumed(kit);
        MessageQueue queue = new MessageQueue(topic, Rewinds.BROKER, 0);
        kit.admin().updateConsumeOffset(kit.broker(), kit.group("g"), queue, 7);
        Inbox inbox = Inbox.open(kit.push(kit.group("g"), topic, "*"));
        inbox.awaitSize(3);
        inbox.all().forEach(message -> check(message.getQueueOffset() >= 7, "got %s", message));
    }

    private static void cloned(Kit kit) throws Exception {
        String topic = Rewinds.consumed(kit);
        String copy = kit.group("copy");
        Version.group(kit.admin(), kit.broker(), copy, true);
        kit.admin().cloneGroupOffset(kit.group("g"), copy, topic, true);
        Kit.fill(kit.producer(), topic, 0, 3);
        Inbox inbox = Inbox.open(kit.push(copy, topic, "*"));
        inbox.awaitSize(3);
        inbox.all().forEach(message -> check(message.getQueueOffset() >= 10, "got %s", message));
    }

    /** A message is put before a member by hand, which says what its listener says. */
    private static void directly(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        DefaultMQProducer producer = kit.producer();
        SendResult good = producer.send(new Message(topic, "A", "good".getBytes()));
        SendResult bad = producer.send(new Message(topic, "B", "bad".getBytes()));
        SendResult ugly = producer.send(new Message(topic, "C", "ugly".getBytes()));
        DefaultMQPushConsumer consumer = kit.push(kit.group("g"), topic, "A");
        Inbox heard = new Inbox();
        consumer.registerMessageListener((MessageListenerConcurrently) (batch, at) -> {
            heard.add(batch);
            String body = new String(batch.get(0).getBody());
            check(!body.equals("ugly"), "an ugly message");
            return body.equals("good") ? ConsumeConcurrentlyStatus.CONSUME_SUCCESS
                : ConsumeConcurrentlyStatus.RECONSUME_LATER;
        });
        consumer.start();
        heard.awaitSize(1);
        String member = consumer.buildMQClientId();
        same("CR_SUCCESS", directly(kit, member, topic, good), "result of the good one");
        same("CR_LATER", directly(kit, member, topic, bad), "result of the bad one");
        same("CR_THROW_EXCEPTION", directly(kit, member, topic, ugly), "result of the ugly one");
        same("good good bad ugly", String.join(" ", heard.bodies()), "what the member heard");
        refused("not online", () -> directly(kit, "nobody", topic, good));
    }

    private static String directly(Kit kit, String member, String topic, SendResult sent)
            throws Exception {
        return kit.admin().consumeMessageDirectly(kit.group("g"), member, topic,
            sent.getOffsetMsgId()).getConsumeResult().toString();
    }

    /** What a member tells of itself when the broker asks it. */
    private static void info(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        Kit.fill(kit.producer(), topic, 1, 10);
        DefaultMQPushConsumer consumer = kit.push(kit.group("g"), topic, "A || B || *");
        Inbox.open(consumer);
        String member = consumer.buildMQClientId();
        await("two queues of the member", () -> {
            var info = kit.admin().getConsumerRunningInfo(kit.group("g"), member, false);
            var queues = info.getMqTable().keySet();
            same(2L, queues.stream().filter(q -> q.getTopic().equals(topic)).count(), "queues");
            return true;
        });
        var info = kit.admin().getConsumerRunningInfo(kit.group("g"), member, true);
        var wanted = info.getSubscriptionSet().stream().filter(s -> s.getTopic().equals(topic));
        same("A || B || *", wanted.findFirst().get().getSubString(), "what the member wants");
        same("CONSUME_PASSIVELY", info.getProperties().get("PROP_CONSUME_TYPE"), "consume type");
        check(info.getJstack().contains("TID: "), "no stacks: %s", info.getJstack());
        refused("not online", () -> kit.admin().getConsumerRunningInfo(kit.group("g"), "no", true));
    }

    @FunctionalInterface
    private interface Asking {
        Object ask() throws Exception;
    }

    private static void refused(String why, Asking asking) throws Exception {
        try {
            throw new AssertionError("not refused: " + asking.ask());
        } catch (AssertionError e) {
            throw e;
        } catch (Exception e) {
            check(e.toString().contains(why), "refused with %s", e);
        }
    }
}
