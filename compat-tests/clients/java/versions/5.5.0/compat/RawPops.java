package compat;

import static compat.Kit.check;
import static compat.Kit.same;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.AckResult;
import org.apache.rocketmq.client.consumer.AckStatus;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.consumer.PopStatus;
import org.apache.rocketmq.client.impl.mqclient.MQClientAPIExt;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.constant.ConsumeInitMode;
import org.apache.rocketmq.common.filter.ExpressionType;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.protocol.header.AckMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ChangeInvisibleTimeRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ExtraInfoUtil;
import org.apache.rocketmq.remoting.protocol.header.NotificationRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PopMessageRequestHeader;

/** Pops as a proxy does them: one request at a time, through the stock client's inner door. */
final class RawPops {
    private static final long PATIENCE_MS = 20_000;

    private final Kit kit;
    private final MQClientAPIExt api;
    private final String broker;
    private final String topic;
    private final String group;
    private final DefaultMQProducer producer;

    RawPops(Kit kit, int queues) throws Exception {
        this(kit, kit.topic("t", queues));
    }

    RawPops(Kit kit, String topic) throws Exception {
        this.kit = kit;
        api = new MQClientAPIExt(new ClientConfig(), new NettyClientConfig(), null, null);
        api.start();
        // It takes seconds, and nothing depends on it.
        kit.closing(() -> new Thread(api::shutdown, "shutdown").start());
        broker = kit.broker();
        this.topic = topic;
        group = Pops.popping(kit, topic);
        producer = kit.producer();
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("pop-held", RawPops::held);
        scenarios.put("pop-expired", RawPops::expired);
        scenarios.put("pop-expired-long", RawPops::expiredOfLongTopic);
        scenarios.put("pop-prolonged", RawPops::prolonged);
        scenarios.put("pop-batch-ack", RawPops::batchAck);
        scenarios.put("pop-first-or-last", RawPops::initModes);
        scenarios.put("pop-filtered", RawPops::filtered);
        scenarios.put("pop-fifo", RawPops::fifo);
        scenarios.put("pop-fifo-expired", RawPops::fifoExpired);
        scenarios.put("pop-notified", RawPops::notified);
        scenarios.put("batch-inner-pop", RawPops::innerBatches);
        scenarios.put("enableRetryTopicV2", RawPops::secondRetryTopic);
        scenarios.put("useSeparateRetryQueue", RawPops::separateRetryQueues);
        scenarios.put("popInflightMessageThreshold", RawPops::threshold);
    }

    /** A pop of an empty topic ends without, or with the message that comes. */
    private static void held(Kit kit) throws Exception {
        RawPops pops = new RawPops(kit, 2);
        same(PopStatus.POLLING_NOT_FOUND, pops.pop(new Pop()).getPopStatus(), "without waiting");
        long start = System.nanoTime();
        same(PopStatus.POLLING_NOT_FOUND, pops.pop(new Pop().poll(500)).getPopStatus(), "in vain");
        long waited = (System.nanoTime() - start) / 1_000_000;
        check(waited >= 400 && waited < 3_000, "waited %d ms of 500", waited);
        CompletableFuture<PopResult> waiting = pops.begin(new Pop().poll(10_000));
        Thread.sleep(200);
        check(!waiting.isDone(), "an empty topic answers %s", waiting);
        pops.send("0");
        PopResult found = waiting.get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        same(PopStatus.FOUND, found.getPopStatus(), "status");
        same(60_000L, found.getInvisibleTime(), "invisible");
        same(0L, found.getRestNum(), "rest");
        MessageExt message = found.getMsgFoundList().get(0);
        same("0", new String(message.getBody()), "body");
        String[] handle = ExtraInfoUtil.split(handle(message));
        same(0L, ExtraInfoUtil.getCkQueueOffset(handle), "start");
        same(found.getPopTime(), ExtraInfoUtil.getPopTime(handle), "time");
        same("0", ExtraInfoUtil.getRetry(handle), "retry");
        same(message.getQueueId(), ExtraInfoUtil.getQueueId(handle), "queue");
        same(Long.toString(found.getPopTime()),
                message.getProperty(MessageConst.PROPERTY_FIRST_POP_TIME), "first time");
        same(PopStatus.POLLING_NOT_FOUND, pops.pop(new Pop()).getPopStatus(), "taken");
        pops.acked(message);
        // A second acknowledgement does nothing, and is no error.
        pops.acked(message);
        for (int i = 1; i <= 6; i++) {
            pops.send(Integer.toString(i));
        }
        List<String> bodies = new ArrayList<>();
        bodies.addAll(bodies(pops.pop(new Pop().most(4))));
        bodies.addAll(bodies(pops.pop(new Pop().most(4))));
        bodies.sort(null);
        same(List.of("1", "2", "3", "4", "5", "6"), bodies, "bodies");
    }

