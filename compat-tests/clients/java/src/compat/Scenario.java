package compat;

/** One thing a stock client does; it throws when the server does not behave. */
@FunctionalInterface
interface Scenario {
    void run(Kit kit) throws Exception;

    /** Thrown by a scenario that this client has no means for. */
    final class NotApplicable extends RuntimeException {
        NotApplicable(String why) {
            super(why);
        }
    }
}
