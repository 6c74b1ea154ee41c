package compat;

import java.util.Map;

/** The 4.9.8 client knows no static topics. */
final class Statics {
    private Statics() {}

    static void register(Map<String, Scenario> scenarios) {
        // There is nothing that it could do.
    }
}