    /** What was not acknowledged comes back through the retry topic, more than once if need be. */
    private static void expired(Kit kit) throws Exception {
        expired(kit, new RawPops(kit, 1));
    }

    /** The retry topic's name needs the second kind of record then: its length takes two bytes. */
    private static void expiredOfLongTopic(Kit kit) throws Exception {
        RawPops pops = new RawPops(kit, kit.topic("t".repeat(126 - kit.prefix.length()), 1));
        same(127, pops.topic.length(), "length of the topic's name");
        expired(kit, pops);
        String retry = "%RETRY%" + pops.group + "_" + pops.topic;
        same(true, kit.admin().fetchAllTopicList().getTopicList().contains(retry), retry);
    }

    private static void expired(Kit kit, RawPops pops) throws Exception {
        pops.send("lost");
        pops.send("done");
        PopResult popped = pops.pop(new Pop().invisible(1_500));
        List<MessageExt> first = popped.getMsgFoundList();
        same(2, first.size(), "messages");
        long due = popped.getPopTime() + 1_500;
        pops.acked(first.get(1));
        String firstTime = first.get(0).getProperty(MessageConst.PROPERTY_FIRST_POP_TIME);
        for (int times = 1; times <= 2; times++) {
            popped = pops.pop(new Pop().poll(15_000).invisible(1_500));
            List<MessageExt> again = popped.getMsgFoundList();
            long late = popped.getPopTime() - due;
            due = popped.getPopTime() + 1_500;
            check(late >= 0, "%d ms too early", -late);
            kit.note("late by " + late + " ms");
            same(1, again.size(), "messages");
            MessageExt message = again.get(0);
            same("lost", new String(message.getBody()), "body");
            same(times, message.getReconsumeTimes(), "times it came again");
            same("1", ExtraInfoUtil.getRetry(ExtraInfoUtil.split(handle(message))), "retry");
            same(firstTime, message.getProperty(MessageConst.PROPERTY_FIRST_POP_TIME), "first");
            if (times == 2) {
                pops.acked(message);
            }
        }
        same(PopStatus.POLLING_NOT_FOUND, pops.pop(new Pop().poll(4_000)).getPopStatus(), "acked");
    }

    /** A setting of the whole broker: nothing else may run beside this. */
    private static void secondRetryTopic(Kit kit) throws Exception {
        RawPops pops = new RawPops(kit, 1);
        Mqadmin.run(kit, "updateBrokerConfig", "-b", pops.broker, "-k", "enableRetryTopicV2",
                "-v", "true").says("success");
        try {
            pops.send("lost");
            PopResult popped = pops.pop(new Pop().poll(5_000).invisible(1_000));
            same(List.of("lost"), bodies(popped), "bodies");
            popped = pops.pop(new Pop().poll(15_000).invisible(30_000));
            MessageExt again = popped.getMsgFoundList().get(0);
            same("2", ExtraInfoUtil.getRetry(ExtraInfoUtil.split(handle(again))), "retry");
            same(1, again.getReconsumeTimes(), "times it came again");
            pops.acked(again);
            String retry = "%RETRY%" + pops.group + "+" + pops.topic;
            Kit.await(retry, () -> kit.admin().fetchAllTopicList().getTopicList().contains(retry));
        } finally {
            Mqadmin.run(kit, "updateBrokerConfig", "-b", pops.broker, "-k", "enableRetryTopicV2",
                    "-v", "false").says("success");
        }
    }

