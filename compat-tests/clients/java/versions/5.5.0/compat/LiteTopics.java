package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;
import static compat.RawPops.bodies;
import static compat.RawPops.handle;

import io.netty.channel.ChannelHandlerContext;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.AckResult;
import org.apache.rocketmq.client.consumer.AckStatus;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.consumer.PopStatus;
import org.apache.rocketmq.client.consumer.PullResult;
import org.apache.rocketmq.client.consumer.PullStatus;
import org.apache.rocketmq.client.exception.MQBrokerException;
import org.apache.rocketmq.client.impl.mqclient.MQClientAPIExt;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.lite.LiteSubscriptionAction;
import org.apache.rocketmq.common.lite.LiteSubscriptionDTO;
import org.apache.rocketmq.common.lite.OffsetOption;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;
import org.apache.rocketmq.common.sysflag.PullSysFlag;
import org.apache.rocketmq.remoting.netty.NettyClientConfig;
import org.apache.rocketmq.remoting.netty.NettyRequestProcessor;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.remoting.protocol.RequestCode;
import org.apache.rocketmq.remoting.protocol.ResponseCode;
import org.apache.rocketmq.remoting.protocol.header.AckMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ChangeInvisibleTimeRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.ExtraInfoUtil;
import org.apache.rocketmq.remoting.protocol.header.NotifyUnsubscribeLiteRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PopLiteMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.header.PullMessageRequestHeader;
import org.apache.rocketmq.remoting.protocol.subscription.SubscriptionGroupConfig;

/** Lite topics as a proxy reads them: one request at a time, through the stock client's door. */
final class LiteTopics {
    private static final long PATIENCE_MS = 20_000;

    private final Kit kit;
    private final MQClientAPIExt api;
    private final String broker;
    final String topic;
    final String group;
    private final DefaultMQProducer producer;
    /** What the broker took from clients: client, lite topic. */
    private final List<String> taken = new CopyOnWriteArrayList<>();

    /** The topic and the group are there already. */
    private LiteTopics(Kit kit) throws Exception {
        this.kit = kit;
        api = new MQClientAPIExt(new ClientConfig(), new NettyClientConfig(), null, null);
        int toldOff = RequestCode.NOTIFY_UNSUBSCRIBE_LITE;
        api.getRemotingClient().registerProcessor(toldOff, noted(), null);
        api.start();
        // It takes seconds, and nothing depends on it.
        kit.closing(() -> new Thread(api::shutdown, "shutdown").start());
        broker = kit.broker();
        topic = kit.group("t");
        group = kit.group("g");
        producer = kit.producer();
    }

    LiteTopics(Kit kit, Map<String, String> attributes) throws Exception {
        this(kit);
        parent(kit);
        bind(kit, group, topic, attributes);
    }

