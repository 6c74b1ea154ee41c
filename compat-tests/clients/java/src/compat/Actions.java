package compat;

import java.util.Map;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.function.Consumer;

/** What scenarios ask the runner to do to the servers, and its answers. */
final class Actions {
    private final Consumer<String> say;
    private final AtomicLong next = new AtomicLong();
    private final Map<String, CompletableFuture<String>> asked = new ConcurrentHashMap<>();

    Actions(Consumer<String> say) {
        this.say = say;
    }

    /** Asks and waits; throws if the runner could not do it. */
    void ask(String action) throws Exception {
        String id = Long.toString(next.incrementAndGet());
        CompletableFuture<String> answer = new CompletableFuture<>();
        asked.put(id, answer);
        say.accept("do " + id + " " + action);
        String why = answer.get(60, TimeUnit.SECONDS);
        if (!why.isEmpty()) {
            throw new AssertionError(action + ": " + why);
        }
    }

    void answered(String verdict, String id, String why) {
        CompletableFuture<String> answer = asked.remove(id);
        if (answer != null) {
            answer.complete(verdict.equals("done") ? "" : "the runner says: " + why);
        }
    }
}
