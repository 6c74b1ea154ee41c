package compat;

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * Runs scenarios of one stock Java client for the runner, many in one process.
 *
 * <p>Lines in: {@code run SCENARIO PREFIX}, {@code done ID}, {@code failed ID WHY}, {@code quit}.
 * Lines out, each behind {@code @@}: {@code ready}, {@code result PREFIX PASS|FAIL|NA MS DETAILS}
 * and {@code do ID ACTION}, which asks the runner to do something to a server. Other lines are
 * noise of the libraries.
 */
public final class Main {
    private static final PrintStream OUT = System.out;

    private Main() {}

    public static void main(String[] args) throws Exception {
        String names = args[0];
        Map<String, Scenario> scenarios = new LinkedHashMap<>();
        Batches.register(scenarios);
        Sends.register(scenarios);
        Bodies.register(scenarios);
        Groups.register(scenarios);
        Consumes.register(scenarios);
        Pulls.register(scenarios);
        Light.register(scenarios);
        Compactions.register(scenarios);
        Filters.register(scenarios);
        Queries.register(scenarios);
        Refusals.register(scenarios);
        Restarts.register(scenarios);
        Changes.register(scenarios);
        HandOver.register(scenarios);
        Faults.register(scenarios);
        Commands.register(scenarios);
        MessageCommands.register(scenarios);
        Rewinds.register(scenarios);
        Repairs.register(scenarios);
        Tracks.register(scenarios);
        Policies.register(scenarios);
        Contradictions.register(scenarios);
        Transactions.register(scenarios);
        Timers.register(scenarios);
        Requests.register(scenarios);
        Pops.register(scenarios);
        Statics.register(scenarios);

        Actions actions = new Actions(Main::say);
        ExecutorService pool = Executors.newCachedThreadPool(Main::daemon);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        say("ready");
        for (String line; (line = in.readLine()) != null && !line.equals("quit"); ) {
            String[] words = line.split(" ", 3);
            if (words[0].equals("run")) {
                Scenario scenario = scenarios.get(words[1]);
                String prefix = words[2];
                pool.execute(() -> run(scenario, new Kit(names, prefix, actions)));
            } else {
                actions.answered(words[0], words[1], words.length > 2 ? words[2] : "");
            }
        }
        Runtime.getRuntime().halt(0);
    }

    private static void run(Scenario scenario, Kit kit) {
        long start = System.nanoTime();
        String verdict;
        try (kit) {
            if (scenario == null) {
                throw new Scenario.NotApplicable("the Java client has no such scenario");
            }
            scenario.run(kit);
            verdict = "PASS";
        } catch (Scenario.NotApplicable e) {
            verdict = "NA";
            kit.note(e.getMessage());
        } catch (Throwable e) {
            e.printStackTrace();
            verdict = "FAIL";
            kit.note(e instanceof AssertionError ? e.getMessage() : e.toString());
        }
        long ms = (System.nanoTime() - start) / 1_000_000;
        String notes = kit.notes().replaceAll("\\s+", " ");
        say("result " + kit.prefix + " " + verdict + " " + ms + " " + notes);
    }

    private static synchronized void say(String line) {
        OUT.println("@@" + line);
        OUT.flush();
    }

    private static Thread daemon(Runnable work) {
        Thread thread = new Thread(work, "scenario");
        thread.setDaemon(true);
        return thread;
    }
}
