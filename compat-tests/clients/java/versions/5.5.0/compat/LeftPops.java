package compat;

import static compat.Kit.await;
import static compat.Kit.check;
import static compat.Kit.same;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import org.apache.rocketmq.client.consumer.PopResult;
import org.apache.rocketmq.client.consumer.PopStatus;
import org.apache.rocketmq.common.message.MessageExt;

/**
 * What is popped of one broker and left to the next: {@code pops-write} pops, acknowledges some and
 * keeps handles; {@code pops-read}, run with the same prefix on the other broker, gets what was not
 * acknowledged, in time, and nothing else.
 */
final class LeftPops {
    private static final int EACH = 10;
    private static final long SOON_MS = 10_000;
    private static final long LATER_MS = 14_000;
    private static final long KEPT_MS = 20_000;
    /** So late may a stock broker give something back, and ours too where one lies between. */
    private static final long LATE_MS = 25_000;

    /** What is out when a broker ends, by the prefix of its leg. */
    private record Out(List<MessageExt> kept, Map<String, Long> due, long end) {}

    private static final Map<String, Out> LEFT = new ConcurrentHashMap<>();

    private LeftPops() {}

    static void register(Map<String, Scenario> scenarios) {
        scenarios.put("pops-write", LeftPops::write);
        scenarios.put("pops-read", LeftPops::read);
    }

    private static void write(Kit kit) throws Exception {
        ordered(kit);
        RawPops pops = new RawPops(kit, 1);
        Map<String, Long> due = new TreeMap<>();
        pops.send("twice");
        taken(pops, 1, 1_000);
        PopResult again = pops.pop(new RawPops.Pop().poll(15_000).invisible(SOON_MS));
        same(List.of("twice"), RawPops.bodies(again), "what comes again");
        due.put("twice", again.getPopTime() + SOON_MS);
        for (String kind : List.of("left", "done", "batch", "later", "kept", "fresh")) {
            for (int i = 0; i < EACH; i++) {
                pops.send(kind + i);
            }
        }
        PopResult left = taken(pops, EACH, SOON_MS);
        left.getMsgFoundList().forEach(m -> due.put(body(m), left.getPopTime() + SOON_MS));
        for (MessageExt message : taken(pops, EACH, SOON_MS).getMsgFoundList()) {
            pops.acked(message);
        }
        PopResult batch = taken(pops, EACH, SOON_MS);
        List<MessageExt> done = new ArrayList<>(batch.getMsgFoundList());
        for (int i : List.of(7, 3)) {
            due.put(body(done.remove(i)), batch.getPopTime() + SOON_MS);
        }
        pops.ackedTogether(done);
        for (MessageExt message : taken(pops, EACH, SOON_MS).getMsgFoundList()) {
            pops.changed(message, RawPops.handle(message), LATER_MS);
            due.put(body(message), System.currentTimeMillis() + LATER_MS - 1_000);
        }
        PopResult kept = taken(pops, EACH, KEPT_MS);
        for (int i = 0; i < EACH; i++) {
            due.put("fresh" + i, 0L);
        }
        LEFT.put(kit.prefix, new Out(kept.getMsgFoundList(), due, kept.getPopTime() + KEPT_MS));
    }

    /** The next so many messages of the only queue. */
    private static PopResult taken(RawPops pops, int count, long invisibleMs) throws Exception {
        PopResult popped =
                pops.pop(new RawPops.Pop().poll(5_000).most(count).invisible(invisibleMs));
        same(PopStatus.FOUND, popped.getPopStatus(), "status");
        same(count, popped.getMsgFoundList().size(), "messages");
        return popped;
    }

    /** Three are out, of which the first is acknowledged; two were not taken. */
    private static void ordered(Kit kit) throws Exception {
        RawPops pops = new RawPops(kit, kit.topic("o", 1));
        for (int i = 0; i < 5; i++) {
            pops.send(Integer.toString(i));
        }
        PopResult out = pops.pop(
                new RawPops.Pop().ordered("left").most(3).poll(5_000).invisible(SOON_MS));
        same(List.of("0", "1", "2"), RawPops.bodies(out), "in order");
        pops.acked(out.getMsgFoundList().get(0));
    }

    private static void read(Kit kit) throws Exception {
        for (String topic : List.of(kit.group("t"), kit.group("o"))) {
            await("the route of " + topic, () ->
                    kit.admin().examineTopicRouteInfo(topic).getQueueDatas().size() == 1);
        }
        Out out = LEFT.remove(kit.prefix);
        RawPops pops = new RawPops(kit, kit.group("t"));
        for (MessageExt message : out.kept) {
            if (System.currentTimeMillis() < out.end - 3_000) {
                pops.acked(message);
            } else {
                out.due.put(body(message), out.end);
            }
        }
        Set<String> wanted = new TreeSet<>(out.due.keySet());
        List<String> more = new ArrayList<>();
        long late = 0;
        long end = Math.max(System.currentTimeMillis(), out.end) + LATE_MS;
        long quiet = out.end + 6_000;
        while (System.currentTimeMillis() < (wanted.isEmpty() ? quiet : end)) {
            PopResult popped = pops.pop(new RawPops.Pop().poll(2_000));
            if (popped.getPopStatus() != PopStatus.FOUND) {
                continue;
            }
            for (MessageExt message : popped.getMsgFoundList()) {
                String body = body(message);
                pops.acked(message);
                if (!wanted.remove(body)) {
                    more.add(body);
                    continue;
                }
                long behind = popped.getPopTime() - out.due.get(body);
                check(behind >= 0, "%s came %s ms early", body, -behind);
                if (!body.startsWith("fresh")) {
                    late = Math.max(late, behind);
                    int times = body.equals("twice") ? 2 : 1;
                    same(times, message.getReconsumeTimes(), "times that " + body + " came again");
                }
            }
        }
        check(wanted.isEmpty(), "these did not come: %s", wanted);
        check(more.isEmpty(), "these came again, or were acknowledged: %s", more);
        inOrder(kit);
        kit.note("late by at most " + late + " ms");
    }

    private static void inOrder(Kit kit) throws Exception {
        RawPops pops = new RawPops(kit, kit.group("o"));
        List<String> came = new ArrayList<>();
        for (int i = 0; i < 8 && !came.contains("4"); i++) {
            PopResult popped = pops.pop(new RawPops.Pop().ordered("read" + i).poll(3_000));
            if (popped.getPopStatus() == PopStatus.FOUND) {
                for (MessageExt message : popped.getMsgFoundList()) {
                    came.add(body(message));
                    pops.acked(message);
                }
            }
        }
        // A stock broker that was killed may have forgotten what was acknowledged.
        came.remove("0");
        same(List.of("1", "2", "3", "4"), came, "in order");
    }

    private static String body(MessageExt message) {
        return new String(message.getBody());
    }
}