    /** Nothing more of a queue while too many messages of it are out; the same. */
    private static void threshold(Kit kit) throws Exception {
        RawPops pops = new RawPops(kit, 1);
        Mqadmin.run(kit, "updateBrokerConfig", "-b", pops.broker, "-k",
                "popInflightMessageThreshold", "-v", "5").says("success");
        Mqadmin.run(kit, "updateBrokerConfig", "-b", pops.broker, "-k",
                "enablePopMessageThreshold", "-v", "true").says("success");
        try {
            for (int i = 0; i < 12; i++) {
                pops.send(Integer.toString(i));
            }
            List<MessageExt> out = new ArrayList<>();
            for (int times = 0; times < 2; times++) {
                out.addAll(pops.pop(new Pop().most(4).poll(2_000)).getMsgFoundList());
            }
            same(8, out.size(), "messages");
            PopResult none = pops.pop(new Pop().most(4).poll(300));
            same(PopStatus.POLLING_NOT_FOUND, none.getPopStatus(), "with eight out");
            for (MessageExt message : out.subList(0, 3)) {
                pops.acked(message);
            }
            same(4, pops.pop(new Pop().most(4)).getMsgFoundList().size(), "with five out");
        } finally {
            Mqadmin.run(kit, "updateBrokerConfig", "-b", pops.broker, "-k",
                    "enablePopMessageThreshold", "-v", "false").says("success");
        }
    }

    /** A setting of the whole broker: nothing else may run beside this. */
    private static void separateRetryQueues(Kit kit) throws Exception {
        RawPops pops = new RawPops(kit, 3);
        Mqadmin.run(kit, "updateBrokerConfig", "-b", pops.broker, "-k", "useSeparateRetryQueue",
                "-v", "true").says("success");
        try {
            Kit.fill(pops.producer, pops.topic, 2, 1);
            for (int times = 0; times < 3; times++) {
                PopResult popped = pops.pop(new Pop().poll(15_000).invisible(1_000));
                MessageExt message = popped.getMsgFoundList().get(0);
                String[] handle = ExtraInfoUtil.split(handle(message));
                same(times == 0 ? "0" : "1", ExtraInfoUtil.getRetry(handle), "retry");
                same(2, ExtraInfoUtil.getQueueId(handle), "queue");
                same(times, message.getReconsumeTimes(), "times it came again");
                if (times == 2) {
                    pops.acked(message);
                }
            }
            String retry = "%RETRY%" + pops.group + "_" + pops.topic;
            same(3, kit.admin().examineTopicConfig(pops.broker, retry).getWriteQueueNums(),
                    "queues to come back in");
        } finally {
            Mqadmin.run(kit, "updateBrokerConfig", "-b", pops.broker, "-k",
                    "useSeparateRetryQueue", "-v", "false").says("success");
        }
    }

    /** A changed time counts, and only the new handle then. */
    private static void prolonged(Kit kit) throws Exception {
        RawPops pops = new RawPops(kit, 1);
        pops.send("0");
        pops.send("1");
        List<MessageExt> first = pops.pop(new Pop().invisible(1_000)).getMsgFoundList();
        String longer = pops.changed(first.get(0), handle(first.get(0)), 4_000);
        String soon = pops.changed(first.get(1), handle(first.get(1)), 20_000);
        check(!longer.equals(handle(first.get(0))), "the handle stayed %s", longer);
        long due = ExtraInfoUtil.getPopTime(ExtraInfoUtil.split(longer)) + 4_000;
        pops.acked(first.get(1), soon);
        // The old handle is not worth anything any more.
        pops.acked(first.get(0), handle(first.get(0)));
        PopResult popped = pops.pop(new Pop().poll(15_000));
        List<MessageExt> again = popped.getMsgFoundList();
        long late = popped.getPopTime() - due;
        check(late >= 0, "%d ms too early", -late);
        kit.note("late by " + late + " ms");
        same(List.of("0"), again.stream().map(m -> new String(m.getBody())).toList(), "again");
        pops.acked(again.get(0));
    }

    private static void batchAck(Kit kit) throws Exception {
        RawPops pops = new RawPops(kit, 1);
        for (int i = 0; i < 5; i++) {
            pops.send(Integer.toString(i));
        }
        List<MessageExt> first = pops.pop(new Pop().invisible(1_500)).getMsgFoundList();
        same(5, first.size(), "messages");
        pops.ackedTogether(List.of(first.get(0), first.get(2), first.get(3), first.get(4)));
        List<MessageExt> again = pops.pop(new Pop().poll(15_000)).getMsgFoundList();
        same(List.of("1"), again.stream().map(m -> new String(m.getBody())).toList(), "again");
        // Of a retry topic.
        pops.ackedTogether(again);
    }

