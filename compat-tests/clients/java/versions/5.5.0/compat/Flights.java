package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Queue;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.consumer.PopStatus;
import org.apache.rocketmq.client.producer.DefaultMQProducer;
import org.apache.rocketmq.client.producer.LocalTransactionState;
import org.apache.rocketmq.client.producer.SendResult;
import org.apache.rocketmq.client.producer.TransactionMQProducer;
import org.apache.rocketmq.common.message.Message;
import org.apache.rocketmq.common.message.MessageAccessor;
import org.apache.rocketmq.common.message.MessageConst;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * A broker that is killed while a client works: {@code flights-write} has pops, acknowledgements,
 * ordered pops, timers that come due and the ends of half messages going on when the broker ends;
 * {@code flights-read}, run with the same prefix on the other broker, finds nothing missing,
 * nothing that was acknowledged, no commit twice, and each queue in its order. What was
 * acknowledged in order comes again only if that was in the last second.
 */
final class Flights {
    private static final int POPPED = 32;
    private static final int MORE = 60;
    private static final int ORDERED = 80;
    /** So many of them are acknowledged longer before the kill than offsets may be lost. */
    private static final int ORDERED_FIRST = 10;
    private static final int TIMED = 60;
    private static final int HALVES = 90;
    private static final long INVISIBLE_MS = 5_000;
    /** Longer than a broker takes until offsets are in their file. */
    private static final long WRITTEN_MS = 1_200;
    /** What ours says of committed offsets: a kill takes those of this time and no others. */
    private static final long FORGOTTEN_MS = 1_000;
    /** Ends of half messages in one step: nobody answers them. */
    private static final int AT_ONCE = 2;
    /** The broker is killed after so many acknowledgements. */
    private static final int ENOUGH = 8;
    private static final long STEP_MS = 15;
    private static final long QUIET_MS = 2_500;
    private static final long PATIENCE_MS = 45_000;
    private static final String DELIVER_MS = "TIMER_DELIVER_MS";

    /** What is known when a broker is gone: only of an answer that came. */
    private static final class Left {
        final Set<String> acknowledged = ConcurrentHashMap.newKeySet();
        /** Since when, ms. */
        final Map<String, Long> orderedAcknowledged = new ConcurrentHashMap<>();
        final Map<String, String> cut = new ConcurrentHashMap<>();
        /** What ended a work before the broker was killed. */
        final Queue<String> failed = new ConcurrentLinkedQueue<>();
        /** When the broker was killed, ms; 0 before that. */
        volatile long killed;
    }

    private interface Work {
        void step() throws Exception;
    }

    private static final Map<String, Left> LEFT = new ConcurrentHashMap<>();

