package compat;

import static compat.Kit.check;

import java.io.ByteArrayOutputStream;
import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;

/** One command of the stock mqadmin, run in this process, and what it printed. */
final class Mqadmin {
    final String text;

    private Mqadmin(String text) {
        this.text = text;
    }

    /** Runs "command option value ..." against the scenario's name server. */
    static synchronized Mqadmin run(Kit kit, String... words) {
        List<String> all = new ArrayList<>(Arrays.asList(words));
        Collections.addAll(all, "-n", kit.names);
        PrintStream out = System.out;
        PrintStream err = System.err;
        ByteArrayOutputStream heard = new ByteArrayOutputStream();
        PrintStream ear = new PrintStream(heard, true);
        System.setOut(ear);
        System.setErr(ear);
        try {
            Version.mqadmin(all.toArray(new String[0]));
        } finally {
            System.setOut(out);
            System.setErr(err);
        }
        String text = heard.toString();
        out.println("mqadmin " + String.join(" ", all) + "\n" + text);
        return new Mqadmin(text);
    }

    /** Fails unless each part was printed. */
    Mqadmin says(String... parts) {
        for (String part : parts) {
            check(text.contains(part), "no \"%s\" in: %s", part, text);
        }
        return this;
    }

    Mqadmin lacks(String part) {
        check(!text.contains(part), "\"%s\" in: %s", part, text);
        return this;
    }

    /** The blank-separated cells of the first line that begins with these. */
    String[] row(String... first) {
        for (String line : text.split("\n")) {
            String[] cells = line.trim().split("\\s+");
            if (cells.length >= first.length
                    && Arrays.equals(first, Arrays.copyOf(cells, first.length))) {
                return cells;
            }
        }
        throw new AssertionError("no row " + String.join(" ", first) + " in: " + text);
    }

    /** The value of the first line "key : value" or "key = value". */
    String value(String key) {
        for (String line : text.split("\n")) {
            String[] halves = line.trim().split("\\s*[:=]\\s*", 2);
            if (halves.length == 2 && halves[0].equals(key)) {
                return halves[1];
            }
        }
        throw new AssertionError("no value of " + key + " in: " + text);
    }
}