    /** A group that is new begins at the first message, or with the last one. */
    private static void initModes(Kit kit) throws Exception {
        RawPops pops = new RawPops(kit, 1);
        for (int i = 0; i < 3; i++) {
            pops.send(Integer.toString(i));
        }
        same(List.of("0", "1", "2"), bodies(pops.pop(new Pop().group(kit.group("min")))), "min");
        List<String> max = bodies(pops.pop(
                new Pop().group(kit.group("max")).mode(ConsumeInitMode.MAX)));
        kit.note("a new group at the end gets " + max);
        check(max.get(max.size() - 1).equals("2"), "%s", max);
    }

    private static void filtered(Kit kit) throws Exception {
        RawPops pops = new RawPops(kit, 1);
        for (int i = 0; i < 6; i++) {
            Message message = new Message(pops.topic, i % 2 == 0 ? "even" : "odd",
                    Integer.toString(i).getBytes());
            message.putUserProperty("a", Integer.toString(i));
            pops.producer.send(message);
        }
        same(List.of("1", "3", "5"), bodies(pops.pop(new Pop().group(kit.group("tag"))
                .filter(ExpressionType.TAG, "odd"))), "by tag");
        same(List.of("4", "5"), bodies(pops.pop(new Pop().group(kit.group("sql"))
                .filter(ExpressionType.SQL92, "a > 3"))), "by SQL");
        CompletableFuture<PopResult> waiting = pops.begin(
                new Pop().group(kit.group("tag")).filter(ExpressionType.TAG, "odd").poll(10_000));
        pops.producer.send(new Message(pops.topic, "even", "6".getBytes()));
        pops.producer.send(new Message(pops.topic, "odd", "7".getBytes()));
        same(List.of("7"), bodies(waiting.get(PATIENCE_MS, TimeUnit.MILLISECONDS)), "woken");
    }

    /** A queue is blocked while a message of the last pop is out, except for that pop itself. */
    private static void fifo(Kit kit) throws Exception {
        RawPops pops = new RawPops(kit, 1);
        for (int i = 0; i < 4; i++) {
            pops.send(Integer.toString(i));
        }
        Pop first = new Pop().ordered("one").most(3);
        List<MessageExt> out = pops.pop(first).getMsgFoundList();
        same(List.of("0", "1", "2"), out.stream().map(m -> new String(m.getBody())).toList(), "1");
        same(999, ExtraInfoUtil.getReviveQid(ExtraInfoUtil.split(handle(out.get(0)))), "revive");
        same(PopStatus.POLLING_NOT_FOUND, pops.pop(new Pop().ordered("two")).getPopStatus(),
                "blocked");
        List<MessageExt> same = pops.pop(first).getMsgFoundList();
        same(List.of("0", "1", "2"), same.stream().map(m -> new String(m.getBody())).toList(), "2");
        same(0, same.get(0).getReconsumeTimes(), "the same try is not counted");
        // The pop of before is forgotten.
        pops.acked(out.get(0));
        same(0L, pops.committed(), "offset");
        pops.acked(same.get(1));
        same(0L, pops.committed(), "offset");
        pops.acked(same.get(0));
        same(2L, pops.committed(), "offset");
        CompletableFuture<PopResult> waiting = pops.begin(new Pop().ordered("two").poll(10_000));
        Thread.sleep(200);
        check(!waiting.isDone(), "not blocked: %s", waiting);
        long start = System.nanoTime();
        pops.acked(same.get(2));
        PopResult woken = waiting.get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        same(List.of("3"), bodies(woken), "woken by the acknowledgement");
        kit.note("woken after " + (System.nanoTime() - start) / 1_000_000 + " ms");
        same(3L, pops.committed(), "offset");
        pops.acked(woken.getMsgFoundList().get(0));
        same(4L, pops.committed(), "offset");
    }

