package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.CopyOnWriteArrayList;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendStatus;
import org.apache.rocketmq.client.producer.TransactionListener;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.client.producer.TransactionSendResult;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * Transactions: what the producer decides at once, what it is asked about later, and what becomes
 * of a message about which it never decides. The broker looks every second for what is older than
 * two, and asks three times: see plan.rs.
 */
final class Transactions {
    private static final String DISCARDED = "TRANS_CHECK_MAX_TIME_TOPIC";
    private static final int CHECKS = 3;
    /** Longer than any check would take to come. */
    private static final long QUIET_MS = 5_000;

    private Transactions() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("transaction-commit", Transactions::commit);
        scenarios.put("transaction-rollback", Transactions::rollback);
        scenarios.put("transaction-checked", Transactions::checked);
        scenarios.put("transaction-other", Transactions::other);
        scenarios.put("transaction-immune", Transactions::immune);
        scenarios.put("transaction-discarded", Transactions::discarded);
        scenarios.put("transaction-many", Transactions::many);
        scenarios.put("transaction-killed", kit -> interrupted(kit, "kill broker"));
        scenarios.put("transaction-stopped", kit -> interrupted(kit, "stop broker"));
        scenarios.put("halves-write", Transactions::write);
        scenarios.put("halves-read", Transactions::read);
    }

    /** What the application says, and what it was asked. */
    static final class Decisions implements TransactionListener {
        final Map<String, LocalTransactionState> atOnce = new ConcurrentHashMap<>();
        final Map<String, LocalTransactionState> later = new ConcurrentHashMap<>();
        final List<MessageExt> asked = new CopyOnWriteArrayList<>();

        @Override
        public LocalTransactionState executeLocalTransaction(Message message, Object argument) {
            return atOnce.getOrDefault(text(message), LocalTransactionState.UNKNOW);
        }

        @Override
        public LocalTransactionState checkLocalTransaction(MessageExt message) {
            asked.add(message);
            return later.getOrDefault(text(message), LocalTransactionState.UNKNOW);
        }

        long times(String body) {
            return asked.stream().filter(message -> text(message).equals(body)).count();
        }
    }

    private static void commit(Kit kit) throws Exception {
        String topic = kit.topic("t", 2);
        Decisions decisions = new Decisions();
        TransactionMQProducer producer = producer(kit, kit.group("p"), decisions);
        Inbox inbox = Inbox.open(kit, topic);
        for (int i = 0; i < 10; i++) {
            decisions.atOnce.put("c" + i, LocalTransactionState.COMMIT_MESSAGE);
            TransactionSendResult sent = send(producer, topic, "c" + i);
            same(SendStatus.SEND_OK, sent.getSendStatus(), "status");
            same(sent.getMsgId(), sent.getTransactionId(), "transaction id");
        }
        inbox.awaitSize(10);
        Thread.sleep(QUIET_MS);
        inbox.awaitSize(10);
        same(0, decisions.asked.size(), "checks");
        for (MessageExt message : inbox.all()) {
            same(topic, message.getTopic(), "topic");
            same("tag", message.getTags(), "tags");
            same("key-" + text(message), message.getKeys(), "keys");
            same("yes", message.getUserProperty("mine"), "user property");
            check(message.getPreparedTransactionOffset() > 0, "no half message is named");
        }
        String id = inbox.all().get(0).getMsgId();
        check(inbox.all().stream().map(MessageExt::getMsgId).distinct().count() == 10, "%s", id);
    }

    private static void rollback(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Decisions decisions = new Decisions();
        TransactionMQProducer producer = producer(kit, kit.group("p"), decisions);
        Inbox inbox = Inbox.open(kit, topic);
        decisions.atOnce.put("gone", LocalTransactionState.ROLLBACK_MESSAGE);
        send(producer, topic, "gone");
        Thread.sleep(QUIET_MS);
        same(0, inbox.size(), "messages");
        same(0, decisions.asked.size(), "checks");
    }

    /** Undecided ones are asked about; what was decided then is not asked again. */
    private static void checked(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Decisions decisions = new Decisions();
        TransactionMQProducer producer = producer(kit, kit.group("p"), decisions);
        Inbox inbox = Inbox.open(kit, topic);
        decisions.later.put("kept", LocalTransactionState.COMMIT_MESSAGE);
        decisions.later.put("gone", LocalTransactionState.ROLLBACK_MESSAGE);
        TransactionSendResult sent = send(producer, topic, "kept");
        send(producer, topic, "gone");
        await("checks", () -> decisions.times("kept") > 0 && decisions.times("gone") > 0);
        inbox.awaitSize(1);
        Thread.sleep(QUIET_MS);
        inbox.awaitSize(1);
        same("kept", text(inbox.all().get(0)), "body");
        same(2, decisions.asked.size(), "checks");
        for (MessageExt asked : decisions.asked) {
            same(topic, asked.getTopic(), "topic of the check");
            same("key-" + text(asked), asked.getKeys(), "keys of the check");
            same(kit.group("p"), asked.getProperty(MessageConst.PROPERTY_PRODUCER_GROUP), "group");
            same("1", asked.getProperty(MessageConst.PROPERTY_TRANSACTION_CHECK_TIMES), "times");
            if (text(asked).equals("kept")) {
                same(sent.getTransactionId(), asked.getTransactionId(), "transaction id");
                same(sent.getMsgId(), inbox.all().get(0).getMsgId(), "message id");
            }
        }
    }

    /** Whoever is left of the group is asked. */
    private static void other(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        TransactionMQProducer first = producer(kit, kit.group("p"), new Decisions());
        Decisions decisions = new Decisions();
        decisions.later.put("left", LocalTransactionState.COMMIT_MESSAGE);
        TransactionMQProducer second = producer(kit, kit.group("p"), decisions);
        // A stock client says what groups it is in with its first heartbeat to a broker it knows.
        decisions.atOnce.put("hello", LocalTransactionState.ROLLBACK_MESSAGE);
        send(second, topic, "hello");
        Inbox inbox = Inbox.open(kit, topic);
        send(first, topic, "left");
        first.shutdown();
        inbox.awaitSize(1);
        same(1L, decisions.times("left"), "checks");
    }

    /** Not asked about before its own time is over, and that costs none of the checks. */
    private static void immune(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Decisions decisions = new Decisions();
        decisions.later.put("immune", LocalTransactionState.COMMIT_MESSAGE);
        decisions.atOnce.put("decided", LocalTransactionState.UNKNOW);
        TransactionMQProducer producer = producer(kit, kit.group("p"), decisions);
        Inbox inbox = Inbox.open(kit, topic);
        Message message = message(topic, "immune");
        message.putUserProperty(MessageConst.PROPERTY_CHECK_IMMUNITY_TIME_IN_SECONDS, "4");
        long since = System.currentTimeMillis();
        producer.sendMessageInTransaction(message, null);
        await("a check", () -> decisions.times("immune") > 0);
        long took = System.currentTimeMillis() - since;
        check(took > 4_000, "checked after %d ms", took);
        inbox.awaitSize(1);
        Thread.sleep(QUIET_MS);
        inbox.awaitSize(1);
        same(1L, decisions.times("immune"), "checks");
        kit.note("after " + took + " ms");
    }

    private static void discarded(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Decisions decisions = new Decisions();
        TransactionMQProducer producer = producer(kit, kit.group("p"), decisions);
        Inbox inbox = Inbox.open(kit, topic);
        send(producer, topic, "never");
        await(CHECKS + " checks", () -> decisions.times("never") == CHECKS);
        // A consumer would look for the topic again only after 30 s.
        await("the topic of discarded messages", () ->
                kit.admin().examineTopicRouteInfo(DISCARDED).getQueueDatas().size() == 1);
        Inbox given = Inbox.open(kit, DISCARDED);
        await("the discarded message", () -> given.all().stream()
                .anyMatch(m -> topic.equals(m.getProperty(MessageConst.PROPERTY_REAL_TOPIC))));
        MessageExt last = given.all().stream()
                .filter(m -> topic.equals(m.getProperty(MessageConst.PROPERTY_REAL_TOPIC)))
                .findFirst().get();
        same("never", text(last), "body");
        same("" + CHECKS, last.getProperty(MessageConst.PROPERTY_TRANSACTION_CHECK_TIMES), "times");
        Thread.sleep(QUIET_MS);
        same((long) CHECKS, decisions.times("never"), "checks");
        same(0, inbox.size(), "messages");
        for (int i = 0; i < CHECKS; i++) {
            same("" + (i + 1), decisions.asked.get(i)
                    .getProperty(MessageConst.PROPERTY_TRANSACTION_CHECK_TIMES), "times");
        }
    }

    /** Each of many is asked about in every round, and none is forgotten. */
    private static void many(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Decisions decisions = new Decisions();
        TransactionMQProducer producer = producer(kit, kit.group("p"), decisions);
        Inbox inbox = Inbox.open(kit, topic);
        List<String> all = new ArrayList<>();
        for (int i = 0; i < 40; i++) {
            all.add("m" + i);
            send(producer, topic, "m" + i);
        }
        await("a check of each", () -> all.stream().allMatch(body -> decisions.times(body) > 0));
        List<String> kept = all.subList(0, 30);
        List<String> never = all.subList(30, 40);
        kept.forEach(body -> decisions.later.put(body, LocalTransactionState.COMMIT_MESSAGE));
        inbox.awaitSize(kept.size());
        await(CHECKS + " checks of the others",
                () -> never.stream().allMatch(body -> decisions.times(body) == CHECKS));
        Thread.sleep(QUIET_MS);
        inbox.awaitSize(kept.size());
        for (String body : never) {
            same((long) CHECKS, decisions.times(body), "checks of " + body);
        }
    }

    /** A broker that goes between half message and decision. */
    private static void interrupted(Kit kit, String down) throws Exception {
        String topic = kit.topic("t", 1);
        Decisions decisions = new Decisions();
        TransactionMQProducer producer = producer(kit, kit.group("p"), decisions);
        Inbox first = Inbox.open(kit.push(kit.group("first"), topic, "*"));
        decisions.atOnce.put("before", LocalTransactionState.COMMIT_MESSAGE);
        send(producer, topic, "before");
        first.awaitSize(1);
        // Nobody waits for a slower client with something that is about to be checked.
        kit.actions.ask("meet");
        send(producer, topic, "kept");
        send(producer, topic, "gone");
        decisions.later.put("before", LocalTransactionState.ROLLBACK_MESSAGE);
        decisions.later.put("kept", LocalTransactionState.COMMIT_MESSAGE);
        decisions.later.put("gone", LocalTransactionState.ROLLBACK_MESSAGE);
        kit.actions.ask(down);
        decisions.asked.clear();
        kit.actions.ask("start broker");
        // A stock client greets a broker that came back when it has something to send.
        decisions.atOnce.put("hello", LocalTransactionState.ROLLBACK_MESSAGE);
        await("a send", () -> send(producer, topic, "hello") != null);
        Inbox inbox = Inbox.open(kit, topic);
        await("checks", () -> decisions.times("kept") > 0 && decisions.times("gone") > 0);
        inbox.awaitSize(2);
        Thread.sleep(QUIET_MS);
        inbox.awaitSize(2);
        check(inbox.bodies().containsAll(List.of("before", "kept")), "%s", inbox.bodies());
        // What a stock broker knows about finished ones it writes seconds later.
        kit.note(decisions.times("before") + " checks of a finished one");
    }

    /** Leaves undecided ones behind, some of them checked already. */
    private static void write(Kit kit) throws Exception {
        String topic = kit.topic("t", 1);
        Decisions decisions = new Decisions();
        TransactionMQProducer producer = producer(kit, kit.group("p"), decisions);
        decisions.atOnce.put("done", LocalTransactionState.COMMIT_MESSAGE);
        decisions.atOnce.put("undone", LocalTransactionState.ROLLBACK_MESSAGE);
        send(producer, topic, "kept");
        await("a check", () -> decisions.times("kept") > 0);
        send(producer, topic, "done");
        send(producer, topic, "undone");
        send(producer, topic, "gone");
        Message message = message(topic, "immune");
        message.putUserProperty(MessageConst.PROPERTY_CHECK_IMMUNITY_TIME_IN_SECONDS, "5");
        producer.sendMessageInTransaction(message, null);
        Inbox inbox = Inbox.open(kit, topic);
        inbox.awaitSize(1);
        // A stock broker writes down what is finished every three seconds.
        Thread.sleep(QUIET_MS);
    }

    /** Decides about what another broker has left. */
    private static void read(Kit kit) throws Exception {
        String topic = kit.group("t");
        await("the route", () ->
                kit.admin().examineTopicRouteInfo(topic).getQueueDatas().size() == 1);
        Decisions decisions = new Decisions();
        for (String kept : List.of("kept", "immune")) {
            decisions.later.put(kept, LocalTransactionState.COMMIT_MESSAGE);
        }
        for (String gone : List.of("gone", "done", "undone")) {
            decisions.later.put(gone, LocalTransactionState.ROLLBACK_MESSAGE);
        }
        TransactionMQProducer producer = producer(kit, kit.group("p"), decisions);
        decisions.atOnce.put("hello", LocalTransactionState.ROLLBACK_MESSAGE);
        send(producer, topic, "hello");
        Inbox inbox = Inbox.open(kit.push(kit.group("reader"), topic, "*"));
        await("checks", () -> decisions.times("kept") > 0 && decisions.times("gone") > 0
                && decisions.times("immune") > 0);
        inbox.awaitSize(3);
        Thread.sleep(QUIET_MS);
        inbox.awaitSize(3);
        check(inbox.bodies().containsAll(List.of("done", "kept", "immune")), "%s", inbox.bodies());
        same(0L, decisions.times("done"), "checks of a committed one");
        same(0L, decisions.times("undone"), "checks of one that was rolled back");
        same(0L, decisions.times("hello"), "checks of a new one that was rolled back");
        kit.note(decisions.asked.size() + " checks");
    }

    static TransactionMQProducer producer(Kit kit, String group, Decisions decisions)
            throws Exception {
        TransactionMQProducer producer = new TransactionMQProducer(group);
        kit.own(producer);
        producer.setTransactionListener(decisions);
        producer.setPollNameServerInterval(1_000);
        producer.start();
        return producer;
    }

    static TransactionSendResult send(
            TransactionMQProducer producer, String topic, String body) throws Exception {
        return producer.sendMessageInTransaction(message(topic, body), null);
    }

    static Message message(String topic, String body) {
        Message message = new Message(topic, "tag", "key-" + body, body.getBytes());
        message.putUserProperty("mine", "yes");
        return message;
    }

    private static String text(Message message) {
        return new String(message.getBody());
    }
}