    private NettyRequestProcessor noted() {
        return new NettyRequestProcessor() {
            @Override
            public RemotingCommand processRequest(ChannelHandlerContext at, RemotingCommand told)
                    throws Exception {
                var header = (NotifyUnsubscribeLiteRequestHeader) told
                        .decodeCommandCustomHeader(NotifyUnsubscribeLiteRequestHeader.class);
                taken.add(header.getClientId() + " " + header.getLiteTopic());
                return null;
            }

            @Override
            public boolean rejectRequest() {
                return false;
            }
        };
    }

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("lite-topic-pop", LiteTopics::pop);
        scenarios.put("lite-topic-again", LiteTopics::again);
        scenarios.put("lite-topic-shared", LiteTopics::shared);
        scenarios.put("lite-topic-exclusive", LiteTopics::exclusive);
        scenarios.put("lite-topic-all", LiteTopics::all);
        scenarios.put("lite-topic-offsets", LiteTopics::offsets);
        scenarios.put("lite-topic-refused", LiteTopics::refused);
        scenarios.put("lite-topic-pulled", LiteTopics::pulled);
        scenarios.put("lite-write", LiteTopics::write);
        scenarios.put("lite-read", LiteTopics::read);
    }

    /** Messages of several lite topics come to who reads them, each in order, and wake a pop. */
    private static void pop(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of());
        SendResult sent = lite.send("a", "a0");
        same(0L, sent.getQueueOffset(), "queue offset, which is that of the parent");
        lite.send("b", "b0");
        lite.send("a", "a1");
        lite.send("c", "c0");
        lite.stored("a", 2);
        lite.stored("c", 1);
        lite.subscribe("one", "a", "b", "none");
        PopResult found = lite.popped("one", new Pop());
        same(PopStatus.FOUND, found.getPopStatus(), "status");
        List<MessageExt> out = found.getMsgFoundList();
        long time = popTime(found);
        same(List.of("a0", "a1"), of(out, "a"), "of the first");
        same(List.of("b0"), of(out, "b"), "of the second");
        same(3, out.size(), "messages");
        for (MessageExt message : out) {
            same(lite.topic, message.getTopic(), "topic");
            same(0, message.getReconsumeTimes(), "times it came again");
            String[] handle = ExtraInfoUtil.split(handle(message));
            same(999, ExtraInfoUtil.getReviveQid(handle), "revive queue");
            same(0, ExtraInfoUtil.getQueueId(handle), "queue");
            same(60_000L, ExtraInfoUtil.getInvisibleTime(handle), "invisible");
            same(time, ExtraInfoUtil.getPopTime(handle), "time");
        }
        lite.send("a", "a2");
        same(List.of(), bodies(lite.popped("one", new Pop())), "while it is taken");
        CompletableFuture<PopResult> waiting = lite.begin("one", new Pop().poll(10_000));
        Thread.sleep(300);
        check(!waiting.isDone(), "not blocked: %s", waiting);
        long start = System.nanoTime();
        for (MessageExt message : out) {
            lite.acked(message);
        }
        same(List.of("a2"), bodies(got(waiting)), "woken by the acknowledgement");
        kit.note("woken after " + (System.nanoTime() - start) / 1_000_000 + " ms");
        waiting = lite.begin("one", new Pop().poll(10_000));
        Thread.sleep(200);
        start = System.nanoTime();
        lite.send("b", "b1");
        List<MessageExt> late = got(waiting).getMsgFoundList();
        long ms = (System.nanoTime() - start) / 1_000_000;
        check(ms < 1_000, "woken %d ms after the send", ms);
        same(List.of("b1"), of(late, "b"), "woken by the message");
        kit.note("woken after " + ms + " ms");
        lite.acked(late.get(0));
        // A second acknowledgement does nothing, and is no error.
        lite.acked(late.get(0));
        same(PopStatus.POLLING_NOT_FOUND, lite.popped("one", new Pop()).getPopStatus(), "the end");
    }

    /** What is not acknowledged comes again, and is counted; a changed time counts. */
    private static void again(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of());
        lite.send("a", "0");
        lite.send("a", "1");
        lite.stored("a", 2);
        lite.subscribe("one", "a");
        PopResult popped = lite.popped("one", new Pop().poll(5_000).invisible(1_500));
        List<MessageExt> out = popped.getMsgFoundList();
        same(2, out.size(), "messages");
        lite.acked(out.get(0));
        long due = popTime(popped) + 1_500;
        popped = lite.popped("one", new Pop().poll(10_000));
        long late = popTime(popped) - due;
        check(late >= 0, "%d ms too early", -late);
        kit.note("late by " + late + " ms");
        same(List.of("1"), bodies(popped), "again");
        MessageExt one = popped.getMsgFoundList().get(0);
        same(1, one.getReconsumeTimes(), "times it came again");
        String handle = lite.changed(one, 1_000, false);
        due = System.currentTimeMillis() + 1_000;
        popped = lite.popped("one", new Pop().poll(10_000));
        late = popTime(popped) - due;
        check(late >= -100, "%d ms too early after a change", -late);
        kit.note("late by " + late + " ms after a change");
        same(List.of("1"), bodies(popped), "after a change");
        one = popped.getMsgFoundList().get(0);
        same(2, one.getReconsumeTimes(), "times it came again");
        check(!handle.isEmpty(), "no handle");
        lite.changed(one, 500, true);
        popped = lite.popped("one", new Pop().poll(10_000));
        same(List.of("1"), bodies(popped), "after it was put off");
        kit.note("times after it was put off: "
                + popped.getMsgFoundList().get(0).getReconsumeTimes());
        lite.acked(popped.getMsgFoundList().get(0));
        same(List.of(), bodies(lite.popped("one", new Pop().poll(300))), "the end");
    }

    /** Two clients of a group get each message once, another group gets all of them. */
    private static void shared(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of());
        String other = kit.group("other");
        bind(kit, other, lite.topic, Map.of());
        lite.subscribe("one", "a", "b");
        lite.subscribe("two", "a", "b");
        lite.control(other, "three", LiteSubscriptionAction.COMPLETE_ADD, null, "a", "b");
        List<String> mine = new ArrayList<>();
        List<String> others = new ArrayList<>();
        for (int i = 0; i < 10; i++) {
            lite.send(i % 2 == 0 ? "a" : "b", Integer.toString(i));
        }
        await("all messages", () -> {
            mine.addAll(lite.consumed(lite.group, "one"));
            mine.addAll(lite.consumed(lite.group, "two"));
            others.addAll(lite.consumed(other, "three"));
            return mine.size() >= 10 && others.size() >= 10;
        });
        mine.sort(null);
        others.sort(null);
        List<String> all = List.of("0", "1", "2", "3", "4", "5", "6", "7", "8", "9");
        same(all, mine, "what two clients got");
        same(all, others, "what the other group got");
        // Who leaves gets nothing more.
        lite.control(lite.group, "one", LiteSubscriptionAction.COMPLETE_REMOVE, null);
        lite.control(lite.group, "two", LiteSubscriptionAction.PARTIAL_REMOVE, null, "b");
        lite.send("a", "10");
        lite.send("b", "11");
        await("the last", () -> {
            mine.addAll(lite.consumed(lite.group, "two"));
            return mine.contains("10");
        });
        same(List.of(), lite.consumed(lite.group, "one"), "who left");
        // A stock broker may have offered it the queue before, and keeps to that.
        mine.remove("11");
        same(11, mine.size(), "messages");
    }

    /** In an exclusive group whoever subscribes last reads alone, and the one before is told. */
    private static void exclusive(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of("+lite.sub.model", "Exclusive",
                "+lite.sub.reset.offset.exclusive", "true"));
        lite.subscribe("one", "a", "b");
        lite.send("a", "0");
        same(List.of("0"), lite.consumedSoon("one", 1), "alone");
        // A stock broker offers a queue again that was acknowledged, and then keeps to that.
        same(List.of(), lite.consumed(lite.group, "one"), "no more");
        lite.subscribe("two", "a");
        await("the word", () -> lite.taken.contains(kit.group("one") + " a"));
        lite.send("b", "1");
        same(List.of("1"), lite.consumedSoon("one", 1), "what was not taken");
        lite.send("a", "2");
        same(List.of("0", "2"), lite.consumedSoon("two", 2), "from the first message on");
        same(List.of(), lite.consumed(lite.group, "one"), "who was put out");
    }

    /** A group that reads all lite topics of a parent gets those too that come later. */
    private static void all(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of("+lite.sub.wildcard", "true"));
        lite.control(lite.group, "one", LiteSubscriptionAction.COMPLETE_ADD, null);
        List<String> sent = new ArrayList<>();
        for (int i = 0; i < 6; i++) {
            lite.send("l" + i, Integer.toString(i));
            sent.add(Integer.toString(i));
        }
        List<String> got = new ArrayList<>(lite.consumedSoon("one", 6));
        got.sort(null);
        same(sent, got, "messages of all lite topics");
        same(ResponseCode.ILLEGAL_OPERATION, lite.refusal(lite.group, "one",
                LiteSubscriptionAction.PARTIAL_ADD, "l0"), "a subscription to one");
    }

    /** Where a client begins to read, when it says so. */
    private static void offsets(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of());
        for (int i = 0; i < 5; i++) {
            lite.send("a", Integer.toString(i));
        }
        lite.stored("a", 5);
        var from = OffsetOption.Type.OFFSET;
        lite.control(lite.group, "one", LiteSubscriptionAction.PARTIAL_ADD,
                new OffsetOption(from, 3), "a");
        same(List.of("3", "4"), lite.consumedSoon("one", 2), "from an offset on");
        lite.from(new OffsetOption(OffsetOption.Type.POLICY, OffsetOption.POLICY_MIN_VALUE));
        same(List.of("0", "1", "2", "3", "4"), lite.consumedSoon("one", 5), "from the first on");
        lite.from(new OffsetOption(OffsetOption.Type.TAIL_N, 2));
        same(List.of("3", "4"), lite.consumedSoon("one", 2), "the last two");
        lite.from(new OffsetOption(OffsetOption.Type.POLICY, OffsetOption.POLICY_MAX_VALUE));
        same(List.of(), lite.consumed(lite.group, "one"), "from the end on");
        lite.send("a", "5");
        same(List.of("5"), lite.consumedSoon("one", 1), "from the end on");
        String late = kit.group("late");
        bind(kit, late, lite.topic, Map.of());
        lite.control(late, "two", LiteSubscriptionAction.COMPLETE_ADD, null, "a");
        kit.note("a new group gets " + lite.consumedSoon(late, "two", 1));
    }

    /** Waits until a lite topic has so many messages. */
    void stored(String name, long count) throws Exception {
        await(count + " messages in " + name, () -> api.getLiteTopicInfo(broker, topic, name, 5_000)
                .getTopicOffset().getMaxOffset() == count);
    }

    private void from(OffsetOption option) throws Exception {
        control(group, "one", LiteSubscriptionAction.PARTIAL_REMOVE, null, "a");
        control(group, "one", LiteSubscriptionAction.PARTIAL_ADD, option, "a");
    }

    /** What the stock broker refuses, and with which codes. */
    private static void refused(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of());
        lite.subscribe("one", "a");
        lite.send("a", "0");
        String plain = kit.topic("plain", 1);
        same(ResponseCode.INVALID_PARAMETER, lite.popRefusal(plain, lite.group, 1), "plain topic");
        same(ResponseCode.TOPIC_NOT_EXIST,
                lite.popRefusal(kit.prefix + "-none", lite.group, 1), "unknown topic");
        String free = kit.group("free");
        bind(kit, free, kit.prefix + "-elsewhere", Map.of());
        int elsewhere = lite.popRefusal(lite.topic, free, 1);
        same(ResponseCode.INVALID_PARAMETER, elsewhere, "bound elsewhere");
        same(ResponseCode.INVALID_PARAMETER, lite.popRefusal(lite.topic, lite.group, 33), "33");
        String off = kit.group("off");
        Version.group(kit.admin(), kit.broker(), off, false);
        same(ResponseCode.ILLEGAL_OPERATION, lite.refusal(off, "two",
                LiteSubscriptionAction.PARTIAL_ADD, "a"), "a group that may not consume");
        MessageExt out = lite.popped("one", new Pop().poll(5_000)).getMsgFoundList().get(0);
        AckMessageRequestHeader header = lite.ackHeader(out);
        header.setConsumerGroup(free);
        same(AckStatus.NO_EXIST, lite.ack(header).getStatus(), "acknowledged by another group");
        header = lite.ackHeader(out);
        header.setOffset(77L);
        same(AckStatus.NO_EXIST, lite.ack(header).getStatus(), "acknowledged behind the end");
        lite.acked(out);
    }

    /** A lite topic is a queue that can be pulled, and looked up by time. */
    private static void pulled(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of());
        for (int i = 0; i < 4; i++) {
            lite.send(i % 2 == 0 ? "a" : "b", Integer.toString(i));
        }
        PullMessageRequestHeader header = new PullMessageRequestHeader();
        header.setConsumerGroup(lite.group);
        header.setTopic(lite.topic);
        header.setLiteTopic("a");
        header.setQueueId(0);
        header.setQueueOffset(1L);
        header.setMaxMsgNums(32);
        header.setSysFlag(PullSysFlag.buildSysFlag(false, false, true, false));
        header.setCommitOffset(0L);
        header.setSuspendTimeoutMillis(0L);
        header.setSubscription("*");
        header.setSubVersion(0L);
        header.setExpressionType("TAG");
        PullResult found = lite.api.pullMessageAsync(lite.broker, header, 5_000)
                .get(PATIENCE_MS, TimeUnit.MILLISECONDS);
        same(PullStatus.FOUND, found.getPullStatus(), "status");
        same(List.of("2"), of(found.getMsgFoundList(), "a"), "bodies");
        same(2L, found.getNextBeginOffset(), "next");
        same(2L, found.getMaxOffset(), "max offset");
    }

    /** Leaves messages, some of them consumed, to the next broker. */
    private static void write(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit, Map.of());
        lite.control(lite.group, "one", LiteSubscriptionAction.COMPLETE_ADD, null, "a", "b");
        for (int i = 0; i < 6; i++) {
            lite.send(i < 4 ? "a" : "b", Integer.toString(i));
        }
        List<MessageExt> out = lite.popped("one", new Pop().poll(5_000).most(2)).getMsgFoundList();
        check(!out.isEmpty(), "nothing");
        MessageExt first = out.get(0);
        same("0", new String(first.getBody()), "first of all");
        // The play of light queues, which follows, waits until it is saved.
        lite.acked(first);
    }

    /** What the broker before left: nothing twice that was acknowledged, and all else in order. */
    private static void read(Kit kit) throws Exception {
        LiteTopics lite = new LiteTopics(kit);
        await("the route", () -> kit.admin().examineTopicRouteInfo(lite.topic) != null);
        lite.control(lite.group, "one", LiteSubscriptionAction.COMPLETE_ADD, null, "a", "b");
        List<MessageExt> got = new ArrayList<>();
        await("what is left", () -> {
            got.addAll(lite.taken(lite.group, "one"));
            return got.size() >= 5;
        });
        same(List.of("1", "2", "3"), of(got, "a"), "of the first");
        same(List.of("4", "5"), of(got, "b"), "of the second");
        same(List.of(), lite.consumed(lite.group, "one"), "the end");
    }

    /** A topic that has lite topics. */
    static String parent(Kit kit) throws Exception {
        String topic = kit.group("t");
        TopicConfig config = new TopicConfig(topic, 1, 1, 6);
        config.setAttributes(Map.of("+message.type", "LITE"));
        kit.admin().createAndUpdateTopicConfig(kit.broker(), config);
        await("the route of " + topic, () ->
                !kit.admin().examineTopicRouteInfo(topic).getQueueDatas().isEmpty());
        return topic;
    }

    /** A group that reads lite topics of a parent. */
    static void bind(Kit kit, String group, String topic, Map<String, String> attributes)
            throws Exception {
        SubscriptionGroupConfig config = new SubscriptionGroupConfig();
        config.setGroupName(group);
        Map<String, String> all = new HashMap<>(attributes);
        all.put("+lite.bind.topic", topic);
        config.setAttributes(all);
        kit.admin().createAndUpdateSubscriptionGroupConfig(kit.broker(), config);
    }

    SendResult send(String name, String body) throws Exception {
        Message message = new Message(topic, body.getBytes());
        MessageAccessor.setLiteTopic(message, name);
        return producer.send(message);
    }

    void subscribe(String client, String... names) throws Exception {
        control(group, client, LiteSubscriptionAction.PARTIAL_ADD, null, names);
    }

    void control(String group, String client, LiteSubscriptionAction action, OffsetOption from,
            String... names) throws Exception {
        LiteSubscriptionDTO change = new LiteSubscriptionDTO();
        change.setAction(action);
        change.setClientId(kit.group(client));
        change.setGroup(group);
        change.setTopic(topic);
        change.setLiteTopicSet(new HashSet<>(List.of(names)));
        change.setOffsetOption(from);
        got(api.syncLiteSubscriptionAsync(broker, change, 5_000));
    }

    /** The code with which a subscription is refused. */
    private int refusal(String group, String client, LiteSubscriptionAction action, String name)
            throws Exception {
        try {
            control(group, client, action, null, name);
            return ResponseCode.SUCCESS;
        } catch (ExecutionException e) {
            return ((MQBrokerException) e.getCause()).getResponseCode();
        }
    }

    private int popRefusal(String topic, String group, int most) throws Exception {
        PopLiteMessageRequestHeader header = new Pop().most(most).header(kit.group("one"));
        header.setTopic(topic);
        header.setConsumerGroup(group);
        try {
            api.popLiteMessageAsync(broker, "broker-a", header, 5_000)
                    .get(PATIENCE_MS, TimeUnit.MILLISECONDS);
            return ResponseCode.SUCCESS;
        } catch (ExecutionException e) {
            return ((MQBrokerException) e.getCause()).getResponseCode();
        }
    }

    private PopResult popped(String client, Pop what) throws Exception {
        return got(begin(client, what));
    }

    private CompletableFuture<PopResult> begin(String client, Pop what) throws Exception {
        return begin(group, client, what);
    }

    private CompletableFuture<PopResult> begin(String group, String client, Pop what)
            throws Exception {
        PopLiteMessageRequestHeader header = what.header(kit.group(client));
        header.setTopic(topic);
        header.setConsumerGroup(group);
        return api.popLiteMessageAsync(broker, "broker-a", header, header.getPollTime() + 10_000);
    }

    private static <T> T got(CompletableFuture<T> what) throws Exception {
        return what.get(PATIENCE_MS, TimeUnit.MILLISECONDS);
    }

    /** Pops once and acknowledges what comes. */
    private List<MessageExt> taken(String group, String client) throws Exception {
        PopResult popped = got(begin(group, client, new Pop().poll(300)));
        List<MessageExt> out = popped.getMsgFoundList();
        if (out == null) {
            return List.of();
        }
        for (MessageExt message : out) {
            AckMessageRequestHeader header = ackHeader(message);
            header.setConsumerGroup(group);
            same(AckStatus.OK, ack(header).getStatus(), "acknowledgement");
        }
        return out;
    }

    private List<String> consumed(String group, String client) throws Exception {
        return taken(group, client).stream().map(m -> new String(m.getBody())).toList();
    }

    List<String> consumedSoon(String client, int count) throws Exception {
        return consumedSoon(group, client, count);
    }

    private List<String> consumedSoon(String group, String client, int count) throws Exception {
        List<String> got = new ArrayList<>();
        await(count + " messages", () -> {
            got.addAll(consumed(group, client));
            return got.size() >= count;
        });
        return got;
    }

    private AckMessageRequestHeader ackHeader(MessageExt message) {
        String[] parts = ExtraInfoUtil.split(handle(message));
        AckMessageRequestHeader header = new AckMessageRequestHeader();
        header.setTopic(topic);
        header.setConsumerGroup(group);
        header.setQueueId(ExtraInfoUtil.getQueueId(parts));
        header.setOffset(ExtraInfoUtil.getQueueOffset(parts));
        header.setExtraInfo(handle(message));
        header.setLiteTopic(name(message));
        return header;
    }

    private AckResult ack(AckMessageRequestHeader header) throws Exception {
        return got(api.ackMessageAsync(broker, header, 5_000));
    }

    private void acked(MessageExt message) throws Exception {
        same(AckStatus.OK, ack(ackHeader(message)).getStatus(), "acknowledgement");
    }

    private String changed(MessageExt message, long invisibleMs, boolean putOff) throws Exception {
        String[] parts = ExtraInfoUtil.split(handle(message));
        ChangeInvisibleTimeRequestHeader header = new ChangeInvisibleTimeRequestHeader();
        header.setTopic(topic);
        header.setConsumerGroup(group);
        header.setQueueId(ExtraInfoUtil.getQueueId(parts));
        header.setOffset(ExtraInfoUtil.getQueueOffset(parts));
        header.setExtraInfo(handle(message));
        header.setInvisibleTime(invisibleMs);
        header.setLiteTopic(name(message));
        header.setSuspend(putOff);
        AckResult done = got(api.changeInvisibleTimeAsync(broker, "broker-a", header, 5_000));
        same(AckStatus.OK, done.getStatus(), "change");
        return done.getExtraInfo();
    }

    /** When the broker says that it was, ms; what the client puts together does not have it. */
    private static long popTime(PopResult popped) {
        check(popped.getMsgFoundList() != null, "nothing came: %s", popped);
        return ExtraInfoUtil.getPopTime(ExtraInfoUtil.split(handle(popped.getMsgFoundList().get(0))));
    }

    private static String name(MessageExt message) {
        return message.getProperty(MessageConst.PROPERTY_LITE_TOPIC);
    }

    /** The bodies of those of one lite topic. */
    private static List<String> of(List<MessageExt> messages, String name) {
        return messages.stream().filter(m -> name.equals(name(m)))
                .map(m -> new String(m.getBody())).toList();
    }

    /** What a pop asks for: up to 32 messages, for a minute, without waiting. */
    private static final class Pop {
        private final PopLiteMessageRequestHeader header = new PopLiteMessageRequestHeader();

        Pop() {
            header.setMaxMsgNum(32);
            header.setInvisibleTime(60_000);
            header.setPollTime(0);
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
            header.setMaxMsgNum(messages);
            return this;
        }

        PopLiteMessageRequestHeader header(String client) {
            header.setClientId(client);
            header.setBornTime(System.currentTimeMillis());
            return header;
        }
    }
}