    /** When the time is over the same messages come again, in order, and are counted. */
    private static void fifoExpired(Kit kit) throws Exception {
        RawPops pops = new RawPops(kit, 1);
        pops.send("0");
        pops.send("1");
        same(List.of("0", "1"), bodies(pops.pop(new Pop().ordered("a").invisible(1_000))), "first");
        long start = System.currentTimeMillis();
        PopResult again = pops.pop(new Pop().ordered("b").poll(10_000).invisible(30_000));
        long waited = System.currentTimeMillis() - start;
        check(waited >= 900, "after %d ms of 1000", waited);
        kit.note("blocked for " + waited + " ms of 1000");
        same(List.of("0", "1"), bodies(again), "again");
        same(1, again.getMsgFoundList().get(0).getReconsumeTimes(), "times it came again");
        MessageExt out = again.getMsgFoundList().get(0);
        String changed = pops.changed(out, handle(out), 1_000);
        pops.acked(again.getMsgFoundList().get(1));
        start = System.currentTimeMillis();
        PopResult third = pops.pop(new Pop().ordered("c").poll(10_000));
        waited = System.currentTimeMillis() - start;
        check(waited >= 800, "after %d ms of 1000", waited);
        kit.note("blocked for " + waited + " ms of 1000 after a change");
        same(List.of("0", "1"), bodies(third), "changed");
        same(2, third.getMsgFoundList().get(0).getReconsumeTimes(), "times it came again");
        check(!changed.isEmpty(), "no handle");
    }

    /** Whoever asks is told that there is something to pop, and waits otherwise. */
    private static void notified(Kit kit) throws Exception {
        RawPops pops = new RawPops(kit, 2);
        same(false, pops.notification(0, false).get(PATIENCE_MS, TimeUnit.MILLISECONDS), "empty");
        CompletableFuture<Boolean> waiting = pops.notification(10_000, false);
        Thread.sleep(200);
        check(!waiting.isDone(), "an empty topic answers %s", waiting);
        pops.send("0");
        same(true, waiting.get(PATIENCE_MS, TimeUnit.MILLISECONDS), "woken");
        same(true, pops.notification(0, false).get(PATIENCE_MS, TimeUnit.MILLISECONDS), "there");
        MessageExt out = pops.pop(new Pop().ordered("a").poll(1_000)).getMsgFoundList().get(0);
        same(false, pops.notification(0, true).get(PATIENCE_MS, TimeUnit.MILLISECONDS), "taken");
        waiting = pops.notification(10_000, true);
        pops.acked(out);
        pops.send("1");
        pops.send("2");
        same(true, waiting.get(PATIENCE_MS, TimeUnit.MILLISECONDS), "woken again");
    }

