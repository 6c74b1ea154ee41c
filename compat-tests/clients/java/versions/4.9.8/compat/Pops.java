package compat;

import java.util.Map;

/** The 4.9.8 client cannot pop. */
final class Pops {
    private Pops() {}

    static void register(Map<String, Scenario> scenarios) {
        // There is nothing that it could do.
    }
}