    private Flights() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("flights-write", Flights::write);
        scenarios.put("flights-read", Flights::read);
    }

    private static void write(Kit kit) throws Exception {
        RawPops pops = new RawPops(kit, 1);
        RawPops ordered = new RawPops(kit, kit.topic("o", 1));
        String halfTopic = kit.topic("h", 1);
        String timed = kit.topic("d", 1);
        DefaultMQProducer producer = kit.producer();
        TransactionMQProducer deciding =
                Transactions.producer(kit, kit.group("p"), new Transactions.Decisions());
        for (int i = 0; i < ORDERED; i++) {
            ordered.send(Integer.toString(i));
        }
        for (String kind : List.of("done", "left")) {
            for (int i = 0; i < POPPED; i++) {
                pops.send(kind + i);
            }
        }
        Left left = new Left();
        LEFT.put(kit.prefix, left);
        await("acknowledgements in order", () -> {
            stepInOrder(ordered, left);
            return left.orderedAcknowledged.size() >= ORDERED_FIRST;
        });
        List<MessageExt> out = taken(pops, POPPED);
        taken(pops, POPPED);
        for (int i = 0; i < MORE; i++) {
            pops.send("more" + i);
        }
        Map<Message, SendResult> halves = new HashMap<>();
        for (int i = 0; i < HALVES; i++) {
            // As sendMessageInTransaction does it, which ends it at once.
            Message message = Transactions.message(halfTopic, half(i));
            MessageAccessor.putProperty(
                    message, MessageConst.PROPERTY_TRANSACTION_PREPARED, "true");
            MessageAccessor.putProperty(
                    message, MessageConst.PROPERTY_PRODUCER_GROUP, deciding.getProducerGroup());
            halves.put(message, deciding.send(message));
        }
        Thread.sleep(WRITTEN_MS);
        long now = System.currentTimeMillis();
        for (int i = 0; i < TIMED; i++) {
            Message message = new Message(timed, Long.toString(now + 500 + i * 100).getBytes());
            MessageAccessor.putProperty(
                    message, DELIVER_MS, Long.toString(now + 500 + i * 100));
            producer.send(message);
        }

        var acks = new ConcurrentLinkedQueue<>(out);
        var ends = new ConcurrentLinkedQueue<>(halves.entrySet());
        List<Thread> all = List.of(
                going("acks", left, () -> {
                    MessageExt message = acks.poll();
                    if (message != null) {
                        pops.acked(message);
                        left.acknowledged.add(body(message));
                    }
                }),
                going("pops", left, () -> pops.pop(new RawPops.Pop().most(1)
                        .invisible(INVISIBLE_MS))),
                going("ordered", left, () -> stepInOrder(ordered, left)),
                going("ends", left, () -> {
                    for (int i = 0; i < AT_ONCE && !ends.isEmpty(); i++) {
                        var end = ends.poll();
                        ended(deciding, end.getKey(), end.getValue());
                    }
                }));
        await("acknowledgements", () ->
                left.acknowledged.size() >= ENOUGH || !left.failed.isEmpty());
        left.killed = System.currentTimeMillis();
        kit.actions.ask("kill broker");
        for (Thread thread : all) {
            thread.interrupt();
            thread.join();
        }
        check(left.failed.isEmpty(), "before the broker was killed: %s", left.failed);
        check(!acks.isEmpty() || !ends.isEmpty(), "nothing was in flight");
        check(ends.size() < HALVES - ENOUGH, "no half message was ended: %s", left.cut);
        kit.note(left.acknowledged.size() + " acknowledged, " + left.orderedAcknowledged.size()
                + " in order, " + (HALVES - ends.size()) + " ended");
    }

    private static void stepInOrder(RawPops pops, Left left) throws Exception {
        var pop = new RawPops.Pop().ordered("a").most(2).invisible(INVISIBLE_MS);
        for (MessageExt message : found(pops.pop(pop))) {
            pops.acked(message);
            left.orderedAcknowledged.put(body(message), System.currentTimeMillis());
        }
    }

    private static void ended(TransactionMQProducer producer, Message half, SendResult sent)
            throws Exception {
        String body = new String(half.getBody());
        if (!body.startsWith("later")) {
            var how = body.startsWith("kept") ? LocalTransactionState.COMMIT_MESSAGE
                    : LocalTransactionState.ROLLBACK_MESSAGE;
            producer.getDefaultMQProducerImpl().endTransaction(half, sent, how, null);
        }
    }

    /** Every third is to be committed, one rolled back, and one is not decided before a check. */
    private static String half(int number) {
        return List.of("kept", "gone", "later").get(number % 3) + number;
    }

    /** Works step by step until a step fails, which it may only when the broker is gone. */
    private static Thread going(String name, Left left, Work work) {
        Thread thread = new Thread(() -> {
            try {
                while (true) {
                    work.step();
                    Thread.sleep(STEP_MS);
                }
            } catch (Throwable e) {
                if (left.killed == 0) {
                    left.failed.add(name + ": " + e);
                }
                left.cut.put(name, e.toString());
            }
        });
        thread.start();
        return thread;
    }

    private static List<MessageExt> taken(RawPops pops, int count) throws Exception {
        List<MessageExt> all = found(pops.pop(
                new RawPops.Pop().poll(5_000).most(count).invisible(INVISIBLE_MS)));
        same(count, all.size(), "messages");
        return all;
    }

    private static List<MessageExt> found(PopResult popped) {
        return popped.getPopStatus() == PopStatus.FOUND ? popped.getMsgFoundList() : List.of();
    }

    private static void read(Kit kit) throws Exception {
        for (String suffix : List.of("t", "o", "h", "d")) {
            await("the route of " + suffix, () -> kit.admin()
                    .examineTopicRouteInfo(kit.group(suffix)).getQueueDatas().size() == 1);
        }
        Left left = LEFT.remove(kit.prefix);
        Transactions.Decisions decisions = new Transactions.Decisions();
        Set<String> committed = new TreeSet<>();
        for (int i = 0; i < HALVES; i++) {
            boolean keeps = i % 3 == 0 || i % 6 == 2;
            decisions.later.put(half(i), keeps ? LocalTransactionState.COMMIT_MESSAGE
                    : LocalTransactionState.ROLLBACK_MESSAGE);
            if (keeps) {
                committed.add(half(i));
            }
        }
        decisions.atOnce.put("hello", LocalTransactionState.ROLLBACK_MESSAGE);
        TransactionMQProducer producer =
                Transactions.producer(kit, kit.group("p"), decisions);
        Transactions.send(producer, kit.group("h"), "hello");
        Inbox halves = Inbox.open(kit, kit.group("h"));
        Inbox timed = Inbox.open(kit, kit.group("d"));
        popped(kit, left);
        inOrder(kit, left);
        await("what is committed", () ->
                new HashSet<>(halves.bodies()).containsAll(committed));
        await("checks of what is not", () -> decisions.asked.stream()
                .filter(message -> body(message).startsWith("later")).map(Flights::body)
                .distinct().count() == HALVES / 3);
        await("what was due", () -> new HashSet<>(timed.bodies()).size() == TIMED);
        Thread.sleep(QUIET_MS);
        same(committed, new TreeSet<>(halves.bodies()), "what was committed");
        for (MessageExt message : timed.all()) {
            long early = Long.parseLong(body(message)) - message.getStoreTimestamp();
            check(early <= 0, "%d ms early", early);
        }
        int twice = halves.size() - committed.size();
        kit.note(decisions.asked.size() + " checks, " + twice + " committed twice, "
                + (timed.size() - TIMED) + " timed ones twice");
        check(twice == 0 || !ours(kit), "%d were committed twice", twice);
    }

    /** Whether ours reads what a stock broker left, and not the other way round. */
    private static boolean ours(Kit kit) {
        return kit.leg() % 2 == 0;
    }

    private static void popped(Kit kit, Left left) throws Exception {
        RawPops pops = new RawPops(kit, kit.group("t"));
        Set<String> wanted = new TreeSet<>();
        for (int i = 0; i < MORE; i++) {
            wanted.add("more" + i);
        }
        for (int i = 0; i < POPPED; i++) {
            wanted.add("left" + i);
        }
        // One whose acknowledgement was not answered may come, and need not.
        Set<String> known = new TreeSet<>(wanted);
        for (int i = 0; i < POPPED; i++) {
            if (!left.acknowledged.contains("done" + i)) {
                known.add("done" + i);
            }
        }
        List<String> came = new ArrayList<>();
        long end = System.currentTimeMillis() + PATIENCE_MS;
        long quiet = System.currentTimeMillis() + INVISIBLE_MS;
        while (System.currentTimeMillis() < (wanted.isEmpty() ? quiet : end)) {
            for (MessageExt message : found(pops.pop(new RawPops.Pop().poll(1_000)))) {
                pops.acked(message);
                came.add(body(message));
                wanted.remove(body(message));
            }
        }
        check(wanted.isEmpty(), "these did not come: %s", wanted);
        Set<String> wrong = new TreeSet<>(came);
        wrong.removeAll(known);
        check(wrong.isEmpty(), "these were acknowledged, and came: %s", wrong);
        // What is popped in the last moment may be popped once more, and come back besides.
        came.removeIf(body -> body.startsWith("more"));
        same(came.size(), new HashSet<>(came).size(), "ones among " + came);
    }

    private static void inOrder(Kit kit, Left left) throws Exception {
        RawPops pops = new RawPops(kit, kit.group("o"));
        List<Integer> came = new ArrayList<>();
        long end = System.currentTimeMillis() + PATIENCE_MS;
        for (int i = 0; System.currentTimeMillis() < end && !came.contains(ORDERED - 1); i++) {
            var pop = new RawPops.Pop().ordered("read" + i).poll(1_000);
            for (MessageExt message : found(pops.pop(pop))) {
                pops.acked(message);
                came.add(Integer.parseInt(body(message)));
            }
        }
        Collection<Integer> once = new LinkedHashSet<>(came);
        same(new ArrayList<>(new TreeSet<>(once)), new ArrayList<>(once), "order");
        for (int i = 0; i < ORDERED; i++) {
            boolean done = left.orderedAcknowledged.containsKey(Integer.toString(i));
            check(done || once.contains(i), "%d did not come, only %s", i, came);
        }
        // A broker that was killed may have forgotten what was acknowledged in order just now.
        List<Long> ages = once.stream().map(i -> left.orderedAcknowledged.get(i.toString()))
                .filter(Objects::nonNull).map(acked -> left.killed - acked).toList();
        long oldest = ages.stream().mapToLong(age -> age).max().orElse(0);
        kit.note(ages.size() + " came again in order");
        check(oldest <= FORGOTTEN_MS || ours(kit),
                "%d came again in order, of which one was acknowledged %d ms before the kill",
                ages.size(), oldest);
    }

    private static String body(MessageExt message) {
        return new String(message.getBody());
    }
}