    /** A record of many messages is popped as one. */
    private static void innerBatches(Kit kit) throws Exception {
        String topic = kit.topicOfKind(kit.group("t"), 1, "+queue.type=BatchCQ");
        RawPops pops = new RawPops(kit, topic);
        List<Message> batch = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            batch.add(new Message(topic, Integer.toString(i).getBytes()));
        }
        pops.producer.send(batch);
        pops.send("single");
        PopResult popped = pops.pop(new Pop().poll(5_000));
        List<MessageExt> found = popped.getMsgFoundList();
        same(List.of(0L, 4L), found.stream().map(MessageExt::getQueueOffset).toList(), "offsets");
        same("4", found.get(0).getProperty(MessageConst.PROPERTY_INNER_NUM), "messages in one");
        same("single", new String(found.get(1).getBody()), "body behind it");
        same(0L, popped.getRestNum(), "rest");
        for (MessageExt message : found) {
            pops.acked(message);
        }
        same(PopStatus.POLLING_NOT_FOUND, pops.pop(new Pop()).getPopStatus(), "all is out");
    }

    void send(String body) throws Exception {
        producer.send(new Message(topic, body.getBytes()));
    }

    PopResult pop(Pop what) throws Exception {
        return begin(what).get(PATIENCE_MS, TimeUnit.MILLISECONDS);
    }

    private CompletableFuture<PopResult> begin(Pop what) throws Exception {
        PopMessageRequestHeader header = what.header;
        header.setTopic(topic);
        if (header.getConsumerGroup() == null) {
            header.setConsumerGroup(group);
        }
        header.setBornTime(System.currentTimeMillis());
        return api.popMessageAsync(broker, "broker-a", header, header.getPollTime() + 10_000);
    }

    private CompletableFuture<Boolean> notification(long pollMs, boolean ordered) {
        NotificationRequestHeader header = new NotificationRequestHeader();
        header.setTopic(topic);
        header.setConsumerGroup(group);
        header.setQueueId(-1);
        header.setPollTime(pollMs);
        header.setBornTime(System.currentTimeMillis());
        header.setOrder(ordered);
        header.setAttemptId(ordered ? "other" : null);
        return api.notification(broker, header, pollMs + 10_000);
    }

    void acked(MessageExt message) throws Exception {
        acked(message, handle(message));
    }

    private void acked(MessageExt message, String handle) throws Exception {
        String[] parts = ExtraInfoUtil.split(handle);
        AckMessageRequestHeader header = new AckMessageRequestHeader();
        header.setTopic(ExtraInfoUtil.getRealTopic(parts, topic, group));
        header.setConsumerGroup(group);
        header.setQueueId(ExtraInfoUtil.getQueueId(parts));
        header.setOffset(ExtraInfoUtil.getQueueOffset(parts));
        header.setExtraInfo(handle);
        AckResult done = api.ackMessageAsync(broker, header, 5_000)
                .get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        same(AckStatus.OK, done.getStatus(), "acknowledgement of " + message.getQueueOffset());
    }

    /** In one request. */
    void ackedTogether(List<MessageExt> messages) throws Exception {
        List<String> handles = messages.stream().map(RawPops::handle).toList();
        AckResult done = api.batchAckMessageAsync(broker, topic, group, handles, 5_000)
                .get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        same(AckStatus.OK, done.getStatus(), "acknowledgement of " + handles.size());
    }

    /** The new handle. */
    String changed(MessageExt message, String handle, long invisibleMs) throws Exception {
        String[] parts = ExtraInfoUtil.split(handle);
        ChangeInvisibleTimeRequestHeader header = new ChangeInvisibleTimeRequestHeader();
        header.setTopic(ExtraInfoUtil.getRealTopic(parts, topic, group));
        header.setConsumerGroup(group);
        header.setQueueId(ExtraInfoUtil.getQueueId(parts));
        header.setOffset(ExtraInfoUtil.getQueueOffset(parts));
        header.setExtraInfo(handle);
        header.setInvisibleTime(invisibleMs);
        AckResult done = api.changeInvisibleTimeAsync(broker, "broker-a", header, 5_000)
                .get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        same(AckStatus.OK, done.getStatus(), "change of " + message.getQueueOffset());
        return done.getExtraInfo();
    }

    private long committed() throws Exception {
        var offsets = kit.admin().examineConsumeStats(group, topic).getOffsetTable().values();
        return offsets.iterator().next().getConsumerOffset();
    }

    static String handle(MessageExt message) {
        return message.getProperty(MessageConst.PROPERTY_POP_CK);
    }

    static List<String> bodies(PopResult result) {
        return result.getMsgFoundList() == null ? List.of()
                : result.getMsgFoundList().stream().map(m -> new String(m.getBody())).toList();
    }

    /** What a pop asks for: up to 32 messages of any queue, for a minute, without waiting. */
    static final class Pop {
        final PopMessageRequestHeader header = new PopMessageRequestHeader();

        Pop() {
            header.setQueueId(-1);
            header.setMaxMsgNums(32);
            header.setInvisibleTime(60_000);
            header.setPollTime(0);
            header.setInitMode(ConsumeInitMode.MIN);
            header.setExpType(ExpressionType.TAG);
            header.setExp("*");
            header.setOrder(false);
        }

        Pop poll(long ms) {
            header.setPollTime(ms);
            return this;
        }

        Pop invisible(long ms) {
            header.setInvisibleTime(ms);
            return this;
        }

        Pop most(int messages) {
            header.setMaxMsgNums(messages);
            return this;
        }

        Pop group(String group) {
            header.setConsumerGroup(group);
            return this;
        }

        Pop mode(int mode) {
            header.setInitMode(mode);
            return this;
        }

        Pop filter(String type, String expression) {
            header.setExpType(type);
            header.setExp(expression);
            return this;
        }

        Pop ordered(String attempt) {
            header.setOrder(true);
            header.setAttemptId(attempt);
            return this;
        }
    }
}
