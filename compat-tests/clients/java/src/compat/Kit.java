package compat;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.rocketmq.client.ClientConfig;
import org.apache.rocketmq.client.consumer.DefaultLitePullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPullConsumer;
import org.apache.rocketmq.client.consumer.DefaultMQPushConsumer;
import org.apache.rocketmq.client.consumer.store.ReadOffsetType;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.common.TopicConfig;
import org.apache.rocketmq.common.consumer.ConsumeFromWhere;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageQueue;
import org.apache.rocketmq.remoting.protocol.RemotingCommand;
import org.apache.rocketmq.tools.admin.DefaultMQAdminExt;

/**
 * What a scenario works with: clients that are shut down at its end, topics of its own, checks.
 *
 * <p>Clients keep their stock settings, so that what the library leaves to the server (callbacks
 * on a changed group, woken long polls) is really tested. Only timeouts are generous and
 * heartbeats frequent: a stock consumer's first rebalance can lose its heartbeat to a race with
 * the one of the start, and then pulls are refused until the next, 30 s later.
 */
final class Kit implements AutoCloseable {
    private static final int UPDATE_AND_CREATE_TOPIC = 17;
    static final Duration PATIENCE = Duration.ofSeconds(20);

    final String names;
    /** Unique to this run of the scenario; the stem of all its topics and groups. */
    final String prefix;
    final Actions actions;
    private final Deque<Runnable> closers = new ArrayDeque<>();
    private final List<String> notes = new ArrayList<>();
    private final AtomicInteger instances = new AtomicInteger();
    private DefaultMQAdminExt admin;
    private DefaultMQProducer asker;

    Kit(String names, String prefix, Actions actions) {
        this.names = names;
        this.prefix = prefix;
        this.actions = actions;
    }

    /** Creates a topic on the broker and waits until the name server routes to it. */
    String topic(String suffix, int queues) throws Exception {
        return topic(suffix, queues, 6);
    }

    String topic(String suffix, int queues, int perm) throws Exception {
        String topic = prefix + "-" + suffix;
        TopicConfig config = new TopicConfig(topic, queues, queues, perm);
        admin().createAndUpdateTopicConfig(broker(), config);
        await("the route of " + topic, () -> {
            var route = admin().examineTopicRouteInfo(topic);
            var queue = route.getQueueDatas().get(0);
            return queue.getReadQueueNums() == queues && queue.getPerm() == perm;
        });
        return topic;
    }

    /** Makes a topic with attributes, by a request of its own: old clients know none. */
    String topicOfKind(String topic, int queues, String attributes) throws Exception {
        RemotingCommand made = makeTopic(topic, queues, attributes);
        same(0, made.getCode(), "answer to the topic's making, " + made.getRemark());
        await("the route of " + topic, () -> {
            var route = admin().examineTopicRouteInfo(topic);
            return route.getQueueDatas().get(0).getReadQueueNums() == queues;
        });
        return topic;
    }

    /** The broker's answer to a topic with attributes, whatever it is. */
    RemotingCommand makeTopic(String topic, int queues, String attributes) throws Exception {
        Map<String, String> fields = new HashMap<>();
        fields.put("topic", topic);
        fields.put("defaultTopic", "TBW102");
        fields.put("readQueueNums", Integer.toString(queues));
        fields.put("writeQueueNums", Integer.toString(queues));
        fields.put("perm", "6");
        fields.put("topicFilterType", "SINGLE_TAG");
        fields.put("topicSysFlag", "0");
        fields.put("order", "false");
        fields.put("attributes", attributes);
        return ask(UPDATE_AND_CREATE_TOPIC, fields, "");
    }

    /** The broker's answer to a request that some release has no method for. */
    RemotingCommand ask(int code, Map<String, String> fields, String body) throws Exception {
        RemotingCommand request = RemotingCommand.createRequestCommand(code, null);
        request.setExtFields(new HashMap<>(fields));
        if (!body.isEmpty()) {
            request.setBody(body.getBytes(StandardCharsets.UTF_8));
        }
        var client = asker().getDefaultMQProducerImpl().getMqClientFactory();
        var remoting = client.getMQClientAPIImpl().getRemotingClient();
        return remoting.invokeSync(broker(), request, 10_000);
    }

    /** The body of an answer as text. */
    static String text(RemotingCommand answer) {
        return new String(answer.getBody(), StandardCharsets.UTF_8);
    }

    /** Whether the broker is the stock one; only for what we add to its answers. */
    static boolean onStock() {
        return !"rockhopper".equals(System.getenv("COMPAT_BROKER"));
    }

    private synchronized DefaultMQProducer asker() throws Exception {
        if (asker == null) {
            asker = producer();
        }
        return asker;
    }

    String group(String suffix) {
        return prefix + "-" + suffix;
    }

    /** In a play of several legs, the stem of what each leg goes on with. */
    String play() {
        return prefix.substring(0, prefix.lastIndexOf('-'));
    }

