import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.HexFormat;
import java.util.Map;
import org.apache.rocketmq.broker.filter.MessageEvaluationContext;
import org.apache.rocketmq.common.message.MessageDecoder;
import org.apache.rocketmq.filter.SqlFilter;
import org.apache.rocketmq.filter.expression.Expression;
import org.apache.rocketmq.filter.expression.MQFilterException;

/**
 * Says what the stock filter thinks: each line of the input is an expression and the properties of
 * a message, both in hexadecimal digits with a blank between; each line of the output is
 * "refused", "true", "false", "null" or "exception".
 */
public class Verdicts {
    public static void main(String[] args) throws Exception {
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        System.setOut(System.err);
        SqlFilter filter = new SqlFilter();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            int blank = line.indexOf(' ');
            String source = text(line.substring(0, blank));
            Map<String, String> properties =
                MessageDecoder.string2messageProperties(text(line.substring(blank + 1)));
            out.println(verdict(filter, source, properties));
        }
        out.flush();
    }

    private static String text(String digits) {
        return new String(HexFormat.of().parseHex(digits), StandardCharsets.UTF_8);
    }

    private static String verdict(SqlFilter filter, String source, Map<String, String> properties) {
        Expression expression;
        try {
            expression = filter.compile(source);
        } catch (MQFilterException refused) {
            return "refused";
        }
        try {
            return String.valueOf(expression.evaluate(new MessageEvaluationContext(properties)));
        } catch (Exception exception) {
            return "exception";
        }
    }
}
