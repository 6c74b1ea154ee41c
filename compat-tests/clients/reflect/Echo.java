import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.apache.rocketmq.remoting.protocol.RemotingSerializable;

/**
 * Reads bodies as the stock programs read them and writes them back: each line of the input is a
 * class below org.apache.rocketmq, a blank and JSON; each line of the output is JSON.
 */
public class Echo {
    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        System.setOut(System.err);
        BufferedReader in =
            new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            int blank = line.indexOf(' ');
            Class<?> type = Class.forName("org.apache.rocketmq." + line.substring(0, blank));
            byte[] json = line.substring(blank + 1).getBytes(StandardCharsets.UTF_8);
            Object body = RemotingSerializable.decode(json, type);
            out.println(new String(RemotingSerializable.encode(body), StandardCharsets.UTF_8));
        }
    }
}