    /** In a play of several legs, the number of this one. */
    int leg() {
        return Integer.parseInt(prefix.substring(prefix.lastIndexOf('-') + 1));
    }

    /** The one broker's address, as the name server tells it. */
    String broker() throws Exception {
        var brokers = admin().examineBrokerClusterInfo().getBrokerAddrTable().values();
        check(!brokers.isEmpty(), "no broker is registered");
        return brokers.iterator().next().selectBrokerAddr();
    }

    synchronized DefaultMQAdminExt admin() throws Exception {
        if (admin == null) {
            DefaultMQAdminExt fresh = new DefaultMQAdminExt(15_000);
            configure(fresh);
            fresh.start();
            closers.push(fresh::shutdown);
            admin = fresh;
        }
        return admin;
    }

    DefaultMQProducer producer() throws Exception {
        DefaultMQProducer producer = newProducer(group("producer"));
        producer.start();
        return producer;
    }

    /** A producer that is not started yet. */
    DefaultMQProducer newProducer(String group) {
        return own(new DefaultMQProducer(group));
    }

    DefaultMQProducer own(DefaultMQProducer producer) {
        configure(producer);
        producer.setSendMsgTimeout(10_000);
        closing(producer::shutdown);
        return producer;
    }

    /** A push consumer that begins at the first message and is not started yet. */
    DefaultMQPushConsumer push(String group, String topic, String tags) throws Exception {
        return push(new DefaultMQPushConsumer(group), topic, tags);
    }

    DefaultMQPushConsumer push(DefaultMQPushConsumer consumer, String topic, String tags)
            throws Exception {
        configure(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        consumer.setConsumeThreadMin(4);
        consumer.setConsumeThreadMax(4);
        consumer.subscribe(topic, tags);
        closing(consumer::shutdown);
        return consumer;
    }

    @SuppressWarnings("deprecation")
    DefaultMQPullConsumer pull(String group) throws Exception {
        DefaultMQPullConsumer consumer = new DefaultMQPullConsumer(group);
        configure(consumer);
        consumer.start();
        closing(consumer::shutdown);
        return consumer;
    }

    /** A lite-pull consumer that is not started yet. */
    DefaultLitePullConsumer litePull(String group) {
        DefaultLitePullConsumer consumer = new DefaultLitePullConsumer(group);
        configure(consumer);
        consumer.setConsumeFromWhere(ConsumeFromWhere.CONSUME_FROM_FIRST_OFFSET);
        closing(consumer::shutdown);
        return consumer;
    }

    /** Sends {@code count} messages "0", "1", ... to one queue and returns that queue. */
    static MessageQueue fill(DefaultMQProducer producer, String topic, int queue, int count)
            throws Exception {
        var queues = producer.fetchPublishMessageQueues(topic);
        MessageQueue to = queues.stream().filter(q -> q.getQueueId() == queue).findFirst().get();
        for (int i = 0; i < count; i++) {
            producer.send(new Message(topic, Integer.toString(i).getBytes()), to);
        }
        return to;
    }

    /** Where the broker says that a member's group is. */
    static long committed(DefaultMQPushConsumer member, MessageQueue queue) {
        return member.getDefaultMQPushConsumerImpl().getOffsetStore()
                .readOffset(queue, ReadOffsetType.READ_FROM_STORE);
    }

    static void check(boolean holds, String what, Object... args) {
        if (!holds) {
            throw new AssertionError(String.format(what, args));
        }
    }

    static void same(Object expected, Object found, String what) {
        check(expected.equals(found), "%s: expected %s, found %s", what, expected, found);
    }

    static void await(String what, Callable<Boolean> holds) throws Exception {
        await(what, PATIENCE, holds);
    }

    /** Waits until it holds; what it throws counts as "not yet" and is told in the end. */
    static void await(String what, Duration patience, Callable<Boolean> holds) throws Exception {
        long end = System.nanoTime() + patience.toNanos();
        Throwable last = null;
        do {
            try {
                if (holds.call()) {
                    return;
                }
                last = null;
            } catch (Exception | AssertionError e) {
                last = e;
            }
            Thread.sleep(30);
        } while (System.nanoTime() < end);
        String why = last == null ? "" : ": " + last;
        throw new AssertionError("no " + what + " within " + patience.toSeconds() + " s" + why);
    }

    /** A word for the table beside the verdict. */
    synchronized void note(String text) {
        notes.add(text);
    }

    synchronized String notes() {
        return String.join("; ", notes);
    }

    private void configure(ClientConfig client) {
        client.setNamesrvAddr(names);
        client.setInstanceName(prefix + "-" + instances.incrementAndGet());
        client.setMqClientApiTimeout(10_000);
        client.setHeartbeatBrokerInterval(1_000);
    }

    synchronized void closing(Runnable closer) {
        closers.push(closer);
    }

    @Override
    public void close() {
        for (Runnable closer : closers) {
            closer.run();
        }
    }
}
